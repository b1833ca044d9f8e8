"""Which scores there are, which way each is good, and what it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from scoring import new_score

from torchdisentangle.supervised import registered_scores

GROUPS: Mapping[str, tuple[str, ...]] = {
    "compactness": (
        *("mig", "posterior_mig", "robust_mig", "sap", "discrete_sap", "dci_completeness", "dci_es_completeness"),
        *("med_completeness", "info_c", "sufficiency", "posterior_sufficiency", "dmig", "dlig", "xmig", "jemmig"),
    ),
    "modularity": (
        *("mig_sup", "modularity", "dci_disentanglement", "dci_es_disentanglement", "med_disentanglement", "info_m"),
        *("minimality", "posterior_minimality", "irs", "beta_vae", "factor_vae", "z_max"),
    ),
    "information": (
        *("linear_r2", "cca", "explicitness", "info_e", "dci_informativeness", "dci_es_informativeness"),
        "downstream_accuracy",
    ),
}
RECOMMENDED = ("mig", "mig_sup", "linear_r2")
"""What the documentation named until this study."""

UNSUPERVISED: Mapping[str, int] = {
    "manifold/total_correlation": -1,
    "manifold/mpmi_mean": -1,
    "elbo/total_correlation": -1,
    "manifold/path_length": -1,
    "ioss": -1,
    "topology/score": 1,
    "udr": 1,
    "stability": 1,
    "channels": 1,
}
"""The scores without factors that are judged, 1 if more is better and -1 if less is."""
COMPARED: Mapping[str, int] = {"model/reconstruction": -1, "model/kl": 1, "elbo/active_units": 1}
"""No scores, but what a score should be better than."""
LEFT_OUT = ("mutual_information", "interpretability")  # a matrix, and two other scores once more
NO_SCORE = ("dci_es_size",)


@cache
def kind_of(name: str) -> str | None:
    """The entry of the registry that a scalar is of."""
    owners = [entry for entry in registered_scores() if name == entry or name.startswith(f"{entry}_")]
    return max(owners, key=len, default=None)


def supervised_signs(names: Sequence[str]) -> dict[str, int]:
    """The scalars of the registry's scores that are judged, 1 if more is better and -1 if less is."""
    found = {}
    for name in names:
        kind = kind_of(name)
        if kind is not None and kind not in LEFT_OUT and name not in NO_SCORE:
            found[name] = 1 if new_score(kind).higher_is_better else -1
    return found


def question_of(name: str) -> str | None:
    """The group that a score is in."""
    return next((question for question, names in GROUPS.items() if name in names), None)
