"""Mutual information of pairs of tangent vectors, within a model and between two."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from torchdisentangle.functional.manifold.entropy import check_gram
from torchdisentangle.functional.manifold.gram import (
    pairwise_mutual_information,
    product_of_columns,
    rescale_jacobian,
    tangent_correlation,
)


def manifold_pairwise_mutual_information(gram: Tensor, num_probes: int | None = None) -> Tensor:
    r"""Manifold pairwise mutual information (MPMI) of all pairs of latents.

    .. math:: \mathrm{MPMI}_{ij} = -\tfrac12 \, \mathbb{E}_z \log (1 - \rho_{ij}^2), \quad
              \rho_{ij} = G_{ij} / \sqrt{G_{ii} G_{jj}}

    Args:
        gram: ``(N, d, d)``.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        ``(d, d)`` in nats, symmetric; the diagonal, which is undefined, is 0. Each sample contributes at most
        ``MAX_PAIRWISE``, about 15.9.

    Raises:
        ValueError: if ``gram`` is not ``(N, d, d)``.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> manifold_pairwise_mutual_information(torch.tensor([[[1.0, 0.8], [0.8, 1.0]]]).double())
        tensor([[0.0000, 0.5108],
                [0.5108, 0.0000]], dtype=torch.float64)
    """
    check_gram(gram)
    return pairwise_of_samples(gram, num_probes).mean(0)


def pairwise_of_samples(gram: Tensor, num_probes: int | None = None) -> Tensor:
    """MPMI of each sample by itself.

    Args:
        gram: ``(N, d, d)``.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        ``(N, d, d)`` in nats, zero on the diagonal.

    Example:
        >>> pairwise_of_samples(torch.eye(2).double()[None]).abs().max()
        tensor(0., dtype=torch.float64)
    """
    diagonal = torch.eye(gram.shape[-1], dtype=torch.bool, device=gram.device)
    return pairwise_mutual_information(tangent_correlation(gram).masked_fill(diagonal, 0.0), num_probes)


def manifold_cross_pairwise_mutual_information(
    jacobian_a: Tensor,
    jacobian_b: Tensor,
    data_std: Tensor | float | None = None,
    num_probes: int | None = None,
) -> Tensor:
    r"""Manifold cross-pairwise mutual information (MCPMI) between the latents of two models at the same data points.

    .. math:: \mathrm{MCPMI}_{ij} = -\tfrac12 \, \mathbb{E}_x \log (1 - \rho_{ij}^2), \quad
              \rho_{ij} = \cos \angle \left( J^a_i(f^a(x)), J^b_j(f^b(x)) \right)

    Args:
        jacobian_a: ``(N, D, d_a)`` at the first model's latents of ``N`` data points.
        jacobian_b: ``(N, D, d_b)`` at the second model's latents of the same data points.
        data_std: unit of the data, as in :func:`~torchdisentangle.functional.gram_matrix`.
        num_probes: ``None``, or how many projections are given in the Jacobians' place, ``(N, m, d)``, made with the
            same probes for both models (and with the data's unit).

    Returns:
        ``(d_a, d_b)`` in nats.

    Raises:
        ValueError: if the Jacobians differ in ``N`` or ``D``.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> a, b = torch.eye(2)[None], torch.tensor([[[0.6, 0.8], [0.8, -0.6]]])
        >>> manifold_cross_pairwise_mutual_information(a, b)
        tensor([[0.2231, 0.5108],
                [0.5108, 0.2231]], dtype=torch.float64)
    """
    return cross_pairwise_of_samples(jacobian_a, jacobian_b, data_std, num_probes).mean(0)


def cross_pairwise_of_samples(
    jacobian_a: Tensor,
    jacobian_b: Tensor,
    data_std: Tensor | float | None = None,
    num_probes: int | None = None,
) -> Tensor:
    """MCPMI of each data point by itself.

    Args:
        jacobian_a: ``(N, D, d_a)``.
        jacobian_b: ``(N, D, d_b)``.
        data_std: unit of the data.
        num_probes: how many projections are given in the Jacobians' place.

    Returns:
        ``(N, d_a, d_b)`` in nats.

    Raises:
        ValueError: if the Jacobians differ in ``N`` or ``D``.

    Example:
        >>> cross_pairwise_of_samples(torch.eye(2)[None], torch.eye(2)[None]).shape
        torch.Size([1, 2, 2])
    """
    a, b = (rescale_jacobian(jacobian, data_std) for jacobian in (jacobian_a, jacobian_b))
    if a.shape[:2] != b.shape[:2]:
        raise ValueError(
            "both Jacobians must be taken at the same data points: "
            f"(N, D) is {tuple(a.shape[:2])} and {tuple(b.shape[:2])}"
        )
    both = torch.cat([a, b], dim=-1)
    correlation = tangent_correlation(product_of_columns(both))[:, : a.shape[-1], a.shape[-1] :]
    return pairwise_mutual_information(correlation, num_probes)


def match_latents(cross_information: Tensor) -> Tensor:
    r"""Which latent of a second model corresponds to each latent of the first.

    .. math:: \pi = \arg\max_\pi \sum_i \mathrm{MCPMI}_{i \pi(i)}

    Args:
        cross_information: ``(d_a, d_b)``, for instance MCPMI.

    Returns:
        A permutation of the columns, ``(d_b,)``, in the order of their partners: index with
        ``cross_information[:, permutation]``. Columns without a partner come last. With ``d_a <= d_b`` the partners are
        on the diagonal; with more rows than columns some rows have none, and :func:`matched_orders` puts those last.

    Raises:
        ValueError: if the input is no finite matrix.

    Reference:
        Kuhn, *The Hungarian method for the assignment problem*, 1955; used so by Galperin & Köthe, AISTATS 2025.

    Example:
        >>> match_latents(torch.tensor([[0.0, 2.0, 0.1], [3.0, 0.0, 0.0]]))
        tensor([1, 0, 2])
    """
    return matched_orders(cross_information)[1]


def matched_orders(cross_information: Tensor) -> tuple[Tensor, Tensor]:
    r"""Orders of the latents of two models that put each latent's partner on the diagonal, see :func:`match_latents`.

    Args:
        cross_information: ``(d_a, d_b)``, for instance MCPMI.

    Returns:
        Permutations of the rows, ``(d_a,)``, and of the columns, ``(d_b,)``: index with
        ``cross_information[rows][:, columns]``. What has no partner comes last; the rest of the rows keeps its order.

    Raises:
        ValueError: if the input is no finite matrix.

    Example:
        >>> rows, columns = matched_orders(torch.tensor([[0.0, 5.0], [0.0, 0.0], [3.0, 0.0]]))
        >>> rows.tolist(), columns.tolist()
        ([0, 2, 1], [1, 0])
    """
    if cross_information.ndim != 2 or not cross_information.isfinite().all():
        raise ValueError(f"a finite matrix is needed, got shape {tuple(cross_information.shape)}")
    rows, columns = linear_sum_assignment(cross_information.detach().cpu().numpy(), maximize=True)
    orders = [
        [*found.tolist(), *sorted(set(range(size)) - set(found.tolist()))]  # SciPy's rows ascend
        for found, size in zip((rows, columns), cross_information.shape, strict=True)
    ]
    first, second = (torch.tensor(order, dtype=torch.int64, device=cross_information.device) for order in orders)
    return first, second
