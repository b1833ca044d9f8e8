"""dSprites, from its ``.npz`` file."""

from __future__ import annotations

from pathlib import Path

from torchdisentangle.datasets.stored import StoredFactorDataset, grid_of_labels, read_npz


class DSprites(StoredFactorDataset):
    """The 737,280 binary 64x64 images of dSprites, read from ``dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz``.

    Factors and sizes: shape 3 (square, ellipse, heart), scale 6, orientation 40, x 32, y 32; the colour, which is
    always white, is left out. The images are held in memory (3 GB). The file's pickled description is not read.

    Which factors are scored differs between papers: Chen et al. (MIG) leave the shape out, Locatello et al. score all
    five. Scores of different sets of factors cannot be compared; choose columns of the factors, and say which.

    Args:
        path: of the file, with arrays ``imgs`` (N, 64, 64), 0 or 1, and ``latents_classes`` (N, 6), colour first.

    Raises:
        ValueError: if the file is not of this form.

    Reference:
        Matthey et al., *dSprites: Disentanglement testing Sprites dataset*, 2017.

    Example:
        >>> dataset = DSprites("dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz")  # doctest: +SKIP
        >>> dataset.factor_sizes  # doctest: +SKIP
        (3, 6, 40, 32, 32)
    """

    factor_names = ("shape", "scale", "orientation", "x", "y")

    def __init__(self, path: str | Path) -> None:
        images, classes = read_npz(path, "imgs", "latents_classes")
        (colours, *sizes), order = grid_of_labels(classes)
        if colours != 1:
            raise ValueError(f"want sprites of one colour, got {colours}")
        super().__init__(images, sizes, order, white=1)
