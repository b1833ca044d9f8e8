"""Separated attribute predictability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.supervised.intervention import above_chance
from torchdisentangle.functional.supervised.predictability import predictability_gap, squared_correlation
from torchdisentangle.statistics.moments import CodeFactorMomentStatistic
from torchdisentangle.supervised.estimators import CLASSIFIERS, Classifier, make_classifier, require_sklearn
from torchdisentangle.supervised.factor_scores import FactorScores
from torchdisentangle.supervised.row_metric import RowMetric


class SAP(FactorScores, CodeFactorMomentStatistic):
    r"""Separated attribute predictability with squared correlations (SAP).

    .. math:: \mathrm{SAP} = \frac1F \sum_f \left( R^2_{(1) f} - R^2_{(2) f} \right), \quad
              R^2_{df} = \frac{\operatorname{cov}(z_d, y_f)^2}{\operatorname{var} z_d \operatorname{var} y_f}

    Factors are numbers here, so their values must have an order; for categories there is :class:`DiscreteSAP`. Ideal 1:
    each factor is a linear function of one code, and no second code knows of it; worst 0. Measured on 3,000 rows of
    five independent factors of ten values: perfect codes 0.998, the same given twice 0, their rotation 0.22, noise 0.
    Exact on any number of processes, and as cheap as a matrix product.

    A constant code predicts nothing; a constant factor is left out and named; with one code the gap is its
    :math:`R^2`.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)`` and ``factors`` ``(n, F)``, integers
    or floats; ``compute`` returns a scalar.

    Args:
        factor_names: for messages and figures.
        kwargs: as for :class:`torchmetrics.Metric`.

    Reference:
        Kumar et al., *Variational Inference of Disentangled Latent Concepts from Unlabeled Observations*, ICLR 2018,
        Section 3.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3))
        >>> sap = SAP()
        >>> sap.update(2.0 * factors, factors)
        >>> sap.compute()
        tensor(1., dtype=torch.float64)
    """

    matrix_label = "squared correlation"

    def __init__(self, factor_names: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(factor_names=factor_names, **kwargs)

    def compute(self) -> Tensor:
        """The score, over all processes."""
        return self.mean_over_factors(predictability_gap(self._matrix()))

    def matrix(self) -> Tensor:
        """Squared correlations ``(D, F)``, NaN for a constant factor."""
        with self.reduced():
            return self._matrix()

    def per_factor(self) -> Tensor:
        """The gap of each factor, ``(F,)``."""
        return predictability_gap(self.matrix())

    def _matrix(self) -> Tensor:
        if self.num_rows < 2:
            lost = f" ({int(self.num_nonfinite)} were NaN or infinite)" if self.num_nonfinite else ""
            raise ValueError(f"SAP needs at least 2 rows, got {int(self.num_rows)}{lost}")
        return squared_correlation(self.mean, self.covariance, int(self.num_codes))


class DiscreteSAP(RowMetric):
    r"""Separated attribute predictability with one-dimensional classifiers (SAP of discrete factors).

    .. math:: \mathrm{SAP} = \frac1F \sum_f \left( S_{(1) f} - S_{(2) f} \right)

    where :math:`S_{df}` is the test accuracy, averaged over classes, of a classifier of factor ``f`` that sees code
    ``d`` alone. By default that is a decision tree, and the accuracy is rescaled so that chance, and less, is 0. Ideal
    1, worst 0.

    Measured on 3,000 rows of five independent factors of ten values: perfect codes 0.99, the same given twice 0.00,
    their rotation 0.05, noise 0.00. The published form, ``classifier="svc", rescale=False``, is a linear support vector
    machine, which on a single code can tell the outermost values from the others at most: it gives perfect codes 0.09,
    and it depends on the codes' scale.

    Constant codes predict at chance; factors with a single value among the training rows are left out and named; with
    one code the gap is its score. The cost is ``D F`` small fits.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar. Needs scikit-learn.

    Args:
        classifier: ``"tree"`` or ``"svc"``.
        rescale: whether chance, and what is below, is 0; else chance is ``1 / V``.
        kwargs: as for :class:`~torchdisentangle.supervised.row_metric.RowMetric`.

    Raises:
        ImportError: if scikit-learn is missing.

    Reference:
        Kumar et al., ICLR 2018, Section 3; Locatello et al., *Challenging Common Assumptions in the Unsupervised
        Learning of Disentangled Representations*, ICML 2019, Appendix C (the support vector machine).

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(5), torch.arange(5)).repeat(20, 1)
        >>> sap = DiscreteSAP()
        >>> sap.update(1.0 * factors, factors)
        >>> sap.compute() > 0.9
        tensor(True)
    """

    matrix_label = "accuracy"

    def __init__(self, classifier: Classifier = "tree", rescale: bool = True, **kwargs: Any) -> None:
        require_sklearn("DiscreteSAP")
        if classifier not in CLASSIFIERS:
            raise ValueError(f"classifier must be one of {CLASSIFIERS}, got {classifier!r}")
        super().__init__(**kwargs)
        self.classifier, self.rescale = classifier, rescale

    def compute(self) -> Tensor:
        """The score, over all processes."""
        return self.mean_over_factors(predictability_gap(self.once(self._matrix)))

    def matrix(self) -> Tensor:
        """Test accuracies ``(D, F)``, rescaled if asked for; NaN for a factor that cannot be scored."""
        with self.reduced():
            return self.once(self._matrix)

    def _matrix(self) -> Tensor:
        codes, factors = self.rows
        labels = self.labels(factors)
        train, test = self.train_and_test
        if self.classifier == "tree":  # scikit-learn's trees see no difference below 1e-7
            scale = codes[train].std(0)
            codes = (codes - codes[train].mean(0)) / scale.where(scale > 0, torch.ones_like(scale))
        matrix = torch.full((codes.shape[1], labels.shape[1]), torch.nan, dtype=torch.float64)
        for f, values in enumerate(labels.unbind(1)):
            if len(values[train].unique()) < 2:
                continue
            for d in range(codes.shape[1]):
                column = codes[:, [d]].numpy()
                fitted = make_classifier(self.classifier, self.seed).fit(column[train], values[train].numpy())
                matrix[d, f] = balanced_accuracy(values[test], torch.as_tensor(fitted.predict(column[test])))
            if self.rescale:
                matrix[:, f] = above_chance(matrix[:, f], len(values[test].unique())).clamp(min=0)
        return matrix


def balanced_accuracy(labels: Tensor, predicted: Tensor) -> Tensor:
    """Accuracy averaged over the classes that there are.

    Example:
        >>> balanced_accuracy(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 0, 0]))
        tensor(0.5000, dtype=torch.float64)
    """
    right = (labels == predicted).double()
    return torch.stack([right[labels == value].mean() for value in labels.unique()]).mean()
