"""``torchdisentangle score``: two files in, the values of the metrics out."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

import torchdisentangle
from torchdisentangle import Report, supervised_metrics
from torchdisentangle.cli import main
from torchdisentangle.cli.score import sentences
from torchdisentangle.supervised import default_scores, registered_scores

NAMES = ["size", "colour"]


@pytest.fixture
def codes() -> np.ndarray:
    return factors_of(600) @ np.array([[1.0, 0.2, 0.0], [0.0, 1.0, 0.0]]) + 0.2 * rng(1).standard_normal((600, 3))


@pytest.fixture
def factors() -> np.ndarray:
    return factors_of(600)


@pytest.fixture
def files(tmp_path: Path, codes: np.ndarray, factors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    np.save("codes.npy", codes)
    np.save("factors.npy", factors)
    return ["codes.npy", "factors.npy"]


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def factors_of(num_rows: int) -> np.ndarray:
    return np.stack([rng(0).integers(0, 3, num_rows), rng(2).integers(0, 5, num_rows)], axis=1)


def scored(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    assert main(["score", *arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    assert main(["score", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    return printed.err


def test_values_are_those_of_the_metrics(
    files: list[str], codes: np.ndarray, factors: np.ndarray, capsys: pytest.CaptureFixture
) -> None:
    found = scored(capsys, *files)
    metrics = supervised_metrics(default_scores("quick"))
    metrics.update(torch.from_numpy(codes), torch.from_numpy(factors), index=torch.arange(600))
    expected = metrics.compute()
    assert np.allclose(found["matrices"]["mutual_information"], expected.pop("mutual_information"))
    assert {name: score["value"] for name, score in found["scores"].items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, abs=1e-12
    )
    assert found["rows"] == 600
    assert found["ceilings"]["mig"] == pytest.approx(float(metrics["mig"].ceiling()))


def test_low_and_high_are_the_metric_s_interval(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interval(self: torchdisentangle.SAP, level: float = 0.95) -> tuple[torch.Tensor, torch.Tensor]:
        return self.compute() - level, self.compute() + level

    monkeypatch.setattr(torchdisentangle.SAP, "interval", interval, raising=False)
    sap = scored(capsys, *files, "--names", "sap", "--level", "0.5")["scores"]["sap"]
    assert (sap["low"], sap["high"]) == pytest.approx((sap["value"] - 0.5, sap["value"] + 0.5))
    assert list(scored(capsys, *files, "--names", "sap", "--level", "0")["scores"]["sap"]) == ["value"]


def test_slow_scores_with_all(files: list[str], capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn, of the extra supervised")
    found = scored(capsys, *files, "--all", "--max-rows", "200", "--level", "0")["scores"]
    assert {"dci_disentanglement", "dci_completeness", "explicitness", "beta_vae", "mig"} <= found.keys()


def write_csv(path: str, values: np.ndarray, header: list[str] | None = None, delimiter: str = ",") -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([*([header] if header else []), *values.tolist()])


def test_every_format_gives_the_same_values(
    files: list[str], codes: np.ndarray, factors: np.ndarray, capsys: pytest.CaptureFixture
) -> None:
    np.savez("both.npz", z=codes, labels=factors, images=np.zeros((600, 2)))
    write_csv("codes.csv", codes)
    write_csv("factors.tsv", factors, NAMES, "\t")
    torch.save(torch.from_numpy(codes), "codes.pt")
    torch.save({"codes": torch.from_numpy(codes).requires_grad_(), "epoch": 3}, "named.pt")
    torch.save(torch.from_numpy(factors), "factors.pt")
    np.save("big_endian.npy", np.asfortranarray(factors).astype(">i2"))
    np.save("floats.npy", factors.astype(float))
    expected = scored(capsys, *files, "--names", "mig,sap")["scores"]
    for pair in (
        ("both.npz", "both.npz"),
        ("both.npz:z", "both.npz:labels"),
        ("codes.csv", "factors.tsv"),
        ("codes.pt", "factors.pt"),
        ("named.pt", "big_endian.npy"),
        ("codes.npy", "floats.npy"),
    ):
        assert scored(capsys, *pair, "--names", "mig", "sap")["scores"] == expected, pair


def test_parquet(files: list[str], factors: np.ndarray, capsys: pytest.CaptureFixture) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra tables")
    from pyarrow import parquet

    table = {"size": factors[:, 0], "colour": np.array(["blue", "cyan", "green", "pink", "red"])[factors[:, 1]]}
    parquet.write_table(pyarrow.table(table), "factors.parquet")
    found = scored(capsys, files[0], "factors.parquet", "--names", "mig", "sap")
    assert found["scores"] == scored(capsys, *files, "--names", "mig", "sap")["scores"]
    assert found["factor_names"] == NAMES


def test_parquet_without_pyarrow(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    Path("codes.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = refused(capsys, "codes.parquet", files[1])
    assert "codes.parquet needs pyarrow" in error
    assert "torchdisentangle[tables]" in error


def test_tables_with_words_and_gaps(
    files: list[str], codes: np.ndarray, factors: np.ndarray, capsys: pytest.CaptureFixture
) -> None:
    colours = ["blue", "cyan", "green", "pink", "red"]  # in alphabetical order, so numbered as the factor is
    rows = [f"{i},{size},{colours[colour]}" for i, (size, colour) in enumerate(factors.tolist())]
    Path("factors.csv").write_text("\n".join([",size,colour", *rows]))  # with the index that pandas writes
    found = scored(capsys, files[0], "factors.csv", "--names", "mig", "sap")
    assert found["scores"] == scored(capsys, *files, "--names", "mig", "sap")["scores"]
    assert found["factor_names"] == NAMES
    assert "factors.csv, column 1" in refused(capsys, "factors.csv", files[1])  # words are no codes
    Path("gaps.csv").write_text("\n".join([",size,colour", "0,,blue", *rows[1:]]))
    assert scored(capsys, files[0], "gaps.csv", "--names", "sap")["rows"] == 599


def test_continuous_factors_by_name_and_number(
    files: list[str], factors: np.ndarray, capsys: pytest.CaptureFixture
) -> None:
    write_csv("factors.csv", factors + np.array([0, 0.25]), NAMES)
    assert "add --continuous colour" in refused(capsys, files[0], "factors.csv")
    by_name = scored(capsys, files[0], "factors.csv", "--names", "sap", "--continuous", "colour")
    assert by_name["continuous"] == [1]
    assert by_name == scored(capsys, files[0], "factors.csv", "--names", "sap", "--continuous", "1")
    assert scored(capsys, files[0], "factors.csv", "--names", "sap", "--continuous", "all")["continuous"] == [0, 1]
    assert "no factor 'hue'" in refused(capsys, files[0], "factors.csv", "--continuous", "hue")


def test_scores_of_posteriors(files: list[str], codes: np.ndarray, capsys: pytest.CaptureFixture) -> None:
    np.save("log_variance.npy", np.full(codes.shape, -3.0))
    found = scored(capsys, *files, "--log-variance", "log_variance.npy")["scores"]
    assert {"mig", "posterior_mig", "robust_mig"} <= found.keys()
    np.save("log_variance.npy", np.full((600, 2), -3.0))
    assert "log_variance.npy has shape (600, 2)" in refused(capsys, *files, "--log-variance", "log_variance.npy")


def test_what_is_left_out_is_said(files: list[str], codes: np.ndarray, capsys: pytest.CaptureFixture) -> None:
    codes[:7, 1] = np.nan
    np.save("codes.npy", codes)
    write_csv("factors.csv", np.concatenate([factors_of(600), np.ones((600, 1), int)], axis=1), [*NAMES, "fixed"])
    found = scored(capsys, "codes.npy", "factors.csv", "--names", "mig")
    assert found["rows"] == 593
    assert any("fixed" in warning for warning in found["warnings"])
    assert any("left out" in warning and "7" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.npy", None, "missing.npy"),
        ("empty.npy", b"", "empty.npy cannot be read"),
        ("broken.npz", b"PK nothing", "broken.npz cannot be read"),
        ("broken.pt", b"nothing", "broken.pt cannot be read"),
        ("codes.txt", b"1 2", "codes.txt is of no known format"),
        ("empty.csv", b"a,b\n", "empty.csv cannot be read: it has no rows"),
        ("ragged.csv", b"1,2\n3\n", "ragged.csv cannot be read: row 2 has 1 columns, not 2"),
        ("words.csv", b"a,b\n1,two\n", "words.csv, column 1: 'two' is not a number"),
        ("short.csv", b"a,b\n1,2\n", "short.csv has 1"),
    ],
)
def test_bad_files_are_named(
    files: list[str], capsys: pytest.CaptureFixture, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert message in refused(capsys, name, files[1])


def test_pickles_are_not_run(files: list[str], capsys: pytest.CaptureFixture) -> None:
    np.save("codes.npy", np.array([{"a": 1}], dtype=object))
    assert "codes.npy cannot be read" in refused(capsys, *files)
    torch.save({"codes": Path("somewhere")}, "codes.pt")
    assert "codes.pt cannot be read" in refused(capsys, "codes.pt", files[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["--names", "nothing"], "there is no score 'nothing'"),
        (["--factor-names", "size"], "factors.npy has 2 factors, but 1 names"),
        (["--level", "1.5"], "--level"),
    ],
)
def test_bad_settings(files: list[str], capsys: pytest.CaptureFixture, settings: list[str], message: str) -> None:
    assert message in refused(capsys, *files, *settings)


def test_several_arrays_need_a_choice(files: list[str], codes: np.ndarray, capsys: pytest.CaptureFixture) -> None:
    np.savez("many.npz", a=codes, b=codes)
    assert "many.npz holds the arrays a, b: choose one, as in many.npz:a" in refused(capsys, "many.npz", files[1])
    assert "many.npz has no array 'c'" in refused(capsys, "many.npz:c", files[1])


@pytest.mark.parametrize(
    "arguments", [["score"], ["score", "a", "b", "--json", "--csv"], ["score", "a", "b", "--x"], []]
)
def test_wrong_usage_exits_with_two(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage" in capsys.readouterr().err


def test_help_shows_defaults(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["score", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for default in ("(default: 10000)", "(default: 0.95)", "(default: 0)", "(all quick ones)", "(default: False)"):
        assert default in text


class Page(HTMLParser):
    """Counts tags, and checks that they are closed in order."""

    EMPTY = ("meta", "img", "line", "circle")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.sources: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


def test_folder_with_report_figures_and_page(files: list[str], capsys: pytest.CaptureFixture) -> None:
    found = scored(capsys, *files, "--names", "mig", "sap", "--out", "out/here", "--factor-names", "size,<b>")
    folder = Path("out/here")
    assert json.loads((folder / "report.json").read_text()) == found
    report = Report.load(folder / "report.npz")
    assert report.scalars == {name: score["value"] for name, score in found["scores"].items()}
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == ["latents_against_factors.png", "sap_matrix.png", "scores.png"]
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.counts["img"] == len(pictures)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)  # nothing outside of the page
    assert "Mutual information gap (MIG): is every factor in one code only?" in text
    assert "<b>" not in text


def test_sentences_are_text_without_markup() -> None:
    found = sentences(registered_scores())
    assert set(found) == set(registered_scores())
    assert not [sentence for sentence in found.values() if ":`" in sentence or "``" in sentence or "\\" in sentence]


def test_csv_and_text(files: list[str], capsys: pytest.CaptureFixture) -> None:
    value = scored(capsys, *files, "--names", "mig")["scores"]["mig"]["value"]
    assert main(["score", *files, "--names", "mig", "--csv"]) == 0
    header, row = csv.reader(capsys.readouterr().out.splitlines())
    assert header == ["name", "value", "low", "high", "ceiling"]
    assert float(row[1]) == value
    assert main(["score", *files, "--names", "mig"]) == 0
    assert f"{value:.3f}" in capsys.readouterr().out


def test_as_a_module_without_lightning(files: list[str]) -> None:
    block = "import sys, runpy; sys.modules['lightning'] = None; "
    code = block + f"sys.argv = ['torchdisentangle', 'score', *{files!r}, '--names', 'mig', '--json']; "
    code += "runpy.run_module('torchdisentangle', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 600
