"""NK: codes whose loss is known, and the predictor that the accuracies are of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from torchdisentangle import NK

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.stack([torch.randint(size, (300,), generator=GENERATOR) for size in (2, 4)], 1)
NOISE = torch.randn(300, 2, generator=GENERATOR).double()
LIGHT = "logistic_regression"


def filled(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> Any:
    metric.update(codes.double(), factors, index=torch.arange(len(codes)))
    return metric


def test_perfect_codes_lose_all_but_a_guess() -> None:
    for metric in (NK(), NK(LIGHT)):
        filled(metric, FACTORS.flip(1) * torch.tensor([-2.0, 1e3]))
        assert metric.accuracies().codes.tolist() == [1, 0]
        assert metric.accuracies().with_code.tolist() == [1, 1]
        # 100 test rows: standard errors of 0.05
        assert metric.per_factor().tolist() == pytest.approx([1 / 2, 3 / 4], abs=0.15)


def test_what_other_codes_know_is_not_lost() -> None:
    assert filled(NK(LIGHT), FACTORS.repeat(1, 2)).compute() == 0
    assert filled(NK(LIGHT), NOISE).per_factor().tolist() == pytest.approx([0, 0], abs=0.15)
    mixed = torch.stack([FACTORS[:, 0], FACTORS.sum(1)], 1)  # with the first code, the second says what it knows
    metric = filled(NK(LIGHT), mixed)
    assert metric.accuracies().with_code.tolist() == [1, 1]
    assert (metric.per_factor() > 0.25).all()


def test_the_perceptron_sees_what_is_not_linear() -> None:
    """The parity of two bits, from the bits: neither alone says anything."""
    bits = torch.randint(2, (300, 2), generator=GENERATOR)
    parity = bits.sum(1, keepdim=True) % 2
    assert filled(NK(), bits, parity).accuracies().with_code.tolist() == [1]
    assert float(filled(NK(), bits, parity).compute()) == pytest.approx(0.5, abs=0.15)
    assert float(filled(NK(LIGHT), bits, parity).accuracies().with_code) < 0.75


def test_accuracies_are_those_of_scikit_learn() -> None:
    codes = FACTORS + 0.5 * NOISE
    metric = filled(NK(LIGHT), codes)
    rows, values = metric._rows()
    train, test = metric._train_and_test(len(rows))
    standard = (rows - rows[train].mean(0)) / rows[train].std(0)
    for f, (code, found) in enumerate(zip(metric.accuracies().codes, metric.accuracies().without_code, strict=True)):
        rest = np.delete(standard.numpy(), int(code), axis=1)
        expected = LogisticRegression(C=100).fit(rest[train], values[train, f]).score(rest[test], values[test, f])
        assert float(found) == pytest.approx(expected)


def test_missing_codes_and_values() -> None:
    alone = filled(NK(LIGHT), FACTORS[:, :1])
    assert alone.accuracies().codes.tolist() == [0, -1]
    assert alone.per_factor().tolist() == pytest.approx([1 / 2, 0], abs=0.15)  # without any code, a guess
    constant = filled(NK(LIGHT), FACTORS, torch.cat([FACTORS, torch.ones(300, 1, dtype=torch.int64)], 1))
    with pytest.warns(UserWarning, match="leaves out factors"):
        constant.compute()
    assert constant.unscored_factors() == ["2"]
    with pytest.raises(ValueError, match="predictor must be one of"):
        NK("svm")  # type: ignore[arg-type]
