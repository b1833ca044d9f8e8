from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from torchdisentangle.datasets.cars3d import Cars3D


def write(folder: Path, cars: int, size: int = 128) -> np.ndarray:
    """Files as Cars3D's, with the views in the last two dimensions; (car, height, width, 3, azimuth, elevation)."""
    stored = np.random.default_rng(0).integers(0, 256, (cars, size, size, 3, 6, 4), dtype=np.uint8)
    for number in reversed(range(cars)):  # the order in which they are written is not that of their names
        savemat(folder / f"car_{number:03d}_mesh.mat", {"im": stored[number]}, do_compression=True)
    (folder / "list.txt").write_text("car_000_mesh\n")
    return stored


def test_factors_are_elevation_azimuth_and_object(tmp_path: Path) -> None:
    stored = write(tmp_path, cars=3)
    dataset = Cars3D(tmp_path, image_size=128)
    assert dataset.factor_sizes == (4, 6, 3)
    factors = dataset.sample_factors(10, torch.Generator().manual_seed(0))
    for image, (elevation, azimuth, car) in zip(dataset.render(factors), factors.tolist(), strict=True):
        wanted = stored[car, ..., azimuth, elevation].transpose(2, 0, 1) / 255
        torch.testing.assert_close(image, torch.from_numpy(wanted).float())


def test_images_are_brought_to_64_pixels(tmp_path: Path) -> None:
    write(tmp_path, cars=1)
    large, small = Cars3D(tmp_path, image_size=128)[7][0], Cars3D(tmp_path)[7][0]
    assert small.shape == (3, 64, 64)
    # Halving noise of deviation 74 / 255 keeps its mean up to what the border's pixels weigh less: 1 % of them.
    assert small.mean().item() == pytest.approx(large.mean().item(), abs=0.01)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.mat files"):
        Cars3D(tmp_path)
    savemat(tmp_path / "a.mat", {"im": np.zeros((8, 8, 3, 2), np.uint8)})
    with pytest.raises(ValueError, match="array 'im'"):
        Cars3D(tmp_path)
    for name, azimuths in (("a", 2), ("b", 3)):
        savemat(tmp_path / f"{name}.mat", {"im": np.zeros((8, 8, 3, azimuths, 2), np.uint8)})
    with pytest.raises(ValueError, match="same views"):
        Cars3D(tmp_path)
