"""Data sets whose images are a known function of a few discrete factors, one image for every combination."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset


class FactorDataset(Dataset[tuple[Tensor, Tensor]], ABC):
    r"""Base of data sets with known factors: all combinations of :math:`K` discrete factors, each exactly once.

    Image :math:`i` shows the factors that are the digits of :math:`i` in the mixed radix of the factor sizes
    :math:`V_1, \dots, V_K`, the last factor varying fastest:

    .. math::

        i = \sum_{k=1}^K f_k \prod_{l > k} V_l , \qquad 0 \le f_k < V_k .

    Subclasses name the factors, and define :meth:`render`. Items are pairs ``(image, factors)``: float32 values in
    :math:`[0, 1]` of shape :math:`(C, H, W)`, and int64 factors of shape :math:`(K,)`.

    Args:
        factor_sizes: number of values of each factor, in the order of ``factor_names``.

    Raises:
        ValueError: if there is not one positive size for every name.

    Reference:
        Locatello et al., *Challenging Common Assumptions in the Unsupervised Learning of Disentangled
        Representations*, ICML 2019, section 5 (ground-truth factors, interventional sampling).

    Example:
        >>> from torchdisentangle.datasets.sprites import Sprites
        >>> dataset = Sprites(image_size=16)
        >>> len(dataset), dataset.factor_names
        (737280, ('shape', 'scale', 'orientation', 'x', 'y'))
        >>> image, factors = dataset[1]
        >>> image.shape, factors
        (torch.Size([1, 16, 16]), tensor([0, 0, 0, 0, 1]))
    """

    factor_names: tuple[str, ...]

    def __init__(self, factor_sizes: Sequence[int]) -> None:
        sizes = tuple(int(size) for size in factor_sizes)
        if len(sizes) != len(self.factor_names) or min(sizes) < 1:
            raise ValueError(f"want a positive size for each of the factors {self.factor_names}, got {sizes}")
        self.factor_sizes = sizes
        self._strides = tuple(math.prod(sizes[k + 1 :]) for k in range(len(sizes)))

    @abstractmethod
    def render(self, factors: Tensor) -> Tensor:
        """Images of the given factors.

        Args:
            factors: integers of shape :math:`(N, K)`.

        Returns:
            Float32 images in :math:`[0, 1]`, of shape :math:`(N, C, H, W)`, on the factors' device.

        Raises:
            ValueError: if the factors have another shape, or a value outside its factor's range.
        """

    @property
    def num_factors(self) -> int:
        """Number of factors :math:`K`."""
        return len(self.factor_sizes)

    def __len__(self) -> int:
        return math.prod(self.factor_sizes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is outside a data set of {len(self)} images")
        factors = self.index_to_factors(torch.tensor([index % len(self)]))
        return self.render(factors)[0], factors[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        """Items of a whole batch, rendered at once; PyTorch's ``DataLoader`` uses it where it is defined."""
        factors = self.index_to_factors(torch.tensor(indices))
        return list(zip(self.render(factors), factors, strict=True))

    def factor_index(self, factor: int | str) -> int:
        """Position of a factor that is given by its name or its position.

        Args:
            factor: one of ``factor_names``, or a position, which may count from the end.

        Returns:
            The position, in ``range(num_factors)``.

        Raises:
            ValueError: if there is no such factor.
        """
        if isinstance(factor, str):
            if factor not in self.factor_names:
                raise ValueError(f"no factor {factor!r}; the factors are {self.factor_names}")
            return self.factor_names.index(factor)
        if not -self.num_factors <= factor < self.num_factors:
            raise ValueError(f"no factor at position {factor}; there are {self.num_factors}: {self.factor_names}")
        return factor % self.num_factors

    def factors_to_index(self, factors: Tensor) -> Tensor:
        """Index of the image with the given factors, the inverse of :meth:`index_to_factors`.

        Args:
            factors: integers of shape :math:`(N, K)`.

        Returns:
            Indices of shape :math:`(N,)`.

        Raises:
            ValueError: if the factors have another shape, or a value outside its factor's range.
        """
        self._check(factors)
        return (factors * torch.tensor(self._strides, device=factors.device)).sum(1)

    def index_to_factors(self, index: Tensor) -> Tensor:
        """Factors of the images with the given indices, the inverse of :meth:`factors_to_index`.

        Args:
            index: integers of shape :math:`(N,)`.

        Returns:
            Factors of shape :math:`(N, K)`.

        Raises:
            ValueError: if an index is outside the data set, or the indices are not a vector of integers.
        """
        if index.ndim != 1 or index.is_floating_point() or index.is_complex() or index.dtype is torch.bool:
            raise ValueError(f"want a vector of integers, got shape {tuple(index.shape)} of {index.dtype}")
        if index.numel() and not (int(index.min()) >= 0 and int(index.max()) < len(self)):
            raise ValueError(f"indices must be in [0, {len(self)}), got {int(index.min())} to {int(index.max())}")
        columns = [index.long() // stride % size for stride, size in zip(self._strides, self.factor_sizes, strict=True)]
        return torch.stack(columns, dim=1)

    def sample_factors(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Factors that are independent, each uniform over its values.

        Args:
            n: number of samples.
            generator: source of the random numbers; by default PyTorch's global one.

        Returns:
            Factors of shape :math:`(n, K)`, on the generator's device.
        """
        return torch.stack([_randint(size, n, generator) for size in self.factor_sizes], dim=1)

    def sample_fixed(
        self, factor: int | str, n: int, generator: torch.Generator | None = None, value: int | None = None
    ) -> Tensor:
        """Factors of which one has the same value in all samples, as for the beta-VAE and FactorVAE scores.

        Args:
            factor: name or position of the factor that is held.
            n: number of samples.
            generator: source of the random numbers; by default PyTorch's global one.
            value: what the factor is held at; by default a random value.

        Returns:
            Factors of shape :math:`(n, K)`, the other factors independent and uniform.

        Raises:
            ValueError: if there is no such factor or value.

        Reference:
            Kim and Mnih, *Disentangling by Factorising*, ICML 2018, section 4.
        """
        k = self.factor_index(factor)
        if value is None:
            value = int(_randint(self.factor_sizes[k], 1, generator))
        if not 0 <= value < self.factor_sizes[k]:
            raise ValueError(f"{self.factor_names[k]} has values 0 to {self.factor_sizes[k] - 1}, got {value}")
        factors = self.sample_factors(n, generator)
        factors[:, k] = value
        return factors

    def sub_grid(self, **values: int | slice | Sequence[int]) -> FactorSubGrid:
        """The data set of some values of some factors, all combinations with the other factors kept.

        Args:
            **values: for each restricted factor the values to keep: one, a slice, or a sequence of them.

        Returns:
            A data set with the same factors, each counted from 0 in the sub-grid.

        Raises:
            ValueError: if there is no such factor or value, or no value is left.

        Example:
            >>> from torchdisentangle.datasets.sprites import Sprites
            >>> hearts = Sprites().sub_grid(shape=2, orientation=slice(None, None, 2))
            >>> hearts.factor_sizes
            (1, 6, 20, 32, 32)
        """
        return FactorSubGrid(self, values)

    def _check(self, factors: Tensor) -> None:
        if factors.ndim != 2 or factors.shape[1] != self.num_factors:
            raise ValueError(f"want factors of shape (N, {self.num_factors}), got {tuple(factors.shape)}")
        if factors.is_floating_point() or factors.is_complex() or factors.dtype is torch.bool:
            raise ValueError(f"want integer factors, got {factors.dtype}")
        outside = (factors < 0) | (factors >= torch.tensor(self.factor_sizes, device=factors.device))
        if outside.any():
            k = int(outside.any(0).nonzero()[0])
            got = int(factors[outside[:, k], k][0])
            raise ValueError(f"{self.factor_names[k]} has values 0 to {self.factor_sizes[k] - 1}, got {got}")


class FactorSubGrid(FactorDataset):
    """A sub-grid of a data set with known factors, made by :meth:`FactorDataset.sub_grid`.

    Args:
        parent: the data set of which it is a part.
        values: for each restricted factor the parent's values to keep.

    Raises:
        ValueError: if there is no such factor or value, a value is given twice, or none is left.
    """

    def __init__(self, parent: FactorDataset, values: dict[str, int | slice | Sequence[int]]) -> None:
        self.factor_names: tuple[str, ...] = parent.factor_names
        kept = [torch.arange(size) for size in parent.factor_sizes]
        for name, choice in values.items():
            k = parent.factor_index(name)
            kept[k] = _choose(name, choice, parent.factor_sizes[k])
        super().__init__([len(column) for column in kept])
        self.parent = parent
        self._kept = kept

    def parent_factors(self, factors: Tensor) -> Tensor:
        """The parent's factors of the same images.

        Args:
            factors: factors of the sub-grid, integers of shape :math:`(N, K)`.

        Returns:
            Factors of the parent, of shape :math:`(N, K)`.

        Raises:
            ValueError: if the factors have another shape, or a value outside its factor's range.
        """
        self._check(factors)
        columns = [kept.to(factors.device)[factors[:, k].long()] for k, kept in enumerate(self._kept)]
        return torch.stack(columns, dim=1)

    def render(self, factors: Tensor) -> Tensor:
        return self.parent.render(self.parent_factors(factors))


def _choose(name: str, choice: int | slice | Sequence[int], size: int) -> Tensor:
    if isinstance(choice, slice):
        choice = range(size)[choice]
    kept = torch.tensor([choice] if isinstance(choice, int) else list(choice), dtype=torch.long)
    if kept.numel() == 0 or int(kept.min()) < 0 or int(kept.max()) >= size or kept.unique().numel() != kept.numel():
        raise ValueError(f"want one or more different values of {name} between 0 and {size - 1}, got {choice!r}")
    return kept


def _randint(high: int, n: int, generator: torch.Generator | None) -> Tensor:
    device = generator.device if generator is not None else None
    return torch.randint(high, (n,), generator=generator, device=device)
