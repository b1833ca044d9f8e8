"""Groups of rows found in a sample, and rows laid out so that there are some."""

from __future__ import annotations

import pytest
import torch

from torchdisentangle.datasets import Sprites, intervention_factors
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
    assert draw_variances(torch.zeros(3, 2), torch.arange(3)[:, None], 10, 4, generator())[0].shape == (0, 2)


def test_groups_share_the_value_and_hold_different_rows() -> None:
    codes = torch.cat([LABELS.double(), torch.arange(600).double()[:, None]], 1)
    for factor, variances in enumerate(draw_variances(codes, LABELS, 90, 7, generator())):
        assert variances.shape == (30, 4)
        assert (variances[:, factor] == 0).all()
        assert (variances[:, 3] > 0).all()
    few = draw_variances(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0], [0], [1]]), 4, 64, generator())[0]
    assert few.tolist() == [[0.5]] * 4  # the two rows there are, never the same twice


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
