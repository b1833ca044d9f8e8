"""MPI3D in its four versions, from their ``.npz`` files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torchdisentangle.datasets.download import RemoteFile, download_file
from torchdisentangle.datasets.stored import StoredFactorDataset, read_npz

RELEASED_SIZES = {
    1_036_800: (6, 6, 2, 3, 3, 40, 40),
    460_800: (4, 4, 2, 3, 3, 40, 40),
}

FILES = {
    name: RemoteFile((f"https://storage.googleapis.com/disentanglement_dataset/Final_Dataset/{name}",), md5)
    for name, md5 in {
        "mpi3d_toy.npz": "55889cb7c7dfc655d6e0277beee88868",
        "mpi3d_realistic.npz": "59a6225b88b635365f70c91b3e52f70f",
        "mpi3d_real.npz": "0f33f609918fb5c97996692f91129802",
    }.items()
}


class MPI3D(StoredFactorDataset):
    """Colour 64x64 images of objects on a robot arm: MPI3D toy, realistic, real or complex.

    Factors and sizes: object colour 6 (4), object shape 6 (4), object size 2, camera height 3, background colour 3,
    horizontal axis 40, vertical axis 40. The sizes in brackets are those of the complex objects and of the first
    release. All seven are scored, but scores on grids of different sizes cannot be compared. The images are held in
    memory (13 GB, or 6 GB).

    Args:
        path: of the file, with an array ``images`` (N, 64, 64, 3), the last factor varying fastest.
        factor_sizes: number of values of each factor; by default told by the number of images.
        download: download the file (up to 12 GB) to ``path``, unless it is there. The name of ``path`` says which:
            ``mpi3d_toy.npz``, ``mpi3d_realistic.npz`` or ``mpi3d_real.npz``. The complex objects are published in a
            way that only a browser can follow.

    Raises:
        ValueError: if the file is not of this form, the number of images does not tell the sizes, or none of
            the files that can be downloaded has this name.
        ConnectionError: if the file cannot be downloaded.

    Reference:
        Gondal et al., *On the Transfer of Inductive Bias from Simulation to the Real World: a New Disentanglement
        Dataset*, NeurIPS 2019.

    Example:
        >>> dataset = MPI3D("mpi3d_toy.npz")  # doctest: +SKIP
        >>> dataset.factor_sizes  # doctest: +SKIP
        (6, 6, 2, 3, 3, 40, 40)
    """

    factor_names: tuple[str, ...] = (
        "object_color",
        "object_shape",
        "object_size",
        "camera_height",
        "background_color",
        "horizontal_axis",
        "vertical_axis",
    )

    def __init__(self, path: str | Path, *, factor_sizes: Sequence[int] | None = None, download: bool = False) -> None:
        if download and not Path(path).exists():
            if Path(path).name not in FILES:
                raise ValueError(f"can download {sorted(FILES)}, got the path {path}")
            download_file(FILES[Path(path).name], Path(path))
        (images,) = read_npz(path, "images", max_bytes=2**34)
        if factor_sizes is None:
            if len(images) not in RELEASED_SIZES:
                raise ValueError(
                    f"{path} has {len(images)} images, the released versions {sorted(RELEASED_SIZES)}; "
                    "say what the factor_sizes are"
                )
            factor_sizes = RELEASED_SIZES[len(images)]
        super().__init__(images, factor_sizes)
