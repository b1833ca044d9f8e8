"""Path length of single latents: closed forms, the limit that defines it, and the spectrum below it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.helpers import NORMAL_ENTROPY, assert_close, random_jacobian
from torchdisentangle import LatentPathLength, ManifoldEntropySpectrum, StatisticCollection, evaluate
from torchdisentangle.evaluation import ManifoldEvaluation
from torchdisentangle.functional import decoder_jacobian, gram_matrix, latent_path_length, probed_jacobian
from torchdisentangle.models import VAE


def polar(z: Tensor) -> Tensor:
    return torch.stack([z[:, 0] * z[:, 1].cos(), z[:, 0] * z[:, 1].sin()], dim=1)


def test_of_polar_coordinates() -> None:
    z = random_jacobian(1, 30, 2)[0]
    length = latent_path_length(gram_matrix(decoder_jacobian(polar, z)))
    assert_close(length, torch.stack([torch.tensor(1.0).double(), z[:, 0].square().mean()]))


def test_it_is_the_limit_of_small_steps() -> None:
    z, step = random_jacobian(1, 30, 2)[0], 1e-5
    length = latent_path_length(gram_matrix(decoder_jacobian(polar, z)))
    for latent in range(2):
        moved = polar(z + step * torch.eye(2).double()[latent])
        limit = ((moved - polar(z)).square().sum(1) / step**2).mean()
        torch.testing.assert_close(limit, length[latent], rtol=1e-4, atol=0)  # of the first order in the step


@given(st.integers(0, 2**16))
def test_the_spectrum_is_the_geometric_mean_below_it(seed: int) -> None:
    metrics = StatisticCollection([LatentPathLength(), ManifoldEntropySpectrum()])
    metrics.update(random_jacobian(10, 5, 3, seed))
    values = metrics.compute()
    assert len(metrics.compute_groups) == 1
    geometric = (2 * (values["ManifoldEntropySpectrum"] - NORMAL_ENTROPY)).exp()
    assert (values["LatentPathLength"] > geometric).all()
    metrics.reset()
    columns = torch.nn.functional.normalize(random_jacobian(10, 5, 3, seed), dim=1) * torch.tensor([3.0, 2.0, 1.0])
    metrics.update(columns)  # of the same length everywhere
    values = metrics.compute()
    assert_close(values["LatentPathLength"], (2 * (values["ManifoldEntropySpectrum"] - NORMAL_ENTROPY)).exp())


def test_standard_errors_of_independent_samples() -> None:
    jacobian = random_jacobian(50, 5, 3)
    metric = LatentPathLength()
    metric.update(jacobian)
    squares = jacobian.square().sum(1)
    assert_close(metric.compute(), squares.mean(0))
    assert_close(metric.standard_error(), squares.std(0) / 50**0.5)


def test_probes_are_unbiased() -> None:
    matrix = random_jacobian(1, 20, 3)[0].float()
    z = torch.zeros(4000, 3)
    projections = probed_jacobian(lambda z: z @ matrix.T, z, num_probes=4)
    metric = LatentPathLength(estimator="probes", num_probes=4, index_sets=[])
    metric.update(projections)
    expected = matrix.double().square().sum(0)
    errors = expected * (2 / (4 * 4000)) ** 0.5  # of the mean of 4000 chi-squared numbers of four degrees of freedom
    assert ((metric.compute() - expected).abs() < 4 * errors).all()
    torch.testing.assert_close(metric.standard_error(), errors, rtol=0.1, atol=0)  # the error of an error: 2 %
    assert_close(latent_path_length(gram_matrix(projections), num_probes=4), metric.compute())


def test_an_evaluation_reports_it() -> None:
    model = VAE(data_shape=(6,), latent_dim=2, hidden=[8])
    report = evaluate(model, None, [ManifoldEvaluation(num_samples=16)])
    assert report.matrices["manifold/path_length"].shape == (2,)
    assert (report.matrices["manifold/path_length"] > 0).all()


def test_the_figure() -> None:
    metric = LatentPathLength()
    metric.update(torch.eye(2).expand(3, 2, 2))
    assert metric.plot()[1].get_ylabel() == "squared path length"
