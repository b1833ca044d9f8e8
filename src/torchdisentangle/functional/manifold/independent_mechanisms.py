"""Independent mechanism analysis: contrast of a mixing, its Jacobian from an encoder, and distance to the true one."""

from __future__ import annotations

import torch
from torch import Tensor

from torchdisentangle.functional.device import to_float64
from torchdisentangle.functional.manifold.entropy import manifold_total_correlation


def ima_contrast(gram: Tensor, num_probes: int | None = None) -> Tensor:
    r"""Contrast of independent mechanism analysis (IMA): how far a mixing's Jacobian is from orthogonal columns.

    .. math:: C = \mathbb{E}_z \Bigl[ \sum_i \log \lVert J_i \rVert - \tfrac12 \log\det (J^\top J) \Bigr]

    For square Jacobians the second term is :math:`\log |\det J|`. Zero if and only if the columns are orthogonal almost
    everywhere. Independent of the order of the latents, and of invertible transformations of each by itself. It is the
    manifold total correlation of the single latents, :func:`~torchdisentangle.functional.manifold_total_correlation`,
    under its name in the literature of independent component analysis.

    Args:
        gram: Gram matrices of the mixing's (decoder's) Jacobians, ``(N, d, d)``. With the Jacobians of an unmixing
            (encoder), take those of :func:`inverse_jacobian`.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        A scalar in nats, at least 0 (in expectation, with probes).

    Raises:
        ValueError: if ``gram`` is not ``(N, d, d)``, or there are fewer probes than latents.

    Reference:
        Gresele et al., *Independent mechanism analysis, a new concept?*, NeurIPS 2021; for ``D > d``, Ghosh et al.,
        *Independent Mechanism Analysis and the Manifold Hypothesis*, arXiv 2312.13438.

    Example:
        >>> from torchdisentangle.functional import gram_matrix
        >>> angle = torch.tensor(0.3).double()
        >>> jacobian = torch.tensor([[[1.0, angle.cos()], [0.0, angle.sin()]]]).double()
        >>> ima_contrast(gram_matrix(jacobian)), -angle.sin().log()
        (tensor(1.2190, dtype=torch.float64), tensor(1.2190, dtype=torch.float64))
    """
    return manifold_total_correlation(gram, None, num_probes)


def inverse_jacobian(jacobian: Tensor) -> Tensor:
    r"""Jacobians of the decoder whose inverse is an encoder, from those of the encoder.

    .. math:: J(z) = W(x)^{-1}, \quad x = g(z)

    All metrics of decoders' Jacobians can thus be read from an encoder. A wide ``W`` (``d < D``) does not determine the
    decoder's Jacobian, so it has to be square.

    Args:
        jacobian: Jacobians ``W`` of the encoder at data points, ``(N, d, d)``, for instance
            ``decoder_jacobian(encode, x)``.

    Returns:
        ``(N, d, d)`` in float64. All entries of a singular Jacobian's inverse are NaN; metrics count and leave out such
        samples.

    Raises:
        ValueError: if the Jacobians are not square.

    Reference:
        Gresele et al., *Independent mechanism analysis, a new concept?*, NeurIPS 2021.

    Example:
        >>> inverse_jacobian(torch.tensor([[[2.0, 0.0], [0.0, 4.0]]]))
        tensor([[[0.5000, 0.0000],
                 [0.0000, 0.2500]]], dtype=torch.float64)
    """
    if jacobian.ndim != 3 or jacobian.shape[1] != jacobian.shape[2]:
        raise ValueError(f"square Jacobians of shape (N, d, d) are needed, got {tuple(jacobian.shape)}")
    inverse, singular = torch.linalg.inv_ex(to_float64(jacobian))
    return inverse.masked_fill((singular > 0)[:, None, None], torch.nan)


def jacobian_amari_distance(encoder_jacobian: Tensor, mixing_jacobian: Tensor) -> Tensor:
    r"""Amari distance between a learned unmixing and the true mixing, from their Jacobians at the same points.

    .. math:: P = W(x) A(s), \quad
              \mathbb{E} \; \frac{1}{2d} \Bigl[ \sum_i \Bigl( \sum_j \frac{P_{ij}^2}{\max_k P_{ik}^2} - 1 \Bigr)
              + \sum_j \Bigl( \sum_i \frac{P_{ij}^2}{\max_k P_{kj}^2} - 1 \Bigr) \Bigr]

    Zero if and only if ``P`` is a scaled permutation at almost every point, so that each latent is a function of one
    source; at most ``d - 1``, where all entries of ``P`` are equally large. Above 0 it depends on the scales of latents
    and sources.

    Args:
        encoder_jacobian: Jacobians ``W`` of the learned encoder at ``N`` data points, ``(N, d, D)``.
        mixing_jacobian: Jacobians ``A`` of the true mixing at the sources of the same data points, ``(N, D, d)``.

    Returns:
        A scalar between 0 and ``d - 1``. A row or column of zeros (a dead latent, or a source that no latent sees)
        counts as one of equal entries.

    Raises:
        ValueError: if the shapes do not fit.

    Reference:
        Gresele et al., *Independent mechanism analysis, a new concept?*, NeurIPS 2021; after Amari, Cichocki & Yang,
        *A new learning algorithm for blind signal separation*, NIPS 1995.

    Example:
        >>> unmixing = torch.tensor([[[0.0, 2.0], [1.0, 0.0]]])
        >>> jacobian_amari_distance(unmixing, torch.eye(2)[None])
        tensor(0., dtype=torch.float64)
    """
    return amari_distances(encoder_jacobian, mixing_jacobian).mean(0)


def amari_distances(encoder_jacobian: Tensor, mixing_jacobian: Tensor) -> Tensor:
    """Amari distance of each point by itself.

    Args:
        encoder_jacobian: ``(N, d, D)``.
        mixing_jacobian: ``(N, D, d)``.

    Returns:
        ``(N,)``.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> amari_distances(torch.eye(2).expand(3, 2, 2), torch.eye(2).expand(3, 2, 2))
        tensor([0., 0., 0.], dtype=torch.float64)
    """
    fits = encoder_jacobian.ndim == 3 and encoder_jacobian.mT.shape == mixing_jacobian.shape
    if not fits:
        raise ValueError(
            "Jacobians of shapes (N, d, D) and (N, D, d) are needed, of as many latents as sources, got "
            f"{tuple(encoder_jacobian.shape)} and {tuple(mixing_jacobian.shape)}"
        )
    squares = (to_float64(encoder_jacobian) @ to_float64(mixing_jacobian)).square()
    return (_excess(squares) + _excess(squares.mT)) / (2 * squares.shape[-1])


def _excess(squares: Tensor) -> Tensor:
    """How much more there is in each row than its largest entry, in units of that, summed over rows."""
    largest = squares.amax(-1)
    excess = squares.sum(-1) / largest.masked_fill(largest == 0, 1.0) - 1
    return excess.masked_fill(largest == 0, squares.shape[-1] - 1).sum(-1)
