"""Fingerprints in files, and the comparison of those that do not quite fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from torchdisentangle.similarity import Fingerprint, align_fingerprints, compare_fingerprints, find_fingerprint

MEAN = torch.randn(9, 2, generator=torch.Generator().manual_seed(0)).double()
INDEX = torch.tensor([5, 3, 8, 1, 0, 2, 7, 11, 4])


def fingerprint(rows: slice | torch.Tensor = slice(None), **kwargs: object) -> Fingerprint:
    return Fingerprint(MEAN[rows], MEAN[rows] / 3, INDEX[rows], **kwargs)  # type: ignore[arg-type]


def test_a_file_holds_the_same_fingerprint(tmp_path: Path) -> None:
    labels = torch.arange(18).reshape(9, 2)
    file = fingerprint(labels=labels, step=12).save(tmp_path / "deep" / "folder" / "run")
    assert file == tmp_path / "deep" / "folder" / "run.npz"
    assert [path.name for path in file.parent.iterdir()] == ["run.npz"]
    loaded = Fingerprint.load(file)
    for name in ("mean", "log_variance", "index", "labels"):
        assert torch.equal(getattr(loaded, name), getattr(fingerprint(labels=labels), name))
    assert loaded.step == 12
    assert repr(loaded) == "Fingerprint(9 points, 2 channels, step 12)"
    assert Fingerprint.load(fingerprint().save(tmp_path / "plain")).labels is None


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_what_is_no_fingerprint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.npz").write_bytes(content)
    with pytest.raises(ValueError, match="is no fingerprint"):
        Fingerprint.load(tmp_path / "file.npz")


def test_pickles_and_other_archives_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "pickle.npz", mean=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("pickle.npz", "other.npz", "array.npy"):
        with pytest.raises(ValueError, match="is no fingerprint"):
            Fingerprint.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Fingerprint.load(tmp_path / "nowhere.npz")


def test_points_in_another_order_are_aligned() -> None:
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    a, b = align_fingerprints([fingerprint(), fingerprint(order)])
    assert torch.equal(a.index, b.index)
    assert torch.equal(a.mean, b.mean)
    similarity = compare_fingerprints({"a": fingerprint(), "b": fingerprint(order)}).comparison
    assert similarity.variation_of_information[:2, 2:].diagonal().abs().max() < 1e-12


def test_common_points_are_compared_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="at the 4 of 6 data points"):
        a, b = align_fingerprints([fingerprint(slice(7)), fingerprint(slice(3, 9))])
    assert torch.equal(a.index, INDEX[3:7])
    assert torch.equal(a.mean, b.mean)


def test_other_data_are_refused() -> None:
    with pytest.raises(ValueError, match="have 1 data points in common"):
        align_fingerprints([fingerprint(slice(5)), fingerprint(slice(4, 9))])
    labels = torch.zeros(9, dtype=torch.int64)
    with pytest.raises(ValueError, match="of different data"):
        align_fingerprints([fingerprint(labels=labels), fingerprint(), fingerprint(labels=labels + 1)])
    with pytest.raises(ValueError, match=r"no data point 6 \(1 are missing\)"):
        fingerprint().at(torch.tensor([5, 6]))
    with pytest.raises(ValueError, match="occurs twice"):
        Fingerprint(MEAN, MEAN, torch.zeros(9, dtype=torch.int64))
    with pytest.raises(ValueError, match="must be finite"):  # or its channels would pass for dead ones
        Fingerprint(MEAN, torch.full_like(MEAN, float("nan")), INDEX)
    with pytest.raises(ValueError, match="index must be integers"):
        Fingerprint(MEAN, MEAN, torch.arange(8))
    with pytest.raises(ValueError, match="labels must have shape"):
        fingerprint(labels=torch.zeros(3))
    with pytest.raises(ValueError, match="at least one"):
        compare_fingerprints({})


def test_the_latest_of_a_run_is_found(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        fingerprint().save(tmp_path / "a" / "version_0" / "fingerprints" / "val" / f"{step}.npz")
    np.savez(tmp_path / "a" / "data.npz", x=np.zeros(2))
    latest = tmp_path / "a" / "version_0" / "fingerprints" / "val" / "100.npz"
    assert find_fingerprint(latest) == latest
    assert find_fingerprint(latest.parent) == latest
    assert find_fingerprint(tmp_path / "a" / "version_0") == latest
    with pytest.raises(FileNotFoundError, match="holds none"):
        find_fingerprint(tmp_path / "b")
    fingerprint().save(tmp_path / "a" / "version_1" / "fingerprints" / "val" / "5.npz")
    with pytest.raises(ValueError, match=r"several runs or data, name one of: .*version_0.*version_1"):
        find_fingerprint(tmp_path / "a")
    fingerprint().save(tmp_path / "c" / "one.npz")
    assert find_fingerprint(tmp_path / "c") == tmp_path / "c" / "one.npz"
    fingerprint().save(tmp_path / "c" / "two.npz")
    with pytest.raises(ValueError, match=r"not named by their step, name one of: one\.npz, two\.npz"):
        find_fingerprint(tmp_path / "c")
