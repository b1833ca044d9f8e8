"""``torchdisentangle rank``: runs by their agreement with the others, from their fingerprints."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from torchdisentangle import Fingerprint, Report, run_stability, unsupervised_disentanglement_ranking
from torchdisentangle.cli import main
from torchdisentangle.cli.table import read_run

pytest.importorskip("sklearn", reason="the lasso needs scikit-learn, of the extra supervised")

NAMES = ["runs/mixed", "runs/a", "runs/b", "runs/c"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Fingerprint]:
    """Three runs that found the same two latents, and one that mixes them; folders as the callback leaves them."""
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(200, 2, generator=generator).double()
    made = {}
    for place, name in enumerate(NAMES):
        noise = (0.1 + 0.1 * place) * torch.randn(200, 2, generator=generator)
        mixed = latents @ torch.tensor([[1.0, -1.0], [1.0, 1.0]]).double() if "mixed" in name else latents.flip(1)
        made[Path(name).name] = Fingerprint(mixed + noise, torch.full((200, 2), -4.0), torch.arange(200), step=3)
        made[Path(name).name].save(f"{name}/fingerprints/val/3.npz")
    return made


def ranked(capsys: pytest.CaptureFixture, *arguments: str, status: int = 0) -> Any:
    assert main(["rank", *arguments, "--json"]) == status, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("method", "significance"), [("lasso", None), ("spearman", None), ("spearman", 0.1)])
def test_json_holds_what_python_returns(
    runs: dict[str, Fingerprint], capsys: pytest.CaptureFixture, method: Any, significance: float | None
) -> None:
    more = [] if significance is None else ["--significance", str(significance)]
    found = ranked(capsys, *NAMES, "--method", method, *more)
    ranking = unsupervised_disentanglement_ranking(runs, method, significance=significance)
    stability = run_stability(runs)
    assert found["significance"] == significance
    assert [run["run"] for run in found["runs"]] == ranking.order()
    assert found["runs"][-1]["run"] == "mixed"
    for run in found["runs"]:
        place = ranking.names.index(run["run"])
        assert run["udr"] == float(ranking.udr[place]) == found["scores"][f"{run['run']}/udr"]["value"]
        assert run["informative"] == 2
        assert run["mcc"] == float(stability.per_run()["mcc"][place])
    low, high = stability.interval()["r2"]
    expected = {"value": stability.mean()["r2"], "low": float(low), "high": float(high)}
    assert found["scores"]["stability/r2"] == expected
    assert found["rows"] == 200
    assert found["method"] == method
    assert found["matrices"]["udr"][0][0] is None


def test_text_and_csv(runs: dict[str, Fingerprint], capsys: pytest.CaptureFixture) -> None:
    assert main(["rank", *NAMES]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["run", "udr", "informative", "mcc", "r2"]
    assert lines[4].split()[0] == "mixed"
    assert lines[6].startswith("mean mcc of all pairs: 0.")
    assert lines[6].endswith("]")
    assert "comparing 4 runs, 12 ordered pairs" in printed.err
    assert main(["rank", *NAMES, "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["run"] for row in rows] == unsupervised_disentanglement_ranking(runs).order()
    assert float(rows[0]["udr"]) == float(unsupervised_disentanglement_ranking(runs).udr.max())


def test_two_runs_and_no_intervals(runs: dict[str, Fingerprint], capsys: pytest.CaptureFixture) -> None:
    for arguments in (NAMES[:2], [*NAMES, "--level", "0"]):
        assert set(ranked(capsys, *arguments)["scores"]["stability/mcc"]) == {"value"}


def test_a_folder_with_a_page(runs: dict[str, Fingerprint], capsys: pytest.CaptureFixture) -> None:
    assert main(["rank", *NAMES, "--out", "ranking"]) == 0
    assert {"report.html", "report.json", "report.npz", "MCC_of_pairs.png"} <= {
        p.name for p in Path("ranking").iterdir()
    }
    assert "<td>b/udr" in Path("ranking/report.html").read_text()
    report = Report.load("ranking/report.npz")
    torch.testing.assert_close(report.matrices["mcc"], run_stability(runs).mcc, equal_nan=True)
    assert read_run(Path("ranking/report.json")).scalars == report.scalars  # which the table of runs takes, too
    assert not math.isnan(report["stability/mcc"])


def test_one_bad_file_does_not_stop_the_others(runs: dict[str, Fingerprint], capsys: pytest.CaptureFixture) -> None:
    Path("broken.npz").write_text("nothing")
    other = Fingerprint(torch.randn(50, 2), torch.zeros(50, 2), torch.arange(50) + 1000).save("other.npz")
    assert main(["rank", str(other), NAMES[1], "broken.npz", NAMES[2], "nowhere", "--json"]) == 1
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert {run["run"] for run in found["runs"]} == {"a", "b"}
    assert "3 of 5 runs are left out: broken.npz is no fingerprint" in printed.err
    assert "other.npz is of other data points" in printed.err
    assert "3 of 5 runs are left out" in found["warnings"][-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (NAMES[:1], "at least two runs"),
        ([NAMES[0], "nowhere"], "1 of 2 runs are left out: nowhere is no fingerprint and holds none"),
        ([NAMES[0], NAMES[0]], "given twice"),
        ([*NAMES, "--level", "1"], "--level must be at least 0 and below 1"),
        ([*NAMES, "--strength", "0"], "strength must be positive"),
        ([*NAMES, "--significance", "0.05"], "significance must be in (0, 1), with method='spearman'"),
    ],
)
def test_bad_input_is_named(
    runs: dict[str, Fingerprint], capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    assert main(["rank", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err


def test_help_shows_the_defaults(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["rank", "--help"])
    assert stopped.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for default in ("(default: lasso)", "(default: 0.1)", "(default: 0.01)", "(default: 0.95)"):
        assert default in shown
