"""Attributes of decoded data along latents: smoothness and monotonicity, with a function from data to attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from torchdisentangle.attributes import AttributeMonotonicity, AttributeRange, AttributeSmoothness
from torchdisentangle.evaluation.base import Context, Evaluation, Pass
from torchdisentangle.evaluation.latents import LatentSamples, decode, prior_samples
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.report import Report, draws, floats
from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.functional.attributes.paths import Jerk, check_jerk, check_slope
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.plots import plot_factor_matrix
from torchdisentangle.statistics import StatisticCollection

_AT_ONCE = 1024  # data that are decoded at a time


@dataclass(frozen=True)
class AttributeEvaluation(Evaluation):
    """Smoothness and monotonicity of attributes of the decoded data, while one latent at a time moves (Watcharasupat).

    For each attribute the report holds ``smoothness_<name>``, ``monotonicity_<name>`` and ``range_<name>`` along its
    latent. It also holds their means over attributes, ``smoothness`` and ``monotonicity`` (of absolute values), and the
    matrices of all latents and attributes. As the evaluation needs a function, :func:`~torchdisentangle.evaluate` has
    no name for it: pass the object.

    Args:
        attributes: a function from data ``(n, *data_shape)`` to attributes ``(n,)`` or ``(n, A)``, such as brightness,
            a centre of mass, or what a classifier says.
        names: of the attributes; by default their numbers.
        latents: the latent that each attribute belongs to; ``None``: the one along which it ranges most, on average.
        num_samples: how many latents paths lead through.
        num_steps: values of the moving latent, at least 3.
        span: how far it moves to both sides of the prior's centre, in standard deviations of the prior.
        source: ``"prior"``: paths lead through samples of the prior; ``"posterior_mean"``: through codes of the data.
        jerk: how second differences are summed up; see :func:`~torchdisentangle.functional.smoothness`.
        threshold: slope below which a step counts as level, in units of the attribute per standard deviation of the
            prior.
        seed: of the samples.

    Raises:
        ValueError: for wrong settings.

    Example:
        >>> AttributeEvaluation(lambda images: images.flatten(1).mean(1), ["brightness"]).abilities
        ('decode',)
    """

    family: ClassVar[str] = "attributes"

    attributes: Callable[[Tensor], Tensor]
    names: Sequence[str] | None = None
    latents: Sequence[int] | None = None
    num_samples: int = 128
    num_steps: int = 11
    span: float = 2.0
    source: Literal["prior", "posterior_mean"] = "prior"
    jerk: Jerk = "lehmer"
    threshold: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_samples < 1 or self.num_steps < 3 or not self.span > 0:
            got = f"{self.num_samples}, {self.num_steps} and {self.span}"
            raise ValueError(f"at least 1 sample, 3 steps and a positive span are needed, got {got}")
        if self.source not in ("prior", "posterior_mean"):
            raise ValueError(f"source must be 'prior' or 'posterior_mean', got {self.source!r}")
        check_jerk(self.jerk)
        check_slope(self.step, self.threshold)

    @property
    def step(self) -> float:
        """Distance of neighbouring values of the moving latent, in standard deviations of the prior."""
        return 2 * self.span / (self.num_steps - 1)

    @property
    def abilities(self) -> tuple[str, ...]:
        """Decoding, and encoding for codes of the data."""
        return ("decode",) if self.source == "prior" else ("decode", "encode")

    def check(self, model: LatentModel) -> None:
        """Refuse a model that lacks what is needed, or one of the latents that were named."""
        super().check(model)
        if not all(0 <= latent < model.latent_dim for latent in self.latents or ()):
            raise ValueError(f"latents must be among the model's {model.latent_dim}, got {list(self.latents or ())}")

    def rehearse(self, model: LatentModel, place: Place) -> None:
        """Measure the attributes of two decoded samples."""
        z, labels, _ = prior_samples(model, 2, self.seed)
        self.measure(decode(model, z, labels))

    def begin(self, model: LatentModel, place: Place, context: Context) -> AttributePass:
        """Begin a pass."""
        return AttributePass(self, model, place)

    def measure(self, data: Tensor) -> Tensor:
        """The attributes of data, ``(n, A)``.

        Raises:
            TypeError: if the function returns no floating-point tensor.
            ValueError: if it returns one of another shape, or of another number of attributes than there are names or
                latents.
        """
        values = self.attributes(data)
        if not isinstance(values, Tensor) or not values.is_floating_point():
            got = str(values.dtype) if isinstance(values, Tensor) else type(values).__name__
            raise TypeError(f"attributes= must return a floating-point tensor, got {got}")
        if values.ndim not in (1, 2) or len(values) != len(data):
            raise ValueError(f"attributes= must return ({len(data)},) or ({len(data)}, A), got {tuple(values.shape)}")
        values = values[:, None] if values.ndim == 1 else values
        for what in (self.names, self.latents):
            if what is not None and len(what) != values.shape[1]:
                raise ValueError(f"there are {values.shape[1]} attributes, got {list(what)} for them")
        return values

    def paths(self, model: LatentModel, samples: LatentSamples) -> Tensor:
        """Attributes along the path of each latent through each sample, ``(n, num_steps, d, A)``."""
        z, labels, _ = samples
        prior = model.prior
        rows = labels.cpu() if labels is not None and len(prior.loc) > 1 else torch.zeros(len(z), dtype=torch.int64)
        loc, std = prior.loc.detach().cpu()[rows].to(z), prior.standard_deviations().detach().cpu()[rows].to(z)
        steps = torch.linspace(-self.span, self.span, self.num_steps).to(z)
        moved = z[:, None, None].repeat(1, self.num_steps, z.shape[1], 1)  # (n, steps, moving latent, d)
        values = loc[:, None] + std[:, None] * steps[:, None]
        moved.diagonal(dim1=2, dim2=3).copy_(values)
        repeats = self.num_steps * z.shape[1]
        of_moved = None if labels is None else labels.repeat_interleave(repeats)
        measured = [
            self.measure(decode(model, part, None if of_moved is None else of_moved[start : start + len(part)]))
            for start, part in zip(
                range(0, len(z) * repeats, _AT_ONCE), moved.flatten(0, 2).split(_AT_ONCE), strict=True
            )
        ]
        return torch.cat(measured).unflatten(0, moved.shape[:3])


class AttributePass(Pass):
    """One evaluation of :class:`AttributeEvaluation`."""

    def __init__(self, evaluation: AttributeEvaluation, model: LatentModel, place: Place) -> None:
        self.evaluation: AttributeEvaluation = evaluation
        self.model: LatentModel = model
        self.place: Place = place
        settings = evaluation.jerk, evaluation.step, evaluation.threshold
        self.range: AttributeRange = AttributeRange(*settings)
        members: dict[str, Metric | MetricCollection] = {
            "smoothness": AttributeSmoothness(*settings),
            "monotonicity": AttributeMonotonicity(*settings),
            "range": self.range,
        }
        self.metrics: StatisticCollection = StatisticCollection(members).to(model.like.device)
        self._last = -1  # the last position that was seen

    @property
    def done(self) -> bool:
        """With the prior as source no rows are needed; else the first ``num_samples``."""
        settings = self.evaluation
        return settings.source == "prior" or self._last >= settings.num_samples - self.place.world_size

    def start(self) -> None:
        """With the prior as source, evaluate this process's share of the samples."""
        settings = self.evaluation
        if settings.source == "prior":
            self._evaluate(prior_samples(self.model, settings.num_samples, settings.seed, self.place.share))

    def wants(self, index: Tensor) -> Tensor:
        """Rows that are among the first ``num_samples``."""
        self._last = max(self._last, int(index.max()))
        return index < self.evaluation.num_samples

    def add(self, rows: Rows) -> None:
        """Evaluate the codes of rows."""
        labels = None if self.model.num_classes is None else rows.labels.to(rows.mean.device)
        self._evaluate(LatentSamples(rows.mean, labels, rows.index))

    def rehearse(self, rows: Rows) -> None:
        """Evaluate two rows."""
        self.add(rows.at(torch.arange(min(2, len(rows)))))

    def finish(self) -> Report:
        """Scores of each attribute along its latent, and matrices, over all processes."""
        settings, metrics = self.evaluation, self.metrics
        with metrics.reduced():
            num_paths = int(self.range.num_paths)
            if not num_paths:
                return Report({"num_nonfinite": float(self.range.num_nonfinite)})
            matrices: dict[str, Tensor] = dict(metrics.compute())
            num_nonfinite = float(self.range.num_nonfinite)
        num_latents, num_attributes = matrices["range"].shape
        names = settings.names or [str(attribute) for attribute in range(num_attributes)]
        chosen = torch.tensor(settings.latents) if settings.latents is not None else _largest(matrices["range"])
        own = {name: matrix.cpu()[chosen, torch.arange(num_attributes)] for name, matrix in matrices.items()}
        scalars = {"smoothness": own["smoothness"].nanmean(), "monotonicity": own["monotonicity"].abs().nanmean()}
        scalars |= {f"{score}_{name}": value for score in own for name, value in zip(names, own[score], strict=True)}
        if num_nonfinite:
            scalars["num_nonfinite"] = torch.tensor(num_nonfinite)
        figures = {
            name: lambda matrix=matrix, name=name: plot_factor_matrix(matrix, names, label=name)
            for name, matrix in matrices.items()
        }
        num_rows = num_paths // (num_latents * num_attributes)
        return Report(floats(scalars), matrices | {"latents": chosen}, draws(figures), num_rows)

    def _evaluate(self, samples: LatentSamples) -> None:
        if len(samples.z):
            self.metrics.update(self.evaluation.paths(self.model, samples))


def _largest(ranges: Tensor) -> Tensor:
    """The latent along which each attribute ranges most, ``(A,)``."""
    return ranges.cpu().nan_to_num(-1.0).argmax(0)
