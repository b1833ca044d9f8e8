"""Values of a factor that a predictor fitted to some rows gives to others."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from torchdisentangle.supervised.predictors import ValuePredictor, make_value_predictor

RowChoice = slice | Tensor
"""Rows: a slice, indices, or booleans."""


def predict_values(
    predictor: ValuePredictor, codes: Tensor, values: Tensor, train: RowChoice, test: RowChoice, seed: int
) -> Tensor:
    """What a predictor says of the test rows; without a code, or with a single value to learn, the most frequent value.

    Args:
        predictor: kind of predictor.
        codes: standardised, ``(n, D)``.
        values: of the factor, ``(n,)`` integers.
        train: the rows that it is fitted to.
        test: the rows that it predicts.
        seed: of the predictor's random choices.

    Returns:
        A value for each test row, integers.
    """
    known, asked = values[train], codes[test]
    if codes.shape[1] == 0 or bool((known == known[0]).all()):
        return known.mode().values.expand(len(asked))
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weights of codes that separate values never converge
        fitted = make_value_predictor(predictor, seed).fit(codes[train].numpy(), known.numpy())
    return torch.as_tensor(fitted.predict(asked.numpy()))


def accuracy_on_test_rows(
    predictor: ValuePredictor, codes: Tensor, values: Tensor, train: RowChoice, test: RowChoice, seed: int
) -> Tensor:
    """Share of the test rows that are predicted right; arguments as for :func:`predict_values`."""
    return (predict_values(predictor, codes, values, train, test, seed) == values[test]).double().mean()
