"""Similarity of whole spaces: closed forms, invariances, and other computations of the same."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from torch import Tensor

from tests.helpers import random_orthogonal
from torchdisentangle import RSA, SVCCA, LinearCKA, ProcrustesDistance, StatisticCollection
from torchdisentangle.cli import main
from torchdisentangle.functional import linear_cka, procrustes_distance, representational_similarity, svcca
from torchdisentangle.similarity import Fingerprint, compare_spaces

Measure = Callable[[Tensor, Tensor], Tensor]
seeds = st.integers(0, 2**16)
CLOSE = {
    "rtol": 1e-8,
    "atol": 1e-8,
}  # of eigenvalues and singular values of covariances with conditions of some hundreds


def of_moments(function: Callable[..., Tensor], *settings: float) -> Measure:
    return lambda a, b: function(torch.cat([a, b], dim=1).mT.cov(), a.shape[1], *settings)


CKA, PROCRUSTES = of_moments(linear_cka), of_moments(procrustes_distance)
CCA_OF_ALL = of_moments(svcca, 1.0)
TURNED: dict[str, Measure] = {"cka": CKA, "procrustes": PROCRUSTES, "rsa": representational_similarity}


def two_spaces(seed: int = 0, num_rows: int = 30) -> tuple[Tensor, Tensor]:
    """Spaces of four and three codes that have something in common."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(num_rows, 4, generator=generator).double()
    b = a @ torch.randn(4, 3, generator=generator).double() + torch.randn(num_rows, 3, generator=generator)
    return a, b


@settings(max_examples=25)
@given(seeds, st.floats(0.01, 100))
def test_turned_shifted_and_scaled_spaces_are_the_same(seed: int, scale: float) -> None:
    a, b = two_spaces(seed)
    moved = scale * a @ random_orthogonal(4, seed) + 3.0
    for name, measure in TURNED.items():
        torch.testing.assert_close(measure(moved, b), measure(a, b), **CLOSE, msg=name)
        itself = measure(a, moved)
        torch.testing.assert_close(itself, torch.tensor(0.0 if name == "procrustes" else 1.0).double(), **CLOSE)
        torch.testing.assert_close(measure(b, a), measure(a, b), **CLOSE)


@settings(max_examples=25)
@given(seeds)
def test_svcca_of_all_directions_does_not_see_linear_maps(seed: int) -> None:
    a, b = two_spaces(seed)
    turn, other = random_orthogonal(4, seed), random_orthogonal(4, seed + 1)
    mapped = a @ turn * torch.tensor([0.2, 1.0, 3.0, 5.0]) @ other - 1.0
    torch.testing.assert_close(CCA_OF_ALL(mapped, b), CCA_OF_ALL(a, b), **CLOSE)
    torch.testing.assert_close(CCA_OF_ALL(mapped, a), torch.tensor(1.0).double(), **CLOSE)
    assert (CKA(mapped, a) - 1).abs() > 1e-3  # the others do see them
    assert PROCRUSTES(mapped, a) > 1e-3


@given(st.floats(0.1, 10))
def test_a_space_and_one_of_its_two_directions(scale: float) -> None:
    """Independent codes of variance 1 and ``scale^2``, against the first alone."""
    square = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]).double()
    a, b = square * torch.tensor([1.0, scale]).double(), square[:, :1]
    assert float(CKA(a, b)) == pytest.approx((1 + scale**4) ** -0.5)
    assert float(PROCRUSTES(a, b)) == pytest.approx(2 - 2 * (1 + scale**2) ** -0.5)
    assert float(CCA_OF_ALL(a, b)) == pytest.approx(1)
    uncorrelated = square[:, 1:]
    assert float(CKA(b, uncorrelated)) == 0
    assert float(PROCRUSTES(b, uncorrelated)) == 2
    assert float(CCA_OF_ALL(b, uncorrelated)) == 0


@pytest.mark.parametrize("variance", [0.99, 0.5, 1.0])
def test_svcca_leaves_out_directions_of_little_variance(variance: float) -> None:
    """Of the cut spaces by singular value decomposition of the rows, as published, and their canonical correlations."""
    a, b = two_spaces()
    a, b = a * torch.tensor([5.0, 2.0, 0.5, 0.1]).double(), b * torch.tensor([1.0, 0.1, 3.0]).double()
    cut = []
    for space in (a.numpy(), b.numpy()):
        left, values, _ = np.linalg.svd(space - space.mean(0), full_matrices=False)
        cut.append(left[:, : int(np.searchsorted(np.cumsum(values**2) / (values**2).sum(), variance - 1e-12)) + 1])
    assert variance == 1 or cut[0].shape[1] < 4
    expected = np.linalg.svd(cut[0].T @ cut[1], compute_uv=False).mean()
    torch.testing.assert_close(of_moments(svcca, variance)(a, b), torch.tensor(expected), **CLOSE)


def test_cka_by_kernels_of_rows() -> None:
    a, b = (space - space.mean(0) for space in two_spaces())
    kernels = [space @ space.mT for space in (a, b)]
    hsic = torch.stack([torch.stack([(k * m).sum() for m in kernels]) for k in kernels])
    torch.testing.assert_close(CKA(a, b), hsic[0, 1] / (hsic[0, 0] * hsic[1, 1]).sqrt(), **CLOSE)


def test_procrustes_distance_by_scipy() -> None:
    a, b = two_spaces()
    padded = torch.cat([b, torch.zeros(len(b), 1)], dim=1)
    unit = [(space - space.mean(0)).numpy() / np.linalg.norm(space - space.mean(0)) for space in (a, padded)]
    turn, _ = orthogonal_procrustes(unit[1], unit[0])
    assert float(PROCRUSTES(a, b)) == pytest.approx(np.linalg.norm(unit[0] - unit[1] @ turn) ** 2)
    disparity = procrustes(a.numpy(), padded.numpy())[2]  # which also scales one space for the best fit
    assert disparity == pytest.approx(1 - (1 - float(PROCRUSTES(a, b)) / 2) ** 2)


@given(seeds)
def test_the_root_of_the_procrustes_distance_is_a_metric(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b, c = (torch.randn(8, width, generator=generator).double() for width in (2, 3, 4))
    assert PROCRUSTES(a, c).sqrt() <= PROCRUSTES(a, b).sqrt() + PROCRUSTES(b, c).sqrt() + 1e-12  # rounding


@pytest.mark.parametrize("distance", ["euclidean", "correlation"])
def test_rsa_by_scipy(distance: str) -> None:
    a, b = two_spaces()
    a[3] = a[7]  # two rows at distance zero
    expected = spearmanr(pdist(a.numpy(), distance), pdist(b.numpy(), distance)).statistic
    found = representational_similarity(a, b, distance)  # type: ignore[arg-type]
    assert float(found) == pytest.approx(expected)


def test_rsa_does_not_see_a_monotone_change_of_distances() -> None:
    a, _ = two_spaces()
    points = a[:, :1]
    line = points.argsort(0).argsort(0).double()
    assert float(representational_similarity(points, 5 * points)) == pytest.approx(1)
    assert float(representational_similarity(points, line)) < 1  # ranks change which distances are larger


def test_the_metrics_share_their_moments() -> None:
    a, b = two_spaces()
    metrics = StatisticCollection([LinearCKA(), SVCCA(), ProcrustesDistance()])
    for rows in torch.arange(30).split(7):
        metrics.update(a[rows], b[rows])
    assert len(metrics.compute_groups) == 1
    values = metrics.compute()
    torch.testing.assert_close(values["LinearCKA"], CKA(a, b), **CLOSE)
    torch.testing.assert_close(values["SVCCA"], of_moments(svcca, 0.99)(a, b), **CLOSE)
    torch.testing.assert_close(values["ProcrustesDistance"], PROCRUSTES(a, b), **CLOSE)


def test_far_away_spaces_keep_their_digits() -> None:
    a, b = two_spaces()
    metric = LinearCKA()
    metric.update(a + 1e6, b - 1e6)
    torch.testing.assert_close(metric.compute(), CKA(a, b), rtol=1e-6, atol=1e-6)  # 1e-16 of 1e6, beside 1


@pytest.mark.parametrize("metric", [LinearCKA(), SVCCA(), ProcrustesDistance(), RSA()])
def test_a_constant_space_has_no_similarity(metric: LinearCKA | RSA) -> None:
    a, _ = two_spaces()
    metric.update(a, torch.full_like(a, 0.1))
    assert metric.compute().isnan()


def test_rsa_keeps_a_sample() -> None:
    a, b = two_spaces(num_rows=300)
    metric, parts = RSA(max_rows=50), RSA(max_rows=50)
    index = torch.arange(300)
    metric.update(a, b, index=index)
    for rows in index.flip(0).split(70):
        parts.update(a[rows], b[rows], index=rows)
    assert len(metric.keys) == 50
    assert metric.compute() == parts.compute()
    assert float(metric.compute()) == pytest.approx(float(representational_similarity(a, b)), abs=0.1)  # of 50 of 300


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: linear_cka(torch.eye(3), 3), "more than 3 codes"),
        (lambda: linear_cka(torch.zeros(3, 4), 2), "more than 2 codes"),
        (lambda: svcca(torch.eye(3), 2, 0.0), "share in"),
        (lambda: SVCCA(1.5), "share in"),
        (lambda: RSA("cosine"), "distance must be one of"),  # type: ignore[arg-type]
        (lambda: representational_similarity(torch.zeros(2, 3), torch.zeros(2, 3)), "at least three rows"),
        (lambda: LinearCKA().update(torch.zeros(3, 2), torch.zeros(4, 2)), "of the same rows"),
        (lambda: compare_spaces({}), "at least one fingerprint"),
    ],
)
def test_what_is_refused(call: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()


def test_widths_cannot_change() -> None:
    for metric in (LinearCKA(), RSA()):
        metric.update(*two_spaces())
        with pytest.raises(ValueError, match="3 columns of codes_b"):
            metric.update(*(two_spaces()[0],) * 2)


def test_compare_shows_whole_spaces(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("sklearn", reason="hot spots need scikit-learn, of the extra supervised")
    a, b = two_spaces()
    spaces = {"a": a, "turned": 2 * a @ random_orthogonal(4), "b": b}
    index = torch.arange(30)
    runs = {name: Fingerprint(space, torch.full_like(space, -2.0), index) for name, space in spaces.items()}
    comparison = compare_spaces(runs)
    for matrix, measure in zip(comparison[1:5], (CKA, of_moments(svcca, 0.99), PROCRUSTES, TURNED["rsa"]), strict=True):
        for i, one in enumerate(spaces.values()):
            for j, other in enumerate(spaces.values()):
                torch.testing.assert_close(matrix[i, j], measure(one, other), rtol=1e-6, atol=1e-6)
    paths = [str(run.save(tmp_path / name)) for name, run in runs.items()]
    assert main(["compare", *paths, "--output", str(tmp_path / "out")]) == 0
    assert "whole spaces of 3 runs at 30 points" in capsys.readouterr().out
    with (tmp_path / "out" / "spaces.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["run_a"], row["run_b"]) for row in table] == [("a", "turned"), ("a", "b"), ("turned", "b")]
    assert float(table[0]["linear_cka"]) == pytest.approx(1)
    assert float(table[1]["rsa"]) == pytest.approx(float(representational_similarity(a, b)), abs=1e-5)
    capsys.readouterr()
    assert main(["compare", paths[0], "--output", str(tmp_path / "alone")]) == 0
    assert "whole spaces" not in capsys.readouterr().out
    assert not (tmp_path / "alone" / "spaces.csv").exists()


def test_figures() -> None:
    metric = ProcrustesDistance()
    metric.update(*two_spaces())
    assert metric.plot()[1].get_ylabel() == "Procrustes distance"
