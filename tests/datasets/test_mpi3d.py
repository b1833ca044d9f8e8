from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from torchdisentangle.datasets.mpi3d import MPI3D, RELEASED_SIZES

SIZES = (2, 2, 2, 3, 1, 2, 3)


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, np.ndarray]:
    stored = np.random.default_rng(0).integers(0, 256, (math.prod(SIZES), 64, 64, 3), dtype=np.uint8)
    np.savez(tmp_path / "mpi3d.npz", images=stored)
    return tmp_path / "mpi3d.npz", stored


def test_images_are_in_the_order_of_the_factors(file: tuple[Path, np.ndarray]) -> None:
    path, stored = file
    dataset = MPI3D(path, factor_sizes=SIZES)
    grid = stored.reshape(*SIZES, 64, 64, 3)
    factors = dataset.sample_factors(10, torch.Generator().manual_seed(0))
    for image, row in zip(dataset.render(factors), factors.tolist(), strict=True):
        torch.testing.assert_close(image, torch.from_numpy(grid[tuple(row)].transpose(2, 0, 1) / 255).float())


def test_released_sizes_make_the_released_numbers_of_images() -> None:
    assert all(math.prod(sizes) == number for number, sizes in RELEASED_SIZES.items())


def test_other_numbers_of_images_need_sizes_that_fit(file: tuple[Path, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="say what the factor_sizes are"):
        MPI3D(file[0])
    with pytest.raises(ValueError, match="4 combinations, but there are 144"):
        MPI3D(file[0], factor_sizes=(2, 2, 1, 1, 1, 1, 1))
