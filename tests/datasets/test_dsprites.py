from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from torchdisentangle.datasets.dsprites import DSprites

SIZES = (1, 3, 2, 4, 2, 3)  # colour first, as in the file


def write(path: Path, sizes: tuple[int, ...] = SIZES) -> np.ndarray:
    """A file as dSprites', which python 2 wrote: compressed, with classes, values, and a pickled description."""
    classes = np.indices(sizes).reshape(len(sizes), -1).T.astype(np.int64)
    images = np.random.default_rng(0).integers(0, 2, (len(classes), 64, 64), dtype=np.uint8)
    np.savez_compressed(
        path,
        metadata=np.array({"title": "sprites", "latents_sizes": np.array(sizes)}, dtype=object),
        imgs=images,
        latents_classes=classes,
        latents_values=classes / np.array(sizes),
    )
    return images


def test_images_and_factors_of_a_file_with_a_pickled_description(tmp_path: Path) -> None:
    stored = write(tmp_path / "dsprites.npz")
    dataset = DSprites(tmp_path / "dsprites.npz")
    assert dataset.factor_names == ("shape", "scale", "orientation", "x", "y")
    assert dataset.factor_sizes == SIZES[1:]
    for index in (0, 1, 77, len(dataset) - 1):
        image, factors = dataset[index]
        assert image.shape == (1, 64, 64)
        assert torch.equal(image[0], torch.from_numpy(stored[index]).float())
        assert factors.tolist() == list(np.unravel_index(index, SIZES[1:]))


def test_other_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "coloured.npz", (2, 3, 2, 4, 2, 3))
    with pytest.raises(ValueError, match="one colour, got 2"):
        DSprites(tmp_path / "coloured.npz")
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(ValueError, match="no array 'imgs'"):
        DSprites(str(tmp_path / "other.npz"))
    with pytest.raises(FileNotFoundError):
        DSprites(tmp_path / "nowhere.npz")
