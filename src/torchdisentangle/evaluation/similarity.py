"""Information of latent channels, and how it compares with earlier evaluations and other runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from torchdisentangle.evaluation.base import Context, Evaluation, Goal, Pass
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.positions import is_random, sampler_of
from torchdisentangle.evaluation.report import Report, draws, floats
from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.functional import ChannelComparison, compare_posteriors, compare_with_labels, matched_orders
from torchdisentangle.functional.similarity.channels import INFORMATIVE
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.plots import plot_similarity
from torchdisentangle.similarity import BhattacharyyaFingerprint, Fingerprint, align_fingerprints, similarity_matrix
from torchdisentangle.similarity.measure import Measure, best_match, check_measure, measure_label

_AXES = {
    "to_previous": "channel of the last evaluation",
    "to_reference": "channel of the reference",
    "to_labels": "label",
}


@dataclass(frozen=True, repr=False, eq=False)
class SimilarityReport(Report):
    """A report with the fingerprint that it was read from.

    Args:
        fingerprint: of the model; ``None`` if there were no rows.
    """

    fingerprint: Fingerprint | None = None


@dataclass(frozen=True)
class SimilarityEvaluation(Evaluation):
    """What each latent channel tells about the data, and how well it is found again (Murphy et al.).

    Args:
        num_points: how many data points are compared.
        measure: ``"nmi"`` or ``"vi"``.
        reference: fingerprint of another run.
        previous: fingerprint of an earlier evaluation.
        labels: whether to compare the channels with the labels.
        noise_std: for deterministic encoders: the standard deviation within which codes count as the same.
        threshold: nats of information that an informative channel exceeds.
        seed: of the choice of points.

    Raises:
        ValueError: for wrong settings.

    Example:
        >>> SimilarityEvaluation(num_points=300).abilities
        ('encode',)
    """

    family: ClassVar[str] = "similarity"

    num_points: int = 1000
    measure: Measure = "nmi"
    reference: Fingerprint | None = None
    previous: Fingerprint | None = None
    labels: bool = False
    noise_std: float | None = None
    threshold: float = INFORMATIVE
    seed: int = 0

    def __post_init__(self) -> None:
        check_measure(self.measure)
        BhattacharyyaFingerprint(self.num_points, self.seed)
        if self.noise_std is not None and not self.noise_std > 0:
            raise ValueError(f"noise_std must be positive, got {self.noise_std}")

    @property
    def headlines(self) -> Mapping[str, Goal]:
        """The values to look at first."""
        goal: Goal = "max" if self.measure == "nmi" else "min"
        compared = {f"{self.measure}_to_{other}": goal for other in ("previous", "reference", "labels")}
        return {"total_information": "none", "informative_channels": "none", **compared}

    @property
    def abilities(self) -> tuple[str, ...]:
        """Encoding."""
        return ("encode",)

    def begin(self, model: LatentModel, place: Place, context: Context) -> SimilarityPass:
        """Begin a pass; a ValueError is raised if the data are shuffled."""
        _refuse_shuffled(context.loader)
        return SimilarityPass(self, model, place)


class SimilarityPass(Pass):
    """One evaluation of :class:`SimilarityEvaluation`."""

    def __init__(self, evaluation: SimilarityEvaluation, model: LatentModel, place: Place) -> None:
        self.evaluation = evaluation
        self.model = model
        self.metric: BhattacharyyaFingerprint = BhattacharyyaFingerprint(evaluation.num_points, evaluation.seed).to(
            place.device
        )

    def wants(self, index: Tensor) -> Tensor:
        """Rows that belong to the fingerprint, as far as is known yet."""
        return self.metric.sample.wanted(self.metric, index)

    def add(self, rows: Rows) -> None:
        """Add data points."""
        mean, log_variance = rows.mean, rows.log_variance
        if log_variance is None:
            if self.evaluation.noise_std is None:
                raise TypeError(
                    f"{type(self.model.module).__name__} encodes data as points, which carry unlimited information: "
                    "set noise_std, the standard deviation within which codes count as the same"
                )
            log_variance = torch.full_like(mean, 2 * math.log(self.evaluation.noise_std))
        labels = rows.labels if self.evaluation.labels else None
        self.metric.update(mean, log_variance, index=rows.index.to(mean.device), labels=labels)

    def finish(self) -> SimilarityReport:
        """Compare, on all processes."""
        settings = self.evaluation
        with self.metric.reduced():
            lost = int(self.metric.num_nonfinite)
            scalars = {"num_nonfinite": float(lost)} if lost else {}
            if len(self.metric.keys) == 0:
                return SimilarityReport(scalars)
            current = self.metric.fingerprint()
        within = compare_posteriors(current.mean, current.log_variance)
        informative = within.information_a > settings.threshold
        found = {"total_information": within.information_a.sum(), "informative_channels": informative.sum().double()}
        order = within.information_a.argsort(descending=True, stable=True)
        similarities = {"channels": similarity_matrix(within, settings.measure)[:, order]}
        for name, compared in self._comparisons(current).items():
            similarity = similarity_matrix(compared, settings.measure)
            there = compared.information_b > settings.threshold
            best = best_match(similarity, informative, there, settings.measure)
            if name == "labels":  # all of which should be found, not all channels
                best = best_match(similarity.mT, there, informative, settings.measure)
            found[f"{settings.measure}_to_{name}"] = best
            similarities[f"to_{name}"] = similarity
        figures: dict[str, Callable[[], Any]] = {"fingerprint": current.plot}
        for name, matrix in similarities.items():
            figures[name] = partial(_draw, matrix[order], order.tolist(), name, settings.measure)
        matrices = {"information": within.information_a, **similarities}
        return SimilarityReport(floats(found) | scalars, matrices, draws(figures), current.num_points, current)

    def _comparisons(self, current: Fingerprint) -> dict[str, ChannelComparison]:
        comparisons = {}
        previous, reference = self.evaluation.previous, self.evaluation.reference
        if previous is not None and torch.equal(previous.index, current.index.to(previous.index.device)):
            comparisons["previous"] = _compare(current, previous)
        if reference is not None:
            comparisons["reference"] = _compare(*align_fingerprints([current, reference.to(current.mean.device)]))
        if current.labels is not None:
            comparisons["labels"] = compare_with_labels(current.mean, current.log_variance, current.labels)
        return comparisons


def _compare(a: Fingerprint, b: Fingerprint) -> ChannelComparison:
    b = b.to(a.mean.device)
    return compare_posteriors(a.mean, a.log_variance, b.mean, b.log_variance)


def _draw(matrix: Tensor, rows: list[int], name: str, measure: Measure) -> Any:
    columns: list[Any] = rows
    if name != "channels":  # in the order that puts the best matches on the diagonal
        first, second = matched_orders(matrix if measure == "nmi" else -matrix)
        matrix, columns = matrix[first][:, second], second.tolist()
        rows = [rows[row] for row in first.tolist()]
    names = ("channel", _AXES.get(name, "channel"))
    return plot_similarity(matrix, row_labels=rows, column_labels=columns, label=measure_label(measure), names=names)


def _refuse_shuffled(loader: Any) -> None:
    sampler = sampler_of(loader)
    if is_random(sampler) or (isinstance(sampler, DistributedSampler) and sampler.shuffle):
        raise ValueError(
            "the evaluated data are shuffled, so their positions do not tell which data points they are, and "
            "fingerprints could not be compared: set shuffle=False in the data loader, and use no random sampler"
        )
