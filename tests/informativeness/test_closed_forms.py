"""The metrics against information that is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from torchdisentangle import MISJED, Informativeness, PairwiseMutualInformation, Separability

WIDTH = 8 / 100


def gaussian_means(covariance: Tensor, num_rows: int = 4000) -> Tensor:
    """Normal means whose covariance over these rows is exactly the given one."""
    d = len(covariance)
    normal = torch.randn(num_rows, d, generator=torch.Generator().manual_seed(1)).double()
    normal = normal - normal.mean(0)
    whitening = torch.linalg.cholesky((normal.T @ normal / num_rows).inverse())
    return normal @ whitening @ torch.linalg.cholesky(covariance).T


def closed_forms(covariance: Tensor, sigma: float) -> dict[str, Tensor]:
    """Of Gaussian means with this covariance and posteriors of standard deviation sigma."""
    total = covariance + sigma**2 * torch.eye(len(covariance)).double()
    precision = total.inverse().diagonal()
    return {
        "information": 0.5 * total.logdet() - len(total) * math.log(sigma),
        "informativeness": 0.5 * (total.diagonal() / sigma**2).log(),
        "sep": 0.5 * (total.diagonal() * precision).log(),
        "sepin": -0.5 * (precision * sigma**2).log(),
    }


CORRELATED = torch.tensor([[1.0, 0.8], [0.8, 1.0]]).double()
THREE = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.6]]).double()


def test_the_closed_forms_are_those_of_the_paper_pair() -> None:
    values = closed_forms(CORRELATED, 0.5)
    assert values["informativeness"].tolist() == pytest.approx([0.804719] * 2, abs=1e-6)
    assert values["sep"].tolist() == pytest.approx([0.263478] * 2, abs=1e-6)
    assert values["sepin"].tolist() == pytest.approx([0.541241] * 2, abs=1e-6)


@pytest.mark.parametrize("covariance", [CORRELATED, THREE])
def test_separability_of_correlated_latents(covariance: Tensor) -> None:
    mean = gaussian_means(covariance)
    metric = Separability(num_queries=2000, top_k=1)
    metric.update(mean, torch.full_like(mean, 2 * math.log(0.5)))
    values, errors = metric.compute(), metric.standard_error()
    expected = closed_forms(covariance, 0.5)
    for name, truth in expected.items():
        # four standard errors over queries; 0.01 for 4,000 rows that are not a perfect Gaussian
        assert ((values[name] - truth).abs() < 4 * errors[name] + 0.01).all(), name
    shares = expected["informativeness"] / expected["informativeness"].sum()
    wsepin = (shares * expected["sepin"]).sum()
    assert (values["wsepin"] - wsepin).abs() < 4 * errors["wsepin"] + 0.01
    assert values["sepin_at_k"] == values["sepin"][values["informativeness"].argmax()]
    for sepin, indin in (("sepin", "indin"), ("wsepin", "windin"), ("sepin_at_k", "indin_at_k")):
        torch.testing.assert_close(values[sepin], values[indin], rtol=1e-10, atol=1e-10)


def test_informativeness_and_pairs_by_both_estimators() -> None:
    mean = gaussian_means(THREE)
    log_variance = torch.full_like(mean, 2 * math.log(0.5))
    total = THREE + 0.25 * torch.eye(3).double()
    correlation = total / (total.diagonal()[:, None] * total.diagonal()).sqrt()
    pairs = -0.5 * (1 - correlation.tril(-1).square()).log()
    pairs = pairs + pairs.T
    for kind, truth in (
        (Informativeness, closed_forms(THREE, 0.5)["informativeness"]),
        (PairwiseMutualInformation, pairs),
    ):
        binned, sampled = kind(estimator="bins"), kind(estimator="sampling", num_queries=1000)
        for metric in (binned, sampled):
            metric.update(mean, log_variance)
        torch.testing.assert_close(binned.compute(), truth, rtol=0, atol=0.01)  # finite rows; open outer bins
        assert ((sampled.compute() - truth).abs() <= 4 * sampled.standard_error() + 0.01).all()


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_a_channel_matched_to_the_prior_by_sampling(sigma: float) -> None:
    mean = gaussian_means(torch.tensor([[1 - sigma**2]]).double())
    metric = Informativeness(estimator="sampling", num_queries=2000)
    metric.update(mean, torch.full_like(mean, 2 * math.log(sigma)))
    assert ((metric.compute() + math.log(sigma)).abs() < 4 * metric.standard_error() + 0.01).all()


def test_two_copies_of_a_latent() -> None:
    """The second look at the same value still tells something: half the logarithm of (1 + 2r) / (1 + r)."""
    mean = gaussian_means(torch.ones(1, 1).double()).repeat(1, 2)
    metric = Separability(num_queries=2000)
    metric.update(mean, torch.full_like(mean, 2 * math.log(0.5)))
    truth = 0.5 * math.log(9 / 5)
    assert truth == pytest.approx(0.293893, abs=1e-6)
    assert ((metric.compute()["sepin"] - truth).abs() < 4 * metric.standard_error()["sepin"] + 0.01).all()


def test_dead_latents_tell_share_and_weigh_nothing() -> None:
    mean = torch.cat([gaussian_means(torch.ones(1, 1).double(), 500), torch.zeros(500, 1)], 1)
    log_variance = torch.tensor([2 * math.log(0.5), 0.0]).double().expand(500, 2)
    metric = Separability(num_queries=500)
    metric.update(mean, log_variance)
    values = metric.compute()
    for name in ("informativeness", "sep", "sepin", "indin"):
        assert abs(float(values[name][1])) < 1e-12
    torch.testing.assert_close(values["wsepin"], values["informativeness"][0])  # the other has all the weight
    binned = Informativeness()
    binned.update(mean, log_variance)
    assert float(binned.compute()[1]) < 1e-12
    assert binned.ranking().tolist() == [0, 1]


def test_noise_scores_worst_in_misjed_and_zero_in_mutual_information() -> None:
    """Its caveat, at the values known for two latents that are pure noise."""
    noise, log_variance = torch.zeros(50, 2), torch.zeros(50, 2)
    for mode in ("exact", "reference"):
        raw, normalised = MISJED(mode=mode), MISJED(mode=mode, normalize=True)
        for metric in (raw, normalised):
            metric.update(noise, log_variance)
        # entropy of a standard normal in bins, twice; 2e-3: the bins' width, and what lies beyond four deviations
        truth = math.log(2 * math.pi * math.e) - 2 * math.log(WIDTH)
        assert truth == pytest.approx(7.8893, abs=1e-4)
        assert raw.compute()[0, 1].item() == pytest.approx(truth, abs=2e-3)
        assert normalised.compute()[0, 1].item() == pytest.approx(0.85657, abs=2e-4)
    independent = PairwiseMutualInformation()
    independent.update(noise, log_variance)
    assert independent.compute().abs().max() < 1e-12
