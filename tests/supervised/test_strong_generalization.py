"""The strong generalisation gap of codes that do not need the other factor, and of codes that do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from torchdisentangle import StrongGeneralizationGap

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.stack([torch.randint(size, (400,), generator=GENERATOR) for size in (2, 4)], 1)
NOISE = torch.randn(400, 2, generator=GENERATOR).double()


def filled(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> Any:
    metric.update(codes.double(), factors, index=torch.arange(len(codes)))
    return metric


@pytest.mark.parametrize("predictor", ["logistic_regression", "tree"])
def test_perfect_codes_have_no_gap(predictor: Any) -> None:
    metric = filled(StrongGeneralizationGap(predictor), FACTORS.flip(1) * torch.tensor([-2.0, 1e3]))
    assert metric.compute() == 0
    assert metric.per_factor().tolist() == [0, 0]
    assert metric.accuracies().usual.tolist() == [1, 1]


def test_a_code_that_changes_its_meaning() -> None:
    """The parity of two bits and one of them: where the other bit is held the code says all, and elsewhere the
    contrary, so nothing is right; a linear predictor of all rows cannot do better than a guess."""
    bits = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(100, 1)
    metric = filled(StrongGeneralizationGap(), bits.sum(1, keepdim=True) % 2, bits)
    assert metric.accuracies().shifted.tolist() == [0, 0]
    assert metric.compute() == 1
    forest = filled(StrongGeneralizationGap("tree"), torch.cat([bits.sum(1, keepdim=True) % 2, bits[:, 1:]], 1), bits)
    assert forest.accuracies().usual.tolist() == [1, 1]  # from both codes every bit is known
    assert forest.per_factor().tolist() == [1, 0]  # where the second bit is held, its code is idle


def test_noise_has_no_gap_to_speak_of() -> None:
    assert float(filled(StrongGeneralizationGap(), NOISE).compute()) == pytest.approx(0, abs=0.15)


def test_accuracies_are_those_of_scikit_learn() -> None:
    """Two factors, and all values of each held in turn: no choice is left but of the rows that are as many."""
    metric = filled(StrongGeneralizationGap(), FACTORS + FACTORS.sum(1, keepdim=True) + 0.3 * NOISE)
    rows, labels = metric._rows()
    train, test = metric._train_and_test(len(rows))
    standard = ((rows - rows[train].mean(0)) / rows[train].std(0)).numpy()
    x, y, x_test, y_test = standard[train], labels[train].numpy(), standard[test], labels[test].numpy()
    for f, found in enumerate(metric.accuracies().shifted.tolist()):
        expected = []
        for value in set(y[:, 1 - f]):
            held, rest = y[:, 1 - f] == value, y_test[:, 1 - f] != value
            fitted = LogisticRegression(C=100, max_iter=1000).fit(x[held], y[held, f])
            expected.append(fitted.score(x_test[rest], y_test[rest, f]))
        assert found == pytest.approx(sum(expected) / len(expected))


def test_what_cannot_be_scored() -> None:
    tied = torch.cat([FACTORS, torch.ones(400, 1, dtype=torch.int64)], 1)
    metric = filled(StrongGeneralizationGap(), FACTORS, tied)
    with pytest.warns(UserWarning, match="too few values where another factor is held"):
        assert metric.compute() == 0
    assert metric.unscored_factors() == ["2"]
    with pytest.raises(ValueError, match="none of the factors"):
        filled(StrongGeneralizationGap(), FACTORS, FACTORS[:, :1]).compute()
    with pytest.raises(ValueError, match="num_repeats must be positive"):
        StrongGeneralizationGap(num_repeats=0)
