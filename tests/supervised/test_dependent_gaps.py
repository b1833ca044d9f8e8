"""DMIG, XMIG and DLIG: factors that depend on each other, a stated map, counts of pairs of factors."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score
from torch import Tensor

from torchdisentangle import DependencyAwareGap, MutualInformationGap
from torchdisentangle.statistics.factor_pairs import numbered_pairs, pair_entropies

GAPS = ["dmig", "xmig", "dlig"]


def filled(metric: Any, codes: Tensor, factors: Tensor) -> Any:
    metric.update(codes.double(), factors, index=torch.arange(len(codes)))
    return metric


def dependent_bits(differ: int, of: int) -> Tensor:
    """Two bits that differ in exactly this share of the rows, beside a third that knows nothing about them."""
    pairs = [(a, a ^ (row < differ)) for a in (0, 1) for row in range(of)]
    return torch.tensor([(a, int(b), c) for (a, b), c in product(pairs, (0, 1))])


@pytest.mark.parametrize("share", [1, 2, 5])
def test_perfect_codes_of_dependent_bits(share: int) -> None:
    rows = dependent_bits(share, 10)
    for gap in GAPS:
        assert float(filled(DependencyAwareGap(gap), rows, rows[:, :2]).compute()) == pytest.approx(1.0, abs=1e-12)
    p = share / 10
    left = -(p * math.log(p) + (1 - p) * math.log(1 - p)) / math.log(2)
    assert float(filled(MutualInformationGap(), rows, rows[:, :2]).compute()) == pytest.approx(left, abs=1e-12)
    assert share != 1 or left == pytest.approx(0.469, abs=1e-3)


def by_hand(gap: str, codes: Tensor, factors: Tensor, meant: list[int]) -> list[float]:
    """With scikit-learn's mutual information, pair by pair, of codes that are discrete."""
    z, y = codes.numpy().T, factors.numpy().T
    known = np.array([[mutual_info_score(f, k) for f in y] for k in z])
    shared = np.array([[mutual_info_score(f, g) for f in y] for g in y])
    own = shared.diagonal()
    values = []
    for f, code in enumerate(meant):
        if gap == "xmig":
            others = [known[k, f] for k in range(len(z)) if k not in meant]
            values.append((known[code, f] - max(others, default=0)) / own[f])
        elif gap == "dmig":
            best = max((k for k in range(len(z)) if k != code), key=lambda k: known[k, f])
            divisor = own[f] - shared[f, meant.index(best)] if best in meant else own[f]
            values.append((known[code, f] - known[best, f]) / divisor)
        else:
            best = max((g for g in range(len(y)) if g != f), key=lambda g: known[code, g])
            values.append((known[code, f] - known[code, best]) / (own[f] - shared[f, best]))
    return values


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("meant", [[0, 1, 2], [4, 0, 3]])
def test_scikit_learn_agrees(gap: Any, meant: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(4, (300, 3), generator=generator)
    factors[:, 1] = (factors[:, 0] + (torch.rand(300, generator=generator) < 0.3)).clamp(max=3)
    codes = torch.cat([factors, (factors[:, :1] + factors[:, 1:2]) // 2, factors[:, 2:]], 1)
    noisy = torch.rand(300, 5, generator=generator) < 0.2
    codes = torch.where(noisy, torch.randint(4, (300, 5), generator=generator), codes)
    for settings in ({}, {"edges": (0.0, 4.0), "num_bins": 4}):
        score = filled(DependencyAwareGap(gap, codes_of_factors=meant, **settings), codes, factors)
        # the logarithms of two libraries
        np.testing.assert_allclose(score.per_factor(), by_hand(gap, codes, factors, meant), atol=1e-12)
        assert score.matching().tolist() == meant


def test_the_default_map_is_the_best_matching() -> None:
    factors = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(4))
    score = filled(DependencyAwareGap(), factors[:, [2, 0, 1]], factors)
    assert score.matching().tolist() == [1, 2, 0]
    assert score.per_factor().tolist() == pytest.approx([1.0] * 3, abs=1e-12)


def test_what_counts_against_each() -> None:
    """A copy counts in DMIG and XMIG, a code that mixes in DLIG, a code that is meant for another in DMIG alone."""
    bits = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    values = {
        gap: [round(float(x), 12) for x in filled_map(gap, bits[:, [0, 1, 0]], bits).per_factor()] for gap in GAPS
    }
    assert values == {"dmig": [0.0, 1.0], "xmig": [0.0, 1.0], "dlig": [1.0, 1.0]}
    mixed = torch.stack([bits[:, 0] + 2 * bits[:, 1], bits[:, 1]], 1)  # the first code knows both
    values = {gap: [round(float(x), 12) for x in filled_map(gap, mixed, bits).per_factor()] for gap in GAPS}
    assert values == {"dmig": [1.0, 0.0], "xmig": [1.0, 1.0], "dlig": [0.0, 1.0]}
    swapped = {gap: round(float(filled_map(gap, bits[:, [1, 0]], bits).compute()), 12) for gap in GAPS}
    assert swapped == {"dmig": -1.0, "xmig": 0.0, "dlig": -1.0}  # codes that know what others are meant for


def filled_map(gap: Any, codes: Tensor, factors: Tensor) -> Any:
    return filled(DependencyAwareGap(gap, codes_of_factors=[0, 1]), codes, factors)


@pytest.mark.parametrize("gap", GAPS)
def test_the_edge_cases(gap: Any) -> None:
    bits = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    build = DependencyAwareGap
    assert float(filled(build(gap), torch.zeros(4, 2), bits).compute()) == 0.0
    assert float(filled(build(gap), bits[:, :1], bits[:, 0]).compute()) == pytest.approx(1.0, abs=1e-12)
    fewer = filled(build(gap), bits[:, :1], bits)
    assert fewer.per_factor().tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    assert fewer.matching().tolist() == [0, -1]
    constant = torch.cat([bits, torch.ones(4, 1, dtype=torch.int64)], 1)
    score = filled(build(gap), bits, constant)
    with pytest.warns(UserWarning, match=r"too few values, .*: 2"):
        assert float(score.compute()) == pytest.approx(1.0, abs=1e-12)
    with pytest.raises(ValueError, match="none of the factors"):
        filled(build(gap), bits, constant[:, 2:]).compute()
    with pytest.raises(ValueError, match="no ceiling"):
        score.ceiling()


def test_a_factor_that_another_determines() -> None:
    four = torch.arange(4)
    factors = torch.stack([four, four // 2], 1)  # the first determines the second
    codes = factors.double()
    for gap in ("dmig", "dlig"):
        score = filled(DependencyAwareGap(gap, codes_of_factors=[0, 1]), codes, factors)  # type: ignore[arg-type]
        assert score.unscored_factors() == ["1"]
        with pytest.warns(UserWarning, match="another factor determines them"):
            assert float(score.compute()) == pytest.approx(1.0, abs=1e-12)
    assert float(
        filled(DependencyAwareGap("xmig", codes_of_factors=[0, 1]), codes, factors).compute()
    ) == pytest.approx(1.0)


def test_counts_of_fixed_bins_give_the_same_interval_as_rows() -> None:
    generator = torch.Generator().manual_seed(1)
    factors = torch.randint(3, (400, 2), generator=generator)
    factors[:, 1] = torch.where(torch.rand(400, generator=generator) < 0.5, factors[:, 0], factors[:, 1])
    codes = torch.where(torch.rand(400, 2, generator=generator) < 0.2, 2 - factors, factors).double()
    kept = filled(DependencyAwareGap(num_bins=3), codes, factors)
    counted = DependencyAwareGap(num_bins=3, edges=(0.0, 2.0))
    for rows in torch.arange(400).split(130):
        counted.update(codes[rows], factors[rows], index=rows)
    torch.testing.assert_close(counted.compute(), kept.compute(), rtol=0, atol=1e-12)
    for found, expected in zip(counted.interval(), kept.interval(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)  # pseudo-values are twenty times the score
    without = DependencyAwareGap(num_bins=3, edges=(0.0, 2.0), intervals=False)
    torch.testing.assert_close(filled(without, codes, factors).compute(), kept.compute(), rtol=0, atol=1e-12)


def test_numbers_of_pairs() -> None:
    values = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    numbers = numbered_pairs(values)
    assert sorted(numbers[:, 1].tolist()) == list(range(49))
    assert numbers[(values < 4).all(1), 1].max() == 15  # the pairs of small values come first
    assert numbers.shape == (49, 3)
    metric = DependencyAwareGap(edges=(0.0, 1.0), num_bins=2)
    with pytest.raises(ValueError, match="too many to count"):
        filled(metric, torch.rand(2, 1), torch.tensor([[0, 0], [9000, 1]]))
    assert metric.sample_size() == 0  # what was refused has left no trace
    with pytest.raises(ValueError, match="must be numbered from 0"):
        filled(metric, torch.rand(2, 1), torch.tensor([[0, 0], [-1, 1]]))


@pytest.mark.parametrize("gap", GAPS)
def test_other_estimators_read_the_same_gaps(gap: Any) -> None:
    """Of a bit and its noisy copy, in codes far apart: DMIG and DLIG are 1 without bins, too; XMIG has a spare code."""
    generator = torch.Generator().manual_seed(2)
    first = torch.randint(2, (600,), generator=generator)
    factors = torch.stack([first, first ^ (torch.rand(600, generator=generator) < 0.1)], 1)
    codes = 10.0 * torch.cat([factors, torch.randint(2, (600, 1), generator=generator)], 1)
    by_neighbours = DependencyAwareGap(gap, estimator="neighbours", num_neighbours=5)
    by_neighbours.update(codes + 0.1 * torch.randn(600, 3, generator=generator), factors)
    of_posteriors = DependencyAwareGap(gap, estimator="posterior", num_queries=600)
    of_posteriors.update(codes, factors, log_variance=torch.full_like(codes, -4.0))
    counted = filled(DependencyAwareGap(gap), codes, factors)
    for score in (by_neighbours, of_posteriors):
        # what a noisy copy leaves open is a third of a nat, of which neighbours miss some hundredths
        assert float(score.compute()) == pytest.approx(float(counted.compute()), abs=0.06)
        assert score.matching().tolist() == [0, 1]
        with pytest.raises(ValueError, match="no ceiling"):
            score.ceiling()


def test_entropies_of_pairs_are_those_of_counts() -> None:
    factors = torch.randint(3, (200, 3), generator=torch.Generator().manual_seed(3))
    metric = filled(DependencyAwareGap(), factors, factors)
    torch.testing.assert_close(pair_entropies(factors), metric.state.joint_entropies(metric))


def test_continuous_factors_need_bins() -> None:
    for gap in ("dmig", "dlig"):
        with pytest.raises(ValueError, match="needs entropies of the factors"):
            DependencyAwareGap(gap, estimator="neighbours", continuous=True)  # type: ignore[arg-type]
    factors = torch.rand(300, 2, generator=torch.Generator().manual_seed(4))
    metric = DependencyAwareGap("xmig", estimator="neighbours", continuous=True)
    assert float(filled(metric, factors, factors).compute()) > 0.95


def test_bad_maps_are_refused() -> None:
    for codes in ([0, 0], [-1, 0]):
        with pytest.raises(ValueError, match="must be different codes"):
            DependencyAwareGap(codes_of_factors=codes)
    with pytest.raises(ValueError, match="gap must be one of"):
        DependencyAwareGap("mig")  # type: ignore[arg-type]
    bits = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    for codes in ([0], [0, 2]):
        with pytest.raises(ValueError, match="must be 2 of the 2 codes"):
            filled(DependencyAwareGap(codes_of_factors=codes), bits, bits).compute()
