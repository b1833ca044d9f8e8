"""Compositional contrast: whether each pixel depends on one slot of latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchdisentangle.functional.device import to_float64
from torchdisentangle.functional.manifold.entropy import check_partition

_SMALLEST = 1e-12  # added to slot norms, as published, so that a pixel that nothing moves can be normalised


def compositional_contrast(jacobian: Tensor, slots: Sequence[Sequence[int]], normalize: bool = False) -> Tensor:
    r"""Compositional contrast: how much the pixels depend on more than one slot of latents.

    .. math:: C = \mathbb{E}_z \sum_n \sum_{k < l}
              \Bigl\lVert \frac{\partial g_n}{\partial z_k} \Bigr\rVert
              \Bigl\lVert \frac{\partial g_n}{\partial z_l} \Bigr\rVert

    over data dimensions ``n`` and slots ``k``, ``l``. Zero if and only if every data dimension depends on at most one
    slot, almost everywhere.

    Args:
        jacobian: decoder Jacobians, ``(N, D, d)``.
        slots: disjoint index sets of latents that cover all of them.
        normalize: the form published for images: in each data dimension the norms are divided by their mean over slots,
            and its products weighted by that mean over the largest of any data dimension. It does not depend on the
            scale of the data.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: if the Jacobians are not ``(N, D, d)``, or the slots are no partition of the latents.

    Reference:
        Brady et al., *Provably Learning Object-Centric Representations*, ICML 2023.

    Example:
        >>> compositional_contrast(torch.eye(4)[None], [[0, 1], [2, 3]])
        tensor(0., dtype=torch.float64)
        >>> compositional_contrast(torch.ones(1, 5, 3), [[0], [1], [2]])
        tensor(15., dtype=torch.float64)
    """
    return compositional_contrasts(jacobian, slots, normalize).mean(0)


def compositional_contrasts(jacobian: Tensor, slots: Sequence[Sequence[int]], normalize: bool = False) -> Tensor:
    """Compositional contrast of each sample by itself.

    Args:
        jacobian: ``(N, D, d)``.
        slots: disjoint index sets of latents that cover all of them.
        normalize: as for :func:`compositional_contrast`.

    Returns:
        ``(N,)``.

    Raises:
        ValueError: if the Jacobians are not ``(N, D, d)``, or the slots are no partition of the latents.

    Example:
        >>> compositional_contrasts(torch.ones(2, 5, 2), [[0], [1]])
        tensor([5., 5.], dtype=torch.float64)
    """
    if jacobian.ndim != 3:
        raise ValueError(f"Jacobians must have shape (N, D, d), got {tuple(jacobian.shape)}")
    jacobian = to_float64(jacobian)
    parts = check_partition(slots, jacobian.shape[2])
    norms = torch.stack([jacobian[:, :, list(part)].norm(dim=2) for part in parts], dim=2)
    weights: Tensor | float = 1.0
    if normalize:
        norms = norms + _SMALLEST
        mean = norms.mean(2)
        norms, weights = norms / mean[..., None], mean / mean.amax(1, keepdim=True)
    before = norms.cumsum(2) - norms  # of the slots before each, which makes all products of pairs in one pass
    return ((norms * before).sum(2) * weights).sum(1)
