"""Groups of rows found in a sample, and rows laid out so that there are some."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from torchdisentangle.datasets import Sprites, intervention_factors
from torchdisentangle.functional.row_hash import hash_index
from torchdisentangle.supervised.intervention_groups import draw_differences, draw_variances, variances_of_groups


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


LABELS = torch.stack([torch.randint(size, (600,), generator=generator()) for size in (3, 5, 1)], dim=1)
LABELS[:, 1] = LABELS[torch.randperm(600, generator=generator()), 1]


def test_pairs_share_the_value_and_are_two_rows() -> None:
    """Codes that are the labels do not differ in pairs that share them; a code of its own for each row always does."""
    own = torch.arange(600).double()[:, None]
    differences = draw_differences(torch.cat([LABELS.double(), own], 1), LABELS, 90, 16, generator())
    assert differences.shape == (3, 30, 4)
    for factor in range(3):
        assert (differences[factor, :, factor] == 0).all()
        assert (differences[factor, :, 3] >= 1).all()
    assert (differences[0, :, 1] > 0).all()
    # two different values of five that are uniform: mean difference 1.6
    assert differences[0, :, 1].mean() == pytest.approx(1.6, abs=0.1)


def test_every_partner_is_as_likely() -> None:
    codes = torch.nn.functional.one_hot(torch.arange(4)).double()
    differences = draw_differences(codes, torch.tensor([[0], [0], [0], [1]]), 1, 30_000, generator())
    # each of three rows is in two thirds of the pairs; the lonely fourth in none
    torch.testing.assert_close(differences[0, 0], torch.tensor([2, 2, 2, 0]).double() / 3, rtol=0, atol=0.01)


def test_no_pairs() -> None:
    assert draw_differences(torch.zeros(3, 2), torch.arange(3)[:, None], 10, 4, generator()).isnan().all()
    assert variances_of(torch.zeros(3, 2), torch.arange(3)[:, None], 10, 4).isnan().all()


def variances_of(codes: Tensor, labels: Tensor, num_groups: int, group_size: int, seed: int = 0) -> Tensor:
    everything, keys = torch.ones(1, len(codes), dtype=torch.bool), hash_index(torch.arange(len(codes)))
    return draw_variances(codes, labels, keys, everything, num_groups, group_size, seed)[0]


def test_groups_share_the_value_and_hold_different_rows() -> None:
    codes = torch.cat([LABELS.double(), torch.arange(600).double()[:, None]], 1)
    found = variances_of(codes, LABELS, 90, 7)
    assert found.shape == (3, 30, 4)
    for factor, variances in enumerate(found):
        assert (variances[:, factor] == 0).all()
        assert (variances[:, 3] > 0).all()
    few = variances_of(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0], [0], [1]]), 4, 64)[0]
    assert few.tolist() == [[0.5]] * 4  # the two rows there are, never the same twice


def test_every_pair_of_rows_is_as_likely() -> None:
    """The variance of two rows tells which two of five they are: ten pairs, each a tenth of all."""
    num_groups = 20_000
    codes = torch.tensor([[0.0], [1.0], [3.0], [7.0], [12.0]]).double()
    for seed in range(3):
        variances = variances_of(codes, torch.zeros(5, 1, dtype=torch.long), num_groups, 2, seed)[0, :, 0]
        pairs, counts = variances.unique(return_counts=True)
        expected = torch.pdist(codes).square() / 2
        torch.testing.assert_close(pairs, expected.sort().values)
        # chi-squared with nine degrees of freedom: beyond 33.7 with probability 1e-4
        assert ((counts - num_groups / 10).square() / (num_groups / 10)).sum() < 33.7


def test_draws_of_two_groups_know_nothing_of_each_other() -> None:
    """Rows that two groups have in common: as many as of two random choices of 8 of 40."""
    codes = torch.eye(40).double()
    variances = variances_of(codes, torch.zeros(40, 1, dtype=torch.long), 300, 8)[0]
    chosen = (variances > 0).double()
    assert (chosen.sum(1) == 8).all()  # a code of one row is exactly constant in a group without it
    common = (chosen @ chosen.mT)[torch.triu_indices(300, 300, 1).unbind()]
    share = torch.stack([(common == k).double().mean() for k in range(6)])
    choices = [math.comb(8, k) * math.comb(32, 8 - k) / math.comb(40, 8) for k in range(6)]
    # shares of 44,850 pairs of which about 300 are independent: five standard errors
    torch.testing.assert_close(share, torch.tensor(choices).double(), rtol=0, atol=0.015)


@pytest.mark.parametrize("num_groups", [90, 4000])
def test_parts_have_the_groups_that_they_have_by_themselves(num_groups: int) -> None:
    """Also where a part lacks a value that others have, and for rows that are in no part."""
    labels = torch.cat([LABELS, torch.arange(600)[:, None] // 2], dim=1)  # pairs, of which one row may be missing
    codes = 10 * labels + torch.randn(600, 4, generator=generator()).double()
    keys, in_part = hash_index(torch.arange(600)), torch.rand(4, 600, generator=generator()) < 0.9
    in_part[0, labels[:, 1] == 2] = False
    in_part[:, :5] = False
    found = draw_variances(codes, labels, keys, in_part, num_groups, 7)
    for variances, part in zip(found, in_part, strict=True):
        everything = torch.ones(1, int(part.sum()), dtype=torch.bool)
        alone = draw_variances(codes[part], labels[part], keys[part], everything, num_groups, 7)[0]
        # from squares of distances to other rows: close rows lose digits
        torch.testing.assert_close(variances, alone, rtol=1e-8, atol=0)


def test_moved_factors_by_loops() -> None:
    codes = torch.randn(600, 2, generator=generator()).double()
    labels = LABELS[:, :2]
    expected = torch.stack([codes[labels[:, 1] == value].var(0) for value in range(5)])
    torch.testing.assert_close(variances_of_groups(codes, labels, 0), expected)
    same = torch.cat([labels, labels[:, :1]], dim=1)  # a factor that cannot move alone
    assert len(variances_of_groups(codes, same, 0)) == 0
    assert len(variances_of_groups(codes, labels[:, :1], 0)) == 1


def test_designed_rows() -> None:
    dataset = Sprites(image_size=8).sub_grid(orientation=[0, 20], shape=1)
    factors = intervention_factors(dataset, 4000, values=4, generator=generator())
    assert factors.shape == (4000, 5)
    assert torch.equal(factors, intervention_factors(dataset, 4000, values=4, generator=generator()))
    dataset.factors_to_index(factors)  # refuses what is outside
    codes = factors.double()
    assert len(variances_of_groups(codes, factors, 0)) == 0  # it has one value
    for moved in range(1, 5):
        variances = variances_of_groups(codes, factors, moved)
        assert len(variances) > 250
        assert (variances[:, moved] > 0).all()
        assert variances.sum(1).allclose(variances[:, moved])
    for column, size in zip(factors.T, dataset.factor_sizes, strict=True):
        share = column.bincount(minlength=size) / 4000
        assert (share - 1 / size).abs().max() < 0.06  # uniform, up to a few standard errors of 285 to 500 settings
    with pytest.raises(ValueError, match="at least two values"):
        intervention_factors(dataset, 10, values=1)
