"""Minimality and sufficiency of codes, which hold for factors that depend on each other."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchdisentangle.functional.supervised.minimality import minimality, sufficiency
from torchdisentangle.supervised.information import Information, InformationMetric
from torchdisentangle.supervised.posterior import PosteriorInformationMetric


class Minimality(InformationMetric):
    r"""Minimality: is all that a code knows about the data about one factor?

    .. math:: \frac{1}{|A|} \sum_{k \in A} \max_f \frac{I(z_k; y_f)}{H(z_k)}, \quad A = \{k : H(z_k) > 0\}

    from counts of code bins and factor values, in which a code's information about the data is its entropy. Ideal 1,
    worst 0, and 0 if no code varies. Together with :class:`Sufficiency` it defines disentanglement without asking that
    factors be independent: where factors are correlated, MIG and DCI count against a perfect code what it cannot help
    knowing about other factors; these two do not. A code that is finer than its factor (continuous codes of a factor
    with fewer values than bins) is not minimal in bins; see :class:`PosteriorMinimality` for posteriors.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar.

    Args:
        kwargs: settings of :class:`~torchdisentangle.supervised.information.InformationMetric`; hard binning only.

    Raises:
        ValueError: for soft binning.

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

    plot_upper_bound: float = 1.0

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.binning != "hard":
            raise ValueError("minimality in bins needs binning='hard'; for posteriors use PosteriorMinimality")

    def score(self, information: Information) -> Tensor:
        """Mean over codes that vary."""
        return minimality(information.mutual, information.code_entropy).nanmean().nan_to_num(0.0)

    def per_code(self) -> Tensor:
        """The value of every code, ``(d,)``; NaN for one that is constant."""
        with self.reduced():
            information = self.information()
        return minimality(information.mutual, information.code_entropy)


class Sufficiency(InformationMetric):
    r"""Sufficiency: does one code know all of a factor?

    .. math:: \frac1F \sum_f \max_k \frac{I(z_k; y_f)}{H(y_f)}

    from counts of code bins and factor values. Ideal 1, worst 0. Bins cap it as they cap MIG, see ``ceiling()``.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar.

    Args:
        kwargs: settings of :class:`~torchdisentangle.supervised.information.InformationMetric`.

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

    plot_upper_bound: float = 1.0

    def score(self, information: Information) -> Tensor:
        """Mean over factors."""
        return sufficiency(information.mutual, information.factor_entropy).mean()

    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        with self.reduced():
            information = self.information()
            return self.over_all_factors(sufficiency(information.mutual, information.factor_entropy))


class PosteriorMinimality(PosteriorInformationMetric):
    r"""Minimality of latents with Gaussian posteriors, without bins.

    .. math:: \frac{1}{|A|} \sum_{k \in A} \max_f \frac{I(z_k; y_f)}{I(z_k; x)}, \quad
              A = \{k : I(z_k; x) > \tau \max_l I(z_l; x)\}

    Ideal 1, worst 0, and 0 if no latent knows anything. A posterior as wide as the values of its factor lie apart hides
    what is finer than the factor, so a noisy code can be minimal.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, ``factors``
    ``(n, F)`` integers and ``index`` ``(n,)``; ``compute`` returns a scalar.

    Args:
        threshold: :math:`\tau`; latents that know a smaller share of what the best one knows are left out, for of them
            there is only the noise of the estimate.
        kwargs: settings of :class:`~torchdisentangle.supervised.posterior.PosteriorInformationMetric`.

    Raises:
        ValueError: if the threshold is not in [0, 1).

    Reference:
        Almudévar & Ortega, arXiv 2408.07016.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4)).repeat(20, 1)
        >>> score = PosteriorMinimality()
        >>> score.update(10.0 * factors, torch.zeros(160, 2), factors)
        >>> score.compute().round(decimals=3)
        tensor(1., dtype=torch.float64)
    """

    plot_upper_bound: float = 1.0

    def __init__(self, threshold: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), got {threshold}")
        self.threshold = threshold

    def compute(self) -> Tensor:
        """Mean over latents that know something."""
        known = self.latent_information()
        floor = (self.threshold * known.max()).clamp(min=1e-9)  # below there is rounding
        known = known.masked_fill(known <= floor, 0.0)
        return minimality(self.mutual_information(), known).nanmean().nan_to_num(0.0)


class PosteriorSufficiency(PosteriorInformationMetric):
    r"""Sufficiency of latents with Gaussian posteriors, without bins.

    .. math:: \frac1F \sum_f \max_k \frac{I(z_k; y_f)}{H(y_f)}

    Ideal 1, worst 0. As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance``
    ``(n, d)``, ``factors`` ``(n, F)`` integers and ``index`` ``(n,)``; ``compute`` returns a scalar.

    Args:
        kwargs: settings of :class:`~torchdisentangle.supervised.posterior.PosteriorInformationMetric`.

    Reference:
        Almudévar & Ortega, arXiv 2408.07016.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4)).repeat(20, 1)
        >>> score = PosteriorSufficiency()
        >>> score.update(10.0 * factors[:, :1], torch.zeros(160, 1), factors)
        >>> score.compute().round(decimals=1)
        tensor(0.5000, dtype=torch.float64)
    """

    plot_upper_bound: float = 1.0

    def compute(self) -> Tensor:
        """Mean over factors."""
        entropies = self.factor_entropy()
        scored = entropies > 0
        return sufficiency(self.mutual_information()[:, scored], entropies[scored]).mean()
