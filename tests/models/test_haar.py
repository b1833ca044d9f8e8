"""The Haar transform: orthonormal, its own inverse's inverse, and coarse before fine."""

from __future__ import annotations

import pytest
import torch

from torchdisentangle.models.haar import HaarTransform, haar_scales


@pytest.mark.parametrize(("shape", "levels"), [((1, 8, 8), 3), ((3, 4, 8), 2), ((2, 2, 2), 1)])
def test_the_transform_is_orthonormal(shape: tuple[int, int, int], levels: int) -> None:
    transform = HaarTransform(shape, levels).double()
    size = shape[0] * shape[1] * shape[2]
    matrix, log_det = transform.inverse(torch.eye(size, dtype=torch.float64))
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-15 * size)
    torch.testing.assert_close(transform(torch.eye(size, dtype=torch.float64))[0], matrix.mT, rtol=0, atol=1e-15)
    assert not log_det.any()


def test_coefficients_by_their_definition() -> None:
    """Each is an inner product with a wavelet, written down from the definition."""
    image = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    coefficients = HaarTransform((1, 4, 4), 2).double().inverse(image.reshape(1, 16))[0][0]
    left = torch.tensor([1.0, 1, -1, -1], dtype=torch.float64)
    assert float(coefficients[0]) == pytest.approx(float(image.sum()) / 4)
    for k, (rows, columns) in enumerate([(left.abs(), left), (left, left.abs()), (left, left)]):
        assert float(coefficients[1 + k]) == pytest.approx(float(rows @ image @ columns) / 4)
    square = image[2:, :2]  # the third of four squares in reading order
    horizontal = float(square[:, 0].sum() - square[:, 1].sum()) / 2
    assert float(coefficients[4 + 2]) == pytest.approx(horizontal)


def test_scales_go_from_coarse_to_fine() -> None:
    """What is constant on squares of four pixels has no details of the finest scale, and the sizes add up."""
    scales = haar_scales((1, 8, 8), 3)
    assert [len(scale) for scale in scales] == [1, 3, 12, 48]
    assert [index for scale in scales for index in scale] == list(range(64))
    coarse = torch.randn(1, 4, 4, dtype=torch.float64).repeat_interleave(2, 1).repeat_interleave(2, 2)
    coefficients = HaarTransform((1, 8, 8), 3).double().inverse(coarse.reshape(1, 64))[0][0]
    assert float(coefficients[scales[3]].abs().max()) < 1e-14
    assert float(coefficients[scales[2]].abs().min()) > 1e-4


@pytest.mark.parametrize(("shape", "levels"), [((1, 6, 8), 2), ((8, 8), 1), ((1, 8, 8), 0)])
def test_sides_that_cannot_be_halved_are_refused(shape: tuple[int, ...], levels: int) -> None:
    with pytest.raises(ValueError, match="halved"):
        HaarTransform(shape, levels)
