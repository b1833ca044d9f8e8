"""Explicitness and size: the E and the S of DCI-ES."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.capacity import (
    LossCurves,
    explicitness_of_curves,
    informativeness_of_curves,
    nested_ridge,
    random_features,
)
from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.statistics import readout
from torchdisentangle.statistics.checks import continuous_columns
from torchdisentangle.supervised.predictors import require_sklearn
from torchdisentangle.supervised.row_score import RowScore, RowSettings

Probe = Literal["ridge", "random_forest"]

_FEWEST_FEATURES = 16
_REGULARIZATION = 1e-3
_DEPTHS = (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)
_NUM_TREES = 10


class DCIES(RowScore):
    r"""Explicitness and size (DCI-ES): how little capacity it takes to read the factors off the codes.

    .. math:: E = \frac1F \sum_f \Bigl[ 1 - 2 \, \frac{\int (\ell_f(\kappa) - \ell_f^{\min}) \, d\kappa}
                                  {(\kappa_T - \kappa_1) \, \ell_f^{\mathrm{base}}} \Bigr], \quad S = \frac Fd

    with :math:`\ell_f(\kappa)` the running minimum of the losses on test rows of probes of growing capacity:
    :math:`1 - R^2` of a continuous factor, the share of wrong predictions of a discrete one;
    :math:`\ell_f^{\mathrm{base}}` is the loss of a constant. E is 1 if the smallest probe is as good as any, 0 if the
    loss falls along a straight line to 0, and towards -1 if only the largest is any good. **It is 1, too, for codes
    that know nothing**: read it with ``dci_es_informativeness``, the mean of
    :math:`1 - \ell^{\min} / \ell^{\mathrm{base}}`.

    E depends on the probes and on the grid of capacities, so only values of one grid compare:

    - ``"ridge"``: ridge regression (penalty 0.001) of the factor, or of each value's indicator, on the standardised
      codes alone, capacity 0, and with 16, 32, ..., 512 random Fourier features beside them, one more with each
      doubling. All sizes take one matrix factorisation. A factor that is linear in the codes, mixed or not, has E = 1.
      A linear function of one code cannot single out the middle values of a discrete factor that is ordered: declare
      such factors ``continuous``.
    - ``"random_forest"``: ten trees of depth 1, 2, 3, 4, 8, 10, ..., 20, 32, capacity is depth; one of the paper's
      three, with splits that choose among all codes. Trees split along codes, so mixed codes take more. It needs
      scikit-learn, and minutes for 10,000 rows.

    Measured on 1,500 rows of three uniform continuous factors, E and informativeness:

    ========================== ================ =================
    codes                      ``ridge``        ``random_forest``
    ========================== ================ =================
    perfect                    1.00, 1.00       0.99, 1.00
    rotated                    1.00, 1.00       0.95, 0.99
    noise                      1.00, 0.00       1.00, 0.00
    ========================== ================ =================

    Factors with a single value among the training rows are left out and named.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a dictionary of three scalars.

    Args:
        probe: ``"ridge"`` or ``"random_forest"``.
        max_features: random features of the largest ridge regression, 16 times a power of two.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ValueError: for an unknown probe, or another number of features.
        ImportError: if a forest is wanted and scikit-learn is missing.

    Reference:
        Eastwood et al., *DCI-ES: An extended disentanglement framework with connections to identifiability*, ICLR 2023.

    Example:
        >>> factors = torch.rand(500, 2)
        >>> score = DCIES(continuous=True)
        >>> score.update(torch.stack([factors.sum(1), factors[:, 0] - factors[:, 1]], 1), factors)
        >>> {name: round(float(value), 2) for name, value in score.compute().items()}
        {'dci_es_explicitness': 1.0, 'dci_es_informativeness': 1.0, 'dci_es_size': 1.0}
    """

    name = "dci_es"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    by_default = False
    plot_lower_bound: float | None = None

    def __init__(self, probe: Probe = "ridge", max_features: int = 512, **settings: Unpack[RowSettings]) -> None:
        if probe not in get_args(Probe):
            raise ValueError(f"probe must be one of {get_args(Probe)}, got {probe!r}")
        if probe == "random_forest":
            require_sklearn("DCIES(probe='random_forest')")
        num_features = [0, _FEWEST_FEATURES]
        while num_features[-1] < max_features:
            num_features.append(2 * num_features[-1])
        if num_features[-1] != max_features:
            raise ValueError(f"max_features must be 16, 32, 64, ..., got {max_features}")
        super().__init__(**settings)
        self.probe = probe
        self.max_features: int = max_features
        self._num_features = num_features
        self.needs: frozenset[str] = self.needs | self._needs_of(probe=probe)

    @classmethod
    def _needs_of(cls, **settings: Any) -> frozenset[str]:
        return frozenset({"scikit-learn"} if settings.get("probe") == "random_forest" else ())

    def compute(self) -> dict[str, Tensor]:
        """Explicitness, informativeness and size."""
        curves = self._once(self._curves)
        scored = self._require_scored(self._scored())
        scored_curves = LossCurves(curves.capacity, curves.loss[:, scored], curves.base[scored])
        num_codes = self._rows().codes.shape[1]
        return {
            "dci_es_explicitness": explicitness_of_curves(scored_curves).mean(),
            "dci_es_informativeness": informativeness_of_curves(scored_curves).mean(),
            "dci_es_size": scored.sum().double() / num_codes,
        }

    @readout
    def per_factor(self) -> Tensor:
        """Explicitness of each factor, ``(F,)``, NaN for one that cannot be scored."""
        return explicitness_of_curves(self._once(self._curves))

    @readout
    def curves(self) -> LossCurves:
        """Losses on test rows against capacity, NaN for a factor that cannot be scored."""
        return self._once(self._curves)

    def _scored(self) -> Tensor:
        return ~self._once(self._curves).base.isnan()

    def _curves(self) -> LossCurves:
        codes, factors = self._rows()
        train, test = self._train_and_test(len(codes))
        codes = standardize(codes, train)
        labels, real = self._values(factors), continuous_columns(self.continuous, factors.shape[1])
        targets = [factors[:, f] if is_real else labels[:, f] for f, is_real in enumerate(real)]
        predict = self._ridge if self.probe == "ridge" else self._forests
        predicted, losses, bases = predict(codes, targets, real, train), [], []
        for target, is_real, predictions in zip(targets, real, predicted, strict=True):
            constant = target[train].mean() if is_real else target[train].mode().values
            base = _error(constant.expand_as(target[test]), target[test], is_real)
            loss = torch.stack([_error(one[test], target[test], is_real) for one in predictions])
            unit = base if is_real else torch.ones_like(base)
            several = bool((target[train] != target[train][0]).any()) and bool(base > 0)
            bases.append(base / unit if several else torch.full_like(base, torch.nan))
            losses.append(loss / unit)
        capacity = range(len(self._num_features)) if self.probe == "ridge" else _DEPTHS
        loss, base = torch.stack(losses, 1), torch.stack(bases)
        return LossCurves(torch.tensor(list(capacity)).double(), loss.masked_fill(base.isnan(), torch.nan), base)

    def _ridge(self, codes: Tensor, targets: list[Tensor], real: list[bool], train: slice) -> list[list[Tensor]]:
        features = torch.cat([codes, random_features(codes, self.max_features, self._generator())], dim=1)
        columns = [
            target[:, None] if is_real else one_hot(target).double()
            for target, is_real in zip(targets, real, strict=True)
        ]
        sizes = [codes.shape[1] + more for more in self._num_features]
        widths = [column.shape[1] for column in columns]
        fits = nested_ridge(features, torch.cat(columns, dim=1), train, sizes, _REGULARIZATION)
        parts = zip(*(fit.split(widths, dim=1) for fit in fits), strict=True)
        return [
            [fit[:, 0] if is_real else fit.argmax(1) for fit in part] for part, is_real in zip(parts, real, strict=True)
        ]

    def _forests(self, codes: Tensor, targets: list[Tensor], real: list[bool], train: slice) -> list[list[Tensor]]:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        predictions = []
        for target, is_real in zip(targets, real, strict=True):
            kind = RandomForestRegressor if is_real else RandomForestClassifier
            of_depths = []
            for depth in _DEPTHS:
                forest = kind(_NUM_TREES, max_depth=depth, max_features=None, random_state=self.seed)
                forest.fit(codes[train].numpy(), target[train].numpy())
                of_depths.append(torch.as_tensor(forest.predict(codes.numpy())))
            predictions.append(of_depths)
        return predictions


def _error(predicted: Tensor, true: Tensor, is_real: bool) -> Tensor:
    """Mean squared error, or share of wrong predictions."""
    return (predicted - true).square().mean() if is_real else (predicted != true).double().mean()
