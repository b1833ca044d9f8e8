"""The metric classes: values, classes, units, standard errors, bad input and figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics import Metric

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
from torchdisentangle.functional.manifold.entropy import STANDARD_NORMAL_ENTROPY
from torchdisentangle.functional.manifold.gram import DEAD_NORM, MAX_PAIRWISE
from torchdisentangle.manifold.base import ManifoldMetric

JACOBIANS = torch.randn(40, 7, 4, generator=torch.Generator().manual_seed(1)).double()
GRAM = F.gram_matrix(JACOBIANS)
EXACT = {"rtol": 1e-11, "atol": 1e-12}  # the same float64 operations in another order


def value_of(metric: ManifoldMetric, *args: Tensor, **kwargs: Tensor) -> Tensor:
    metric.update(*args, **kwargs)
    return metric.compute()


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (ManifoldEntropySpectrum(), F.manifold_entropy_spectrum(GRAM)),
        (ManifoldEntropy(), F.manifold_entropy(GRAM)),
        (ManifoldEntropy([2]), F.manifold_entropy(GRAM, [2])),
        (ManifoldEntropy([0, 3]), F.manifold_entropy(GRAM, [0, 3])),
        (ManifoldEntropy([0, 1, 2, 3], normalize=True), F.manifold_entropy(GRAM) / 4),
        (ManifoldEntropy(prior_entropy=[0.0, 1.0, 2.0, 3.0]), F.manifold_entropy(GRAM, None, torch.arange(4.0))),
        (ManifoldTotalCorrelation(), F.manifold_total_correlation(GRAM)),
        (ManifoldTotalCorrelation([[0, 3], [1], [2]]), F.manifold_total_correlation(GRAM, [[0, 3], [1], [2]])),
        (ManifoldTotalCorrelation(normalize=True), F.manifold_total_correlation(GRAM) / 4),
        (ManifoldMutualInformation([1], [3]), F.manifold_mutual_information(GRAM, [1], [3])),
        (ManifoldMutualInformation([0, 1], [2, 3]), F.manifold_mutual_information(GRAM, [0, 1], [2, 3])),
        (ManifoldMutualInformation([0], [2, 3]), F.manifold_mutual_information(GRAM, [0], [2, 3])),
        (ManifoldPairwiseMutualInformation(), F.manifold_pairwise_mutual_information(GRAM)),
        (MeanDecoderJacobian(), JACOBIANS.mean(0)),
    ],
)
def test_values_are_those_of_the_formulas(metric: ManifoldMetric, expected: Tensor) -> None:
    torch.testing.assert_close(value_of(metric, JACOBIANS), expected, **EXACT)


def test_summary() -> None:
    summary = value_of(ManifoldSummary(), JACOBIANS)
    pairwise = F.manifold_pairwise_mutual_information(GRAM)
    spectrum = F.manifold_entropy_spectrum(GRAM)
    expected = {
        "total_entropy": F.manifold_entropy(GRAM),
        "total_correlation": F.manifold_total_correlation(GRAM),
        "mpmi_mean": pairwise.sum() / 12,
        "mpmi_max": pairwise.max(),
        "active_latents": torch.tensor(4.0).double(),
        "active_mpmi_mean": pairwise.sum() / 12,
        "effective_dimension": F.effective_dimension(spectrum),
    }
    assert tuple(summary) == ManifoldSummary.scalar_names
    for name, value in expected.items():
        torch.testing.assert_close(summary[name], value, **EXACT)


@pytest.mark.parametrize("labels", [None, torch.arange(40) % 2])
def test_active_latents_alone(labels: Tensor | None) -> None:
    scale = torch.tensor([1.0, 1e-3, 2.0, 0.5])
    settings = {} if labels is None else {"labels": labels}
    summary = value_of(ManifoldSummary(), JACOBIANS * scale, **settings)
    alone = value_of(ManifoldSummary(), JACOBIANS[:, :, [0, 2, 3]], **settings)  # angles do not see lengths
    assert summary["active_latents"] == 3
    torch.testing.assert_close(summary["active_mpmi_mean"], alone["mpmi_mean"], **EXACT)
    reference = float(F.manifold_entropy_spectrum(GRAM).max())
    for weight, active in ((1e-2, 0), (1.0, 4)):
        found = value_of(ManifoldSummary(active_reference=reference), weight * JACOBIANS, **settings)
        assert found["active_latents"] == active
        assert bool(found["active_mpmi_mean"] > 0) == (active > 1)


def test_total_correlation_of_the_active_latents_is_what_a_partition_leaves() -> None:
    everything = value_of(ManifoldTotalCorrelation(), JACOBIANS)
    between = value_of(ManifoldTotalCorrelation([[0, 2, 3], [1]]), JACOBIANS)
    within = value_of(ManifoldTotalCorrelation(), JACOBIANS[:, :, [0, 2, 3]])
    torch.testing.assert_close(within, everything - between, **EXACT)


@pytest.mark.parametrize(
    "metric",
    [
        ManifoldEntropySpectrum(),
        ManifoldTotalCorrelation(),
        ManifoldPairwiseMutualInformation(),
        ManifoldEntropy([0, 1]),
    ],
)
def test_classes_have_equal_weight(metric: ManifoldMetric) -> None:
    labels = torch.tensor([0] * 30 + [2] * 10)  # 30 and 10 samples, and a class without any
    average = value_of(metric, JACOBIANS, labels=labels)
    by_class = []
    for label in (0, 2):
        alone = metric.clone()
        alone.reset()
        by_class.append(value_of(alone, JACOBIANS[labels == label]))
    torch.testing.assert_close(average, torch.stack(by_class).mean(0), **EXACT)
    per_class = metric.per_class()
    assert len(per_class) == 3
    assert per_class[1].isnan().all() or isinstance(metric, ManifoldPairwiseMutualInformation)
    torch.testing.assert_close(per_class[2], by_class[1], **EXACT)


def test_prior_entropy_per_class() -> None:
    labels = torch.arange(40) % 2
    metric = ManifoldEntropy(prior_entropy=[[0.0] * 4, [1.0] * 4])
    plain = ManifoldEntropy(prior_entropy=0.0)
    difference = value_of(metric, JACOBIANS, labels=labels) - value_of(plain, JACOBIANS, labels=labels)
    torch.testing.assert_close(difference, torch.tensor(2.0).double())  # 4 nats in one class of two


def test_data_unit() -> None:
    std = torch.linspace(0.5, 3.0, 7)
    scaled = JACOBIANS * std[:, None]
    for build in (ManifoldEntropySpectrum, ManifoldTotalCorrelation, ManifoldPairwiseMutualInformation):
        torch.testing.assert_close(value_of(build(data_std=std), JACOBIANS), value_of(build(), scaled), **EXACT)


@pytest.mark.parametrize("data_std", [None, 2.0, [0.5, 2.0, 3.0, 1.5]])
def test_model_log_det_equals_the_jacobians(data_std: object) -> None:
    square = JACOBIANS[:, :4]
    log_det = torch.linalg.slogdet(square)[1]
    given, own = ManifoldSummary(data_std=data_std), ManifoldSummary(data_std=data_std)
    with_log_det, without = value_of(given, square, log_det=log_det), value_of(own, square)
    for name, value in without.items():
        # the determinant of the Gram matrix loses twice the digits of the Jacobian's own
        torch.testing.assert_close(with_log_det[name], value, rtol=1e-9, atol=1e-9)


def test_standard_errors_are_those_of_means() -> None:
    per_sample = torch.stack([F.manifold_total_correlation(gram[None]) for gram in GRAM])
    metric = ManifoldTotalCorrelation()
    metric.update(JACOBIANS)
    torch.testing.assert_close(metric.standard_error(), per_sample.std() / math.sqrt(40), rtol=1e-9, atol=0)
    spectrum = ManifoldEntropySpectrum()
    spectrum.update(JACOBIANS)
    logs = 0.5 * GRAM.diagonal(dim1=1, dim2=2).log()
    torch.testing.assert_close(spectrum.standard_error(), logs.std(0) / math.sqrt(40), rtol=1e-9, atol=0)
    pairwise = ManifoldPairwiseMutualInformation()
    pairwise.update(JACOBIANS)
    samples = torch.stack([F.manifold_pairwise_mutual_information(gram[None]) for gram in GRAM])
    torch.testing.assert_close(pairwise.standard_error(), samples.std(0) / math.sqrt(40), rtol=1e-9, atol=1e-15)


def test_the_documented_coverage_of_standard_errors() -> None:
    """Of a curved decoder, by repetition: entropies need 30 samples, skewed pairwise information needs 300."""
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 16, generator=generator), torch.randn(16, 2, generator=generator)
    z = torch.randn(20_000, 2, generator=generator)
    jacobians = ((1 - (1.5 * z @ first).tanh().square())[:, :, None] * first.mT).mT @ second  # (N, d, D)
    jacobians = jacobians.mT.double()

    def coverage(metric: ManifoldMetric, entry: Any, num_samples: int) -> float:
        truth, inside = value_of(metric.clone(), jacobians)[entry], 0
        for rows in torch.randperm(len(jacobians), generator=generator).split(num_samples)[:60]:
            one = metric.clone()
            error = (value_of(one, jacobians[rows])[entry] - truth).abs() / one.standard_error()[entry]
            inside += bool(error < 1.96)
        return inside / 60

    spectrum, pairs = ManifoldEntropySpectrum(), ManifoldPairwiseMutualInformation()
    # of 60 repetitions; three standard errors below 95 % are 86.5 %, below 90 % they are 78 %
    assert coverage(spectrum, 0, 30) > 0.865
    assert coverage(pairs, (0, 1), 300) > 0.865
    assert coverage(pairs, (0, 1), 30) > 0.78


def test_standard_error_of_one_sample_is_infinite() -> None:
    metric = ManifoldEntropy()
    metric.update(JACOBIANS[:1])
    assert metric.standard_error() == math.inf


def test_decomposition_adds_up() -> None:
    metric = ManifoldTotalCorrelation([[0, 1], [2, 3]])
    value = value_of(metric, JACOBIANS)
    parts, total, shared = metric.decomposition()
    torch.testing.assert_close(total, parts.sum() - shared, **EXACT)
    torch.testing.assert_close(shared, value, **EXACT)
    torch.testing.assert_close(shared, F.manifold_mutual_information(GRAM, [0, 1], [2, 3]), **EXACT)


def test_linfoot_coefficient() -> None:
    """Of two tangent vectors at a fixed angle it is the cosine."""
    jacobian = torch.tensor([[[1.0, 0.8], [0.0, 0.6]]]).double()
    metric = ManifoldPairwiseMutualInformation(normalize=True)
    torch.testing.assert_close(value_of(metric, jacobian)[0, 1], torch.tensor(0.8).double())


def test_cross_model() -> None:
    turned = JACOBIANS[:, :, [2, 0, 3, 1]] * torch.tensor([1.0, -2.0, 0.1, 5.0])
    metric = ManifoldCrossPairwiseMutualInformation()
    cross = value_of(metric, JACOBIANS, turned)  # type: ignore[arg-type]
    order = F.match_latents(cross)
    assert order.tolist() == [1, 3, 0, 2]
    matched = cross[:, order]
    # parallel up to rounding of the products, which shows at 1 - rho^2 of some 1e-16 to 1e-14
    assert (matched.diagonal() > 15).all()
    expected = F.manifold_pairwise_mutual_information(GRAM)
    off = ~torch.eye(4, dtype=torch.bool)
    torch.testing.assert_close(matched[off], expected[off], rtol=1e-9, atol=1e-12)


def test_nonfinite_samples_are_left_out_counted_and_warned_of() -> None:
    poisoned = JACOBIANS.clone()
    poisoned[3, 0, 0], poisoned[5, 1, 1] = math.nan, math.inf
    metric = ManifoldSummary()
    with pytest.warns(UserWarning, match=r"num_nonfinite \(2 in this batch\)"):
        values = value_of(metric, poisoned)
    assert metric.num_nonfinite == 2
    keep = torch.tensor([i not in (3, 5) for i in range(40)])
    torch.testing.assert_close(values["total_entropy"], F.manifold_entropy(GRAM[keep]), **EXACT)


def test_all_nonfinite() -> None:
    metric = ManifoldEntropy()
    with pytest.warns(UserWarning, match="3 in this batch"):
        metric.update(torch.full((3, 4, 2), math.nan))
    with pytest.raises(ValueError, match=r"has no samples \(3 were NaN or infinite\)"):
        metric.compute()


def test_floors_are_finite_and_counted() -> None:
    degenerate = torch.zeros(5, 3, 4)
    degenerate[:, 0, :2] = 1.0  # latents 0 and 1 are parallel, 2 and 3 do nothing
    metrics = manifold_metrics()
    metrics.update(degenerate)
    values = metrics.compute()
    statistic = metrics["summary"]
    assert int(statistic.num_dead.sum()) == 10  # type: ignore[union-attr,operator]
    assert int(statistic.num_saturated) == 5  # type: ignore[arg-type]
    assert int(statistic.num_singular) == 5  # type: ignore[arg-type]
    for name, value in values.items():
        assert value.isfinite().all(), name
    torch.testing.assert_close(
        values["spectrum"][2:], torch.full((2,), STANDARD_NORMAL_ENTROPY + math.log(DEAD_NORM)).double()
    )
    torch.testing.assert_close(values["pairwise"][0, 1], torch.tensor(MAX_PAIRWISE).double())
    assert values["pairwise"][2:].abs().max() == 0
    assert values["active_latents"] == 2


def test_more_latents_than_data() -> None:
    metric = ManifoldEntropy()
    assert value_of(metric, torch.randn(4, 2, 5)).isfinite()
    assert metric.num_singular == 4


@pytest.mark.parametrize(
    ("metric", "args", "message"),
    [
        (ManifoldEntropySpectrum(), {"jacobian": torch.zeros(3, 2)}, r"shape \(N, D, d\), got \(3, 2\)"),
        (ManifoldEntropySpectrum(), {"jacobian": torch.zeros(3, 2, 0)}, r"\(3, 2, 0\)"),
        (
            ManifoldEntropySpectrum(),
            {"jacobian": JACOBIANS, "labels": torch.zeros(3, dtype=torch.int64)},
            r"labels must be integers of shape \(40,\)",
        ),
        (
            ManifoldEntropySpectrum(num_classes=2),
            {"jacobian": JACOBIANS, "labels": torch.full((40,), 2)},
            "less than 2, got 2 to 2",
        ),
        (ManifoldEntropySpectrum(data_std=[1.0, 2.0]), {"jacobian": JACOBIANS}, "data_std must be a number or have 7"),
        (ManifoldEntropy([4]), {"jacobian": JACOBIANS}, None),
        (ManifoldEntropy([0, 9]), {"jacobian": JACOBIANS}, "within the 4 latents"),
        (ManifoldTotalCorrelation([[0, 1]]), {"jacobian": JACOBIANS}, None),
        (ManifoldEntropy(), {"jacobian": JACOBIANS, "log_det": torch.zeros(40)}, "belongs to a square Jacobian"),
        (ManifoldEntropy(), {"jacobian": JACOBIANS[:, :4], "log_det": torch.zeros(3)}, "log_det must have shape"),
    ],
)
def test_bad_input_is_refused(metric: ManifoldMetric, args: dict[str, Tensor], message: str | None) -> None:
    with pytest.raises(ValueError, match=message or "4 latents"):
        value_of(metric, **args)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ManifoldEntropySpectrum(data_std=0.0), "positive and finite"),
        (lambda: ManifoldEntropySpectrum(num_classes=0), "must be positive"),
        (lambda: ManifoldMutualInformation([0], [0, 1]), "two disjoint"),
        (lambda: ManifoldMutualInformation([], [1]), "two disjoint"),
        (lambda: MeanDecoderJacobian(mean_jacobian=False), "needs mean_jacobian"),
    ],
)
def test_bad_settings_are_refused(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"jacobian": torch.zeros(3, 2, 2, dtype=torch.int64)}, r"jacobian must be floating point .*, got torch.int64"),
        ({"jacobian": [[1.0]]}, "jacobian must be a tensor or a NumPy array, got list"),
        ({"jacobian": JACOBIANS, "labels": torch.zeros(40)}, "labels must be integers"),
    ],
)
def test_what_is_no_jacobian_or_no_label_is_a_type_error(args: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ManifoldEntropySpectrum().update(**args)


def test_labels_and_log_det_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        ManifoldEntropySpectrum().update(JACOBIANS, torch.zeros(40, dtype=torch.int64))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (ManifoldEntropySpectrum, "ManifoldEntropySpectrum"),
        (ManifoldEntropy, "ManifoldEntropy"),
        (ManifoldTotalCorrelation, "ManifoldTotalCorrelation"),
        (partial(ManifoldMutualInformation, [0], [1]), "ManifoldMutualInformation"),
        (ManifoldPairwiseMutualInformation, "ManifoldPairwiseMutualInformation"),
        (ManifoldCrossPairwiseMutualInformation, "ManifoldCrossPairwiseMutualInformation"),
        (ManifoldSummary, "ManifoldSummary"),
        (MeanDecoderJacobian, "MeanDecoderJacobian"),
        (manifold_metrics, "ManifoldMetrics"),
    ],
)
def test_a_typo_is_an_error_of_what_was_built(build: Callable[..., Any], name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} has no setting 'num_clases'"):
        build(num_clases=3)


def test_repr_shows_settings() -> None:
    metric = ManifoldEntropy([0, 2], data_std=2.0, estimator="probes", num_probes=8)
    assert repr(metric).startswith("ManifoldEntropy(index_set=(0, 2),")
    for shown in ("data_std=2.0", "estimator='probes'", "num_probes=8"):
        assert shown in repr(metric)
    assert repr(ManifoldTotalCorrelation()) == "ManifoldTotalCorrelation()"
    assert repr(ManifoldMutualInformation([1], [0])) == "ManifoldMutualInformation(index_set_a=(1,), index_set_b=(0,))"


@pytest.mark.parametrize(
    "metric", [ManifoldEntropySpectrum, MeanDecoderJacobian, ManifoldCrossPairwiseMutualInformation]
)
def test_metrics_are_at_most_four_classes_from_torchmetrics(metric: type) -> None:
    assert metric.__mro__.index(Metric) <= 4


def test_estimates_have_the_shape_of_values() -> None:
    metrics = StatisticCollection([ManifoldTotalCorrelation(), ManifoldPairwiseMutualInformation(), ManifoldSummary()])
    metrics.update(JACOBIANS, labels=torch.arange(40) % 2)
    values, errors = metrics.compute(), metrics.standard_errors()
    assert errors.keys() == {*values} - set(ManifoldSummary.scalar_names) | set(ManifoldSummary.mean_names)
    assert all(errors[name].shape == values[name].shape for name in errors)
    summary = metrics["ManifoldSummary"]
    assert isinstance(summary, ManifoldSummary)
    value, error = summary.estimate()
    for name in ManifoldSummary.mean_names:
        assert value[name] == values[name]
        assert error[name] == errors[name]
        torch.testing.assert_close(summary.per_class()[name].mean(0), values[name])


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")  # that update has not been called is the point
def test_empty_metric_has_no_value() -> None:
    with pytest.raises(ValueError, match="has no samples"):
        ManifoldEntropySpectrum().compute()


def test_figures() -> None:
    labels = torch.arange(40) % 2
    for metric in (
        ManifoldEntropySpectrum(),
        ManifoldEntropy(),
        ManifoldTotalCorrelation(),
        ManifoldTotalCorrelation([[0, 1], [2, 3]]),
        ManifoldMutualInformation([0], [1]),
        ManifoldPairwiseMutualInformation(),
    ):
        metric.update(JACOBIANS, labels=labels)
        figure, _ = metric.plot()
        assert isinstance(figure, Figure)
    _, (raw, ordered) = _plotted(ManifoldEntropySpectrum())
    spectrum = F.manifold_entropy_spectrum(GRAM).numpy()
    np.testing.assert_allclose(raw.lines[-1].get_ydata(), spectrum)
    np.testing.assert_allclose(ordered.lines[-1].get_ydata(), np.sort(spectrum)[::-1])
    images = MeanDecoderJacobian()
    images.update(torch.randn(5, 16, 3))
    _, axes = images.plot(image_shape=(4, 4))
    assert sum(len(ax.images) for ax in axes) == 3
    cross = ManifoldCrossPairwiseMutualInformation()
    cross.update(JACOBIANS, JACOBIANS[:, :, [1, 0, 2, 3]])
    _, ax = cross.plot()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "0", "2", "3"]


def _plotted(metric: ManifoldMetric) -> tuple[Figure, np.ndarray]:
    metric.update(JACOBIANS)
    return metric.plot()  # type: ignore[operator]


@pytest.mark.parametrize("num_classes", [1, 2, 3])  # the last has no samples
def test_latents_of_a_constant_decoder_are_inactive_whatever_the_prior(num_classes: int) -> None:
    prior = torch.tensor([[4.0, 1.0], [2.0, 5.0], [9.0, 9.0]])[:num_classes]
    summary = ManifoldSummary(prior_entropy=prior, num_classes=num_classes)
    summary.update(torch.zeros(6, 4, 2), labels=torch.arange(6) % min(num_classes, 2))
    assert summary.compute()["active_latents"] == 0
