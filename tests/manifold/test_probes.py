"""The metrics from projections: right on average, with the standard errors they say, and clear about what they lack."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from torchdisentangle import (
    ManifoldCrossPairwiseMutualInformation,
    ManifoldEntropy,
    ManifoldEntropySpectrum,
    ManifoldMutualInformation,
    ManifoldPairwiseMutualInformation,
    ManifoldSummary,
    ManifoldTotalCorrelation,
    MeanDecoderJacobian,
    StatisticCollection,
    manifold_metrics,
)
from torchdisentangle import functional as F
from torchdisentangle.functional.device import CPU_SIZES, use_sizes
from torchdisentangle.functional.manifold.entropy import STANDARD_NORMAL_ENTROPY
from torchdisentangle.functional.manifold.gram import DEAD_NORM, MAX_PAIRWISE
from torchdisentangle.manifold.base import linfoot
from torchdisentangle.statistics.classes import Estimate

N, LATENTS, PROBES = 40, 4, 8
WEIGHT = torch.tensor([[1.0, 0.8, 0.0, 0.1], [0.0, 0.6, 0.3, 0.0], [0.0, 0.0, 2.0, 0.2], [0.4, 0.0, 0.0, 0.1]]).double()
LATENT = torch.randn(N, LATENTS, generator=torch.Generator().manual_seed(0)).double()


def decode(z: Tensor) -> Tensor:
    """Invertible, with a Jacobian that is not the same everywhere."""
    return (z + 0.4 * torch.sin(2 * z)) @ WEIGHT.mT


def log_det(z: Tensor) -> Tensor:
    return (1 + 0.8 * torch.cos(2 * z)).log().sum(-1) + torch.linalg.slogdet(WEIGHT)[1]


def projections(repetition: int, z: Tensor = LATENT, num_probes: int = PROBES, **settings: Any) -> Tensor:
    index = repetition * len(z) + torch.arange(len(z))
    with torch.no_grad():
        return F.probed_jacobian(decode, z, num_probes=num_probes, index=index, check=False, **settings)


def as_tensors(estimate: Estimate) -> Estimate:
    """The same, with the scalars of a summary side by side."""
    return Estimate(*(torch.stack(list(part.values())) if isinstance(part, dict) else part for part in estimate))


JACOBIANS = F.decoder_jacobian(decode, LATENT).detach()
BUILD: dict[str, Callable[..., Any]] = {
    "spectrum": ManifoldEntropySpectrum,
    "entropy": ManifoldEntropy,
    "entropy of two": lambda **settings: ManifoldEntropy([0, 3], **settings),
    "total correlation": ManifoldTotalCorrelation,
    "per dimension": lambda **settings: ManifoldTotalCorrelation(normalize=True, **settings),
    "of a partition": lambda **settings: ManifoldTotalCorrelation([[0, 1, 2], [3]], **settings),
    "information": lambda **settings: ManifoldMutualInformation([0], [2, 3], **settings),
    "pairwise": ManifoldPairwiseMutualInformation,
    "summary": ManifoldSummary,
}


@pytest.mark.parametrize("flow", [False, True], ids=["volume from probes", "volume from the flow"])
def test_values_and_standard_errors(flow: bool) -> None:
    """Over independent sets of probes every value is off by what its standard error says, in either direction."""
    repetitions, volume = 100, log_det(LATENT) if flow else None
    exact = StatisticCollection({name: build() for name, build in BUILD.items()})
    exact.update(JACOBIANS, log_det=volume)
    metrics = StatisticCollection({n: build(estimator="probes", num_probes=PROBES) for n, build in BUILD.items()})
    estimates: dict[str, list[Estimate]] = {name: [] for name in BUILD}
    for repetition in range(repetitions):
        metrics.reset()
        metrics.update(projections(repetition), log_det=volume)
        for name, metric in metrics.items(copy_state=False):
            estimates[name].append(as_tensors(metric.estimate()))  # type: ignore[operator]
    for name in BUILD:
        truth, spread_of_latents = as_tensors(exact[name].estimate())  # type: ignore[operator]
        values = torch.stack([estimate.value for estimate in estimates[name]])
        variance = torch.stack([estimate.standard_error for estimate in estimates[name]]).square().mean(0)
        noisy = values.std(0) > 1e-12  # not the total entropy of a flow, nor the diagonal of a matrix
        torch.testing.assert_close(values.mean(0)[~noisy], truth[~noisy], rtol=1e-9, atol=1e-9)
        off = (values.mean(0) - truth) / values.std(0) * math.sqrt(repetitions)
        assert (off[noisy].abs() < 5).all(), name
        # the latents were the same each time, so their part of the standard error is known, and taken away
        ratio = values.var(0)[noisy] / (variance - spread_of_latents.square())[noisy]
        assert ((ratio > 0.5) & (ratio < 1.8)).all(), name  # the variance of 100 values is known to 14 percent


def test_cross_model() -> None:
    """Both models must be seen through the same probes."""
    other = torch.linalg.qr(torch.randn(LATENTS, LATENTS, generator=torch.Generator().manual_seed(1)).double())[0]
    exact = ManifoldCrossPairwiseMutualInformation()
    exact.update(JACOBIANS, JACOBIANS @ other)
    metric = ManifoldCrossPairwiseMutualInformation(estimator="probes", num_probes=PROBES)
    for repetition in range(60):
        seen = projections(repetition)
        metric.update(seen, seen @ other)
    assert ((metric.compute() - exact.compute()).abs() < 5 * metric.standard_error()).all()
    torch.testing.assert_close(metric.num_samples, torch.tensor([60 * N]))


def test_classes_and_data_unit() -> None:
    """As of exact Jacobians: per class, equal weights; projections made in the data's unit."""
    labels, unit = (torch.arange(N) < 10).long(), torch.tensor([0.5, 2.0, 3.0, 1.0]).double()
    for build in (ManifoldEntropySpectrum, ManifoldTotalCorrelation, ManifoldPairwiseMutualInformation):
        exact, metric = build(data_std=unit), build(data_std=unit, estimator="probes", num_probes=PROBES)
        exact.update(JACOBIANS, labels=labels, log_det=log_det(LATENT))
        for repetition in range(20):
            seen = projections(repetition, data_std=unit)
            metric.update(seen, labels=labels, log_det=log_det(LATENT))
        off = (metric.compute() - exact.compute()).abs()
        assert (off <= 5 * metric.standard_error()).all()
        assert metric.per_class().shape == exact.per_class().shape


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_any_split_gives_the_same_value(dtype: torch.dtype) -> None:
    """One batch, several, and two objects merged."""
    whole, parts, other = (ManifoldSummary(estimator="probes", num_probes=PROBES) for _ in range(3))
    seen = projections(0).to(dtype)
    whole.update(seen)
    for start in range(0, N, 7):
        (parts if start < 20 else other).update(seen[start : start + 7])
    parts.merge_state(other)
    torch.testing.assert_close(parts.compute(), whole.compute(), rtol=1e-12, atol=1e-12)


def test_gradients_through_many_pieces() -> None:
    gradients = []
    for at_once in (2**20, 1):
        seen = projections(0)[:5].requires_grad_()
        with use_sizes(CPU_SIZES._replace(numbers_at_once=at_once)):
            value = ManifoldTotalCorrelation(estimator="probes", num_probes=PROBES)(seen)
        gradients += torch.autograd.grad(value, seen)
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)
    assert gradients[0].abs().max() > 0


def test_without_the_volume_of_all() -> None:
    metrics = manifold_metrics(estimator="probes", num_probes=3)
    with pytest.warns(UserWarning, match=r"volume of all 4 latents needs at least as many probes \(here 3\)"):
        metrics.update(projections(0, num_probes=3))
    values, errors = metrics.compute(), metrics.standard_errors()
    unknown = {name for name, value in values.items() if value.isnan().any()}
    assert unknown == {"total_entropy", "total_correlation", "decomposition"}
    assert [errors[name].isnan().item() for name in ManifoldSummary.mean_names] == [True, True, False]
    assert errors["spectrum"].isfinite().all()
    with pytest.warns(UserWarning, match="volume of all"):
        metrics.update(projections(1, num_probes=3))
    metrics.update(projections(2, num_probes=3), log_det=log_det(LATENT))  # too late for the first
    assert metrics.compute()["total_entropy"].isnan()
    metrics.reset()
    metrics.update(projections(2, num_probes=3), log_det=log_det(LATENT))
    assert metrics.compute()["total_entropy"].isfinite()


def test_floors_and_counts() -> None:
    degenerate = torch.zeros(5, 6, 4).double()
    degenerate[:, 0, :2] = 1.0  # latents 0 and 1 are parallel, 2 and 3 do nothing
    seen = torch.randn(5, PROBES, 6).double() @ degenerate
    seen[1, 0, 0] = math.nan
    metrics = manifold_metrics(estimator="probes", num_probes=PROBES)
    with pytest.warns(UserWarning, match=r"num_nonfinite \(1 in this batch\)"):
        metrics.update(seen)
    values, state = metrics.compute(), metrics["summary"]
    counts = [int(getattr(state, f"num_{name}").sum()) for name in ("nonfinite", "dead", "saturated", "singular")]
    assert counts == [1, 8, 4, 4]
    floor = torch.full((2,), STANDARD_NORMAL_ENTROPY + math.log(DEAD_NORM)).double()
    torch.testing.assert_close(values["spectrum"][2:], floor)
    torch.testing.assert_close(values["pairwise"][0, 1], torch.tensor(MAX_PAIRWISE).double())
    assert values["pairwise"][2:].abs().max() == 0
    assert values["active_latents"] == 2
    assert all(value.isfinite().all() for value in values.values())


def test_linfoot_coefficient_of_values_around_zero() -> None:
    """A value below zero is a coefficient of zero, and the standard error stays one that can be believed."""
    coefficient, error = linfoot(Estimate(torch.tensor([-0.002, 0.0, 0.5]), torch.tensor([0.004, 0.0, 0.001])))
    torch.testing.assert_close(coefficient, torch.tensor([0.0, 0.0, (1 - math.exp(-1)) ** 0.5]))
    assert error[1] == 0
    assert 0.004 < error[0] < (1 - math.exp(-2 * 0.006)) ** 0.5
    assert error[2] == pytest.approx(0.001 * math.exp(-1) / coefficient[2].item())


@pytest.mark.parametrize(
    ("build", "given", "message"),
    [
        (lambda: ManifoldEntropySpectrum(estimator="guess"), None, "must be 'exact' or 'probes', got 'guess'"),
        (lambda: ManifoldEntropySpectrum(estimator="probes", num_probes=1), None, "at least 2 probes"),
        (lambda: MeanDecoderJacobian(estimator="probes"), None, "needs mean_jacobian=True and estimator='exact'"),
        (lambda: ManifoldEntropySpectrum(estimator="probes"), (N, 4, 4), r"shape \(N, 16, d\) are needed, .*got \(40"),
        (lambda: ManifoldEntropy([0, 1, 2], estimator="probes", num_probes=2), (N, 2, 4), "3 latents need at least"),
        (lambda: ManifoldCrossPairwiseMutualInformation(estimator="probes"), (N, 4, 4), r"shape \(N, 16, d\)"),
    ],
)
def test_what_cannot_work_is_refused(build: Callable[[], Any], given: tuple | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build().update(*[torch.ones(given)] * (1 + ("Cross" in type(build()).__name__)))  # type: ignore[arg-type]


def test_exact_and_probed_states_never_mix() -> None:
    exact, eight, nine = (
        ManifoldEntropySpectrum(),
        ManifoldEntropySpectrum(estimator="probes", num_probes=8),
        ManifoldEntropySpectrum(estimator="probes", num_probes=9),
    )
    assert len({metric.group_key for metric in (exact, eight, nine)}) == 3
    for other in (exact, nine):
        with pytest.raises(ValueError, match="differently configured"):
            eight.merge_state(other)
