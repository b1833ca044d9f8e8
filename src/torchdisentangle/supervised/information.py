"""What the scores of mutual information have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.information import BiasCorrection
from torchdisentangle.settings import settings_of
from torchdisentangle.statistics import MetricSettings, readout
from torchdisentangle.statistics.bin_counter import Binning, Edges, Range
from torchdisentangle.statistics.checks import Continuous
from torchdisentangle.statistics.counts import JointCounts
from torchdisentangle.statistics.rows import CodeFactorRows
from torchdisentangle.supervised.base import Mode, SupervisedScore, SupervisedSettings, check_mode
from torchdisentangle.supervised.counted_information import CountedInformation
from torchdisentangle.supervised.information_estimator import Information, InformationEstimator
from torchdisentangle.supervised.neighbour_information import NeighbourInformation
from torchdisentangle.supervised.posterior_information import PosteriorInformation

Estimator = Literal["counts", "neighbours", "posterior"]


class CountSettings(SupervisedSettings, total=False):
    """Settings of scores of counts, but for the bins of codes."""

    mode: Mode
    bias_correction: BiasCorrection | None
    continuous: Continuous
    factor_edges: Range | None
    num_factor_bins: int | None
    max_rows: int
    seed: int
    intervals: bool


class BinSettings(CountSettings, total=False):
    """Settings of :class:`InformationScore`, but for the estimator and its neighbours."""

    num_bins: int
    edges: Edges
    binning: Binning
    num_queries: int


class InformationSettings(BinSettings, total=False):
    """Settings of :class:`InformationScore`."""

    estimator: Estimator
    num_neighbours: int


class InformationScore(SupervisedScore):
    """Base of the scores that are read from the information of codes about factors.

    Subclasses define ``_values``, the values of factors or codes from the information about the factors that can be
    scored, of which the score is the mean, or else ``_score``. Scores whose settings agree in what is kept of the rows
    share one state, whatever their other settings.

    Args:
        num_bins: number of bins ``B`` of a code.
        edges: of the bins: ``"data"``, ``"prior"`` or ``(low, high)``, see
            :class:`~torchdisentangle.statistics.counts.JointCounts`.
        binning: ``"hard"`` counts codes; ``"soft"`` posteriors, by the probability of each bin.
        mode: of soft bins: ``"exact"``, or ``"reference"`` for densities at the bins' centres.
        bias_correction: of the mutual information, ``"miller_madow"`` or ``"permutation"``, see
            :func:`~torchdisentangle.functional.supervised.information.mutual_information`; for hard bins only.
        continuous: columns of the factors that are real numbers, which are binned; ``True``: all.
        factor_edges: range of the continuous factors; needed unless ``edges="data"``.
        num_factor_bins: number of bins of a continuous factor, by default ``num_bins``.
        estimator: ``"counts"`` of bins; ``"neighbours"`` for distances to nearest neighbours, without bins, of codes
            and of continuous factors alike, see
            :class:`~torchdisentangle.supervised.neighbour_information.NeighbourInformation`; or ``"posterior"`` for
            densities of posteriors, which needs ``log_variance`` and discrete factors, see
            :class:`~torchdisentangle.supervised.posterior_information.PosteriorInformation`. The last two use none of
            the settings above but ``continuous``.
        num_queries: latents at which ``estimator="posterior"`` compares densities.
        num_neighbours: whose distance ``estimator="neighbours"`` looks at.
        max_rows: how many rows to keep at most, where rows are kept.
        seed: of the choice of rows, and of the latents drawn.
        intervals: whether counts are kept so that there is an :meth:`interval`, in twenty times the memory; without
            effect where rows are kept.
        factor_names: what to call the factors; by default their numbers.
        settings: of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for settings that do not fit together, or an estimator that the score cannot use.
    """

    estimators: ClassVar[tuple[Estimator, ...]] = ("counts", "neighbours", "posterior")
    """Which estimators the score can use."""
    counts_type: ClassVar[type[JointCounts]] = JointCounts
    """What is counted."""
    corrects_information: ClassVar[bool] = True
    """Whether intervals correct the information for its bias, and not the score: not where a score reads more than
    that, or has no value where corrected information is below 0."""

    def __init__(
        self,
        *,
        num_bins: int = 20,
        edges: Edges = "data",
        binning: Binning = "hard",
        mode: Mode = "exact",
        bias_correction: BiasCorrection | None = None,
        continuous: Continuous = False,
        factor_edges: Range | None = None,
        num_factor_bins: int | None = None,
        estimator: Estimator = "counts",
        num_queries: int = 2048,
        num_neighbours: int = 3,
        max_rows: int = 10_000,
        seed: int = 0,
        intervals: bool = True,
        factor_names: Sequence[str] | None = None,
        **settings: Unpack[MetricSettings],
    ) -> None:
        check_mode(mode)
        if estimator not in self.estimators:
            raise ValueError(f"estimator of {type(self).__name__} must be one of {self.estimators}, got {estimator!r}")
        source: InformationEstimator
        if estimator == "posterior":
            if continuous or bias_correction is not None:
                raise ValueError("estimator='posterior' needs discrete factors and has no bias correction")
            source = PosteriorInformation(CodeFactorRows(max_rows, False, seed, log_variance=True), num_queries)
        elif estimator == "neighbours":
            if bias_correction is not None:
                raise ValueError("estimator='neighbours' has no bias correction")
            source = NeighbourInformation(CodeFactorRows(max_rows, continuous, seed), num_neighbours, continuous)
        else:
            counts = self.counts_type(
                num_bins, edges, binning, mode, continuous, factor_edges, num_factor_bins, max_rows, seed, intervals
            )
            source = CountedInformation(counts, bias_correction)
        super().__init__(source.state, factor_names=factor_names, **settings)
        self._source = source
        self.num_bins = num_bins
        self.edges = edges
        self.binning = binning
        self.mode = mode
        self.bias_correction = bias_correction
        self.continuous: Continuous = continuous
        self.factor_edges = factor_edges
        self.num_factor_bins = num_factor_bins
        self.estimator = estimator
        self.num_queries = num_queries
        self.num_neighbours = num_neighbours
        self.max_rows = max_rows
        self.seed = seed
        self.intervals = intervals

    @classmethod
    def _needs_of(cls, **settings: Any) -> frozenset[str]:
        """``"log_variance"`` for soft bins and for posteriors, by the class's own defaults where not given."""
        chosen = {name: parameter.default for name, parameter in settings_of(cls).items()} | settings
        of_posteriors = chosen["estimator"] == "posterior" or chosen["binning"] == "soft"
        return cls.needs | {"log_variance"} if of_posteriors else cls.needs

    @readout
    def information(self) -> Information:
        """Information about the factors that can be scored.

        Raises:
            ValueError: if there are no rows, or every factor was seen with a single value.
        """
        information = self._source.information(self)
        return information.of_factors(self._require_scored(information.factor_entropy > 0))

    @readout
    def matrix(self) -> Tensor:
        """Information of every code about every factor, ``(d, F)`` in nats; 0 for a factor with a single value."""
        information = self._source.information(self)
        return information.in_nats() * (information.factor_entropy > 0)

    @readout
    def joint_counts(self) -> Tensor:
        """How often each bin of each code met each value of each factor, ``(F, d, B, V)``.

        Raises:
            ValueError: if there are no rows, or the estimator does not count.
        """
        return self._counted().table(self)

    @readout
    def ceiling(self) -> Any:
        """The score of perfect codes: what bins and factors seen so far allow.

        Perfect codes are one for each factor, independent, and equal to it up to scale: evenly spaced over the bins'
        range, or with ``edges="prior"`` the factor's normal scores. With fewer bins than values they cannot tell all
        values apart. Where lower is better this is the lowest value. It is that of exact frequencies, so without a
        bias correction.

        Raises:
            ValueError: if there are no rows, or the estimator does not count.
        """
        information = self._counted().perfect_information(self)
        scored = self._require_scored(information.factor_entropy > 0)
        of_codes = information.code_information[scored]
        joint = None if information.joint_entropy is None else information.joint_entropy[scored][:, scored]
        mutual = information.mutual[scored][:, scored]
        return self._score(Information(mutual, information.factor_entropy[scored], of_codes, joint))

    @readout
    def plug_in_bias(self) -> Tensor:
        """What the mutual information of unrelated codes and factors is on average, to first order: ``(d, F)`` in nats.

        Raises:
            ValueError: if there are no rows, or the estimator does not count.
        """
        return self._counted().bias(self)

    def _estimates(self) -> Any:
        if not self.corrects_information:
            return super()._estimates()
        information = self._source.information(self)._asdict()
        return {name: value for name, value in information.items() if value is not None}

    def _quadratic_variance(self) -> dict[str, Tensor]:
        variance = self._source.quadratic_variance(self) if self.corrects_information else None
        return {} if variance is None else {"mutual": variance}

    def _reader(self) -> Callable[[Any], Any]:
        if not self.corrects_information:
            return super()._reader()
        scored = self._scored()
        return lambda estimates: self._score(Information(**estimates).of_factors(scored))

    def _score(self, information: Information) -> Any:
        """The value from the information about the factors that can be scored: by default the mean of ``_values``."""
        return self._values(information).mean()

    def _values(self, information: Information) -> Tensor:
        """The values of factors or codes that the score is the mean of."""
        raise NotImplementedError(f"{type(self).__name__} must define _values, or _score")

    def _scored(self) -> Tensor:
        return self._source.information(self).factor_entropy > 0

    def _over_all_factors(self, values: Callable[[Information], Tensor]) -> Tensor:
        """Values of the factors that can be scored, with NaN for the others, ``(F,)``."""
        information = self._source.information(self)
        scored = self._require_scored(information.factor_entropy > 0)
        of_scored = values(information.of_factors(scored))
        return of_scored.new_full((*of_scored.shape[:-1], len(scored)), torch.nan).masked_scatter(scored, of_scored)

    def _counted(self) -> CountedInformation:
        if not isinstance(self._source, CountedInformation):
            raise ValueError(f"{self!r} has no counts: use estimator='counts'")
        return self._source
