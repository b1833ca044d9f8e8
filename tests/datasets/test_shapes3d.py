from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from torchdisentangle.datasets.shapes3d import Shapes3D

h5py = pytest.importorskip("h5py", reason="needs h5py, of the extra datasets")

VALUES = ([0.0, 0.1], [0.0, 0.1, 0.2], [0.0, 0.5], [0.75, 1.25], [0.0, 1.0, 2.0, 3.0], [-30.0, 0.0, 30.0])
SIZES = tuple(map(len, VALUES))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A file as 3dshapes.h5: compressed uint8 images and float64 labels, which are values and not classes."""
    path = tmp_path_factory.mktemp("shapes3d") / "3dshapes.h5"
    labels = np.stack(np.meshgrid(*VALUES, indexing="ij"), axis=-1).reshape(-1, 6)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 64, 64, 3), dtype=np.uint8)
    with h5py.File(path, "w") as archive:
        archive.create_dataset("images", data=images, compression="gzip", compression_opts=1, chunks=(32, 64, 64, 3))
        archive.create_dataset("labels", data=labels)
    return path, images


@pytest.mark.parametrize("in_memory", [False, True])
def test_images_are_those_of_the_file_in_any_order_and_repeated(file: tuple[Path, np.ndarray], in_memory: bool) -> None:
    path, stored = file
    dataset = Shapes3D(path, in_memory=in_memory)
    assert dataset.factor_sizes == SIZES
    index = torch.tensor([5, 200, 5, 0, len(dataset) - 1, 17])
    wanted = torch.from_numpy(stored[index.numpy()].transpose(0, 3, 1, 2) / 255).float()
    torch.testing.assert_close(dataset.render(dataset.index_to_factors(index)), wanted)
    torch.testing.assert_close(dataset[200][0], wanted[1])


def test_workers_and_copies_open_the_file_themselves(file: tuple[Path, np.ndarray]) -> None:
    dataset = Shapes3D(file[0])
    image = dataset[3][0]
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[3][0], image)
    images = torch.cat([batch for batch, _ in DataLoader(dataset.sub_grid(wall_hue=0, scale=0), 8, num_workers=2)])
    assert torch.equal(images[3], image)
    assert len(images) == 48


def test_a_forked_process_does_not_share_the_handle(
    file: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Shapes3D(file[0])._images
    handle = images._open()
    assert images._open() is handle
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert images._open() is not handle


def test_other_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as archive:
        archive.create_dataset("images", data=np.zeros((1, 2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="no data set 'labels'"):
        Shapes3D(tmp_path / "other.h5")


def test_missing_h5py_is_named(file: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install torchdisentangle\[datasets\]"):
        Shapes3D(file[0])
