"""The shape of codes along each factor."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.intervention import alike_but_for
from torchdisentangle.functional.supervised.traversal import traversal_shape
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.row_score import RowScore, RowSettings

_PARTS = ("axis", "linear", "flatness")


class TraversalShape(RowScore):
    r"""Shape of traversals: while one factor moves and the others are held, do codes move on one axis, and straight?

    .. math::

        \mathrm{axis} = \frac{a - 1 / d}{1 - 1 / d}, \; a = \frac{\max_k \sigma_k}{\sum_k \sigma_k}, \quad
        \mathrm{alignment} = \frac{\mathrm{axis}}{\mathrm{linear}}, \quad
        \mathrm{flatness} = \frac{\max_{ij} \lVert z_i - z_j \rVert_2}
                                 {\sum_{i \ne i^*} \lVert z_{i + 1} - z_i \rVert_1}

    with :math:`\sigma_k` the standard deviations of the codes along a traversal, the linear ratio the same along
    principal axes, and the largest of the cyclic steps left out. Means over traversals; then the geometric mean over
    factors, and the arithmetic one for flatness. Ideal 1, worst 0. A diagonal line has axis 0, linear 1 and flatness
    :math:`1 / \sqrt d`; a circle has 0, 0 and, of eight points, 0.29, so a factor that is an angle cannot score high.

    None of them sees whether two factors move the same code. A traversal that moves no code scores 0, and one factor
    that is not encoded makes the geometric means 0. Few values of a factor make the linear ratio too high: of two it is
    always 1. Factors must be numbers in order, for flatness also evenly sampled.

    A traversal is a set of rows that agree in all other factors; rows that agree in all are averaged. A random sample
    of a fine grid holds few: give the rows by design where the data set allows it. A factor without any is left out and
    named.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a dictionary of four scalars.

    Args:
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Reference:
        Michlo, Klein & James, *Overlooked implications of the reconstruction loss for VAE disentanglement*, arXiv
        2202.13341.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(4))
        >>> shape = TraversalShape()
        >>> shape.update(torch.stack([factors.sum(1), factors[:, 0] - factors[:, 1]], 1).double(), factors)
        >>> {name: round(float(value), 2) for name, value in shape.compute().items()}  # doctest: +NORMALIZE_WHITESPACE
        {'traversal_axis': 0.0, 'traversal_linear': 1.0, 'traversal_alignment': 0.0, 'traversal_flatness': 0.71}
    """

    name = "traversal"
    needs: frozenset[str] = frozenset({"interventions", "design"})
    by_default = False
    why_unscored = "no two rows that differ in them alone"

    def __init__(self, **settings: Unpack[RowSettings]) -> None:
        super().__init__(**settings)

    def compute(self) -> dict[str, Tensor]:
        """The four means over factors."""
        shapes = self._once(self._shapes)
        axis, linear, flatness = shapes[:, self._require_scored(self._scored())]
        values = {
            "axis": _geometric_mean(axis),
            "linear": _geometric_mean(linear),
            "alignment": _geometric_mean(axis / linear.where(linear > 0, torch.ones_like(linear))),
            "flatness": flatness.mean(),
        }
        return {f"traversal_{part}": value for part, value in values.items()}

    @readout
    def per_factor(self) -> dict[str, Tensor]:
        """Axis ratio, linear ratio and flatness of every factor, ``(F,)`` each; NaN for one that cannot be scored."""
        return dict(zip(_PARTS, self._once(self._shapes), strict=True))

    def _scored(self) -> Tensor:
        return ~self._once(self._shapes)[0].isnan()

    def _shapes(self) -> Tensor:
        """Of each factor, ``(3, F)``."""
        codes, factors = self._rows()
        values = self._values(factors)
        return torch.stack([_mean_shape(codes, values, f) for f in range(values.shape[1])], dim=1)


def _mean_shape(codes: Tensor, values: Tensor, factor: int) -> Tensor:
    """Mean over all traversals of a factor, ``(3,)``; NaN without any."""
    group = alike_but_for(values, factor)
    place, cell, counts = torch.stack([group, values[:, factor]], 1).unique(
        dim=0, return_inverse=True, return_counts=True
    )  # in the order of traversals, and in each in the order of values
    means = codes.new_zeros(len(place), codes.shape[1]).index_add(0, cell, codes) / counts[:, None]
    traversals = means.split(place[:, 0].bincount().tolist())
    by_length: dict[int, list[Tensor]] = {}
    for traversal in traversals:
        if len(traversal) > 1:
            by_length.setdefault(len(traversal), []).append(traversal)
    if not by_length:
        return codes.new_full((3,), torch.nan)
    shapes = [torch.stack(traversal_shape(torch.stack(equal))) for equal in by_length.values()]
    return torch.cat(shapes, dim=1).mean(1)


def _geometric_mean(values: Tensor) -> Tensor:
    return values.log().mean().exp()
