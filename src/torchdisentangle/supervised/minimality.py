"""Minimality and sufficiency of codes, which hold for factors that depend on each other."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.minimality import minimality, sufficiency
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.base import Variants
from torchdisentangle.supervised.information import Estimator, InformationScore, InformationSettings
from torchdisentangle.supervised.information_estimator import Information

_ROUNDING = 1e-9  # nats


class Minimality(InformationScore):
    r"""Minimality: is all that a code knows about the data about one factor?

    .. math:: \frac{1}{|A|} \sum_{k \in A} \max_f \frac{I(z_k; y_f)}{I(z_k; x)}, \quad
              A = \{k : I(z_k; x) > \tau \max_l I(z_l; x)\}

    Ideal 1, worst 0, and 0 if no code knows anything. Together with :class:`Sufficiency` it defines disentanglement
    without asking that factors be independent: where factors are correlated, MIG and DCI count against a perfect code
    what it cannot help knowing about other factors; these two do not.

    With ``estimator="counts"`` a code's information about the data is its entropy in bins, and a code that is finer
    than its factor (continuous codes of a factor with fewer values than bins) is not minimal. With
    ``estimator="posterior"`` a posterior as wide as the values of its factor lie apart hides what is finer than the
    factor, so a noisy code can be minimal.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``, and of
    posteriors ``log_variance`` ``(n, d)``; ``compute`` returns a scalar.

    Args:
        threshold: :math:`\tau`; codes that know a smaller share of what the best one knows are left out, because what
            is measured of them is only the noise of the estimate. By default 0 for counts, which leaves out constant
            codes, and 0.01 for posteriors.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`; hard binning only.

    Raises:
        ValueError: for soft binning, or a threshold that is not in [0, 1).

    Reference:
        Almudévar & Ortega, *Rethinking disentanglement under dependent factors of variation*, arXiv 2408.07016.

    Example:
        >>> import torch
        >>> factors = torch.tensor([[0, 0], [0, 0], [1, 1], [1, 1], [1, 0]])  # two factors that depend on each other
        >>> score = Minimality()
        >>> score.update(factors.float(), factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    name = "minimality"
    variants: ClassVar[Variants] = {"minimality": {}, "posterior_minimality": {"estimator": "posterior"}}
    # what a code without noise knows about the data is infinite
    estimators: ClassVar[tuple[Estimator, ...]] = ("counts", "posterior")

    def __init__(self, threshold: float | None = None, **settings: Unpack[InformationSettings]) -> None:
        super().__init__(**settings)
        if threshold is not None and not 0 <= threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), got {threshold}")
        if self.binning != "hard":
            raise ValueError("minimality in bins needs binning='hard'; for posteriors use estimator='posterior'")
        self.threshold = threshold

    def compute(self) -> Tensor:
        """Mean over codes that know something."""
        return self._score(self.information())

    @readout
    def per_code(self) -> Tensor:
        """The value of every code, ``(d,)``; NaN for one that knows nothing."""
        return self._minimalities(self.information())

    def _score(self, information: Information) -> Tensor:
        return self._minimalities(information).nanmean().nan_to_num(0.0)

    def _minimalities(self, information: Information) -> Tensor:
        known, default = information.code_information, 0.01 if self.estimator == "posterior" else 0.0
        threshold = default if self.threshold is None else self.threshold
        floor = (threshold * known.max()).clamp(min=_ROUNDING)
        return minimality(information.mutual, known.masked_fill(known <= floor, 0.0))


class Sufficiency(InformationScore):
    r"""Sufficiency: does one code know all of a factor?

    .. math:: \frac1F \sum_f \max_k \frac{I(z_k; y_f)}{H(y_f)}

    Ideal 1, worst 0. From counts of bins, or with ``estimator="posterior"`` of posteriors. Bins cap it as they cap MIG,
    see ``ceiling()``.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``, and of
    posteriors ``log_variance`` ``(n, d)``; ``compute`` returns a scalar.

    Args:
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Reference:
        Almudévar & Ortega, arXiv 2408.07016.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        >>> score = Sufficiency()
        >>> score.update(factors[:, :1].float(), factors)
        >>> score.compute()  # no code knows the second factor
        tensor(0.5000, dtype=torch.float64)
    """

    name = "sufficiency"
    variants: ClassVar[Variants] = {"sufficiency": {}, "posterior_sufficiency": {"estimator": "posterior"}}

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._score(self.information())

    @readout
    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        return self._over_all_factors(self._values)

    def _values(self, information: Information) -> Tensor:
        return sufficiency(information.mutual, information.factor_entropy)
