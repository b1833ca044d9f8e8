r"""Information of whole latent spaces by sampling, where the bound of the Bhattacharyya coefficients is too loose.

The data are the ``N`` given points, all equally likely, so no information exceeds :math:`\log N`.

Reference: Murphy, Dillavou & Bassett, *Comparing the information content of probabilistic representation spaces*,
TMLR 2025.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.elbo.gaussian import NARROWEST
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.functional.similarity.bhattacharyya import check_posteriors
from torchdisentangle.functional.similarity.channels import (
    SMALLEST,
    normalized_mutual_information,
    variation_of_information,
)

_BLOCK = 2**20  # pairs of a sample and a point at once, on any device: what is drawn depends on it


class SampledEstimate(NamedTuple):
    """A value and its standard error over samples."""

    value: Tensor
    standard_error: Tensor


class SpaceSimilarity(NamedTuple):
    """Two latent spaces compared by sampling; informations and VI in nats.

    Args:
        information_a: :math:`I(U; X)` of the first space.
        information_b: :math:`I(V; X)` of the second.
        normalized_mutual_information: NMI of the two; NaN where the samples are too few to know it.
        variation_of_information: VI of the two.
    """

    information_a: SampledEstimate
    information_b: SampledEstimate
    normalized_mutual_information: SampledEstimate
    variation_of_information: SampledEstimate


def space_information(mean: Tensor, log_variance: Tensor, num_samples: int = 2000, seed: int = 0) -> SampledEstimate:
    r"""Information that a latent space carries about the data.

    .. math:: I(U; X) = \mathbb{E}_{n, u \sim p(u | x_n)} \left[
              \log \frac{p(u \mid x_n)}{\frac1N \sum_m p(u \mid x_m)} \right]

    Args:
        mean: ``(N, d)``, floating point.
        log_variance: ``(N, d)``.
        num_samples: how many ``(n, u)`` are drawn, with replacement.
        seed: of the samples.

    Returns:
        The unbiased estimate and its standard error, in nats.

    Raises:
        ValueError: if the shapes do not fit or there are fewer than two samples.

    Reference:
        Murphy et al., TMLR 2025.

    Example:
        >>> space_information(torch.tensor([[-50.0], [50.0]]), torch.zeros(2, 1)).value
        tensor(0.6931, dtype=torch.float64)
    """
    space = _Space(mean, log_variance)
    samples = _sampled(num_samples, seed, [space], lambda rows, noise: [space.densities(rows, noise).log_ratio])
    return _estimate(lambda information: information, samples)


def space_similarity(
    mean_a: Tensor,
    log_variance_a: Tensor,
    mean_b: Tensor,
    log_variance_b: Tensor,
    num_samples: int = 2000,
    seed: int = 0,
) -> SpaceSimilarity:
    r"""Information, normalised mutual information and variation of information of two latent spaces.

    For every drawn data point two codes are drawn from each space, and serve all of :math:`I(U; X)`,
    :math:`I(V; X)`, :math:`I(U, U'; X)`, :math:`I(V, V'; X)` and :math:`I(U, V; X)`. A standard error is that of the
    mean of :math:`\sum_k \frac{\partial f}{\partial I_k} i_k` over samples (the delta method), which accounts for what
    the five have in common.

    Args:
        mean_a: of the first space at ``N`` points, ``(N, d_a)``.
        log_variance_a: ``(N, d_a)``.
        mean_b: of the second space at the same points, ``(N, d_b)``.
        log_variance_b: ``(N, d_b)``.
        num_samples: how many data points are drawn, with replacement.
        seed: of the samples.

    Returns:
        Estimates with standard errors. The informations and VI are unbiased; the ratio NMI is up to the order of one
        over the number of samples. NMI is NaN if the sampled own information of a space is not positive, though its
        codes do tell points apart: take more samples. It is 0 for a space that carries no information at all.

    Raises:
        ValueError: if the shapes do not fit or there are fewer than two samples.

    Reference:
        Murphy et al., TMLR 2025.

    Example:
        >>> mean = torch.tensor([[0.0], [100.0], [200.0], [300.0]])
        >>> similarity = space_similarity(mean, torch.zeros(4, 1), (mean / 200).floor() * 200, torch.zeros(4, 1))
        >>> similarity.normalized_mutual_information.value
        tensor(0.7071, dtype=torch.float64)
    """
    a, b = _Space(mean_a, log_variance_a), _Space(mean_b, log_variance_b)
    if len(mean_a) != len(mean_b):
        raise ValueError(f"both spaces need the same points, got {len(mean_a)} and {len(mean_b)}")

    def log_ratios(rows: Tensor, *noise: Tensor) -> list[Tensor]:
        u, u2, v, v2 = (space.densities(rows, part) for space, part in zip((a, a, b, b), noise, strict=True))
        return [
            0.5 * (u.log_ratio + u2.log_ratio),
            0.5 * (v.log_ratio + v2.log_ratio),
            *(x.with_other(y).log_ratio for x, y in ((u, u2), (v, v2), (u, v))),
        ]

    samples = _sampled(num_samples, seed, [a, a, b, b], log_ratios)
    nmi = _estimate(lambda *informations: normalized_mutual_information(*_shared(*informations)), samples)
    if not _is_known(samples):
        nmi = SampledEstimate(*(torch.full_like(value, torch.nan) for value in nmi))
    return SpaceSimilarity(
        _estimate(lambda *informations: informations[0], samples),
        _estimate(lambda *informations: informations[1], samples),
        nmi,
        _estimate(lambda *informations: variation_of_information(*_shared(*informations)), samples),
    )


def _shared(i_u: Tensor, i_v: Tensor, i_uu: Tensor, i_vv: Tensor, i_uv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What two spaces share, and what two draws from each share, from the informations about the data."""
    return i_u + i_v - i_uv, 2 * i_u - i_uu, 2 * i_v - i_vv


def _is_known(samples: Tensor) -> bool:
    """Whether what two draws from each space share came out positive, or is 0 in every sample."""
    return all(bool(own.mean() > SMALLEST or own.abs().max() <= SMALLEST) for own in _shared(*samples.unbind(1))[1:])


class _Densities(NamedTuple):
    own: Tensor  # log p(u_s | x_n) at the point that the sample comes from, (S,)
    all: Tensor  # log p(u_s | x_m) at all points, (S, N); both up to the same constant

    @property
    def log_ratio(self) -> Tensor:
        return self.own - self.all.logsumexp(1) + math.log(self.all.shape[1])

    def with_other(self, other: _Densities) -> _Densities:
        return _Densities(self.own + other.own, self.all + other.all)


class _Space:
    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        check_posteriors(mean, log_variance)
        self.mean, self.log_std = mean.double(), 0.5 * log_variance.double().clamp(min=NARROWEST)

    def noise(self, num: int, generator: torch.Generator) -> Tensor:
        return torch.randn(num, self.mean.shape[1], generator=generator, dtype=torch.float64)

    def densities(self, rows: Tensor, noise: Tensor) -> _Densities:
        codes = self.mean[rows] + self.log_std[rows].exp() * noise
        densities = -self.log_std.sum(1).expand(len(codes), -1)
        for code, centre, scale in zip(codes.T, self.mean.T, self.log_std.T, strict=True):  # never (S, N, d) at once
            densities = densities - 0.5 * ((code[:, None] - centre) * (-scale).exp()).square()
        return _Densities(densities.gather(1, rows[:, None])[:, 0], densities)  # of the code, which rounding has moved


def _sampled(num_samples: int, seed: int, spaces: list[_Space], log_ratios: Callable[..., list[Tensor]]) -> Tensor:
    """Log-ratios ``(num_samples, k)`` of samples: one point each, and noise for each of the spaces.

    All is drawn before anything is evaluated, since a GPU waits for every copy.
    """
    if num_samples < 2:
        raise ValueError(f"num_samples must be at least 2, got {num_samples}")
    generator = torch.Generator().manual_seed(seed)
    num_points = len(spaces[0].mean)
    sizes = [rows.stop - rows.start for rows in row_blocks(num_samples, num_points, _BLOCK)]
    drawn = [
        (torch.randint(num_points, (size,), generator=generator), *(one.noise(size, generator) for one in spaces))
        for size in sizes
    ]
    samples = [torch.cat(part).to(spaces[0].mean.device) for part in zip(*drawn, strict=True)]
    blocks = zip(*(part.split(sizes) for part in samples), strict=True)
    return torch.cat([torch.stack(log_ratios(*block), dim=1) for block in blocks])


def _estimate(function: Callable[..., Tensor], samples: Tensor) -> SampledEstimate:
    """A function of means of samples ``(S, k)`` with its standard error by the delta method."""
    means = samples.mean(0)
    gradient = torch.func.grad(lambda values: function(*values))(means)
    error = (samples @ gradient).std() / len(samples) ** 0.5
    return SampledEstimate(function(*means), error)
