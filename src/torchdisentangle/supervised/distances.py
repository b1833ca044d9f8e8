"""Whether codes are far apart where factors are, or data."""

from __future__ import annotations

from typing import Any, get_args

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.distances import Norm, agreement_of, distances_in
from torchdisentangle.functional.supervised.intervention import alike_but_for
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.row_score import RowScore, RowSettings

_PARTS = ("rank", "linear", "same")


class DistanceAgreement(RowScore):
    r"""Agreement of distances: are the codes of rows far apart where their factors are, or their data?

    .. math:: d_y = \lVert y - y' \rVert_1, \quad d_z = \lVert z - z' \rVert

    Spearman's and Pearson's correlation of both distances, and the share of triplets of rows in which they are in the
    same order, as in :func:`~torchdisentangle.functional.distance_agreement`: once over random rows (``global``), and
    once over rows that differ in one factor alone (``factor``), as a mean over factors. Factors count in steps from
    one of their values to the next. Ideal 1. Codes that know nothing have correlations of 0, and the same order in
    about half of the triplets that have one.

    Codes enter as they are, so their scales matter, and idle codes of a large scale hide the others. Factors must be
    numbers in order: colours, shapes and angles are not. Equal distances count as the same order only if both are
    equal, which codes with any noise never are. With ``norm="l2"`` a rotation of the codes changes nothing.

    With a ``data_width`` the metric is given the ``data``, too, such as images, and compares their mean squared
    differences :math:`d_x` with those of the codes (``codes_data``) and of the factors (``factors_data``). A decoder
    with a pixel loss tends to put codes where data are near, so high ``codes_data`` and low ``factors_data`` mean that
    the codes are ordered by what the data look like, not by the factors. The latter says what the data allow, whatever
    the codes are.

    A factor without three rows that differ in it alone, at different distances, is left out and named. A random sample
    of a fine grid holds few of them: give the rows by design where the data set allows it.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``, and with a ``data_width`` ``data`` ``(n, ...)``; ``compute`` returns a dictionary of six scalars, then of
    eighteen.

    Args:
        norm: of the codes' differences: ``"l1"``, in which perfect codes have the distances of the factors, or
            ``"l2"``.
        num_triplets: of random rows, and as many for each factor.
        data_width: numbers to keep of each row's data: wider data are projected at random to this width, in which
            squared distances have a relative standard error of ``(2 / data_width) ** 0.5``, 6 % for 512. 0: no data are
            needed.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ValueError: for an unknown norm, no triplets, or a negative width.

    Reference:
        Michlo, Klein & James, *Overlooked implications of the reconstruction loss for VAE disentanglement*, arXiv
        2202.13341; here with arithmetic means over factors.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(4))
        >>> agreement = DistanceAgreement()
        >>> agreement.update(2.0 * factors, factors)
        >>> agreement.compute()["distance_agreement_global_linear"]
        tensor(1., dtype=torch.float64)
        >>> lengths = torch.arange(5)[:, None]
        >>> bars = torch.arange(4) < lengths  # each step of the factor changes one pixel
        >>> with_data = DistanceAgreement(data_width=512)
        >>> with_data.update(2.0 * lengths, lengths, data=bars.float())
        >>> with_data.compute()["distance_agreement_factor_codes_data_linear"]
        tensor(1., dtype=torch.float64)
    """

    name = "distance_agreement"
    needs: frozenset[str] = frozenset({"interventions", "design"})
    by_default = False
    why_unscored = "no three rows that differ in them alone"
    plot_lower_bound: float | None = None

    def __init__(
        self, norm: Norm = "l1", num_triplets: int = 4096, data_width: int = 0, **settings: Unpack[RowSettings]
    ) -> None:
        if norm not in get_args(Norm):
            raise ValueError(f"norm must be one of {get_args(Norm)}, got {norm!r}")
        if num_triplets < 1:
            raise ValueError(f"num_triplets must be positive, got {num_triplets}")
        super().__init__(data_width=data_width, **settings)
        self.norm: Norm = norm
        self.num_triplets = num_triplets
        self.data_width = data_width

    @classmethod
    def _needs_of(cls, **settings: Any) -> frozenset[str]:
        return cls.needs | frozenset({"data"} if settings.get("data_width") else ())

    def compute(self) -> dict[str, Tensor]:
        """Both correlations and the share, over random rows and along factors."""
        everywhere, along = self._once(self._agreements)
        along = along[:, self._require_scored(self._scored())].mean(1)
        return {
            f"distance_agreement_{scope}_{part}": value
            for scope, values in (("global", everywhere), ("factor", along))
            for part, value in zip(self._parts(), values, strict=True)
        }

    @readout
    def per_factor(self) -> dict[str, Tensor]:
        """Both correlations and the share of every factor, ``(F,)`` each; NaN for one that cannot be scored."""
        return dict(zip(self._parts(), self._once(self._agreements)[1], strict=True))

    def _parts(self) -> list[str]:
        compared = ("", "codes_data_", "factors_data_") if self.data_width else ("",)
        return [f"{pair}{part}" for pair in compared for part in _PARTS]

    def _scored(self) -> Tensor:
        return ~self._once(self._agreements)[1][0].isnan()

    def _agreements(self) -> tuple[Tensor, Tensor]:
        """Of random rows, and of each factor, in its columns: what :meth:`_parts` names."""
        codes, factors = self._rows()
        values, generator = self._values(factors), self._generator()
        found = []
        for factor in (None, *range(values.shape[1])):
            group = torch.zeros_like(values[:, 0]) if factor is None else alike_but_for(values, factor)
            triplets = _draw_triplets(group, self.num_triplets, generator)
            of_factors = distances_in(values, triplets, "l1")
            if len(triplets) and (factor is None or bool((of_factors != of_factors[0, 0]).any())):
                of_codes = distances_in(codes, triplets, self.norm)
                pairs = [(of_factors, of_codes)]
                if self.data_width:
                    of_data = distances_in(self.sample.read(self)["data"].cpu(), triplets, "squared")
                    pairs += [(of_codes, of_data), (of_factors, of_data)]
                found.append(torch.stack([part for pair in pairs for part in agreement_of(*pair)]))
            else:
                found.append(torch.full((len(self._parts()),), torch.nan, dtype=torch.float64))
        return found[0], torch.stack(found[1:], dim=1)


def _draw_triplets(group: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Three different rows of one group, ``(number, 3)``: the first is any in a group of three; none without such."""
    order = group.argsort(stable=True)  # rows of a group are neighbours
    size = group.bincount()
    start = (size.cumsum(0) - size).repeat_interleave(size)
    size = size.repeat_interleave(size)
    usable = (size > 2).nonzero()[:, 0]
    if not len(usable):
        return torch.empty(0, 3, dtype=torch.int64)
    first = usable[torch.randint(len(usable), (number,), generator=generator)]
    drawn = torch.rand(2, number, generator=generator, dtype=torch.float64)
    step = (drawn[0] * (size[first] - 1)).long() + 1
    other = (drawn[1] * (size[first] - 2)).long() + 1
    steps = torch.stack([torch.zeros_like(step), step, other + (other >= step)])
    return order[start[first] + (first - start[first] + steps) % size[first]].mT
