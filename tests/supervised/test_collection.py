"""All supervised scores as a collection: two states, and the values of the single metrics on any processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from torchdisentangle import IRS, JEMMIG, MutualInformationGap, StatisticCollection, supervised_metrics
from torchdisentangle.evaluation.scores import default_names
from torchdisentangle.statistics import DataRange
from torchdisentangle.supervised import CodeFactorSample, default_scores, registered_scores

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.randint(4, (240, 3), generator=GENERATOR)
CODES = FACTORS.double() + 0.4 * torch.randn(240, 3, generator=GENERATOR) @ torch.rand(3, 3, generator=GENERATOR)
LOG_VARIANCE = torch.randn(240, 3, generator=GENERATOR) - 2
FEW = ["mutual_information", "mig", "modularity", "jemmig", "sap", "irs", "factor_vae", "beta_vae", "dci"]
ROWS = {
    *("mutual_information", "mig", "mig_sup", "dcimig", "modularity", "jemmig", "minimality", "sufficiency"),
    *("irs", "factor_vae", "z_max", "beta_vae", "dci", "explicitness", "discrete_sap", "info_m", "info_c", "info_e"),
}
BY_NAME_ALONE = {
    "med",
    "aam",
    "lms",
    "dmig",
    "xmig",
    "dlig",
    "dci_es",
    "omes",
    "unibound",
    "snc",
    "traversal",
    "d_lsbd",
    "distance_agreement",
    "unfairness",
    "strong_generalization_gap",
    "downstream",
    "nk",
}
MOMENTS = {"sap", "mcc", "linear_r2", "cca"}
POSTERIORS = {
    *("robust_mig", "interpretability", "posterior_mig", "posterior_minimality", "posterior_sufficiency"),
    "posterior_unibound",  # by name alone
}


def filled(parts: list[Tensor], max_rows: int = 200, names: list[str] | None = None) -> StatisticCollection:
    metrics = supervised_metrics(names or FEW, max_rows=max_rows)
    for part in parts:
        metrics.update(CODES[part], FACTORS[part], log_variance=LOG_VARIANCE[part], index=part)
    return metrics


def test_two_states() -> None:
    """Moments, and one sample of rows for all else, also for the scores of bins and for figures."""
    metrics = supervised_metrics()
    assert {frozenset(group) for group in metrics.compute_groups.values()} == {frozenset(MOMENTS), frozenset(ROWS)}
    assert len(supervised_metrics(sorted(ROWS | BY_NAME_ALONE)).compute_groups) == 1
    assert len(supervised_metrics(["mig", "dci", CodeFactorSample()]).compute_groups) == 1
    metrics.update(CODES, FACTORS, index=torch.arange(240))
    metrics.compute()
    for group in metrics.compute_groups.values():
        first, *others = (metrics.get_submodule(name) for name in group)
        for other in others:  # the same tensors, not equal ones
            assert all(getattr(other, state) is getattr(first, state) for state in first.state_names)


def test_scores_of_posteriors_share_their_states() -> None:
    metrics = supervised_metrics(sorted(POSTERIORS))
    groups = {frozenset(group) for group in metrics.compute_groups.values()}
    bins = frozenset({"robust_mig", "interpretability"})
    assert groups == {bins, frozenset(POSTERIORS - bins)}


def test_what_is_made_by_default() -> None:
    assert set(supervised_metrics().keys()) == ROWS | MOMENTS
    by_default = {name for name, entry in registered_scores().items() if entry.by_default}
    assert by_default == (ROWS | MOMENTS | POSTERIORS) - {"posterior_unibound"}
    assert set(registered_scores()) == ROWS | MOMENTS | POSTERIORS | BY_NAME_ALONE
    with_posteriors = set(default_names(with_posteriors=True)) - set(default_scores("quick"))
    assert with_posteriors == POSTERIORS - {"posterior_unibound"}
    assert set(default_scores("quick")) == (ROWS | MOMENTS) - {*default_scores("slow"), "z_max"}
    fitted = {"dci", "explicitness", "discrete_sap", "beta_vae", "info_e"}
    assert set(default_scores("slow")) == fitted | {"info_m", "info_c"}


def test_values_are_those_of_the_single_metrics() -> None:
    together = filled([torch.arange(240)], 150, list(registered_scores())).compute()
    for name in registered_scores():
        alone = filled([torch.arange(240)], 150, [name]).compute()
        for key, value in alone.items():
            assert torch.equal(together[key], value), key


def work(rank: int, cuts: list[int], batch_size: int) -> dict[str, Tensor]:
    parts = torch.arange(cuts[rank], cuts[rank + 1]).split(batch_size)
    return filled([part for part in parts if len(part)]).compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")  # of a process without rows
@pytest.mark.parametrize("cuts", [[0, 100, 240], [0, 0, 240], [0, 90, 91, 240]])
def test_processes_give_the_values_of_one(run_processes: Callable, cuts: list[int]) -> None:
    expected = filled([torch.arange(240)]).compute()
    for values in run_processes(len(cuts) - 1, work, cuts, 64):
        assert values.keys() == expected.keys()
        for name, value in expected.items():
            # moments are added in another order; all else is of the same rows
            torch.testing.assert_close(values[name], value, rtol=1e-10 if name == "sap" else 0, atol=0)


def test_settings_reach_the_scores_that_have_them() -> None:
    metrics = supervised_metrics(["mig", "robust_mig", "sap", "dci"], num_bins=7, continuous=[1], seed=3, edges="data")
    assert (metrics["mig"].num_bins, metrics["robust_mig"].num_bins, metrics["robust_mig"].edges) == (7, 7, "data")
    assert (metrics["dci"].continuous, metrics["dci"].seed, metrics["mig"].continuous) == ([1], 3, [1])
    own = supervised_metrics(["mig", "robust_mig", "jemmig"])
    assert [(own[name].num_bins, own[name].edges) for name in ("mig", "robust_mig", "jemmig")] == [
        (20, "data"),
        (100, (-4.0, 4.0)),
        (20, "data"),
    ]


def test_an_object_and_a_name_are_called_the_same() -> None:
    objects = [IRS(quantile=1.0), MutualInformationGap(num_bins=5), JEMMIG(), DataRange()]
    metrics = supervised_metrics([*objects, "sap", MutualInformationGap(estimator="posterior")])
    assert set(metrics.keys()) == {"irs", "mig", "jemmig", "data_range", "sap", "posterior_mig"}
    assert metrics["irs"].quantile == 1.0
    for name, entry in registered_scores().items():
        assert entry.score(**entry.settings).key == name


def test_bad_names_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no score 'migg'; there are aam, .*, mig, "):
        supervised_metrics(["migg"])
    with pytest.raises(ValueError, match="two metrics would be called 'irs'"):
        supervised_metrics(["irs", IRS(quantile=1.0)])
    with pytest.raises(TypeError, match="MutualInformationGap has no setting 'num_bin'"):
        supervised_metrics(["mig"], num_bin=3)  # type: ignore[call-arg]
