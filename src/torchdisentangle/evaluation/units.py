"""Posteriors in units of the prior, for evaluations that compare them with a standard normal."""

from __future__ import annotations

from torch import Tensor

from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.latent_model import LatentModel


def in_prior_units(model: LatentModel, rows: Rows, what: str) -> tuple[Tensor, Tensor]:
    """Means and log-variances of rows, minus the prior's mean and divided by its standard deviation.

    Args:
        model: the model.
        rows: encoded rows.
        what: the evaluation that needs a variance, for the error.

    Returns:
        Means and log-variances, each ``(n, d)``.

    Raises:
        TypeError: if the encoder gives no variance.
    """
    if rows.log_variance is None:
        raise TypeError(
            f"the encoder of {type(model.module).__name__} gives no variance, and {what} is about Gaussian posteriors: "
            "return a pair (mean, log_variance)"
        )
    return model.prior.prior_units(rows.mean, rows.log_variance)
