"""LightningDataModules: data with known factors, handwritten digits, two moons, split into disjoint parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from torchdisentangle.datasets import (
    CorrelatedFactors,
    FactorDataset,
    handwritten_digits,
    joint_distribution,
    two_moons,
)
from torchdisentangle.lightning_package import LIGHTNING

if TYPE_CHECKING:
    import lightning as L
else:
    L = import_module(LIGHTNING)

Split = Literal["train", "validation", "test"]
Pair = tuple[str, str, Literal["uniform", "nonuniform", "dependent", "correlated"], float]


class SplitDataModule(L.LightningDataModule):
    """Base of data modules that hand out three disjoint parts of data.

    A subclass defines :meth:`split`, whose parts must be the same whenever and on whatever process it is called.
    Training batches are shuffled and all full, for what is estimated within a batch gets worse in small ones; the
    others are in order and hold every row.

    Args:
        batch_size: rows of a batch.
        num_workers: processes that load data.

    Raises:
        ValueError: if ``batch_size`` is not positive.

    Example:
        >>> class Numbers(SplitDataModule):
        ...     def split(self):
        ...         return {"train": range(80), "validation": range(80, 100)}
        >>> data = Numbers(batch_size=32)
        >>> data.setup()
        >>> len(data.train_dataloader()), len(data.val_dataloader())
        (2, 1)
    """

    def __init__(self, batch_size: int = 64, num_workers: int = 0) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, got {batch_size}")
        self.batch_size = batch_size
        self.num_workers = num_workers
        self._parts: Mapping[Split, Dataset[Any]] = {}

    def split(self) -> Mapping[Split, Dataset[Any]]:
        """The parts: ``train``, ``validation``, and ``test`` if there is one."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Make the parts."""
        self._parts = self._parts or self.split()

    def train_dataloader(self) -> DataLoader[Any]:
        """Full batches of the training data, shuffled; one smaller batch if there is no full one."""
        return self._loader("train", shuffle=True, drop_last=len(self.part("train")) >= self.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        """All validation data, in order."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader[Any]:
        """All test data, in order."""
        return self._loader("test")

    def part(self, name: Split) -> Any:
        """One of the parts, once they are set up.

        Raises:
            ValueError: if there is no such part.
        """
        self.setup()
        if name not in self._parts:
            raise ValueError(f"{type(self).__name__} has no {name} data: it was made with {', '.join(self._parts)}")
        return self._parts[name]

    def _loader(self, name: Split, **settings: Any) -> DataLoader[Any]:
        return DataLoader(
            self.part(name),
            self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            **settings,
        )


class FactorDataModule(SplitDataModule):
    r"""A data set with known factors, split at random; batches are ``(images, factors)``.

    With ``correlated`` the training data are drawn, with replacement and from what is not in the other parts, with
    probability proportional to :math:`\prod p_{jk}(f_j, f_k)`; the other parts stay uniform, so that models trained on
    biased data are judged on unbiased ones.

    Args:
        dataset: with the factors.
        train: number of training data (an integer), or fraction of the data set (a float).
        validation: likewise.
        test: likewise; 0: no test data.
        batch_size: rows of a batch.
        seed: of the split and the draw.
        correlated: pairs of factors that depend on each other in training, each ``(first, second, kind, width)`` as for
            :func:`~torchdisentangle.datasets.joint_distribution`.
        num_workers: processes that load data.

    Raises:
        ValueError: if the parts are empty or larger than the data set, or there are no such factors.

    Reference:
        Chen et al., *Isolating Sources of Disentanglement in Variational Autoencoders*, NeurIPS 2018, for training on
        dependent factors.

    Example:
        >>> from torchdisentangle.datasets import Sprites
        >>> dataset = Sprites(image_size=16, antialias=True, factor_sizes=(2, 4, 4, 4))
        >>> data = FactorDataModule(dataset, train=320, validation=0.1, correlated=[("x", "y", "correlated", 0.4)])
        >>> images, factors = next(iter(data.train_dataloader()))
        >>> images.shape, factors.shape, len(data.part("train")), len(data.part("validation"))
        (torch.Size([64, 1, 16, 16]), torch.Size([64, 5]), 320, 38)
    """

    train: int
    validation: int
    test: int

    def __init__(
        self,
        dataset: FactorDataset,
        train: int | float = 0.8,
        validation: int | float = 0.1,
        test: int | float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
        correlated: Sequence[Pair] = (),
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers)
        names = [pair[:2] for pair in correlated]
        joints = [joint_distribution(kind, _sizes(dataset, pair), width) for *pair, kind, width in correlated]
        self.dataset = dataset
        self.seed = seed
        self.distribution: CorrelatedFactors | None = (
            CorrelatedFactors(dataset, dict(zip(names, joints, strict=True))) if correlated else None
        )
        self.train, self.validation, self.test = (_count(part, len(dataset)) for part in (train, validation, test))
        held = self.validation + self.test
        if min(self.train, self.validation) < 1 or self.test < 0 or held + self.train * (not correlated) > len(dataset):
            raise ValueError(
                f"{self.train} training, {self.validation} validation and {self.test} test data cannot be taken from "
                f"{len(dataset)}"
            )

    def split(self) -> dict[Split, Dataset[Any]]:
        """Random parts, the same for the same seed."""
        generator = torch.Generator().manual_seed(self.seed)
        validation, test, rest = torch.randperm(len(self.dataset), generator=generator).split(
            [self.validation, self.test, len(self.dataset) - self.validation - self.test]
        )
        if self.distribution is not None:
            weights = self.distribution.probability(self.dataset.index_to_factors(rest))
            rest = rest[weights.multinomial(self.train, replacement=True, generator=generator)]
        parts: dict[Split, Tensor] = {"train": rest[: self.train], "validation": validation, "test": test}
        return {name: Subset(self.dataset, index.tolist()) for name, index in parts.items() if len(index)}


class DigitsDataModule(SplitDataModule):
    """scikit-learn's handwritten digits: batches are ``(images, digits)`` of 1,437 training and 360 validation data.

    Args:
        batch_size: rows of a batch.
        seed: of the split.
        num_workers: processes that load data.

    Raises:
        ImportError: if scikit-learn is missing.

    Example:
        >>> images, digits = next(iter(DigitsDataModule(batch_size=32).val_dataloader()))
        >>> images.shape, digits.shape
        (torch.Size([32, 1, 8, 8]), torch.Size([32]))
    """

    def __init__(self, batch_size: int = 64, seed: int = 0, num_workers: int = 0) -> None:
        super().__init__(batch_size, num_workers)
        self.seed = seed

    def split(self) -> dict[Split, Dataset[Any]]:
        """The split of :func:`~torchdisentangle.datasets.handwritten_digits`."""
        return {name: handwritten_digits(name, self.seed) for name in ("train", "validation")}


class TwoMoonsDataModule(SplitDataModule):
    """Two moons: batches are one-element lists of points ``(B, 2)``.

    Args:
        train: number of training data.
        validation: number of validation data.
        noise: standard deviation of the points around their half circles.
        batch_size: rows of a batch.
        seed: of the points.
        num_workers: processes that load data.

    Raises:
        ValueError: if there are no data, or the noise is negative.

    Example:
        >>> (points,) = next(iter(TwoMoonsDataModule(train=512, batch_size=256).train_dataloader()))
        >>> points.shape
        torch.Size([256, 2])
    """

    def __init__(
        self,
        train: int = 4096,
        validation: int = 1024,
        noise: float = 0.1,
        batch_size: int = 256,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers)
        if min(train, validation) < 1 or noise < 0:
            raise ValueError(f"data and noise >= 0 are needed, got {train}, {validation} and {noise}")
        self.train = train
        self.validation = validation
        self.noise = noise
        self.seed = seed

    def split(self) -> dict[Split, Dataset[Any]]:
        """The first points for training, the last for validation."""
        points = two_moons(self.train + self.validation, self.noise, self.seed)
        return {"train": TensorDataset(points[: self.train]), "validation": TensorDataset(points[self.train :])}


def _count(part: int | float, total: int) -> int:
    return part if isinstance(part, int) else int(part * total)


def _sizes(dataset: FactorDataset, pair: Sequence[str]) -> tuple[int, int]:
    first, second = (dataset.factor_sizes[dataset.factor_index(name)] for name in pair)
    return first, second
