"""Every metric and every collection draws itself, and error bars are the intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

import torchdisentangle as td
from tests.contract.cases import CASES, posteriors, with_factors, with_jacobians, with_posteriors
from torchdisentangle.evaluation import Report, score
from torchdisentangle.plots import plot_scalar, plot_scores
from torchdisentangle.statistics import StatisticCollection

pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = ["mig", "sap", "factor_vae", "mutual_information", "dci"]
COLLECTIONS: dict[str, tuple[Callable[[], StatisticCollection], Callable[[], Any]]] = {
    "manifold": (td.manifold_metrics, with_jacobians),
    "elbo": (td.elbo_metrics, lambda: ((posteriors()[0],), {"log_variance": posteriors()[1]})),
    "supervised": (lambda: td.supervised_metrics(NAMES), with_factors),
    "informativeness": (td.informativeness_metrics, with_posteriors),
}


def bars(ax: Any) -> list[list[float]]:
    """Both ends of every error bar, along the axis that it goes."""
    segments = [segment for container in ax.containers for lines in container[2] for segment in lines.get_segments()]
    return [sorted({float(value) for value in ends[:, int(ends[0, 0] == ends[1, 0])]}) for ends in segments]


@pytest.mark.parametrize("name", CASES)
def test_a_metric_draws_itself(name: str) -> None:
    metric, (positional, keywords) = CASES[name].make(), CASES[name].inputs()
    metric.update(*positional, **keywords)
    figure, _ = metric.plot()
    assert isinstance(figure, Figure)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_draws_all_of_itself(name: str) -> None:
    make, inputs = COLLECTIONS[name]
    metrics, (positional, keywords) = make(), inputs()
    metrics.update(*positional, **keywords)
    values = metrics.compute()
    for given in (None, values, [values, values]):
        drawn = metrics.plot(given)
        assert len(drawn) == len(metrics)
        assert all(isinstance(figure, Figure) for figure, _ in drawn)
        figure, ax = metrics.plot(given, together=True)
        assert isinstance(figure, Figure)
        assert ax in figure.axes
    axes = [Figure().subplots() for _ in metrics]
    metrics.plot(ax=axes)
    assert all(ax.has_data() for ax in axes)
    with pytest.raises(ValueError, match=f"axes for each of {len(metrics)} metrics, got 1"):
        metrics.plot(ax=axes[:1])


def test_error_bars_are_the_intervals() -> None:
    metrics = td.supervised_metrics(["mig", "sap", "beta_vae"])
    positional, keywords = with_factors()
    metrics.update(*positional, **keywords)
    ends = {name: [float(end) for end in metrics[name].interval()] for name in ("mig", "sap")}
    _, ax = metrics.plot(together=True)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["beta_vae", "mig", "sap"]
    assert bars(ax) == [pytest.approx(ends["mig"]), pytest.approx(ends["sap"])]  # the other would be fitted again
    assert bars(metrics["mig"].plot()[1]) == [pytest.approx(ends["mig"])]
    assert not bars(metrics["beta_vae"].plot()[1])
    assert not bars(metrics["mig"].plot(torch.tensor(0.5))[1])


def test_a_score_of_two_rows_is_drawn_without_a_bar() -> None:
    metric = td.SAP()
    metric.update(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1]))
    assert not bars(metric.plot()[1])


def test_intervals_of_several_values() -> None:
    _, ax = plot_scalar({"a": 0.5, "b": 0.2}, interval=({"a": 0.4, "b": 0.1}, {"a": 0.45, "b": 0.3}))
    assert bars(ax) == [pytest.approx([0.4, 0.45]), pytest.approx([0.1, 0.3])]
    with pytest.raises(ValueError, match="no scores to draw"):
        plot_scores({})


def test_a_report_with_intervals_draws_its_scores() -> None:
    (codes, factors), _ = with_factors()
    names = ["mig", "mig_sup", "mutual_information"]
    report: Report = score(codes, factors, names)
    _, ax = plot_scores(report.scalars, report.intervals, report.ceilings)
    figure = report.figures["scores"]()
    assert bars(figure.axes[0]) == bars(ax) == [pytest.approx(report.intervals[name]) for name in names[:2]]
    assert "scores" not in score(codes, factors, names, level=None).figures
