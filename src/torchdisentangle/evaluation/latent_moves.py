"""Latents that are moved away from a start, one alone or two at once, and what is decoded from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from torchdisentangle.evaluation.latents import decode, prior_samples
from torchdisentangle.evaluation.manifold_figures import image_shape
from torchdisentangle.evaluation.pictures import smaller, thinned
from torchdisentangle.latent_model import LatentModel

MOST_LATENTS = 64
MOST_PAIRS = 45  # all of ten latents
PAIR_STEPS = 5
_DRAWS, _STEP = 8, 0.05  # the latter in standard deviations, to both sides
_ALIKE = 1e-6  # what is left of one minus the squared cosine by rounding


@dataclass(frozen=True)
class Start:
    """Where latents are moved away from.

    Args:
        model: the model.
        z: its latents, ``(1, d)``.
        labels: its class, ``(1,)``, for a conditional model.
    """

    model: LatentModel
    z: Tensor
    labels: Tensor | None

    @cached_property
    def units(self) -> tuple[Tensor, Tensor]:
        """Centre and standard deviation of the start's own prior, ``(d,)`` each."""
        prior = self.model.prior
        row = int(self.labels) if self.labels is not None and len(prior.loc) > 1 else 0
        return prior.loc[row].to(self.z), prior.standard_deviations()[row].to(self.z)

    @property
    def values(self) -> Tensor:
        """The latents in standard deviations, ``(d,)``."""
        loc, std = self.units
        return ((self.z[0] - loc) / std).detach().float().cpu()

    def decoded(self, latents: list[int], values: Tensor) -> Tensor:
        """Data of some latents at other values.

        Args:
            latents: ``k`` of them.
            values: in standard deviations, ``(n, k)``.

        Returns:
            ``(n, *data_shape)`` in float32 on the CPU.
        """
        loc, std = self.units
        z = self.z.repeat(len(values), 1)
        z[:, latents] = loc[latents] + std[latents] * values.to(z)
        labels = None if self.labels is None else self.labels.expand(len(z))
        return decode(self.model, z, labels).detach().float().cpu()


@dataclass(frozen=True)
class LatentFrames:
    """What a page of latents shows; data are images ``(channels, H, W)``, or flat.

    Args:
        model: its name.
        start: what the latents were moved away from.
        num_latents: how many the model has.
        latents: those that are shown, ``L`` of them, first those that move the data most.
        values: that each is moved to, in standard deviations, ``(S,)``.
        start_values: where they are at the start, ``(L,)``.
        base: the data at the start.
        strips: ``(L, S, *data_shape)``.
        pairs: those that are moved together, ``P`` of them.
        pair_values: that both are moved to, ``(G,)``.
        grids: ``(P, G, G, *data_shape)``, the first latent of a pair from row to row.
        data_shape: as it was decoded.
    """

    model: str
    start: str
    num_latents: int
    latents: list[int]
    values: Tensor
    start_values: Tensor
    base: Tensor
    strips: Tensor
    pairs: list[tuple[int, int]]
    pair_values: Tensor
    grids: Tensor
    data_shape: tuple[int, ...]

    @classmethod
    def decode(cls, start: Start, description: str, latents: list[int], values: Tensor, moved: Tensor) -> LatentFrames:
        """Decode what has not been decoded yet.

        Args:
            start: where to begin.
            description: of the start.
            latents: to show.
            values: that each was moved to, ``(S,)``.
            moved: what was decoded, ``(L, S, *data_shape)``.
        """
        base = start.decoded([], torch.empty(1, 0))[0]
        image = image_shape(tuple(base.shape))
        shape = image or (base.numel(),)

        def shown(data: Tensor, *lead: int, count: int) -> Tensor:
            data = data.reshape(*lead, *shape)
            return smaller(data, count) if image else thinned(data)

        pairs = related(start, latents, MOST_PAIRS)
        pair_values = torch.linspace(float(values[0]), float(values[-1]), PAIR_STEPS)
        both, side = torch.cartesian_prod(pair_values, pair_values), (PAIR_STEPS, PAIR_STEPS)
        in_grids, in_strips = len(pairs) * len(both), len(latents) * len(values)
        grids = [shown(start.decoded([*pair], both), *side, count=in_grids) for pair in pairs]
        return cls(
            model=type(start.model.module).__name__,
            start=description,
            num_latents=start.model.latent_dim,
            latents=latents,
            values=values,
            start_values=start.values[latents],
            base=shown(base, count=in_strips),
            strips=shown(moved, *moved.shape[:2], count=in_strips),
            pairs=pairs,
            pair_values=pair_values,
            grids=torch.stack(grids) if grids else torch.empty(0, *side, *shape),
            data_shape=tuple(base.shape),
        )

    @property
    def are_images(self) -> bool:
        """Whether the data are images."""
        return self.base.ndim == 3


def related(start: Start, latents: list[int], most: int) -> list[tuple[int, int]]:
    r"""Pairs of latents, and if they are too many, those with the largest pairwise mutual information (MPMI).

    .. math:: \frac1n \sum_z -\tfrac12 \log \bigl(1 - \cos^2(\Delta_i(z), \Delta_j(z))\bigr)

    with differences :math:`\Delta_i` of the data between two close values of a latent, at a few draws from the prior.

    Args:
        start: whose model is asked.
        latents: to choose from.
        most: how many pairs to return.

    Returns:
        Pairs with the smaller number first.
    """
    pairs = list(combinations(sorted(latents), 2))
    if len(pairs) <= most:
        return pairs
    model = start.model
    z, labels, _ = prior_samples(model, _DRAWS, seed=0)
    step = _STEP * start.units[1]
    changes = []
    for latent in latents:
        ends = z.repeat(2, 1)
        ends[:_DRAWS, latent] -= step[latent]
        ends[_DRAWS:, latent] += step[latent]
        low, high = decode(model, ends, None if labels is None else labels.repeat(2)).detach().flatten(1).chunk(2)
        changes.append(normalize((high - low).float().nan_to_num(0.0, 0.0, 0.0)))
    columns = torch.stack(changes, dim=2)
    shared = -0.5 * (1 - (columns.mT @ columns).square()).clamp_min(_ALIKE).log().mean(0).cpu()
    place = {latent: row for row, latent in enumerate(latents)}
    return sorted(pairs, key=lambda pair: -float(shared[place[pair[0]], place[pair[1]]]))[:most]
