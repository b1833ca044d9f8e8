"""What every command has: a help that says it all, JSON and CSV, exit statuses, and progress on a terminal."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from torchdisentangle import Fingerprint, Report
from torchdisentangle.cli import main, make_parser

COMMANDS = {
    "score": ["codes.npy", "factors.npy", "--names", "mig,sap"],
    "evaluate": [
        "--model=torchdisentangle.models.VAE",
        '--model-args={"data_shape": [3], "latent_dim": 2}',
        "--data=data.npz",
        "--evaluations=elbo",
    ],
    "compare": ["a", "b"],
    "rank": ["a", "b", "--method", "spearman"],
    "table": ["a/report.npz", "b/report.npz"],
    "study": ["tests.study.runs.train", "--configurations=configurations.json", "--folder=runs/all", "--workers=0"],
}
FAILING = {
    "score": ["codes.npy", "missing.npy"],
    "evaluate": ["--model=torchdisentangle.models.Missing"],
    "compare": ["missing"],
    "rank": ["a", "missing"],
    "table": ["missing"],
    "study": ["tests.study.runs.train", "--configurations=missing.json", "--folder=runs/all"],
}
PROGRESS = {
    "score": "sap (2 of 2)",
    "evaluate": "batches",
    "compare": "reading runs",
    "rank": "reading runs",
    "table": "reading runs",
    "study": "runs: ",
}
each = pytest.mark.parametrize("command", COMMANDS)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data, and two runs with a fingerprint and a report each."""
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(60, 2, generator=generator)
    np.save("codes.npy", codes)
    np.save("factors.npy", (codes > 0).long())
    np.savez("data.npz", x=torch.randn(60, 3, generator=generator), factors=(codes > 0).long())
    Path("configurations.json").write_text('[{"seed": 0}, {"seed": 1}]')
    for run in "ab":
        noisy = codes.double() + 0.1 * torch.randn(60, 2, generator=generator)
        Fingerprint(noisy, torch.full((60, 2), -4.0), torch.arange(60), step=3).save(f"{run}/fingerprints/val/3.npz")
        Report({"mig": 0.5}).save(f"{run}/report.npz")


def parser_of(command: str) -> argparse.ArgumentParser:
    (commands,) = (one for one in make_parser()._actions if isinstance(one, argparse._SubParsersAction))
    assert set(commands.choices) == set(COMMANDS)
    return commands.choices[command]


@each
def test_help_says_every_option_with_its_default(command: str) -> None:
    """That which has no default says in brackets what happens without it."""
    parser = parser_of(command)
    formatter = parser._get_formatter()
    for option in parser._actions:
        assert option.help, option
        text = formatter._expand_help(option)
        must_be_given = option.required or not option.option_strings
        says_itself = isinstance(option, (argparse._HelpAction, argparse._StoreConstAction))
        assert must_be_given or says_itself or text.endswith(")"), text
    assert "exit status is 0, 1 if" in parser.format_help().replace("\n", " ")


@each
def test_json(command: str, capsys: pytest.CaptureFixture) -> None:
    needs(command)
    assert main([command, *COMMANDS[command], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = {"compare": "similarity", "rank": "runs", "table": "runs", "study": "runs"}.get(command, "scores")
    assert len(found[expected]) >= 2


@each
def test_csv(command: str, capsys: pytest.CaptureFixture) -> None:
    needs(command)
    assert main([command, *COMMANDS[command], "--csv"]) == 0
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert len(rows) >= 3
    assert {len(row) for row in rows} == {len(rows[0])}


@each
def test_wrong_usage_exits_with_2(command: str, capsys: pytest.CaptureFixture) -> None:
    for arguments in (["--no-such-option", *COMMANDS[command]], [*COMMANDS[command], "--json", "--csv"]):
        with pytest.raises(SystemExit) as stopped:
            main([command, *arguments])
        assert stopped.value.code == 2
        assert f"usage: torchdisentangle {command}" in capsys.readouterr().err


@each
def test_a_failure_exits_with_1_and_says_why(command: str, capsys: pytest.CaptureFixture) -> None:
    needs(command)
    assert main([command, *FAILING[command]]) == 1
    printed = capsys.readouterr()
    assert "issing" in printed.err
    assert printed.err.splitlines()[-1].startswith("torchdisentangle: ")
    assert not printed.out


@each
def test_progress_is_shown_on_a_terminal(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needs(command)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, is_shown in ((Terminal(), True), (io.StringIO(), command == "score")):
        monkeypatch.setattr(sys, "stderr", stream)
        assert main([command, *COMMANDS[command]]) == 0
        assert (PROGRESS[command] in stream.getvalue()) == is_shown


def needs(command: str) -> None:
    if command == "compare":
        pytest.importorskip("sklearn", reason="hot spots need scikit-learn, of the extra supervised")
