from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad

from torchdisentangle import ManifoldEntropySpectrum
from torchdisentangle.datasets import Torus
from torchdisentangle.functional import decoder_jacobian


def test_the_process_is_the_papers() -> None:
    torus = Torus(seed=3)
    z = torch.randn(50, 20, dtype=torch.float64)
    decay = torch.linspace(0, -1.5, 10, dtype=torch.float64).exp()
    theta, r = z[:, :10] * decay * 2 * math.pi * 0.07 + math.pi / 2, 1 + z[:, 10:] * decay * 0.05
    pairs = torch.stack([r * theta.cos(), r * theta.sin() - 1], dim=2).reshape(50, 20)
    x = torus.decode(z)
    torch.testing.assert_close(x @ torus.rotation, pairs)
    torch.testing.assert_close(torus.rotation @ torus.rotation.mT, torch.eye(20, dtype=torch.float64))
    torch.testing.assert_close(torus.encode(x), z)
    assert torus.sample(7).dtype == torch.float32
    torch.testing.assert_close(torus.sample(7, seed=1), torus.sample(7, seed=1))
    assert not torch.equal(torus.sample(7, seed=1), torus.sample(7, seed=2))


def test_tangent_vectors_are_orthogonal_and_of_known_length() -> None:
    torus = Torus()
    z = torch.randn(64, 20, dtype=torch.float64)
    jacobian = decoder_jacobian(torus.decode, z)
    radius = 1 + z[:, 10:] * torus.radius_scales
    lengths = torch.cat([radius * torus.angle_scales, torus.radius_scales.expand(64, 10)], dim=1)
    torch.testing.assert_close(jacobian.mT @ jacobian, torch.diag_embed(lengths.square()))


def test_the_spectrum_is_that_of_the_jacobians_and_of_an_integral() -> None:
    torus = Torus(angle_scales=(0.5, 0.1), radius_scales=(0.15, 0.01))
    metric = ManifoldEntropySpectrum()
    metric.update(decoder_jacobian(torus.decode, torch.randn(20_000, 4, dtype=torch.float64)))
    # log r has a standard deviation of 0.16: five standard errors of 20,000 samples
    torch.testing.assert_close(metric.compute(), torus.spectrum(), rtol=0, atol=6e-3)
    density = lambda z: math.log(1 + 0.15 * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)  # noqa: E731
    log_radius = quad(density, -6, 8)[0]
    entropy = 0.5 * (1 + math.log(2 * math.pi))
    # beyond six standard deviations lies a probability of 1e-9
    assert torus.spectrum()[0].item() == pytest.approx(entropy + math.log(0.5) + log_radius, abs=1e-6)
    assert torus.spectrum()[2].item() == pytest.approx(entropy + math.log(0.15))


@pytest.mark.parametrize(
    ("angles", "radii", "message"),
    [
        ((0.1,), (0.1, 0.1), "1 angles and 2 radii"),
        ((), (), "at least one"),
        ((0.1,), (0.3,), r"at most 0\.2"),
        ((0.0,), (0.1,), "positive"),
    ],
)
def test_wrong_scales_are_refused(angles: tuple[float, ...], radii: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Torus(angles, radii)
