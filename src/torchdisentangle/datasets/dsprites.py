"""dSprites, from its ``.npz`` file."""

from __future__ import annotations

from pathlib import Path

from torchdisentangle.datasets.download import RemoteFile, download_file
from torchdisentangle.datasets.stored import StoredFactorDataset, grid_of_labels, naming, read_npz

FILE = RemoteFile(
    (
        "https://raw.githubusercontent.com/google-deepmind/dsprites-dataset/master/"
        "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
    ),
    md5="7da33b31b13a06f4b04a70402ce90c2e",
)


class DSprites(StoredFactorDataset):
    """The 737,280 binary 64x64 images of dSprites, read from ``dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz``.

    Factors and sizes: shape 3 (square, ellipse, heart), scale 6, orientation 40, x 32, y 32; the colour, which is
    always white, is left out. The images are held in memory (3 GB). The file's pickled description is not read.

    Which factors are scored differs between papers: Chen et al. (MIG) leave the shape out, Locatello et al. score all
    five. Scores of different sets of factors cannot be compared; choose columns of the factors, and say which.

    Args:
        path: of the file, with arrays ``imgs`` (N, 64, 64), 0 or 1, and ``latents_classes`` (N, 6), colour first.
        download: download the file (27 MB) to ``path``, unless it is there.

    Raises:
        ValueError: if the file is not of this form.
        ConnectionError: if it cannot be downloaded.

    Reference:
        Matthey et al., *dSprites: Disentanglement testing Sprites dataset*, 2017.

    Example:
        >>> dataset = DSprites("dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz")  # doctest: +SKIP
        >>> dataset.factor_sizes  # doctest: +SKIP
        (3, 6, 40, 32, 32)
    """

    factor_names: tuple[str, ...] = ("shape", "scale", "orientation", "x", "y")

    def __init__(self, path: str | Path, *, download: bool = False) -> None:
        if download:
            download_file(FILE, Path(path))
        images, classes = read_npz(path, "imgs", "latents_classes")
        with naming(path):
            (colours, *sizes), order = grid_of_labels(classes)
            if colours != 1:
                raise ValueError(f"want sprites of one colour, got {colours}")
            super().__init__(images, sizes, order, white=1)
