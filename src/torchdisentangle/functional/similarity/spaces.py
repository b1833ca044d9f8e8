"""Similarity of two whole spaces of codes: linear CKA, SVCCA, Procrustes distance and RSA.

The first three are read from the covariance of both sets of codes side by side, ``(d_a + d_b, d_a + d_b)``. All are NaN
for a space that is constant.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from scipy.stats import rankdata
from torch import Tensor

from torchdisentangle.functional.device import to_float64

Dissimilarity = Literal["euclidean", "correlation"]
"""How far two rows of codes are apart: their distance, or one minus the correlation of their entries."""

_DEPENDENT = 1e-10  # an eigenvalue below this share of the largest is that of codes that depend on each other


def linear_cka(covariance: Tensor, num_codes: int) -> Tensor:
    r"""Linear centred kernel alignment (CKA) of two spaces.

    .. math:: \frac{\lVert \Sigma_{ab} \rVert_F^2}{\lVert \Sigma_{aa} \rVert_F \, \lVert \Sigma_{bb} \rVert_F}

    It does not see rotations, reflections, shifts, or one scale for all codes of a space; it does see linear maps that
    stretch some directions more than others.

    Args:
        covariance: of both sets of codes side by side, ``(d_a + d_b, d_a + d_b)``, up to a factor.
        num_codes: ``d_a``.

    Returns:
        A scalar in [0, 1].

    Raises:
        ValueError: if the covariance is not square, or has no codes beyond the first ``d_a``.

    Reference:
        Kornblith, Norouzi, Lee & Hinton, *Similarity of Neural Network Representations Revisited*, ICML 2019.

    Example:
        >>> codes = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> linear_cka(torch.cat([codes, codes[:, :1]], dim=1).T.cov(), num_codes=2)
        tensor(0.7071)
    """
    aa, ab, bb = _blocks(covariance, num_codes)
    return ab.square().sum() / (aa.norm() * bb.norm())


def svcca(covariance: Tensor, num_codes: int, variance: float = 0.99) -> Tensor:
    r"""Singular vector canonical correlation analysis (SVCCA) of two spaces: the mean of their canonical correlations.

    Each space is first cut down to the fewest principal directions that hold a share of its variance. With
    ``variance=1`` nothing is cut, and the value does not see invertible linear maps.

    Args:
        covariance: of both sets of codes side by side, ``(d_a + d_b, d_a + d_b)``, up to a factor.
        num_codes: ``d_a``.
        variance: the share to keep, 0.99 as published.

    Returns:
        A scalar in [0, 1], the mean over as many canonical correlations as the smaller space keeps directions.

    Raises:
        ValueError: if the covariance is not square, or has no codes beyond the first ``d_a``, or the share is not in
            (0, 1].

    Reference:
        Raghu, Gilmer, Yosinski & Sohl-Dickstein, *SVCCA: Singular Vector Canonical Correlation Analysis for Deep
        Learning Dynamics and Interpretability*, NIPS 2017.

    Example:
        >>> codes = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> svcca(torch.cat([codes, codes[:, :1]], dim=1).T.cov(), num_codes=2).round(decimals=4)
        tensor(1.)
    """
    check_variance(variance)
    aa, ab, bb = _blocks(covariance, num_codes)
    if not (aa.any() and bb.any()):
        return covariance.new_tensor(torch.nan)
    correlations = torch.linalg.svdvals(_whitening(aa, variance).mT @ ab @ _whitening(bb, variance))
    return correlations.clamp(max=1).mean()


def procrustes_distance(covariance: Tensor, num_codes: int) -> Tensor:
    r"""Squared orthogonal Procrustes distance of two spaces, each centred and scaled to norm 1.

    .. math:: \min_Q \lVert A - B Q \rVert_F^2 = 2 - 2 \, \frac{\lVert \Sigma_{ab} \rVert_*}
              {\sqrt{\operatorname{tr} \Sigma_{aa} \operatorname{tr} \Sigma_{bb}}}

    over orthogonal matrices ``Q``, with the nuclear norm; the space of fewer codes is filled up with zeros. Like CKA it
    does not see rotations, reflections, shifts, or one scale for all codes of a space. Its root satisfies the triangle
    inequality.

    Args:
        covariance: of both sets of codes side by side, ``(d_a + d_b, d_a + d_b)``, up to a factor.
        num_codes: ``d_a``.

    Returns:
        A scalar in [0, 2].

    Raises:
        ValueError: if the covariance is not square, or has no codes beyond the first ``d_a``.

    Reference:
        Schönemann, *A generalized solution of the orthogonal Procrustes problem*, Psychometrika 1966; for
        representations, Ding, Denain & Steinhardt, *Grounding Representation Similarity Through Statistical Testing*,
        NeurIPS 2021, and Williams et al., *Generalized Shape Metrics on Neural Representations*, NeurIPS 2021.

    Example:
        >>> codes = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> procrustes_distance(torch.cat([codes, codes[:, :1]], dim=1).T.cov(), num_codes=2)
        tensor(0.5858)
    """
    aa, ab, bb = _blocks(covariance, num_codes)
    alignment = torch.linalg.svdvals(ab).sum() / (aa.trace() * bb.trace()).sqrt()
    return 2 - 2 * alignment.clamp(max=1)


def representational_similarity(codes_a: Tensor, codes_b: Tensor, distance: Dissimilarity = "euclidean") -> Tensor:
    r"""Representational similarity analysis (RSA): do two spaces agree on which rows are far apart?

    .. math:: \operatorname{Spearman}\bigl( \{ \delta(a_i, a_j) \}_{i < j}, \{ \delta(b_i, b_j) \}_{i < j} \bigr)

    Args:
        codes_a: ``(n, d_a)``, at least three rows.
        codes_b: of the same rows, ``(n, d_b)``.
        distance: :math:`\delta`: ``"euclidean"``, or ``"correlation"``, one minus the correlation of the entries of
            two rows, which is for codes of many dimensions.

    Returns:
        A scalar in [-1, 1]; NaN if all distances of a space are equal.

    Raises:
        ValueError: if the codes are not of the same rows, there are fewer than three, or the distance is unknown.

    Reference:
        Kriegeskorte, Mur & Bandettini, *Representational similarity analysis: connecting the branches of systems
        neuroscience*, Frontiers in Systems Neuroscience 2008.

    Example:
        >>> codes = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
        >>> representational_similarity(codes, 7 - 2 * codes.flip(1)).round(decimals=6)
        tensor(1., dtype=torch.float64)
    """
    if codes_a.ndim != 2 or codes_b.ndim != 2 or len(codes_a) != len(codes_b) or len(codes_a) < 3:
        raise ValueError(
            "codes of at least three rows, the same in both spaces, are needed, got "
            f"{tuple(codes_a.shape)} and {tuple(codes_b.shape)}"
        )
    ranks = torch.stack([dissimilarity_ranks(codes, distance) for codes in (codes_a, codes_b)])
    return ranks.corrcoef()[0, 1]


def dissimilarity_ranks(codes: Tensor, distance: Dissimilarity = "euclidean") -> Tensor:
    """Ranks of the dissimilarities of all pairs of rows, ties averaged.

    Args:
        codes: ``(n, d)``.
        distance: as for :func:`representational_similarity`.

    Returns:
        ``(n (n - 1) / 2,)``.

    Raises:
        ValueError: for an unknown distance.

    Example:
        >>> dissimilarity_ranks(torch.tensor([[0.0], [1.0], [3.0]]))
        tensor([1., 3., 2.], dtype=torch.float64)
    """
    check_dissimilarity(distance)
    codes = to_float64(codes.detach())
    if distance == "euclidean":
        values = torch.pdist(codes)
    else:
        pairs = torch.triu_indices(len(codes), len(codes), 1, device=codes.device)
        values = 1 - codes.corrcoef()[pairs[0], pairs[1]]
    return torch.as_tensor(rankdata(values.cpu().numpy())).to(codes)


def check_dissimilarity(distance: str) -> None:
    """Refuse an unknown distance."""
    if distance not in get_args(Dissimilarity):
        raise ValueError(f"distance must be one of {get_args(Dissimilarity)}, got {distance!r}")


def check_variance(variance: float) -> None:
    """Refuse what is no share of a variance."""
    if not 0 < variance <= 1:
        raise ValueError(f"variance must be a share in (0, 1], got {variance}")


def _blocks(covariance: Tensor, num_codes: int) -> tuple[Tensor, Tensor, Tensor]:
    width = covariance.shape[-1]
    if covariance.shape != (width, width) or not 0 < num_codes < width:
        raise ValueError(
            f"a covariance of both spaces, more than {num_codes} codes, is needed, got {tuple(covariance.shape)}"
        )
    first, second = slice(num_codes), slice(num_codes, None)
    return covariance[first, first], covariance[first, second], covariance[second, second]


def _whitening(covariance: Tensor, variance: float) -> Tensor:
    """A map ``(d, rank)`` to uncorrelated variables of variance one, of the leading principal directions."""
    values, vectors = (x.flip(-1) for x in torch.linalg.eigh(covariance))
    share = values.clamp(min=0) / values.clamp(min=0).sum()
    before = share.cumsum(0) - share  # held by the directions before each
    enough = variance - 8 * len(values) * torch.finfo(values.dtype).eps  # of a sum that is rounded
    kept = (before < enough) & (values > _DEPENDENT * values[0])
    return vectors[:, kept] / values[kept].sqrt()
