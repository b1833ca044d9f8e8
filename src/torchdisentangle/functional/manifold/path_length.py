"""Path length of single latents: how far the data move when a latent does."""

from __future__ import annotations

from torch import Tensor

from torchdisentangle.functional.manifold.entropy import check_gram


def latent_path_length(gram: Tensor, num_probes: int | None = None) -> Tensor:
    r"""Mean squared path length along every single latent, in the space of the data.

    .. math:: L_i = \mathbb{E}_z \lVert J_i \rVert^2
              = \mathbb{E}_z \lim_{\epsilon \to 0} \frac{\lVert g(z + \epsilon e_i) - g(z) \rVert^2}{\epsilon^2}

    It is perceptual path length with pixels in the place of a network's features, and a step along one latent in the
    place of one between two samples. It is at least :math:`\exp(2 (H_i - H(p_i)))` of
    :func:`~torchdisentangle.functional.manifold_entropy_spectrum`, the geometric mean of the same squares, and equal to
    it if the length is the same everywhere.

    Args:
        gram: ``(N, d, d)``.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        ``(d,)`` in squared data units per squared latent unit.

    Raises:
        ValueError: if ``gram`` is not ``(N, d, d)``.

    Reference:
        Karras, Laine & Aila, *A Style-Based Generator Architecture for Generative Adversarial Networks*, CVPR 2019, for
        perceptual path length.

    Example:
        >>> import torch
        >>> latent_path_length(torch.diag(torch.tensor([4.0, 1.0])).double()[None])
        tensor([4., 1.], dtype=torch.float64)
    """
    check_gram(gram)
    return gram.diagonal(dim1=1, dim2=2).mean(0) / (num_probes or 1)
