"""All supervised scores as a collection: three states, and the values of the single metrics on any processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from torchdisentangle import StatisticCollection, supervised_metrics
from torchdisentangle.supervised.collection import COUNT_SCORES, MOMENT_SCORES, QUICK, ROW_SCORES, SCORES, SLOW

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.randint(4, (240, 3), generator=GENERATOR)
CODES = FACTORS.double() + 0.4 * torch.randn(240, 3, generator=GENERATOR) @ torch.rand(3, 3, generator=GENERATOR)
FEW = ["mutual_information", "mig", "modularity", "jemmig", "sap", "irs", "factor_vae", "beta_vae", "dci"]


def filled(parts: list[Tensor], max_rows: int = 200, names: list[str] | None = None) -> StatisticCollection:
    metrics = supervised_metrics(names or FEW, max_rows=max_rows)
    for part in parts:
        metrics.update(CODES[part], FACTORS[part], index=part)
    return metrics


def test_three_states() -> None:
    metrics = supervised_metrics()
    groups = sorted(sorted(group) for group in metrics.compute_groups.values())
    assert groups == sorted([sorted(COUNT_SCORES), sorted(MOMENT_SCORES), sorted(ROW_SCORES)])
    assert set(metrics.keys()) == set(SCORES)
    assert set(QUICK) | set(SLOW) | {"z_max"} == set(SCORES)
    metrics.update(CODES, FACTORS, index=torch.arange(240))
    metrics.compute()
    for group in metrics.compute_groups.values():
        first, *others = (metrics.get_submodule(name) for name in group)
        for other in others:  # the same tensors, not equal ones
            assert all(getattr(other, state) is getattr(first, state) for state in first.state_names)


def test_values_are_those_of_the_single_metrics() -> None:
    together = filled([torch.arange(240)], 150, list(SCORES)).compute()
    for name in SCORES:
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


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="no score 'migg'; there are mutual_information, mig"):
        supervised_metrics(["migg"])
