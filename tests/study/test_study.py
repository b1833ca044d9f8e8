"""Studies end with the same folders, whatever happens to their workers and to themselves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from tests.study.runs import train
from torchdisentangle import Report
from torchdisentangle.cli import main
from torchdisentangle.study import Run, Study, finished_runs, save_run
from torchdisentangle.study.engines import ThisProcess
from torchdisentangle.study.on_ray import RayTasks
from torchdisentangle.study.places import places

SEEDS = {f"run-{seed}": {"seed": seed, "warns": True} for seed in range(3)}
Engine = Literal["processes", "ray"]


def processes(tmp_path: Path) -> list[int]:
    """Those of all calls of the function, however they ended."""
    calls = tmp_path / "calls.txt"
    return [int(line.split()[-1]) for line in calls.read_text().splitlines()] if calls.exists() else []


def table(*runs: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["table", *map(str, runs), "--csv"]) == 0
    return capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:take care")
@pytest.mark.parametrize("workers", [0, 2])
def test_runs_are_folders_and_are_done_once(workers: int, tmp_path: Path) -> None:
    study = Study(tmp_path / "runs", train, {name: SEEDS[name] for name in ("run-0", "run-1")})
    runs = study.execute(workers)
    assert [run.name for run in runs] == ["run-0", "run-1"]
    assert sorted(path.name for path in study.folder.iterdir()) == ["run-0", "run-1"]
    names = {"config.json", "log.txt", "checkpoint.pt", "report.npz", "fingerprint.npz"}
    assert {path.name for path in runs[0].folder.iterdir()} == names
    assert runs[0].config == {"seed": 0, "warns": True}
    assert runs[0].weights["weight"].shape == (2, 4)
    assert runs[0].fingerprint.num_points == 32
    printed = ["on the standard output", "on the standard error", "from another program"]
    for line in [*printed, *(["UserWarning: take care"] if workers else [])]:  # here pytest takes the warnings
        assert line in runs[0].log
        assert line in runs[1].log
    before = [run.report.to_dict() for run in runs]
    assert [run.report.to_dict() for run in Study(tmp_path / "runs", train, SEEDS).execute(workers)][:2] == before
    assert len(processes(tmp_path)) == 3


def test_a_run_whose_folder_was_deleted_meanwhile_is_not_finished(tmp_path: Path) -> None:
    def run(config: dict[str, int], folder: Path) -> None:
        shutil.rmtree(folder)
        save_run(folder, report=Report({"loss": 0.0}))

    study = Study(tmp_path / "runs", run, {"deleted": {"seed": 0}})
    with pytest.raises(RuntimeError, match="deleted: is another execution doing the same run"):
        study.execute(workers=0, retries=0)
    assert not study.finished()


def test_a_worker_that_is_killed_costs_its_run_alone(tmp_path: Path) -> None:
    study = Study(tmp_path / "runs", train, {"dies": {"dies": "once", "seed": 0}, "lives": {"seed": 0}})
    dies, lives = study.execute(2)
    assert dies.report.to_dict() == lives.report.to_dict()
    assert len(processes(tmp_path)) == 3


def check_failures(study: Study, engine: Engine, tmp_path: Path) -> str:
    with pytest.raises(RuntimeError, match=r"2 of 3 runs failed") as error:
        study.execute(2, engine, retries=1)
    assert "raises.failed: ValueError: this model cannot be trained" in str(error.value)
    log = (study.folder / "raises.failed" / "log.txt").read_text()
    assert "Traceback" in log
    assert log.endswith("failed: ValueError: this model cannot be trained\n")
    assert [run.name for run in finished_runs(study.folder)] == ["lives"]
    assert len(processes(tmp_path)) == 5
    return str(error.value)


FAILING = {"raises": {"raises": True}, "dies": {"dies": "always"}, "lives": {"seed": 0}}


def test_failures_are_listed_and_their_logs_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = check_failures(Study(tmp_path / "runs", train, FAILING), "processes", tmp_path)
    assert "dies.failed: killed by SIGKILL" in error
    assert table(*(tmp_path / "runs").iterdir(), capsys=capsys).splitlines()[0] == "run,loss,noise"
    mended = {"raises": {"raises": False}, "dies": {"dies": ""}, "lives": {"seed": 0}}
    names = [run.name for run in Study(tmp_path / "runs", train, mended).execute(0)]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(names)


def check_that_it_goes_on(engine: Engine, address: str | None, tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken" / "runs", tmp_path / "whole" / "runs"
    configurations = [{"seed": seed, "seconds": 1} for seed in range(6)]
    driver = [sys.executable, str(Path(__file__).with_name("driver.py")), str(broken), engine, address or ""]
    with subprocess.Popen(driver, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while not processes(tmp_path / "broken"):
            time.sleep(0.05)
            assert process.poll() is None
        time.sleep(random.random())
        os.kill(processes(tmp_path / "broken")[-1], signal.SIGKILL)  # a worker; its run is begun anew
        while len(finished_runs(broken)) < 2:
            time.sleep(0.05)
            assert process.poll() is None
        process.kill()
    left = {run.name: run.folder.stat().st_mtime for run in finished_runs(broken)}
    wait_for_the_end_of(processes(tmp_path / "broken"))
    assert len(left) < 6
    runs = Study(broken, train, configurations).execute(2, engine)
    assert {run.name: run.folder.stat().st_mtime for run in runs if run.name in left} == left
    assert sorted(path.name for path in broken.iterdir()) == [run.name for run in runs]
    Study(whole, train, [{**config, "seconds": 0} for config in configurations]).execute(0)


def check_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a study that was killed, and of one that was not."""
    broken, whole = tmp_path / "broken" / "runs", tmp_path / "whole" / "runs"
    of_whole = table(whole, capsys=capsys).replace("seconds=0,", "seconds=1,")
    assert table(broken, capsys=capsys) == table(*sorted(broken.iterdir()), capsys=capsys) == of_whole


def test_a_study_that_is_killed_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_that_it_goes_on("processes", None, tmp_path)
    check_tables(tmp_path, capsys)


@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(900)  # half a minute of work, by a dozen processes of Ray: a busy machine takes its time
def test_a_study_on_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, on one cluster that outlives the studies: its start takes seconds."""
    ray = pytest.importorskip("ray", reason="needs ray, of the extra study")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # which Ray would take for what there is
    monkeypatch.setattr(ray, "init", partial(ray.init, num_gpus=2))  # Ray counts what it is told of
    cluster = RayTasks(2, 1, 0.0, "local")
    monkeypatch.undo()
    try:
        check_that_it_goes_on("ray", ray.get_runtime_context().gcs_address, tmp_path)
        failing = tmp_path / "failing"
        error = check_failures(Study(failing / "runs", train, FAILING), "ray", failing)
        assert "dies.failed: The worker died unexpectedly" in error
        assert [RayTasks(None, 1, share, None).room for share in (1, 2)] == [2, 1]
        sharing = Study(tmp_path / "sharing" / "runs", train, [{"seed": 0}, {"seed": 1}])
        assert [gpus_of(run) for run in sharing.execute(engine="ray", num_gpus=0.5)] == ["0", "0"]
        assert ray.is_initialized()
    finally:
        cluster.close()
    assert not ray.is_initialized()
    check_tables(tmp_path, capsys)  # now that Ray no longer prints that workers have died
    assert table(*(failing / "runs").iterdir(), capsys=capsys).splitlines()[0] == "run,loss,noise"


def gpus_of(run: Run) -> str:
    """Which it has seen, by its log."""
    return run.log.partition("GPUs ")[2].splitlines()[0]


def wait_for_the_end_of(workers: list[int]) -> None:
    """Workers of a driver that was killed; init collects what is left of them whenever it likes."""
    deadline = time.monotonic() + 30
    while alive := [worker for worker in workers if is_alive(worker)]:
        assert time.monotonic() < deadline, f"{alive} go on"
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    if Path("/proc").exists():
        return status.exists() and "State:\tZ" not in status.read_text()
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_another_configuration_of_a_finished_run_is_refused(tmp_path: Path) -> None:
    Study(tmp_path / "runs", train, {"a": {"seed": 0}}).execute(0)
    with pytest.raises(ValueError, match=r"a is finished, but with the configuration {'seed': 0}"):
        Study(tmp_path / "runs", train, {"a": {"seed": 1}})


def test_names(tmp_path: Path) -> None:
    study = Study(tmp_path, train, [{"beta": 4.0, "model": "beta vae/2", "layers": (8, 8), "bias": None}])
    assert list(study.configurations) == ["beta=4.0_model=beta-vae-2_layers=-8-8-_bias=null"]
    for name in ("", ".hidden", "a/b", "a.failed", "a.partial-1", "x" * 200):
        with pytest.raises(ValueError, match="name"):
            Study(tmp_path, train, {name: {}})
    with pytest.raises(ValueError, match="two configurations have the name seed=0"):
        Study(tmp_path, train, [{"seed": 0}, {"seed": 0}])
    with pytest.raises(TypeError, match="not JSON serializable"):
        Study(tmp_path, train, {"a": {"beta": object()}})
    with pytest.raises(ValueError, match="engine must be"):
        Study(tmp_path, train, SEEDS).execute(engine="threads")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="workers not negative, got 1 and -1"):
        Study(tmp_path, train, SEEDS).execute(-1)


def test_results_of_some_kinds_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_run(tmp_path / "a")
    assert not list((tmp_path / "a").iterdir())
    assert finished_runs(tmp_path) == finished_runs(tmp_path / "nowhere") == []
    assert Run(tmp_path / "a").name == "a"


def test_processes_see_shares_of_the_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert places(4, 1, 0.5) == ["5", "7", "5", "7"]
    assert places(2, 1, 1) == ["5", "7"]
    assert places(1, 1, 2) == ["5,7"]
    with pytest.raises(ValueError, match=r"3 workers with 1 GPUs each need more than there are: 2"):
        places(3, 1, 1)
    with pytest.raises(ValueError, match="whole number"):
        places(1, 1, 1.5)
    (run,) = Study(tmp_path, train, [{"seed": 0}]).execute(1, num_gpus=2)
    assert "GPUs 5,7" in run.log


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configurations = tmp_path / "configurations.json"
    configurations.write_text('[{"seed": 0}, {"seed": 1}]')
    command = ["study", "tests.study.runs.train", "--configurations", str(configurations)]
    command += ["--folder", str(tmp_path / "runs"), "--workers", "0"]
    assert main(command) == 0
    assert "2 runs are finished" in capsys.readouterr().err
    assert main(["rank", str(tmp_path / "runs"), "--level", "0"]) == 0
    assert "seed=1" in capsys.readouterr().out
    configurations.write_text('{"bad": {"raises": true}}')
    assert main(command) == 1
    assert "1 of 1 runs failed" in capsys.readouterr().err


def test_what_an_engine_prints_is_no_part_of_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray prints that a worker has died, on the standard output."""
    started = ThisProcess.start
    monkeypatch.setattr(ThisProcess, "start", lambda self, attempt: print("a worker died") or started(self, attempt))
    (tmp_path / "configurations.json").write_text('{"one": {"seed": 0}}')
    command = ["study", "tests.study.runs.train", "--configurations", str(tmp_path / "configurations.json")]
    assert main([*command, "--folder", str(tmp_path / "runs"), "--workers", "0", "--csv"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("run,")
    assert "a worker died" in captured.err
