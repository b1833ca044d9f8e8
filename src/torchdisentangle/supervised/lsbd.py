"""Linear symmetry-based disentanglement of cyclic factors."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.intervention import alike_but_for
from torchdisentangle.functional.supervised.lsbd import rotation_loss
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.row_score import RowScore, RowSettings


class LSBD(RowScore):
    r"""Linear symmetry-based disentanglement of cyclic factors (D_LSBD): do codes turn on a circle as a factor turns?

    .. math:: \frac1F \sum_f \min_{|w| \le 10} \operatorname{tr} \operatorname{Var}
              \bigl[ R(-w t_f) \, u_f \bigr], \quad t_f = \frac{2 \pi y_f}{V_f}

    with :math:`u_f` the first two principal components of the codes less their mean over the factor, divided by
    :math:`\sqrt 2` times their standard deviations. **Lower is better**: ideal 0, worst 1.

    It is for factors that turn once as their values go from first to last, such as hues and positions on a torus, and
    for rows of all combinations: a factor counts where all its values occur with the others held. Rows that agree in
    all factors are averaged; a factor that has no such complete traversal is left out and named.

    A one-dimensional code that grows with the angle, the usual answer of a VAE, scores :math:`1 - 3 / \pi^2 = 0.70` for
    many values: where there is no second component the first has the norm of both. Both components are divided by
    deviations of their own, so an ellipse scores 0 as a circle does. Random codes score 0.94 for 64 rows, and less for
    fewer, the best of 21 frequencies. That two factors turn the same codes is not seen. Codes that do not move score 1.

    No part of the rows has all combinations, so intervals leave out complete traversals of each factor, a twentieth of
    them at a time, instead of rows. They need two traversals of each factor.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar.

    Args:
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Reference:
        Tonnaer et al., *Quantifying and learning linear symmetry-based disentanglement*, ICML 2022.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(8), torch.arange(6))
        >>> angles = factors * 2 * torch.pi / torch.tensor([8, 6])
        >>> score = LSBD()
        >>> score.update(torch.cat([angles.cos(), angles.sin()], 1), factors)
        >>> score.compute().round(decimals=6), score.frequencies()
        (tensor(0., dtype=torch.float64), tensor([1, 1]))
    """

    name = "d_lsbd"
    fits_parts = True
    needs: frozenset[str] = frozenset({"design"})
    by_default = False
    higher_is_better: bool | None = False
    why_unscored = "no rows of all their values with the others held"

    def __init__(self, **settings: Unpack[RowSettings]) -> None:
        super().__init__(**settings)

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._mean_over_factors(self._once(self._losses)[0])

    @readout
    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that cannot be scored."""
        return self._once(self._losses)[0]

    @readout
    def frequencies(self) -> Tensor:
        """How often the codes turn while each factor turns once, ``(F,)`` integers; -1 for one that is not scored."""
        return self._once(self._losses)[1].long()

    def _scored(self) -> Tensor:
        return ~self._once(self._losses)[0].isnan()

    def _losses(self) -> Tensor:
        """Losses and frequencies, ``(2, F)``."""
        return torch.stack([_loss(moved) for moved in self._traversals()], dim=1)

    def _fit_parts(self, parts: Tensor) -> list[Tensor]:
        """Losses and frequencies without every so many traversals of each factor, in an order that is drawn."""
        found, generator = [], self._generator()
        for moved in self._traversals():
            if len(moved) == 1:
                raise ValueError("a factor has a single complete traversal")
            part = torch.randperm(len(moved), generator=generator) % len(parts)
            found.append(torch.stack([_loss(moved[part != left_out]) for left_out in range(len(parts))]))
        return list(torch.stack(found, dim=2))

    def _traversals(self) -> list[Tensor]:
        """What each factor does to the codes, ``(traversals, values, D)``, in an order of the factors alone."""
        codes, factors = self._rows()
        values = self._values(factors)
        return [_moved(codes, values, f) for f in range(values.shape[1])]


def _moved(codes: Tensor, values: Tensor, factor: int) -> Tensor:
    """Codes less their mean, where the factor takes all its values while the others are held."""
    group, num_values = alike_but_for(values, factor), int(values[:, factor].max()) + 1
    cells, number = int(group.max()) + 1, group * num_values + values[:, factor]
    counts = number.bincount(minlength=cells * num_values)
    means = codes.new_zeros(len(counts), codes.shape[1]).index_add(0, number, codes) / counts.clamp(min=1)[:, None]
    traversals = means.view(cells, num_values, -1)[(counts.view(cells, num_values) > 0).all(1)]
    moved = traversals - traversals.mean(1, keepdim=True)
    return moved * (traversals.amax(1, keepdim=True) > traversals.amin(1, keepdim=True))  # exactly constant codes


def _loss(moved: Tensor) -> Tensor:
    """Loss and frequency, ``(2,)``."""
    num_traversals, num_values, _ = moved.shape
    if num_values < 2 or not num_traversals:
        return moved.new_tensor([torch.nan, -1])
    angle = (2 * math.pi / num_values) * torch.arange(num_values, dtype=torch.float64)
    loss, frequency = rotation_loss(moved.flatten(0, 1), angle.repeat(num_traversals))
    return torch.stack([loss, frequency.double()])
