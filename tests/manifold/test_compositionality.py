"""Compositional contrast: closed forms, a sum term by term, and what it does not see."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import assert_close, random_jacobian, random_orthogonal
from torchdisentangle import CompositionalContrast
from torchdisentangle.functional import compositional_contrast

SLOTS = [[0, 3], [1], [2, 4]]


@pytest.mark.parametrize(("size", "slots", "expected"), [(5, 3, 15.0), (7, 2, 7.0), (4, 4, 24.0)])
def test_all_ones(size: int, slots: int, expected: float) -> None:
    ones = torch.ones(2, size, slots)
    metric = CompositionalContrast()
    metric.update(ones)
    assert metric.compute() == expected == size * slots * (slots - 1) / 2
    normalized = compositional_contrast(ones, [[k] for k in range(slots)], normalize=True)
    assert_close(normalized, expected)  # all slots are at their mean, all pixels at the largest


@pytest.mark.parametrize("normalize", [False, True])
def test_pixels_of_one_slot_each(normalize: bool) -> None:
    blocks = torch.block_diag(torch.rand(4, 2), torch.rand(3, 1), torch.rand(5, 2)).double()
    contrast = compositional_contrast(blocks[None], [[0, 1], [2], [3, 4]], normalize)
    assert 0 <= float(contrast) < 12 * 4 * 1e-11  # 1e-12 is added to each norm, whose smallest mean is about 0.1
    assert normalize or contrast == 0


@pytest.mark.parametrize("normalize", [False, True])
def test_term_by_term(normalize: bool) -> None:
    jacobian = random_jacobian(3, 6, 5)
    total = 0.0
    for of_one in jacobian.numpy():
        norms = np.stack([np.linalg.norm(of_one[:, slot], axis=1) for slot in SLOTS], axis=1)
        largest = norms.mean(1).max()
        for pixel in norms:
            scale, weight = (pixel.mean(), pixel.mean() / largest) if normalize else (1.0, 1.0)
            total += weight * sum(a * b for a, b in combinations(pixel / scale, 2))
    found = compositional_contrast(jacobian, SLOTS, normalize)
    torch.testing.assert_close(found, torch.tensor(total / 3).double(), rtol=1e-10, atol=0)


@given(st.integers(0, 2**16))
def test_it_does_not_see_turns_within_slots(seed: int) -> None:
    jacobian = random_jacobian(3, 6, 4, seed)
    turned = torch.cat([jacobian[:, :, :2] @ random_orthogonal(2, seed), jacobian[:, :, 2:]], dim=2)
    slots = [[0, 1], [2, 3]]
    assert_close(compositional_contrast(turned, slots), compositional_contrast(jacobian, slots))
    assert_close(compositional_contrast(3 * jacobian, slots), 9 * compositional_contrast(jacobian, slots))
    scaled = compositional_contrast(3 * jacobian, slots, normalize=True)
    assert_close(scaled, compositional_contrast(jacobian, slots, normalize=True))


def test_slots_that_are_no_partition_are_refused() -> None:
    with pytest.raises(ValueError, match="a partition must hold each of the 3 latents once"):
        CompositionalContrast([[0], [1]]).update(torch.zeros(1, 4, 3))
    with pytest.raises(ValueError, match="a partition must hold each of the 3 latents once"):
        compositional_contrast(torch.zeros(1, 4, 3), [[0, 1], [1, 2]])
    with pytest.raises(ValueError, match=r"\(N, D, d\)"):
        compositional_contrast(torch.zeros(4, 3), [[0, 1, 2]])
