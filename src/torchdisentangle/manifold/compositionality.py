"""Compositional contrast: whether each pixel depends on one slot of latents."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.manifold.compositionality import compositional_contrasts
from torchdisentangle.functional.manifold.entropy import check_partition
from torchdisentangle.manifold.sample_mean import JacobianMean
from torchdisentangle.statistics import MetricSettings
from torchdisentangle.statistics.jacobian import check_jacobian


class CompositionalContrast(JacobianMean):
    r"""Compositional contrast: how much the pixels depend on more than one slot of latents.

    .. math:: C = \mathbb{E}_z \sum_n \sum_{k < l}
              \Bigl\lVert \frac{\partial g_n}{\partial z_k} \Bigr\rVert
              \Bigl\lVert \frac{\partial g_n}{\partial z_l} \Bigr\rVert

    over data dimensions ``n`` and slots ``k``, ``l``. Ideal 0: every data dimension depends on at most one slot, almost
    everywhere, as in a decoder that renders one object for each slot. No upper bound. Unbiased.

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)`` and ``labels`` ``(N,)``;
    ``compute`` returns a scalar.

    Args:
        slots: disjoint index sets of latents that cover all of them; ``None``: each latent by itself.
        normalize: the form published for images: in each data dimension the norms are divided by their mean over slots,
            and its products weighted by that mean over the largest of any data dimension. It does not depend on the
            scale of the data.
        num_classes: number of classes; by default as many as the labels show.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: in ``update``, if the slots are no partition of the latents.

    Reference:
        Brady et al., *Provably Learning Object-Centric Representations*, ICML 2023.

    Example:
        >>> import torch
        >>> contrast = CompositionalContrast([[0, 1], [2, 3]])
        >>> contrast.update(torch.eye(4).expand(5, 4, 4))
        >>> contrast.compute()
        tensor(0., dtype=torch.float64)
    """

    label = "compositional contrast"

    def __init__(
        self,
        slots: Sequence[Sequence[int]] | None = None,
        normalize: bool = False,
        num_classes: int | None = None,
        **settings: Unpack[MetricSettings],
    ) -> None:
        parts = None if slots is None else [tuple(sorted(slot)) for slot in slots]
        super().__init__(num_classes, (type(self).__name__, parts, normalize), **settings)
        self.slots: list[tuple[int, ...]] | None = parts
        self.normalize: bool = normalize

    def update(self, jacobian: Tensor, *, labels: Tensor | None = None) -> None:
        """Add samples.

        Args:
            jacobian: decoder Jacobians, ``(N, D, d)``. Samples with NaN or infinite entries are left out, counted in
                ``num_nonfinite``, and warned of.
            labels: class of each sample, ``(N,)`` integers.

        Raises:
            TypeError: if a tensor is of the wrong kind.
            ValueError: if shapes or labels do not fit, or the slots are no partition of the latents.
        """
        jacobian = check_jacobian(jacobian)
        check_partition(self.slots, jacobian.shape[2])
        self._add(jacobian, labels=labels)

    def _values(self, *jacobians: Tensor) -> Tensor:
        (jacobian,) = jacobians
        return compositional_contrasts(jacobian, check_partition(self.slots, jacobian.shape[2]), self.normalize)
