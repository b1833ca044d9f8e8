"""The predictors that scores are fitted with: all of scikit-learn, which is imported when it is needed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal

Predictor = Literal["random_forest", "gradient_boosting", "lasso"]
Classifier = Literal["tree", "svc"]
ValuePredictor = Literal["logistic_regression", "mlp", "tree", "random_forest", "gradient_boosting"]

PREDICTORS = ("random_forest", "gradient_boosting", "lasso")
CLASSIFIERS = ("tree", "svc")
VALUE_PREDICTORS = ("logistic_regression", "mlp", "tree", "random_forest", "gradient_boosting")

_LASSO_STRENGTHS = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
_SMALLEST_LEAF = 5
_NUM_HIDDEN = 256  # units of the multilayer perceptron
_MAX_STEPS = 100  # of its fit
_PERCEPTRON_STEPS = 200  # of the fit of one with two hidden layers
_NUM_TREES = 100


def require_sklearn(metric: str) -> None:
    """Raise an ImportError if scikit-learn is missing.

    Args:
        metric: the class that needs it.

    Raises:
        ImportError: that says which extra to install.
    """
    if find_spec("sklearn") is None:
        raise ImportError(f"{metric} needs scikit-learn: pip install 'torchdisentangle[supervised]'")


def check_value_predictor(metric: str, kind: str) -> None:
    """Raise an error unless :func:`make_value_predictor` can make this predictor.

    Args:
        metric: the class that needs it.
        kind: which one.

    Raises:
        ImportError: if scikit-learn is missing.
        ValueError: for an unknown kind.
    """
    require_sklearn(metric)
    if kind not in VALUE_PREDICTORS:
        raise ValueError(f"predictor must be one of {VALUE_PREDICTORS}, got {kind!r}")


LASSO_FOLDS = 5  # of the cross-validation that chooses a lasso's strength


def make_predictor(kind: Predictor, regression: bool, num_trees: int, seed: int) -> Any:
    """A predictor of one factor from all codes that can say how important each code is.

    Args:
        kind: which one.
        regression: whether the factor is a number; else it is a class. A lasso is always a regression.
        num_trees: of a forest or of boosting.
        seed: of its random choices.

    Returns:
        A scikit-learn estimator.
    """
    if kind == "lasso":
        from sklearn.linear_model import LassoCV

        return LassoCV(alphas=list(_LASSO_STRENGTHS), cv=LASSO_FOLDS)
    from sklearn import ensemble

    if kind == "random_forest":
        forest = ensemble.RandomForestRegressor if regression else ensemble.RandomForestClassifier
        # every split sees every code: with scikit-learn's default a code gets importance for being alone in the choice
        return forest(num_trees, max_features=None, min_samples_leaf=_SMALLEST_LEAF, random_state=seed)
    boosting = ensemble.GradientBoostingRegressor if regression else ensemble.GradientBoostingClassifier
    return boosting(n_estimators=num_trees, random_state=seed)


def make_classifier(kind: Classifier, seed: int) -> Any:
    """A classifier of one factor from one code.

    Args:
        kind: ``"tree"``: intervals of the code; ``"svc"``: a linear support vector machine.
        seed: of its random choices.

    Returns:
        A scikit-learn estimator that weights classes equally.
    """
    if kind == "svc":
        from sklearn.svm import LinearSVC

        return LinearSVC(C=0.01, class_weight="balanced", random_state=seed)
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(min_samples_leaf=_SMALLEST_LEAF, class_weight="balanced", random_state=seed)


def make_logistic_regression(inverse_regularization: float) -> Any:
    """Multinomial logistic regression.

    Args:
        inverse_regularization: scikit-learn's ``C``.

    Returns:
        A scikit-learn estimator.
    """
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=inverse_regularization, max_iter=1000)


def make_perceptron(width: int, regression: bool, seed: int) -> Any:
    """A multilayer perceptron with two hidden layers, fitted by L-BFGS; without units the linear model.

    Args:
        width: units of each hidden layer.
        regression: whether the factor is a number; else it is a class.
        seed: of the first weights.

    Returns:
        A scikit-learn estimator.
    """
    if width == 0 and regression:
        from sklearn.linear_model import LinearRegression

        return LinearRegression()
    if width == 0:
        return make_logistic_regression(100.0)
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    perceptron = MLPRegressor if regression else MLPClassifier
    return perceptron(hidden_layer_sizes=(width, width), solver="lbfgs", max_iter=_PERCEPTRON_STEPS, random_state=seed)


def make_value_predictor(kind: ValuePredictor, seed: int) -> Any:
    """A classifier of one factor from all codes.

    Args:
        kind: ``"logistic_regression"``, multinomial, with scikit-learn's ``C`` at 100; ``"mlp"``: one hidden layer of
            256 units, fitted by 100 steps of L-BFGS; ``"tree"``: a single one; ``"random_forest"`` and
            ``"gradient_boosting"``: 100 trees. Leaves have five rows or more, but for boosting.
        seed: of its random choices.

    Returns:
        A scikit-learn estimator.
    """
    if kind == "logistic_regression":
        return make_logistic_regression(100.0)
    if kind == "mlp":
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier((_NUM_HIDDEN,), solver="lbfgs", max_iter=_MAX_STEPS, random_state=seed)
    if kind == "tree":
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(min_samples_leaf=_SMALLEST_LEAF, random_state=seed)
    return make_predictor(kind, False, _NUM_TREES, seed)
