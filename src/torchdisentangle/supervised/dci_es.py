"""Disentanglement, completeness, explicitness and size by probes of growing capacity: DCI-ES."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.capacity import (
    LossCurves,
    explicitness_of_curves,
    informativeness_of_curves,
)
from torchdisentangle.functional.supervised.importance import (
    dci_completeness,
    dci_disentanglement,
    shapley_importance,
)
from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.statistics import readout
from torchdisentangle.statistics.checks import continuous_columns
from torchdisentangle.supervised.capacity_probes import (
    FEWEST_FEATURES,
    Probe,
    Probes,
    Targets,
    fit_forests,
    fit_fourier,
    fit_perceptrons,
    fit_ridge,
)
from torchdisentangle.supervised.predictors import require_sklearn
from torchdisentangle.supervised.row_score import RowScore, RowSettings

_OF_SKLEARN = ("random_forest", "mlp")
_WIDTHS = (0, 14, 33, 75, 243)
_EXPLAINED, _BACKGROUND = 512, 16  # rows of which importances are


class DCIES(RowScore):
    r"""Disentanglement, completeness, informativeness, explicitness and size (DCI-ES), by probes of growing capacity.

    .. math:: E = \frac1F \sum_f \Bigl[ 1 - 2 \, \frac{\int (\ell_f(\kappa) - \ell_f^{\min}) \, d\kappa}
                                  {(\kappa_T - \kappa_1) \, \ell_f^{\mathrm{base}}} \Bigr], \quad S = \frac Fd

    with :math:`\ell_f(\kappa)` the running minimum of the losses on test rows of probes of growing capacity:
    :math:`1 - R^2` of a continuous factor, the share of wrong predictions of a discrete one;
    :math:`\ell_f^{\mathrm{base}}` is the loss of a constant. Explicitness E is 1 if the smallest probe is as good as
    any, 0 if the loss falls along a straight line to 0, and towards -1 if only the largest is any good. **It is 1, too,
    for codes that know nothing**: read it with informativeness, the mean of
    :math:`1 - \ell^{\min} / \ell^{\mathrm{base}}`. D and C are those of :class:`~torchdisentangle.DCI`, for the probe
    with the smallest mean loss and importances that sum to 1 for each factor: for forests those of the splits, for the
    others absolute Shapley values of :func:`~torchdisentangle.functional.shapley_importance` on at most 512 test rows,
    with 16 others in place of what is not known.

    E depends on the probes and on the grid of capacities, so only values of one grid compare:

    - ``"ridge"``: ridge regression (penalty 0.001) of the factor, or of each value's indicator, on the standardised
      codes alone, capacity 0, and with 16, 32, ..., 512 random Fourier features beside them, one more with each
      doubling. All sizes take one matrix factorisation. A factor that is linear in the codes, mixed or not, has E = 1.
      A linear function of one code cannot single out the middle values of a discrete factor that is ordered: declare
      such factors ``continuous``.
    - ``"random_forest"``: ten trees of depth 1, 2, 3, 4, 8, 10, ..., 20, 32, capacity is depth; with splits that choose
      among all codes. Trees split along codes, so mixed codes take more. Minutes for 10,000 rows.
    - ``"mlp"``: a perceptron for every factor with two hidden layers of rectified units, capacity is the logarithm of
      its number of parameters, without units that of the linear model. The paper's widths are 0, 14, 21, 28, 33, 47,
      75, 103, 131, 243, 467, 915, 1811 and 3603; the time of a fit grows with their square, from 14 seconds of one core
      for all of the default widths, 4,000 rows, ten codes and a factor of five values. At most 200 steps of L-BFGS.
    - ``"fourier"``: ridge regression (penalty 0.001) on 16, 32, ... random Fourier features alone, a cosine and a sine
      of each frequency, of 0.08 cycles per standard deviation; capacity is the logarithm of their number. The paper
      goes up to 131,072, for which the rows take 8 bytes a feature several times over. Codes that matter and codes that
      do not have features in common, so idle codes take capacity.

    The last three are the paper's, which fits all but forests by stochastic gradients. Measured on 1,500 rows of three
    uniform continuous factors, E, informativeness and D; "cubed" codes are :math:`(y - 1/2)^3`:

    ========================== ================= ================= ================= =================
    codes                      ``ridge``         ``random_forest`` ``mlp``           ``fourier``
    ========================== ================= ================= ================= =================
    perfect                    1.00, 1.00, 1.00  0.99, 1.00, 1.00  1.00, 1.00, 1.00  1.00, 1.00, 1.00
    perfect, three of noise    1.00, 1.00, 1.00  0.99, 1.00, 1.00  1.00, 1.00, 1.00  0.92, 1.00, 0.99
    cubed                      0.94, 0.94, 0.99  0.99, 1.00, 1.00  0.93, 1.00, 1.00  0.95, 0.94, 0.97
    rotated                    1.00, 1.00, 0.36  0.95, 0.99, 0.39  1.00, 1.00, 0.36  1.00, 1.00, 0.36
    noise                      1.00, 0.00, 0.02  1.00, 0.00, 0.06  1.00, 0.00, 0.02  1.00, 0.00, 0.15
    ========================== ================= ================= ================= =================

    The number of parameters depends on the number of codes and of values: to compare models with other numbers of
    them, give the ``curves()`` of all to :func:`~torchdisentangle.functional.explicitness_of_curves` with a common
    ``capacity_range``. Factors with a single value among the training rows are left out and named.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a dictionary of five scalars.

    Args:
        probe: ``"ridge"``, ``"random_forest"``, ``"mlp"`` or ``"fourier"``.
        max_features: random features of the largest ridge regression, 16 times a power of two.
        widths: units of both hidden layers of each perceptron, 0 for the linear model.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ValueError: for an unknown probe, another number of features, or fewer than two widths.
        ImportError: if forests or perceptrons are wanted and scikit-learn is missing.

    Reference:
        Eastwood et al., *DCI-ES: An extended disentanglement framework with connections to identifiability*, ICLR 2023.

    Example:
        >>> factors = torch.rand(500, 2)
        >>> score = DCIES(continuous=True)
        >>> score.update(torch.stack([factors.sum(1), factors[:, 0] - factors[:, 1]], 1), factors)
        >>> values = {name: round(float(value), 1) for name, value in score.compute().items()}
        >>> values["dci_es_explicitness"], values["dci_es_informativeness"], values["dci_es_disentanglement"]
        (1.0, 1.0, 0.0)
    """

    name = "dci_es"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    by_default = False
    plot_lower_bound: float | None = None
    matrix_label = "importance"

    def __init__(
        self,
        probe: Probe = "ridge",
        max_features: int = 512,
        widths: Sequence[int] = _WIDTHS,
        **settings: Unpack[RowSettings],
    ) -> None:
        if probe not in get_args(Probe):
            raise ValueError(f"probe must be one of {get_args(Probe)}, got {probe!r}")
        if probe in _OF_SKLEARN:
            require_sklearn(f"DCIES(probe={probe!r})")
        num_features = [FEWEST_FEATURES]
        while num_features[-1] < max_features:
            num_features.append(2 * num_features[-1])
        if num_features[-1] != max_features:
            raise ValueError(f"max_features must be 16, 32, 64, ..., got {max_features}")
        if len({*widths}) < 2 or len({*widths}) < len(widths) or min(widths) < 0:
            raise ValueError(f"widths must be at least two different numbers of units, got {tuple(widths)}")
        super().__init__(**settings)
        self.probe, self.widths = probe, tuple(widths)
        self.max_features: int = max_features
        self._num_features = num_features
        self.needs: frozenset[str] = self.needs | self._needs_of(probe=probe)

    @classmethod
    def _needs_of(cls, **settings: Any) -> frozenset[str]:
        return frozenset({"scikit-learn"} if settings.get("probe") in _OF_SKLEARN else ())

    def compute(self) -> dict[str, Tensor]:
        """Disentanglement, completeness, informativeness, explicitness and size."""
        curves, importance = self._once(self._fit)
        scored = self._require_scored(self._scored())
        scored_curves = LossCurves(curves.capacity, curves.loss[:, scored], curves.base[scored])
        return {
            "dci_es_disentanglement": dci_disentanglement(importance[:, scored]),
            "dci_es_completeness": dci_completeness(importance[:, scored]),
            "dci_es_informativeness": informativeness_of_curves(scored_curves).mean(),
            "dci_es_explicitness": explicitness_of_curves(scored_curves).mean(),
            "dci_es_size": scored.sum().double() / len(importance),
        }

    @readout
    def matrix(self) -> Tensor:
        """Importances ``(D, F)`` for the most informative probe, NaN for a factor that cannot be scored."""
        return self._once(self._fit).importance

    @readout
    def per_factor(self) -> Tensor:
        """Explicitness of each factor, ``(F,)``, NaN for one that cannot be scored."""
        return explicitness_of_curves(self._once(self._fit).curves)

    @readout
    def curves(self) -> LossCurves:
        """Losses on test rows against capacity, NaN for a factor that cannot be scored."""
        return self._once(self._fit).curves

    def _scored(self) -> Tensor:
        return ~self._once(self._fit).curves.base.isnan()

    def _fit(self) -> Fit:
        codes, factors = self._rows()
        train, test = self._train_and_test(len(codes))
        codes = standardize(codes, train)
        real = continuous_columns(self.continuous, factors.shape[1])
        targets = Targets.of(factors, self._values(factors), real, train)
        probes = self._probes(codes, targets, train)
        curves = _curves(probes, codes, targets, train, test)
        relative = (curves.loss / curves.base)[:, ~curves.base.isnan()].mean(1)
        importance = self._importance(probes, int(relative.argmin()), codes, targets, train, test)
        share = importance / importance.sum(0).where(importance.sum(0) > 0, torch.ones_like(curves.base))
        return Fit(curves, share.masked_fill(curves.base.isnan(), torch.nan))

    def _probes(self, codes: Tensor, targets: Targets, train: slice) -> Probes:
        if self.probe == "random_forest":
            return fit_forests(codes, targets, train, self.seed)
        if self.probe == "mlp":
            return fit_perceptrons(codes, targets, train, self.widths, self.seed)
        fit = fit_ridge if self.probe == "ridge" else fit_fourier
        return fit(codes, targets, train, self._num_features, self.seed)

    def _importance(
        self, probes: Probes, best: int, codes: Tensor, targets: Targets, train: slice, test: slice
    ) -> Tensor:
        if probes.importance is not None:
            return probes.importance(best)
        columns = torch.cat(targets.columns, dim=1)[test][:_EXPLAINED]
        background = codes[train][:_BACKGROUND]
        values = shapley_importance(
            probes.predict[best], codes[test][:_EXPLAINED], columns, background, self._generator()
        )
        return torch.stack([of_factor.sum(1) for of_factor in targets.of_each_factor(values)], dim=1).abs()


class Fit(NamedTuple):
    """Losses, and importances ``(D, F)``."""

    curves: LossCurves
    importance: Tensor


def _curves(probes: Probes, codes: Tensor, targets: Targets, train: slice, test: slice) -> LossCurves:
    """Losses of the probes on test rows."""
    predicted = [targets.of_each_factor(predict(codes[test])) for predict in probes.predict]
    losses, bases = [], []
    for f, (column, is_real) in enumerate(zip(targets.columns, targets.real, strict=True)):
        constant = column[train].mean(0).expand_as(column[test])
        base = _error(constant, column[test], is_real)
        loss = torch.stack([_error(of_probe[f], column[test], is_real) for of_probe in predicted])
        unit = base if is_real else torch.ones_like(base)
        several = bool((column[train] != column[train][0]).any()) and bool(base > 0)
        bases.append(base / unit if several else torch.full_like(base, torch.nan))
        losses.append(loss / unit)
    loss, base = torch.stack(losses, 1), torch.stack(bases)
    return LossCurves(probes.capacity, loss.masked_fill(base.isnan(), torch.nan), base)


def _error(predicted: Tensor, true: Tensor, is_real: bool) -> Tensor:
    """Mean squared error of numbers, or share of rows whose value is not the one with the largest prediction."""
    return (predicted - true).square().mean() if is_real else (predicted.argmax(1) != true.argmax(1)).double().mean()
