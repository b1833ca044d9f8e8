"""InfoM and InfoC: modularity and compactness of information, by its largest share."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.info_mec import largest_share
from torchdisentangle.statistics import readout
from torchdisentangle.statistics.rows import CodeFactorRows
from torchdisentangle.supervised.information import BinSettings, Estimator, InformationScore
from torchdisentangle.supervised.information_estimator import Information
from torchdisentangle.supervised.neighbour_information import NeighbourInformation
from torchdisentangle.supervised.shuffled import floor


@readout
def active_codes(score: InfoM | InfoC) -> Tensor:
    """Which codes are active, ``(d,)`` booleans."""
    return _active(score, score._source.information(score))


class InfoM(InformationScore):
    r"""InfoM, the modularity of InfoMEC: does every code know one factor only?

    .. math:: \mathrm{InfoM} = \frac{\frac{1}{|A|} \sum_{k \in A} \frac{\max_f N_{kf}}{\sum_f N_{kf}} - \frac1F}
              {1 - \frac1F}, \quad N_{kf} = \frac{I_{kf}}{H(y_f)}

    over active codes :math:`A`, those whose range exceeds a share of the largest range. Ideal 1; 0 if every code knows
    equally much of all factors. Noise does not score 0: what an estimator finds in it is not equal either. ``floor()``
    is the score of these codes with the factors of other rows, about 0.6 for ten codes and five factors.

    A code whose estimates are all 0 is left out; the score is 0 if nothing is left, and NaN with a single factor. A
    code that is active and knows nothing pulls the score down: five of noise beside five perfect ones make it about
    0.8.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)``, ``factors`` ``(n, F)``, ``index``
    ``(n,)``, and of posteriors ``log_variance`` ``(n, d)``; ``compute`` returns a scalar.

    Args:
        threshold: the share of the largest range that an active code exceeds. The paper's authors use 1/20, and 1/8 in
            another version of their code. Discrete codes are active if they vary, and with ``estimator="counts"`` codes
            that are in more than one bin.
        discrete_codes: whether codes are labels, such as those of quantised latents: their values are counted.
        estimator: of mutual information, ``"neighbours"``, ``"counts"``, or ``"posterior"``, with which the posteriors'
            means have the range.
        num_neighbours: of ``estimator="neighbours"``.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Raises:
        ValueError: for a threshold that is not in [0, 1), or discrete codes that are to be binned.

    Reference:
        Hsu et al., *Disentanglement via latent quantization*, NeurIPS 2023.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(10, 1)
        >>> score = InfoM(discrete_codes=True)
        >>> score.update(factors[:, [0, 0, 1]].float(), factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    name = "info_m"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    threshold: float
    discrete_codes: bool
    active_codes = active_codes
    floor = floor

    def __init__(
        self,
        threshold: float = 1 / 20,
        discrete_codes: bool = False,
        estimator: Estimator = "neighbours",
        num_neighbours: int = 10,
        **settings: Unpack[BinSettings],
    ) -> None:
        super().__init__(estimator=estimator, num_neighbours=num_neighbours, **settings)
        _set_active(self, threshold, discrete_codes)

    def compute(self) -> Tensor:
        """Mean over active codes."""
        information = self.information()
        _warn_of_one(self, len(information.factor_entropy), "factor")
        return self._score(information)

    @readout
    def per_code(self) -> Tensor:
        """The value of every code, ``(d,)``; NaN for one that is not active, or knows nothing."""
        return self._shares(self.information())

    def _score(self, information: Information) -> Tensor:
        return _mean_of_known(self._shares(information), len(information.factor_entropy))

    def _shares(self, information: Information) -> Tensor:
        shares = largest_share(information.mutual / information.factor_entropy, dim=1)
        return shares.masked_fill(~_active(self, information), torch.nan)


class InfoC(InformationScore):
    r"""InfoC, the compactness of InfoMEC: is every factor in one code only?

    .. math:: \mathrm{InfoC} = \frac{\frac1F \sum_f \frac{\max_{k \in A} N_{kf}}{\sum_{k \in A} N_{kf}} - \frac{1}{|A|}}
              {1 - \frac{1}{|A|}}, \quad N_{kf} = \frac{I_{kf}}{H(y_f)}

    over active codes :math:`A`, those whose range exceeds a share of the largest range. Ideal 1; 0 if all codes know
    equally much of every factor. As for :class:`InfoM`, noise does not score 0; ``floor()`` is the score of these codes
    with the factors of other rows, about 0.3 for ten codes and five factors.

    A factor of which no active code knows anything is left out; the score is 0 if nothing is left, and NaN with a
    single active code. It depends on the number of active codes, so codes that are idle but for noise change it.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)``, ``factors`` ``(n, F)``, ``index``
    ``(n,)``, and of posteriors ``log_variance`` ``(n, d)``; ``compute`` returns a scalar.

    Args:
        threshold: as for :class:`InfoM`.
        discrete_codes: as for :class:`InfoM`.
        estimator: of mutual information, ``"neighbours"``, ``"counts"``, or ``"posterior"``, with which the posteriors'
            means have the range.
        num_neighbours: of ``estimator="neighbours"``.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Raises:
        ValueError: for a threshold that is not in [0, 1), or discrete codes that are to be binned.

    Reference:
        Hsu et al., *Disentanglement via latent quantization*, NeurIPS 2023.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(10, 1)
        >>> score = InfoC(discrete_codes=True)
        >>> score.update(factors[:, [0, 0, 1]].float(), factors)
        >>> score.compute(), score.per_factor()  # two codes share the first factor: (1/2 - 1/3) / (1 - 1/3)
        (tensor(0.6250, dtype=torch.float64), tensor([0.2500, 1.0000], dtype=torch.float64))
    """

    name = "info_c"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    threshold: float
    discrete_codes: bool
    active_codes = active_codes
    floor = floor

    def __init__(
        self,
        threshold: float = 1 / 20,
        discrete_codes: bool = False,
        estimator: Estimator = "neighbours",
        num_neighbours: int = 10,
        **settings: Unpack[BinSettings],
    ) -> None:
        super().__init__(estimator=estimator, num_neighbours=num_neighbours, **settings)
        _set_active(self, threshold, discrete_codes)

    def compute(self) -> Tensor:
        """Mean over factors."""
        information = self.information()
        _warn_of_one(self, int(_active(self, information).sum()), "active code")
        return self._score(information)

    @readout
    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that no active code knows, or that has a single value."""
        return self._over_all_factors(self._shares)

    def _score(self, information: Information) -> Tensor:
        return _mean_of_known(self._shares(information), int(_active(self, information).sum()))

    def _shares(self, information: Information) -> Tensor:
        active = _active(self, information)
        return largest_share((information.mutual / information.factor_entropy)[active], dim=0)


def _set_active(score: InfoM | InfoC, threshold: float, discrete_codes: bool) -> None:
    """Keep the settings that both scores have of their own."""
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must be in [0, 1), got {threshold}")
    if discrete_codes:
        if score.estimator != "neighbours" or not isinstance(score.state, CodeFactorRows):
            raise ValueError("discrete_codes=True counts the values of the codes: leave out estimator")
        score._source = NeighbourInformation(score.state, score.num_neighbours, score.continuous, discrete_codes=True)
    score.threshold, score.discrete_codes = threshold, discrete_codes


def _active(score: InfoM | InfoC, information: Information) -> Tensor:
    """Which codes are active, ``(d,)`` booleans."""
    if score.estimator == "counts":
        return information.code_information > 0
    assert isinstance(score.state, CodeFactorRows)
    codes = score.state.read(score)["codes"]
    reach = codes.amax(0) - codes.amin(0)
    return reach > (0.0 if score.discrete_codes else score.threshold) * reach.max()


def _warn_of_one(score: InfoM | InfoC, number: int, what: str) -> None:
    if number == 1:
        name = type(score).__name__
        rank_zero_warn(f"{name} is NaN, {score.why_unscored}: there is one {what}, which has all shares", UserWarning)


def _mean_of_known(shares: Tensor, number: int) -> Tensor:
    """Mean of the shares that are known; 0 if there is none, and NaN if there is a single code or factor to share."""
    mean = shares.nanmean()
    return mean if number == 1 else mean.nan_to_num(0.0)
