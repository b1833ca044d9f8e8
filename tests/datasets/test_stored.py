from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from torchdisentangle.datasets.stored import StoredFactorDataset, grid_of_labels, read_npz, resized


class Shelf(StoredFactorDataset):
    factor_names = ("row", "column")


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_images_are_found_in_any_order_and_scaled(channels: tuple[int, ...]) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (6, 4, 5, *channels), dtype=np.uint8)
    order = np.array([3, 1, 5, 0, 2, 4])
    dataset = Shelf(stored, (2, 3), order)
    for index in range(6):
        image, factors = dataset[index]
        assert factors.tolist() == [index // 3, index % 3]
        wanted = stored[order[index]].reshape(4, 5, -1).transpose(2, 0, 1) / 255
        torch.testing.assert_close(image, torch.from_numpy(wanted).float())
    assert image.shape == (channels[0] if channels else 1, 4, 5)


def test_labels_of_a_shuffled_grid_tell_sizes_and_order() -> None:
    rng = np.random.default_rng(0)
    values = [np.sort(rng.choice(100, size, replace=False)) for size in (2, 3, 4)]
    grid = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(24, 3)
    shuffled = rng.permutation(24)
    sizes, order = grid_of_labels(grid[shuffled])
    assert sizes == (2, 3, 4)
    np.testing.assert_array_equal(grid[shuffled][order], grid)


@pytest.mark.parametrize(
    "labels", [[[0, 0], [0, 1], [1, 0]], [[0, 0], [0, 1], [1, 0], [1, 0]], [[0, 0], [0, 1], [1, 0], [1, 1], [1, 1]]]
)
def test_incomplete_or_repeated_grids_are_refused(labels: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="each of the 4 combinations"):
        grid_of_labels(np.array(labels))


def test_resizing_keeps_constants_and_the_mean_and_averages_footprints() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 96, 96), dtype=np.uint8)
    small = resized(images, 64)
    assert small.dtype == np.uint8
    # The weights of a pixel's footprint sum to 1 for every target pixel, and nearly for every source pixel: the
    # border's count less. The standard error of a mean over 96^2 pixels of deviation 74 is 0.8.
    np.testing.assert_allclose(small.mean((1, 2)), images.mean((1, 2)), atol=2)
    assert small.std() < 0.75 * images.std()  # averaged, not picked
    assert (resized(np.full((2, 96, 96, 3), 200, dtype=np.uint8), 64) == 200).all()
    assert resized(images, 96) is images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 4, 4), np.uint8), "6 combinations, but there are 5"),
        (np.zeros((6, 4, 4), np.float32), "uint8"),
        (np.zeros((6, 16), np.uint8), r"\(N, H, W\)"),
    ],
)
def test_bad_images_are_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Shelf(images, (2, 3))


def test_reading_touches_the_named_arrays_only(tmp_path: Path) -> None:
    file = tmp_path / "file.npz"
    np.savez(file, numbers=np.arange(3), pickled=np.array({"a": 1}, dtype=object))
    assert read_npz(file, "numbers")[0].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="no array 'letters'"):
        read_npz(file, "numbers", "letters")
    with pytest.raises(ValueError, match="allow_pickle"):
        read_npz(file, "pickled")
    np.save(tmp_path / "single.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"not an \.npz archive"):
        read_npz(tmp_path / "single.npy", "numbers")
