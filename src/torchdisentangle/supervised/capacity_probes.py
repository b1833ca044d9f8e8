"""Probes of growing capacity, fitted to rows of codes: what DCI-ES is measured with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from torchdisentangle.functional.supervised.capacity import RandomFeatures, nested_ridge
from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.supervised.predictors import make_perceptron

Probe = Literal["ridge", "random_forest", "mlp", "fourier"]

DEPTHS = (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)
FEWEST_FEATURES = 16
_NUM_TREES = 10
_GAIN = 0.08  # cycles per standard deviation of a code
_PENALTY = 1e-3
_FEATURES_AT_ONCE = 2**24

Predict = Callable[[Tensor], Tensor]
"""From codes ``(n, d)`` to the columns of all factors, ``(n, K)``."""


class Targets(NamedTuple):
    """Factors as what a probe predicts: a standardised number, or indicators of the values."""

    columns: tuple[Tensor, ...]
    """Of each factor, ``(n, k)``."""
    real: tuple[bool, ...]

    @classmethod
    def of(cls, factors: Tensor, labels: Tensor, real: Sequence[bool], train: slice) -> Targets:
        """Targets from factors and their values' numbers, ``(n, F)`` each."""
        columns = [
            standardize(factors[:, f : f + 1], train) if is_real else one_hot(labels[:, f]).double()
            for f, is_real in enumerate(real)
        ]
        return cls(tuple(columns), tuple(real))

    def of_each_factor(self, columns: Tensor) -> tuple[Tensor, ...]:
        """Columns of all factors, ``(..., K)``, taken apart."""
        return columns.split([column.shape[1] for column in self.columns], dim=-1)


class Probes(NamedTuple):
    """Fitted probes, one of each capacity."""

    capacity: Tensor
    """In ascending order, ``(T,)``."""
    predict: list[Predict]
    importance: Callable[[int], Tensor] | None = None
    """Importances of a probe's codes, ``(d, F)``, where the probe has its own."""


def fit_ridge(codes: Tensor, targets: Targets, train: slice, num_features: Sequence[int], seed: int) -> Probes:
    """Ridge regressions on the codes and so many random features beside them; capacity is the number of doublings."""
    width = codes.shape[1]
    features = RandomFeatures.of_random_phase(width, num_features[-1], torch.Generator().manual_seed(seed))
    all_features = torch.cat([codes[train], features(codes[train])], dim=1)
    sizes = [width + number for number in (0, *num_features)]
    fits = nested_ridge(all_features, torch.cat(targets.columns, 1)[train], sizes, _PENALTY)

    def predict(codes: Tensor, number: int) -> Tensor:
        return fits[number](torch.cat([codes, features(codes, sizes[number] - width)], dim=1))

    return Probes(torch.arange(len(sizes)).double(), [_for_one(predict, t, sizes[t]) for t in range(len(sizes))])


def fit_fourier(codes: Tensor, targets: Targets, train: slice, num_features: Sequence[int], seed: int) -> Probes:
    """Ridge regressions on random Fourier features alone; capacity is the logarithm of their number."""
    generator = torch.Generator().manual_seed(seed)
    features = RandomFeatures.of_pairs(codes.shape[1], num_features[-1], _GAIN, generator)
    fits = nested_ridge(features(codes[train]), torch.cat(targets.columns, 1)[train], num_features, _PENALTY)

    def predict(codes: Tensor, number: int) -> Tensor:
        return fits[number](features(codes, num_features[number]))

    capacity = torch.tensor(num_features).double().log()
    return Probes(capacity, [_for_one(predict, t, number) for t, number in enumerate(num_features)])


def fit_forests(codes: Tensor, targets: Targets, train: slice, seed: int) -> Probes:
    """Forests of ten trees; capacity is the depth."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    def make(depth: int, regression: bool) -> Any:
        forest = RandomForestRegressor if regression else RandomForestClassifier
        return forest(_NUM_TREES, max_depth=depth, max_features=None, random_state=seed)

    forests = [_Estimators(codes, targets, train, make, depth) for depth in DEPTHS]
    return Probes(torch.tensor(DEPTHS).double(), [*forests], lambda number: forests[number].importance())


def fit_perceptrons(codes: Tensor, targets: Targets, train: slice, widths: Sequence[int], seed: int) -> Probes:
    """Perceptrons with two hidden layers; capacity is the logarithm of the number of parameters, mean over factors."""
    num_outputs = sum(column.shape[1] for column in targets.columns) / len(targets.columns)

    def num_parameters(width: int) -> float:
        inputs = codes.shape[1] + 1
        return width * inputs + width * (width + 1) + (width + 1) * num_outputs if width else inputs * num_outputs

    def make(width: int, regression: bool) -> Any:
        return make_perceptron(width, regression, seed)

    widths = sorted(widths, key=num_parameters)
    capacity = torch.tensor([math.log(num_parameters(width)) for width in widths]).double()
    return Probes(capacity, [_Estimators(codes, targets, train, make, width) for width in widths])


class _Estimators:
    """An estimator of scikit-learn for every factor, none for one with a single value."""

    def __init__(
        self, codes: Tensor, targets: Targets, train: slice, make: Callable[[int, bool], Any], capacity: int
    ) -> None:
        from sklearn.exceptions import ConvergenceWarning

        self.num_codes, self.targets = codes.shape[1], targets
        self.fitted: list[Any] = []
        for column, is_real in zip(targets.columns, targets.real, strict=True):
            learned = (column[:, 0] if is_real else column.argmax(1))[train]
            if bool((learned == learned[0]).all()):
                self.fitted.append(None)
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # capacity is bounded in steps, too
                self.fitted.append(make(capacity, is_real).fit(codes[train].numpy(), learned.numpy()))

    def __call__(self, codes: Tensor) -> Tensor:
        """Numbers, and probabilities of values."""
        rows, parts = codes.numpy(), []
        for fitted, column, is_real in zip(self.fitted, self.targets.columns, self.targets.real, strict=True):
            part = codes.new_zeros(len(codes), column.shape[1])
            if fitted is not None and is_real:
                part[:, 0] = torch.as_tensor(fitted.predict(rows))
            elif fitted is not None:
                part[:, fitted.classes_] = torch.as_tensor(fitted.predict_proba(rows))
            parts.append(part)
        return torch.cat(parts, dim=1)

    def importance(self) -> Tensor:
        """Mean decrease of impurity by the splits along each code."""
        none = torch.zeros(self.num_codes).double()
        return torch.stack([none if x is None else torch.as_tensor(x.feature_importances_) for x in self.fitted], dim=1)


def _for_one(predict: Callable[[Tensor, int], Tensor], number: int, num_features: int) -> Predict:
    """One of several regressions, which makes the features of few rows at once."""
    rows_at_once = max(_FEATURES_AT_ONCE // num_features, 1)
    return lambda codes: torch.cat([predict(part, number) for part in codes.split(rows_at_once)])
