"""``torchdisentangle table``: one row for each run, whatever its values were saved as."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from torchdisentangle import Report
from torchdisentangle.cli import main
from torchdisentangle.cli.table import read_run
from torchdisentangle.plots import plot_runs


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two reports and a log of CSVLogger's kind: a row for training, another for validation, gaps between."""
    monkeypatch.chdir(tmp_path)
    Report({"val/mig": 0.1, "val/elbo/kl": 12.5}).save("runs/a/report.npz")
    Report({"val/mig": 0.3, "val/elbo/kl": math.nan}).save("runs/beta_4/report.npz")
    Path("runs/c").mkdir()
    Path("runs/c/metrics.csv").write_text(
        "epoch,step,train_loss,val/mig,val/elbo/kl\n0,9,5.0,,\n0,9,,0.9,1.0\n1,19,4.0,,\n1,19,,0.2,2.0\n2,29,3.0,,\n"
    )
    return ["runs/a", "runs/beta_4", "runs/c"]


def table(capsys: pytest.CaptureFixture, *arguments: str) -> list[dict[str, str]]:
    assert main(["table", *arguments, "--format", "csv"]) == 0, capsys.readouterr().err
    return list(csv.DictReader(capsys.readouterr().out.splitlines()))


def test_one_row_a_run(runs: list[str], capsys: pytest.CaptureFixture) -> None:
    assert table(capsys, *runs) == [
        {"run": "a", "val/mig": "0.1", "val/elbo/kl": "12.5"},
        {"run": "beta_4", "val/mig": "0.3", "val/elbo/kl": "nan"},
        {"run": "c", "val/mig": "0.2", "val/elbo/kl": "2.0"},  # the last value of each column
    ]


def test_a_table_keeps_no_matrices(tmp_path: Path) -> None:
    """Thousands of reports would hold thousands of them."""
    report = Report({"mig": 0.1}, {"joint": torch.eye(3)}, intervals={"mig": (0.0, 0.2)})
    read = read_run(report.save(tmp_path / "report.npz"))
    assert (read.scalars, read.intervals, read.matrices) == (report.scalars, report.intervals, {})


def test_columns_and_order(runs: list[str], capsys: pytest.CaptureFixture) -> None:
    rows = table(capsys, *runs, "--columns", "train_loss,mig", "--sort", "mig")
    assert [list(row.values()) for row in rows] == [
        ["beta_4", "", "0.3"],
        ["c", "3.0", "0.2"],
        ["a", "", "0.1"],
    ]


def test_markdown_latex_and_a_file(runs: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(["table", *runs, "--columns", "mig", "kl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1  # it lines up as text, too
    assert lines[2].split() == ["|", "a", "|", "0.100", "|", "12.5", "|"]
    assert main(["table", *runs, "--format", "latex", "--out", "tables/runs.tex"]) == 0
    assert capsys.readouterr().out == ""
    text = Path("tables/runs.tex").read_text()
    assert r"beta\_4 & 0.300 & -- \\" in text
    assert text.startswith(r"\begin{tabular}{lrr}")


def test_reports_of_the_other_commands(runs: list[str], capsys: pytest.CaptureFixture) -> None:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (300, 2))
    np.save("factors.npy", factors)
    for name, noise in (("close", 0.1), ("far", 2.0)):
        np.save("codes.npy", factors + noise * rng.standard_normal((300, 2)))
        assert main(["score", "codes.npy", "factors.npy", "--names", "mig", "--out", name]) == 0
    capsys.readouterr()
    close, far = table(capsys, "close", "far/report.json")
    assert float(close["mig"]) == json.loads(Path("close/report.json").read_text())["scores"]["mig"]["value"]
    assert float(close["mig"]) > float(far["mig"])


def test_the_latest_report_of_a_folder(runs: list[str], capsys: pytest.CaptureFixture) -> None:
    older, newer = Report({"val/mig": 0.7}), Report({"val/mig": 0.8})
    os.utime(older.save("runs/a/z/report.npz"), (1, 1))
    newer.save("runs/a/b/report.npz")
    os.utime("runs/a/report.npz", (1, 1))
    (row,) = table(capsys, "runs/a")
    assert row == {"run": "runs/a", "val/mig": "0.8"}


def test_offline_wandb(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    wandb = pytest.importorskip("wandb", reason="needs wandb, of the extra wandb")
    run = wandb.init(mode="offline", dir=tmp_path, project="test")
    for step in range(3):
        run.log({"val/mig": 0.1 * step, "epoch": step, "note": "text"})
    run.log({"val/kl": 7})
    run.finish()
    (file,) = tmp_path.rglob("*.wandb")
    deadline = time.monotonic() + 60
    while "val/kl" not in read_run(file).scalars and time.monotonic() < deadline:  # W&B's process may still be writing
        time.sleep(0.2)
    (row,) = table(capsys, str(tmp_path))
    assert {name: float(value) for name, value in row.items() if name != "run"} == {"val/mig": 0.2, "val/kl": 7.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere has no values"),
        (["notes.txt"], "notes.txt is of no known kind"),
        (["broken.npz"], "broken.npz"),
        (["cut.npz"], "cut.npz cannot be read"),
        (["broken.json"], "broken.json cannot be read"),
        pytest.param(
            ["broken.wandb"],
            "broken.wandb cannot be read: it is no W&B file",
            marks=pytest.mark.skipif(find_spec("wandb") is None, reason="needs wandb, of the extra wandb"),
        ),
        (["runs/a", "--columns", "dci"], "no run has a value 'dci'; there are val/mig, val/elbo/kl"),
        (["runs/a", "other.csv"], "these runs have no value in common"),
        (["runs/a", "runs/a"], "given twice"),
    ],
)
def test_bad_input_is_named(runs: list[str], capsys: pytest.CaptureFixture, arguments: list[str], message: str) -> None:
    for name in ("notes.txt", "broken.npz", "broken.json", "broken.wandb"):
        Path(name).write_text("{}")
    Path("cut.npz").write_bytes(Path("runs/a/report.npz").read_bytes()[:-40])
    Path("other.csv").write_text("epoch,other\n0,1.0\n")
    assert main(["table", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_wandb_files_without_wandb(
    runs: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    Path("run.wandb").touch()
    monkeypatch.setitem(sys.modules, "wandb.proto.wandb_internal_pb2", None)
    assert main(["table", "run.wandb"]) == 1
    assert "run.wandb needs W&B: pip install 'torchdisentangle[wandb]'" in capsys.readouterr().err


def test_a_figure_shows_values_and_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Report({"mig": 0.1, "sap": 0.5}, intervals={"mig": (0.05, 0.2)}).save("runs/a/report.npz")
    Path("runs/b").mkdir()
    Path("runs/b/metrics.csv").write_text("epoch,step,mig,mig_low,mig_high\n0,9,0.3,0.2,0.4\n")
    assert main(["table", "runs/a", "runs/b", "--columns", "mig", "sap", "--figure", "figures/runs.svg"]) == 0
    assert Path("figures/runs.svg").read_text().count("<svg") == 1
    intervals = {
        "a": read_run(Path("runs/a/report.npz")).intervals,
        "b": read_run(Path("runs/b/metrics.csv")).intervals,
    }
    assert intervals == {"a": {"mig": (0.05, 0.2)}, "b": {"mig": (0.2, 0.4)}}
    _, (mig, sap) = plot_runs({"a": {"mig": 0.1, "sap": 0.5}, "b": {"mig": 0.3}}, ["mig", "sap"], intervals)
    drawn = [line.get_xdata() for line in mig.lines]
    assert [[float(x) for x in line] for line in drawn] == [[0.05, 0.2], [0.1], [0.2, 0.4], [0.3]]
    assert math.isnan(sap.lines[3].get_xdata()[0])  # a run without the value has no point
