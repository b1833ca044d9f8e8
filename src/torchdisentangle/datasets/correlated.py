"""Draws from a data set with known factors in which some pairs of factors depend on each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Sampler

from torchdisentangle.datasets.factors import FactorDataset


def joint_distribution(
    kind: Literal["uniform", "nonuniform", "dependent", "correlated"], sizes: tuple[int, int], width: float = 0.4
) -> Tensor:
    r"""Joint distribution of two factors with a known kind of bias.

    With the values of both factors spread evenly over :math:`s, t \in [-1, 1]` and :math:`\sigma` the width, the
    probability is proportional to

    .. math::

        \begin{aligned}
        \text{uniform:} \quad & 1 \\
        \text{nonuniform:} \quad & \exp(-(s^2 + t^2) / 2 \sigma^2) \\
        \text{dependent:} \quad & \exp(-(|s| - |t|)^2 / 2 \sigma^2) \\
        \text{correlated:} \quad & \exp(-(s - t)^2 / 2 \sigma^2)
        \end{aligned}

    They are of the kinds A to D of Chen et al.: uniform and independent; with non-uniform marginals, but independent;
    uncorrelated, but dependent; and correlated. That paper shows its densities in a figure only, so the formulas here
    are not theirs; the last one is Träuble et al.'s.

    Args:
        kind: one of the four.
        sizes: number of values of the two factors.
        width: how far the distribution spreads; the smaller, the stronger is the bias.

    Returns:
        Float64 probabilities of shape ``sizes``, which sum to 1.

    Raises:
        ValueError: if the kind is not one of these, or a size or the width is not positive.

    Reference:
        Chen et al., *Isolating Sources of Disentanglement in Variational Autoencoders*, NeurIPS 2018, section 5.2;
        Träuble et al., *On Disentangled Representations Learned from Correlated Data*, ICML 2021, section 3.

    Example:
        >>> joint_distribution("correlated", (3, 3), width=0.5).round(decimals=3)
        tensor([[0.2820, 0.0380, 0.0000],
                [0.0380, 0.2820, 0.0380],
                [0.0000, 0.0380, 0.2820]], dtype=torch.float64)
    """
    if min(sizes) < 1 or width <= 0:
        raise ValueError(f"sizes and width must be positive, got {sizes} and {width}")
    s, t = _spread(sizes[0])[:, None], _spread(sizes[1])[None, :]
    squares = {
        "uniform": torch.zeros(sizes, dtype=torch.float64),
        "nonuniform": s**2 + t**2,
        "dependent": (s.abs() - t.abs()) ** 2,
        "correlated": (s - t) ** 2,
    }
    if kind not in squares:
        raise ValueError(f"kind must be one of {sorted(squares)}, got {kind!r}")
    density = (-squares[kind] / (2 * width**2)).exp()
    return density / density.sum()


class CorrelatedFactors:
    r"""A distribution over a data set's factors in which some pairs have given joint distributions.

    .. math::

        p(f) = \prod_{(j, k)\ \text{paired}} p_{jk}(f_j, f_k) \prod_{l\ \text{unpaired}} \frac{1}{V_l}

    Args:
        dataset: whose factors they are.
        joints: for each pair of factor names a matrix of non-negative weights with one row for each value of the
            first and one column for each of the second; it need not sum to 1.

    Raises:
        ValueError: if there is no such factor, a factor is in two pairs, or a matrix has another shape, a negative or
            non-finite weight, or no positive one.

    Reference:
        Chen et al., *Isolating Sources of Disentanglement in Variational Autoencoders*, NeurIPS 2018, section 5.2.

    Example:
        >>> from torchdisentangle.datasets.sprites import Sprites
        >>> dataset = Sprites(image_size=16)
        >>> biased = CorrelatedFactors(dataset, {("x", "y"): joint_distribution("correlated", (32, 32), width=0.1)})
        >>> factors = biased.sample_factors(1000, torch.Generator().manual_seed(0))
        >>> bool(torch.corrcoef(factors[:, 3:].T)[0, 1] > 0.9)
        True
    """

    def __init__(self, dataset: FactorDataset, joints: Mapping[tuple[str, str], Tensor]) -> None:
        self.dataset = dataset
        self._joints: list[tuple[int, int, Tensor]] = []
        paired: set[int] = set()
        for names, weights in joints.items():
            first, second = (dataset.factor_index(name) for name in names)
            if first == second or paired & {first, second}:
                raise ValueError(f"a factor can be in one pair only, and not with itself, got {list(joints)}")
            paired |= {first, second}
            wanted = (dataset.factor_sizes[first], dataset.factor_sizes[second])
            if tuple(weights.shape) != wanted:
                raise ValueError(f"want weights of shape {wanted} for {names}, got {tuple(weights.shape)}")
            weights = weights.detach().to("cpu", torch.float64)
            if not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
                raise ValueError(f"want finite weights of {names}, none negative and not all zero")
            self._joints.append((first, second, weights / weights.sum()))

    def sample_factors(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Factors from this distribution, as :meth:`FactorDataset.sample_factors` gives them from the uniform one.

        Args:
            n: number of samples.
            generator: source of the random numbers; by default PyTorch's global one.

        Returns:
            Factors of shape :math:`(n, K)`, on the generator's device.
        """
        factors = self.dataset.sample_factors(n, generator)
        for first, second, joint in self._joints:
            weights = joint.flatten().to(factors.device)
            drawn = torch.multinomial(weights, n, replacement=True, generator=generator) if n else factors[:, 0]
            factors[:, first] = drawn // joint.shape[1]
            factors[:, second] = drawn % joint.shape[1]
        return factors

    def probability(self, factors: Tensor) -> Tensor:
        """Probability of every given combination, for instance as weights of a metric's sum over the data set.

        Args:
            factors: integers of shape :math:`(N, K)`.

        Returns:
            Float64 probabilities of shape :math:`(N,)`; over the whole data set they sum to 1.

        Raises:
            ValueError: if the factors have another shape, or a value outside its factor's range.
        """
        uniform = 1 / len(self.dataset)
        self.dataset.factors_to_index(factors)  # refuses what is outside
        probability = torch.full((len(factors),), uniform, dtype=torch.float64, device=factors.device)
        for first, second, joint in self._joints:
            relative = joint.to(factors.device) * joint.numel()  # to the uniform distribution of this pair
            probability *= relative[factors[:, first].long(), factors[:, second].long()]
        return probability


class CorrelatedSampler(Sampler[int]):
    """Indices of images whose factors are drawn from a distribution, for a ``DataLoader``; new ones in every epoch.

    Args:
        distribution: of the factors.
        num_samples: how many indices make an epoch; by default as many as there are images.
        generator: source of the random numbers; by default PyTorch's global one.

    Raises:
        ValueError: if ``num_samples`` is not positive.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> from torchdisentangle.datasets.sprites import Sprites
        >>> dataset = Sprites(image_size=16)
        >>> biased = CorrelatedFactors(dataset, {("x", "y"): torch.eye(32)})
        >>> loader = DataLoader(dataset, batch_size=8, sampler=CorrelatedSampler(biased, num_samples=24))
        >>> for images, factors in loader:
        ...     print(images.shape, bool((factors[:, 3] == factors[:, 4]).all()))
        torch.Size([8, 1, 16, 16]) True
        torch.Size([8, 1, 16, 16]) True
        torch.Size([8, 1, 16, 16]) True
    """

    def __init__(
        self,
        distribution: CorrelatedFactors,
        num_samples: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.distribution = distribution
        self.num_samples: int = len(distribution.dataset) if num_samples is None else num_samples
        if self.num_samples < 1:
            raise ValueError(f"num_samples must be positive, got {num_samples}")
        self.generator = generator

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        factors = self.distribution.sample_factors(self.num_samples, self.generator)
        yield from self.distribution.dataset.factors_to_index(factors).tolist()


def _spread(size: int) -> Tensor:
    if size == 1:
        return torch.zeros(1, dtype=torch.float64)
    return torch.linspace(-1, 1, size, dtype=torch.float64)
