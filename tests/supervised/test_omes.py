"""OMES: given associations in closed form, pairs by brute force, and the published form beside the mended one."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torchdisentangle import OMES
from torchdisentangle.functional import omes_per_factor, paired_correlation

GRID = torch.cartesian_prod(torch.arange(5), torch.arange(5), torch.arange(5))


def filled(metric: Any, codes: Tensor, factors: Tensor = GRID) -> Any:
    metric.update(codes.double(), factors)
    return metric


@pytest.mark.parametrize(
    ("association", "expected"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], 1.0),
        ([[1.0, 1.0], [1.0, 1.0]], 0.5),
        ([[0.5, 0.5], [0.5, 0.5]], 0.25),
        ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 11 / 12),  # 0.9167: the first factor in two codes
        ([[0.0, 0.0], [0.0, 0.0]], 0.0),
    ],
)
def test_given_associations(association: list[list[float]], expected: float) -> None:
    assert float(omes_per_factor(torch.tensor(association)).mean()) == pytest.approx(expected, abs=1e-6)


def test_overlap_and_multiplicity_apart() -> None:
    copied = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # multiplicity of the first factor 2 / 3
    assert omes_per_factor(copied, alpha=1.0).tolist() == pytest.approx([1.0, 1.0])
    assert omes_per_factor(copied, alpha=0.0).tolist() == pytest.approx([2 / 3, 1.0])
    mixed = torch.tensor([[1.0, 1.0], [0.0, 0.0]])  # overlap of the first code 1 / 2
    assert omes_per_factor(mixed, alpha=1.0).tolist() == pytest.approx([0.5, 0.5])
    assert omes_per_factor(mixed, alpha=0.0).tolist() == pytest.approx([1.0, 1.0])
    uneven = torch.tensor([[0.8, 0.1], [0.2, 0.6]])
    by_hand = [0.5 * (0.8 * (1 - 0.3 / 2) + 0.8 * (1 - 0.4 / 2)), 0.5 * (0.6 * (1 - 0.6 / 2) + 0.6 * (1 - 0.5 / 2))]
    assert omes_per_factor(uneven, pool="max").tolist() == pytest.approx(by_hand)


def test_pairs_by_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.stack([torch.randint(size, (50,), generator=generator) for size in (3, 4, 2)], 1)
    codes = torch.randn(50, 2, generator=generator).double() + labels[:, :2]
    for factor in range(3):
        others = [f for f in range(3) if f != factor]
        pairs = [
            (i, j)
            for i, j in permutations(range(50), 2)
            if labels[i, factor] != labels[j, factor] and torch.equal(labels[i, others], labels[j, others])
        ]
        first, second = (codes[list(side)].numpy() for side in zip(*pairs, strict=True))
        expected = [np.corrcoef(first[:, k], second[:, k])[0, 1] for k in range(2)]
        np.testing.assert_allclose(paired_correlation(codes, labels, factor), expected, atol=1e-12)


def test_the_published_form_cannot_reach_one() -> None:
    """Values of a pair differ, so perfect codes have correlation -1 / (V - 1)."""
    assert float(filled(OMES(), GRID).compute()) == pytest.approx(1.0, abs=1e-12)
    assert float(filled(OMES(mode="reference"), GRID).compute()) == pytest.approx(0.6875, abs=1e-12)
    for size, published in ((2, 0.0), (3, 0.5), (5, 0.75)):
        grid = torch.cartesian_prod(torch.arange(size), torch.arange(size))
        reference = filled(OMES(mode="reference"), grid, grid)
        assert float(reference.matrix()[0, 0]) == pytest.approx(published, abs=1e-12)
        assert float(filled(OMES(), grid, grid).matrix()[0, 0]) == pytest.approx(1.0, abs=1e-12)


def test_copies_mixtures_and_noise() -> None:
    bits = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    copied = filled(OMES(), bits[:, [0, 0, 1]], bits)
    assert float(copied.compute()) == pytest.approx(11 / 12, abs=1e-12)
    mixed = torch.stack([bits[:, 0] + 2 * bits[:, 1], bits[:, 1]], 1)
    assert float(filled(OMES(), mixed, bits).compute()) < 0.85
    noise = torch.randn(125, 3, generator=torch.Generator().manual_seed(1))
    assert float(filled(OMES(), noise).compute()) == pytest.approx(1 / 3, abs=0.05)  # answers to everything


def test_dead_codes_and_factors_without_pairs() -> None:
    dead = torch.cat([GRID, 0.01 * GRID[:, :1]], 1)  # a standard deviation of 0.014
    assert float(filled(OMES(), dead).compute()) == pytest.approx(1.0, abs=1e-12)
    assert float(filled(OMES(prune_threshold=0.0), dead).compute()) < 1
    assert float(filled(OMES(), torch.zeros(125, 2)).compute()) == 0.0
    tied = torch.cat([GRID[:, :2], GRID[:, :1]], 1)  # the first and the last factor never differ alone
    score = filled(OMES(), GRID, tied)
    with pytest.warns(UserWarning, match="no two rows that differ in them alone"):
        score.compute()
    assert score.unscored_factors() == ["0", "2"]
    alone = torch.arange(4)[:, None]
    assert float(filled(OMES(), alone, alone).compute()) == pytest.approx(1.0, abs=1e-12)  # one code, one factor
    with pytest.raises(ValueError, match="none of the factors"):
        filled(OMES(), GRID[:5], GRID[:1].expand(5, -1)).compute()


@pytest.mark.parametrize("settings", [{"alpha": 1.5}, {"pool": "median"}, {"mode": "published"}])
def test_bad_settings_are_refused(settings: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        OMES(**settings)
