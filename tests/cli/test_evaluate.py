"""``torchdisentangle evaluate``: a model by its name, a checkpoint and a data file in, a report out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.evaluation.latent_page_cases import content_of
from torchdisentangle import Report, evaluate
from torchdisentangle.cli import main
from torchdisentangle.evaluation import EVALUATIONS, DisentanglementEvaluation
from torchdisentangle.models import VAE

MODULES = """
import lightning as L
import torch
from torch import nn

class Plain(nn.Module):
    latent_dim = 3
    def __init__(self, width=4):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(width, 6), nn.Linear(3, width)
    def encode(self, x):
        return self.encoder(x).chunk(2, dim=1)
    def decode(self, z):
        return self.decoder(z)

class Decoder(nn.Module):
    latent_dim = 2
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
    def decode(self, z):
        return self.linear(z)

def rows():
    return torch.utils.data.TensorDataset(torch.arange(240).reshape(60, 4) / 240, torch.arange(60) % 3)

class Data(L.LightningDataModule):
    def __init__(self, batch_size=20):
        super().__init__()
        self.batch_size = batch_size
    def setup(self, stage):
        assert stage == "validate"
        self.rows = rows()
    def val_dataloader(self):
        return torch.utils.data.DataLoader(self.rows, self.batch_size)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shapes_of_mine", raising=False)
    Path("shapes_of_mine.py").write_text(MODULES)
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(0, 4, 300), rng.integers(0, 3, 300)], axis=1)
    x = np.concatenate([factors, factors + rng.standard_normal((300, 2))], axis=1).astype(np.float32)
    np.savez("data.npz", x=x, factors=factors, labels=factors[:, 0])
    return tmp_path


@pytest.fixture
def checkpoint(folder: Path) -> str:
    torch.manual_seed(0)
    model = VAE(data_shape=(4,), latent_dim=3, hidden=[8])
    settings = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", enable_checkpointing=False, **settings)  # type: ignore[arg-type]
    trainer.fit(model, DataLoader(torch.from_numpy(np.load("data.npz")["x"]), 50))
    trainer.save_checkpoint("vae.ckpt")
    return "vae.ckpt"


def evaluated(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    assert main(["evaluate", *arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    assert main(["evaluate", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


VAE_OF = ("--model", "torchdisentangle.models.VAE", "--checkpoint", "vae.ckpt", "--data", "data.npz")
QUICK = ("--evaluations", "elbo,disentanglement")


def test_values_are_those_of_evaluate(checkpoint: str, capsys: pytest.CaptureFixture) -> None:
    found = evaluated(capsys, *VAE_OF, *QUICK)
    arrays = {name: torch.from_numpy(array) for name, array in np.load("data.npz").items()}
    rows = [{name: array[i : i + 100] for name, array in arrays.items()} for i in range(0, 300, 100)]
    model = VAE.load_from_checkpoint(checkpoint)
    scores = DisentanglementEvaluation(factors="factors")
    expected = evaluate(model, rows, ["elbo", scores], input_key="x").to_dict()
    assert {name: score["value"] for name, score in found["scores"].items()} == pytest.approx(expected, rel=1e-5)
    assert found["rows"] == 300


def test_everything_that_is_possible_and_files(
    checkpoint: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(EVALUATIONS, "topology")  # which takes ten seconds
    found = evaluated(capsys, *VAE_OF, "--out", "out")
    families = {name.partition("/")[0] for name in found["scores"]}
    assert {"manifold", "elbo", "disentanglement", "informativeness", "similarity"} <= families
    assert Report.load("out/report.npz").to_dict().keys() == found["scores"].keys()
    assert (Path("out") / "elbo_decomposition.png").exists()
    assert "manifold/total_correlation" in Path("out/report.html").read_text()
    assert '<a href="latents.html">' in Path("out/report.html").read_text()
    matrices = content_of(Path("out/latents.html").read_text())["matrices"]
    assert {"MPMI of latents", "mutual information of latents and factors"} <= {one["label"] for one in matrices}


def test_no_rows_are_no_evaluation(folder: Path, capsys: pytest.CaptureFixture) -> None:
    empty = ("--model", "shapes_of_mine.Plain", "--data", "builtins.list")
    assert "had no rows" in refused(capsys, *empty, "--evaluations", "disentanglement")


def test_what_a_decoder_cannot_do_is_left_out(
    folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(EVALUATIONS, "topology")  # which takes ten seconds
    found = evaluated(capsys, "--model", "shapes_of_mine.Decoder")
    assert "manifold/total_entropy" in found["scores"]
    assert not any(name.startswith("elbo/") for name in found["scores"])
    (reason,) = (warning for warning in found["warnings"] if warning.startswith("elbo"))
    assert "Decoder cannot encode data" in reason
    message = refused(capsys, "--model", "shapes_of_mine.Decoder", "--evaluations", "elbo")
    assert "Decoder cannot encode data" in message


def test_state_dicts_and_arguments(folder: Path, capsys: pytest.CaptureFixture) -> None:
    import shapes_of_mine  # type: ignore[import-not-found]

    model = shapes_of_mine.Plain()
    torch.save(model.state_dict(), "plain.pt")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, "inside.pt")
    data = ("--data", "data.npz", "--evaluations", "elbo")
    plain = ("--model", "shapes_of_mine.Plain", "--model-args", '{"width": 4}')
    found = [evaluated(capsys, *plain, "--checkpoint", name, *data)["scores"] for name in ("plain.pt", "inside.pt")]
    rows = [{"x": torch.from_numpy(np.load("data.npz")["x"])}]
    expected = evaluate(model, rows, ["elbo"], input_key="x")
    assert found[0] == found[1]
    assert found[0]["elbo/kl"]["value"] == pytest.approx(expected["elbo/kl"], rel=1e-5)
    message = refused(capsys, *plain[:3], '{"width": 5}', "--checkpoint", "plain.pt", *data)
    assert "plain.pt does not fit the model" in message


def test_data_modules_and_data_sets(folder: Path, capsys: pytest.CaptureFixture) -> None:
    model = ("--model", "shapes_of_mine.Plain", "--evaluations", "disentanglement", "--data")
    torch.manual_seed(0)
    of_module = evaluated(capsys, *model, "shapes_of_mine.Data", "--data-args", '{"batch_size": 7}')
    torch.manual_seed(0)
    of_set = evaluated(capsys, *model, "shapes_of_mine.rows")
    for name, score in of_set["scores"].items():  # sums of other batches differ by rounding
        assert of_module["scores"][name]["value"] == pytest.approx(score["value"], rel=1e-9, abs=1e-12), name
    assert of_module["rows"] == 60
    assert "disentanglement/mig" in of_module["scores"]


def test_images_of_bytes_are_scaled(folder: Path) -> None:
    from torchdisentangle.cli.loading import load_data

    np.savez("images.npz", images=np.full((3, 1, 2, 2), 51, np.uint8), labels=np.arange(3))
    batch = next(iter(load_data("images.npz", {}, "val", 2)))
    assert torch.equal(batch["x"], torch.full((2, 1, 2, 2), 0.2))
    assert batch["labels"].tolist() == [0, 1]


class Code:
    """What a checkpoint might run."""

    def __reduce__(self) -> tuple:
        return (os.mkdir, ("made_by_a_pickle",))


def test_checkpoints_run_no_code(folder: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save({"state_dict": {}, "code": Code()}, "bad.ckpt")
    message = refused(capsys, "--model", "shapes_of_mine.Plain", "--checkpoint", "bad.ckpt")
    assert "bad.ckpt is broken, or holds Python objects" in message
    assert not Path("made_by_a_pickle").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "Plain"], "'Plain' is no dotted path"),
        (["--model", "nowhere.Plain"], "there is no module 'nowhere'"),
        (["--model", "shapes_of_mine.Missing"], "shapes_of_mine has no 'Missing'"),
        (["--model", "shapes_of_mine.Plain", "--checkpoint", "missing.ckpt"], "there is no checkpoint missing.ckpt"),
        (["--model", "shapes_of_mine.Plain", "--model-args", '{"depth": 1}'], "shapes_of_mine.Plain cannot be made"),
        (["--model", "shapes_of_mine.Plain", "--evaluations", "nothing"], "there is no evaluation 'nothing'"),
        (["--model", "shapes_of_mine.Plain", "--data", "missing.npz"], "missing.npz"),
        (["--model", "shapes_of_mine.Plain", "--data", "builtins.int"], "data module, a data set"),
        (["--model", "torch.nn.ReLU"], "ReLU is no latent model"),
    ],
)
def test_bad_input_is_named(folder: Path, capsys: pytest.CaptureFixture, arguments: list[str], message: str) -> None:
    assert message in refused(capsys, *arguments)


def test_two_processes_give_the_values_of_one(checkpoint: str, capsys: pytest.CaptureFixture) -> None:
    expected = evaluated(capsys, *VAE_OF, *QUICK, "--batch-size", "32")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "torchdisentangle", "evaluate", *VAE_OF, *QUICK, "--batch-size", "32", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)  # one of the processes prints
    assert found["rows"] == 300
    for name, score in expected["scores"].items():
        assert found["scores"][name]["value"] == pytest.approx(score["value"], rel=1e-5, abs=1e-7), name


def test_an_evaluation_whose_package_is_missing_is_left_out(
    checkpoint: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gudhi", None)
    monkeypatch.setattr("torchdisentangle.cli.evaluate.EVALUATIONS", {"topology": None, "latents": None})
    assert main(["evaluate", *VAE_OF, "--json"]) == 0
    printed = capsys.readouterr()
    assert "topology is left out: " in printed.err
    assert "torchdisentangle[topology]" in printed.err
    assert main(["evaluate", *VAE_OF, "--evaluations", "topology"]) == 1
    assert "torchdisentangle[topology]" in capsys.readouterr().err
