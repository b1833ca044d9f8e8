r"""What a code alone tells about a factor: bounds by the information of all other codes together (UniBound)."""

from __future__ import annotations

import torch
from torch import Tensor

from torchdisentangle.functional.elbo.aggregate import aggregate_log_sums
from torchdisentangle.functional.supervised.information import entropy


def unique_information_bound(alone: Tensor, rest: Tensor) -> Tensor:
    r"""Lower bound of the information about a factor that a code has and all others together have not.

    .. math:: U_{kf} \ge \bigl[ I(y_f; z_k) - I(y_f; z_{\setminus k}) \bigr]_+

    Args:
        alone: information of every code, :math:`I(y_f; z_k)`, ``(d, F)`` in nats.
        rest: of all codes but this one, :math:`I(y_f; z_{\setminus k})`, ``(d, F)`` in nats.

    Returns:
        ``(d, F)`` in nats.

    Reference:
        Tokui & Sato, *Disentanglement analysis with partial information decomposition*, ICLR 2022.

    Example:
        >>> unique_information_bound(torch.tensor([[0.7, 0.1]]), torch.tensor([[0.2, 0.5]]))
        tensor([[0.5000, 0.0000]])
    """
    return (alone - rest).clamp(min=0)


def information_of_cells(cells: Tensor, values: Tensor) -> Tensor:
    """Plug-in mutual information of a discrete variable with factors.

    Args:
        cells: of the variable, ``(n,)`` integers.
        values: of the factors, ``(n, F)`` integers.

    Returns:
        ``(F,)`` in nats.

    Example:
        >>> information_of_cells(torch.tensor([5, 5, 9, 9]), torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]))
        tensor([0.6931, 0.0000], dtype=torch.float64)
    """
    cells = cells.unique(return_inverse=True)[1]
    of_cells, known = _entropy_of(cells), []
    for column in values.unbind(1):
        column = column.unique(return_inverse=True)[1]
        together = _entropy_of(cells * (column.max() + 1) + column)
        known.append(of_cells + _entropy_of(column) - together)
    return torch.stack(known).clamp(min=0)


def rest_of_bins(bins: Tensor) -> list[Tensor]:
    """Cells of all codes but one: integers that agree in rows whose other codes are in the same bins.

    Args:
        bins: of the codes, ``(n, d)`` integers.

    Returns:
        For each code ``(n,)``.

    Example:
        >>> rest_of_bins(torch.tensor([[0, 1], [0, 2], [3, 2]]))
        [tensor([0, 1, 1]), tensor([0, 0, 1])]
    """
    kept = torch.cat([bins, torch.zeros_like(bins[:, :1])], dim=1)  # there is a column left of a single code, too
    others = [[other for other in range(kept.shape[1]) if other != code] for code in range(bins.shape[1])]
    return [kept[:, columns].unique(dim=0, return_inverse=True)[1] for columns in others]


def posterior_rest_information(
    z: Tensor, mean: Tensor, log_variance: Tensor, factors: Tensor, query_factors: Tensor
) -> Tensor:
    r"""Information about factors in all latents but one, of Gaussian posteriors.

    .. math:: I(y_f; z_{\setminus k}) = \frac1S \sum_s \log
              \frac{q(z_{s \setminus k} \,|\, y_f = y_{sf})}{q(z_{s \setminus k})}, \quad z_s \sim q(z \,|\, x_s)

    with both densities exact mixtures over rows. The cost is that of ``1 + sum_f 1 / V_f`` times all log-sums.

    Args:
        z: latents, ``(S, d)``.
        mean: of the rows, ``(N, d)``.
        log_variance: of the rows, ``(N, d)``.
        factors: of the rows, ``(N, F)`` integers.
        query_factors: of the latents, ``(S, F)`` integers, values that rows have.

    Returns:
        ``(d, F)`` in nats, at least 0.

    Example:
        >>> mean, bit = torch.tensor([[-9.0, -9.0], [9.0, 9.0]]), torch.tensor([[0], [1]])
        >>> posterior_rest_information(mean, mean, torch.zeros(2, 2), bit, bit)
        tensor([[0.6931],
                [0.6931]], dtype=torch.float64)
    """
    of_all = _rest_density(z, mean, log_variance)
    known = []
    for column, of_queries in zip(factors.unbind(1), query_factors.unbind(1), strict=True):
        of_value = torch.zeros_like(of_all)
        for value in of_queries.unique():
            rows, queries = column == value, of_queries == value
            of_value[queries] = _rest_density(z[queries], mean[rows], log_variance[rows])
        known.append((of_value - of_all).mean(0))
    return torch.stack(known, dim=1).clamp(min=0)


def _rest_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-density of all latents but one, ``(S, d)``."""
    sums = aggregate_log_sums(z, mean, log_variance, leave_one_out=True)
    assert sums.leave_one_out is not None
    return sums.leave_one_out - sums.weight


def _entropy_of(numbers: Tensor) -> Tensor:
    return entropy(numbers.unique(return_counts=True)[1])
