"""Pairs that differ in few factors."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from torchdisentangle.datasets import FactorPairs, Sprites

SPRITES = Sprites(16, factor_sizes=(1, 3, 4, 5))  # of three shapes and one scale


@pytest.mark.parametrize("num_changed", [1, 2, 4])
def test_so_many_factors_differ_uniformly(num_changed: int) -> None:
    pairs = FactorPairs(SPRITES, 6000, num_changed)
    first, second = pairs.factors.unbind(1)
    assert ((first != second).sum(1) == num_changed).all()
    assert ((second >= 0) & (second < torch.tensor(SPRITES.factor_sizes))).all()
    share = (first != second).double().mean(0)
    assert share[1] == 0  # it has one value
    tolerance = 5 * (0.25 / 6000) ** 0.5  # five standard errors of a share
    moving = [0, 2, 3, 4]
    torch.testing.assert_close(share[moving], torch.full((4,), num_changed / 4).double(), rtol=0, atol=tolerance)
    for factor in moving:  # every other value as often as the next
        size = SPRITES.factor_sizes[factor]
        moved = first[:, factor] != second[:, factor]
        steps = ((second - first)[moved, factor] % size).bincount(minlength=size)[1:].double()
        expected = steps.sum() / (size - 1)
        assert ((steps - expected).abs() < 5 * expected.sqrt()).all()


def test_the_number_may_vary() -> None:
    first, second = FactorPairs(SPRITES, 1000).factors.unbind(1)
    assert (first != second).sum(1).unique().tolist() == [1, 2, 3]  # between one and all but one of four


def test_items_are_the_images_and_batches_of_them() -> None:
    pairs = FactorPairs(SPRITES, 10, seed=3)
    again = FactorPairs(SPRITES, 10, seed=3)
    assert torch.equal(pairs.factors, again.factors)
    assert not torch.equal(pairs.factors, FactorPairs(SPRITES, 10, seed=4).factors)
    image, other = pairs[-1]
    assert torch.equal(image, SPRITES.render(pairs.factors[9, :1])[0])
    assert torch.equal(other, SPRITES.render(pairs.factors[9, 1:])[0])
    images, others = next(iter(DataLoader(pairs, batch_size=10)))
    assert torch.equal(images, SPRITES.render(pairs.factors[:, 0]))
    assert torch.equal(others, SPRITES.render(pairs.factors[:, 1]))
    with pytest.raises(IndexError, match="10 pairs"):
        pairs[10]


@pytest.mark.parametrize(("num_pairs", "num_changed"), [(0, 1), (5, 0), (5, 5)])
def test_what_cannot_be_made_is_refused(num_pairs: int, num_changed: int) -> None:
    with pytest.raises(ValueError, match="cannot be made"):
        FactorPairs(SPRITES, num_pairs, num_changed)
