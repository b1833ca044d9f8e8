"""Dequantised digits: the discrete ones can be read off, the noise is uniform, and continuous data are refused."""

from __future__ import annotations

import math

import pytest
import torch

from torchdisentangle.datasets import dequantize, handwritten_digits


def test_grey_levels_are_kept_and_the_noise_is_uniform() -> None:
    images = handwritten_digits("validation").tensors[0]
    grey = dequantize(images, 17, torch.Generator().manual_seed(0))
    assert torch.equal(grey.floor(), images * 16)
    noise = (grey - grey.floor()).double().flatten()
    standard_error = 1 / math.sqrt(12 * len(noise))
    assert abs(float(noise.mean()) - 0.5) < 5 * standard_error
    assert float(noise.var()) == pytest.approx(1 / 12, rel=0.05)
    assert torch.equal(grey, dequantize(images, 17, torch.Generator().manual_seed(0)))


def test_noise_never_rounds_up_to_the_next_level() -> None:
    """In float32 200 plus the largest noise is 201: such sums stay below."""
    images = torch.full((200_000,), 200 / 255)
    assert float(dequantize(images, 256, torch.Generator().manual_seed(0)).max()) < 201


@pytest.mark.parametrize("values", [[0.0, 0.3], [-1.0, 0.0], [0.0, 2.0], [float("nan"), 0.0]])
def test_other_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="17 equally spaced levels"):
        dequantize(torch.tensor(values), 17)
