"""Studies end with the same folders whatever happens to their workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.study.runs import train
from torchdisentangle.cli import main
from torchdisentangle.study import Study, finished_runs

SEEDS = [{"seed": seed} for seed in range(3)]


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls.txt").read_text().splitlines())


def table(*runs: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["table", *map(str, runs), "--csv"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("workers", [0, 2])
def test_runs_are_folders_and_are_done_once(workers: int, tmp_path: Path) -> None:
    study = Study(tmp_path / "runs", train, SEEDS[:2])
    runs = study.execute(workers)
    assert [run.name for run in runs] == ["seed=0", "seed=1"]
    assert sorted(path.name for path in study.folder.iterdir()) == ["seed=0", "seed=1"]
    names = {"config.json", "log.txt", "checkpoint.pt", "report.npz", "fingerprint.npz"}
    assert {path.name for path in runs[0].folder.iterdir()} == names
    assert runs[0].config == {"seed": 0}
    for line in ("on the standard output", "on the standard error", "from another program"):
        assert line in runs[0].log
    assert runs[0].weights["weight"].shape == (2, 4)
    study = Study(tmp_path / "runs", train, SEEDS)
    assert [run.report["noise"] for run in study.execute(workers)][:2] == [run.report["noise"] for run in runs]
    assert calls(tmp_path) == 3


def test_a_worker_that_is_killed_costs_its_run_alone(tmp_path: Path) -> None:
    study = Study(tmp_path / "runs", train, {"dies": {"dies": "once", "seed": 0}, "lives": {"seed": 0}})
    dies, lives = study.execute(2)
    assert dies.report.to_dict() == lives.report.to_dict()
    assert calls(tmp_path) == 3


def test_a_run_that_fails_is_listed_and_its_log_kept(tmp_path: Path) -> None:
    configurations = {"raises": {"raises": True}, "dies": {"dies": "always"}, "lives": {"seed": 0}}
    study = Study(tmp_path / "runs", train, configurations)
    with pytest.raises(RuntimeError, match=r"(?s)2 of 3 runs failed") as error:
        study.execute(2, retries=1)
    assert "ValueError: this model cannot be trained" in str(error.value)
    assert "killed by SIGKILL" in str(error.value)
    assert "Traceback" in (study.folder / "raises.failed" / "log.txt").read_text()
    assert [run.name for run in finished_runs(study.folder)] == ["lives"]
    assert calls(tmp_path) == 5
