"""MED: DCI with mutual information in place of a predictor's importances."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.importance import dci_completeness, dci_disentanglement
from torchdisentangle.functional.supervised.information_shares import information_shares, most_disentangled_codes
from torchdisentangle.supervised.information import InformationScore, InformationSettings
from torchdisentangle.supervised.information_estimator import Information


class MED(InformationScore):
    r"""Mutual information based entropy disentanglement (MED): DCI's disentanglement and completeness, without a fit.

    .. math:: D = \sum_k \rho_k \Bigl( 1 + \sum_f p_{kf} \log_F p_{kf} \Bigr), \quad
              C = \frac1F \sum_f \Bigl( 1 + \sum_k R_{kf} \log_d R_{kf} \Bigr), \quad
              R_{kf} = \frac{I_{kf}}{\sum_l I_{lf}}

    with :math:`p` the rows of :math:`R`, each divided by its sum, and :math:`\rho_k` a row's share of all entries.
    Ideal 1, worst 0. A factor counts fully however little is known about it, and a factor that no code knows anything
    about is left out; if that is so of all, both are 0.

    A wide code of a self-supervised encoder has many entries that are bias alone, which lower both. ``top_k`` keeps,
    for every factor, only the most disentangled of the codes that know it best, and adds the values of these.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a dictionary of two scalars, or of four with ``top_k``.

    Args:
        top_k: how many codes to keep for a factor; ``None``: all codes of all factors only.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Raises:
        ValueError: if ``top_k`` is not positive.

    Reference:
        Cao et al., *An empirical study on disentanglement of negative-free contrastive learning*, NeurIPS 2022.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> score = MED(top_k=1)
        >>> score.update(factors[:, [0, 0, 1]].float(), factors)
        >>> {name: round(float(value), 4) for name, value in score.compute().items()}  # doctest: +NORMALIZE_WHITESPACE
        {'med_disentanglement': 1.0, 'med_completeness': 0.6845,
         'med_top_k_disentanglement': 1.0, 'med_top_k_completeness': 1.0}
    """

    name = "med"
    corrects_information = False
    by_default = False

    def __init__(self, top_k: int | None = None, **settings: Unpack[InformationSettings]) -> None:
        super().__init__(**settings)
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        self.top_k = top_k

    def compute(self) -> dict[str, Tensor]:
        """Disentanglement and completeness."""
        return self._score(self.information())

    def _score(self, information: Information) -> dict[str, Tensor]:
        shares = information_shares(information.mutual)
        values = self._of_shares(shares, "med")
        if self.top_k is not None:
            codes = most_disentangled_codes(shares, self.top_k) if shares.numel() else slice(0, 1)
            values |= self._of_shares(shares[codes], "med_top_k")
        return values

    @staticmethod
    def _of_shares(shares: Tensor, name: str) -> dict[str, Tensor]:
        if not shares.numel():  # no code knows any factor
            return {f"{name}_{part}": shares.new_zeros(()) for part in ("disentanglement", "completeness")}
        return {
            f"{name}_disentanglement": dci_disentanglement(shares),
            f"{name}_completeness": dci_completeness(shares),
        }
