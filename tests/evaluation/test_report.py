"""A report keeps numbers, and gives them back from a file, as a table, and as differences."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from torchdisentangle import SAP, MutualInformationGap, Report, paired_difference
from torchdisentangle.evaluation.scores import read_score, score


@pytest.fixture
def report() -> Report:
    return Report(
        {"elbo/kl": 0.1 + 0.2, "mig": math.nan},
        {"joint/counts": torch.eye(3, dtype=torch.int64), "spectrum": torch.tensor([0.1, math.inf])},
        {"drawing": Figure},
        num_rows=12,
        intervals={"elbo/kl": (0.1, 0.7)},
        ceilings={"mig": 0.9},
    )


def test_saved_and_loaded(report: Report, tmp_path: Path) -> None:
    path = report.save(tmp_path / "new" / "report.npz")
    loaded = Report.load(path)
    assert loaded["elbo/kl"] == report["elbo/kl"]
    assert math.isnan(loaded["mig"])
    assert (loaded.num_rows, loaded.intervals, loaded.ceilings) == (12, report.intervals, report.ceilings)
    assert list(loaded.matrices) == list(report.matrices)
    for name, matrix in report.matrices.items():
        assert torch.equal(loaded.matrices[name], matrix)
        assert loaded.matrices[name].dtype == matrix.dtype
    assert not loaded.figures
    assert report.save(tmp_path / "no suffix") == tmp_path / "no suffix"
    assert (tmp_path / "no suffix").exists()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros(2))
    np.save(tmp_path / "other.npy", np.zeros(2))
    for name in ("other.npz", "other.npy"):
        with pytest.raises(ValueError, match="no saved report"):
            Report.load(tmp_path / name)


def test_tensors_become_floats() -> None:
    report = Report({"a": torch.tensor(0.5, requires_grad=True), "b": np.float32(2), "c": 1})  # type: ignore[dict-item]
    assert {type(value) for value in report.to_dict().values()} == {float}
    assert report.to_dict() == {"a": 0.5, "b": 2.0, "c": 1.0}


def test_paired_differences_are_those_of_the_metrics(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(4, (300, 2), generator=generator)
    codes = [factors + noise * torch.randn(300, 2, generator=generator) for noise in (0.4, 0.6)]
    metrics = [[MutualInformationGap(edges=(-1.0, 4.0)), SAP()] for _ in codes]
    a, b = (score(of, factors, of_model) for of, of_model in zip(codes, metrics, strict=True))  # type: ignore[arg-type]
    saved = Report.combined({"model": b}).kept().save(tmp_path / "b.npz")
    for difference, prefix in ((a - b, ""), (Report.combined({"model": a}) - Report.load(saved), "model/")):
        for name, one, other in zip(("mig", "sap"), *metrics, strict=True):
            value, low, high = paired_difference(one, other)
            assert difference[f"{prefix}{name}"] == value
            assert difference.intervals[f"{prefix}{name}"] == pytest.approx((float(low), float(high)), abs=1e-12)
    low, high = a.difference(b, level=0.5).intervals["sap"]
    assert (a - b).intervals["sap"][0] < low < high < (a - b).intervals["sap"][1]
    other_rows = score(codes[1][1:], factors[1:], ["mig", "sap"])
    assert not (a - other_rows).intervals
    other_data = score(codes[1], factors.flip(0), [MutualInformationGap(edges=(-1.0, 4.0)), SAP(), "mcc"])
    same_data = score(codes[1], factors, ["sap", "mcc"], max_rows=200)
    assert not (a - other_data).intervals
    assert set((score(codes[0], factors, ["sap", "mcc"], max_rows=200) - same_data).intervals) == {"sap", "mcc"}
    assert not (score(codes[0], factors.flip(0), ["sap", "mcc"], max_rows=200) - same_data).intervals
    unnumbered = SAP()
    unnumbered.update(codes[0], factors)
    assert not read_score("sap", unnumbered, level=0.95).groups


def test_differences() -> None:
    a = Report({"x": 3.0, "y": 1.0, "only_a": 1.0}, num_rows=10, intervals={"x": (2.0, 4.0)})
    b = Report({"only_b": 1.0, "y": 4.0, "x": 1.0}, num_rows=5)
    difference = a - b
    assert difference.to_dict() == {"x": 2.0, "y": -3.0}
    assert not difference.intervals  # that of the difference is not known from those of its parts alone
    with pytest.raises(ValueError, match="no scalar in common"):
        a - Report({"z": 1.0})
    with pytest.raises(TypeError):
        a - 1  # type: ignore[operator]


def test_names_do_not_clash() -> None:
    one, other = Report({"kl": 1.0}), Report({"kl": 2.0})
    assert Report.combined({"a": one, "b": other}).to_dict() == {"a/kl": 1.0, "b/kl": 2.0}
    with pytest.raises(ValueError, match="two reports have scalars called kl"):
        Report.joined(one, other)
    with pytest.raises(ValueError, match="a/b/kl"):
        Report.combined({"a": other.prefixed("b"), "a/b": one})


def test_prefixes_reach_every_part(report: Report) -> None:
    longer = report.prefixed("val")
    for part in ("scalars", "matrices", "figures", "intervals", "ceilings"):
        assert list(getattr(longer, part)) == [f"val/{name}" for name in getattr(report, part)]


def test_to_pandas(report: Report) -> None:
    pytest.importorskip("pandas", reason="needs pandas, of the extra tables")
    table = report.to_pandas()
    assert list(table.columns) == ["value", "low", "high", "ceiling"]
    assert table.loc["elbo/kl", ["value", "low", "high"]].tolist() == [0.1 + 0.2, 0.1, 0.7]
    assert table.loc["mig"].isna().tolist() == [True, True, True, False]
    assert Report().to_pandas().shape == (0, 4)


def test_to_pandas_without_pandas(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"torchdisentangle\[tables\]"):
        report.to_pandas()


def test_repr_shows_values(report: Report) -> None:
    assert repr(report) == ("Report of 2 values and 2 matrices, from 12 rows\nelbo/kl  0.3  [0.1, 0.7]\nmig      nan")


def test_reports_are_equal_if_they_are_the_same_object() -> None:
    """Tensors in them would be compared entry by entry, which has no single answer."""
    first, second = (Report({"a": 1.0}, {"m": torch.eye(2)}) for _ in range(2))
    assert first == first
    assert first != second
    assert len({first, second}) == 2
