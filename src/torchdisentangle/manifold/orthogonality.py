"""Distance to orthogonality: how far a decoder's singular directions are from its latent axes."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.manifold.gram import gram_matrix
from torchdisentangle.functional.manifold.orthogonality import MIN_GAP, orthogonality_distances
from torchdisentangle.manifold.sample_mean import JacobianMean
from torchdisentangle.statistics import MetricSettings
from torchdisentangle.statistics.jacobian import DataScale, check_jacobian, check_scale


class DistanceToOrthogonality(JacobianMean):
    r"""Distance to orthogonality (DtO) of a decoder.

    .. math:: \mathbb{E}_z \min_P \lVert V(z) - P \rVert_F, \quad J = U \Sigma V^\top

    over the signed permutations ``P``. Ideal 0: the directions along which the data move most, second most, and so on,
    are the latent axes. At most :math:`\sqrt{2 d}`. Samples with equal singular values, such as all of a conformal
    decoder, leave ``V`` undetermined: they are left out and counted in ``num_undefined``; the value is NaN if no sample
    is left.

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)`` and ``labels`` ``(N,)``;
    ``compute`` returns a scalar.

    Args:
        normalize: whether to divide by :math:`\sqrt d`.
        min_gap: smallest distance of a sample's neighbouring singular values, in units of the largest.
        data_std: standard deviation by which the data were divided before the model saw them, a number or ``(D,)``.
        num_classes: number of classes; by default as many as the labels show.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for wrong settings.

    Reference:
        Rolinek, Zietlow & Martius, *Variational Autoencoders Pursue PCA Directions (by Accident)*, CVPR 2019.

    Example:
        >>> import torch
        >>> distance = DistanceToOrthogonality()
        >>> distance.update(torch.tensor([[[2.0, 2.0], [-1.0, 1.0]]]))
        >>> distance.compute()
        tensor(1.0824, dtype=torch.float64)
    """

    is_differentiable: bool | None = False
    label = "distance to orthogonality"

    def __init__(
        self,
        normalize: bool = False,
        min_gap: float = MIN_GAP,
        data_std: DataScale = None,
        num_classes: int | None = None,
        **settings: Unpack[MetricSettings],
    ) -> None:
        if not min_gap >= 0:
            raise ValueError(f"min_gap must be at least 0, got {min_gap}")
        scale = check_scale(data_std)
        configuration = (type(self).__name__, normalize, min_gap, None if scale is None else scale.tolist())
        super().__init__(num_classes, configuration, **settings)
        self.normalize: bool = normalize
        self.min_gap: float = min_gap
        self.data_std: DataScale = data_std
        self._scale = scale

    def update(self, jacobian: Tensor, *, labels: Tensor | None = None) -> None:
        """Add samples.

        Args:
            jacobian: decoder Jacobians, ``(N, D, d)``. Samples with NaN or infinite entries are left out, counted in
                ``num_nonfinite``, and warned of.
            labels: class of each sample, ``(N,)`` integers.

        Raises:
            TypeError: if a tensor is of the wrong kind.
            ValueError: if shapes or labels do not fit.
        """
        self._add(check_jacobian(jacobian), labels=labels)

    def _values(self, *jacobians: Tensor) -> Tensor:
        (jacobian,) = jacobians
        return orthogonality_distances(gram_matrix(jacobian, self._scale), self.normalize, self.min_gap)
