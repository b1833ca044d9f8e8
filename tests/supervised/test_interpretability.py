"""RMIG and JEMMIG of posteriors in bins, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from torchdisentangle.supervised import JEMMIG, Interpretability, RobustMIG

WIDTH = 8 / 100

MODES = (torch.arange(5).double() - 2) * 1.6 + WIDTH / 2
"""Five values at centres of bins."""


def interpreted(sigma: float, **settings: object) -> dict[str, float]:
    """A latent at one of five modes, the factor, and a second that is noise."""
    factors = torch.arange(5)
    mean = torch.stack([MODES, torch.zeros(5).double()], 1)
    log_variance = torch.tensor([2 * math.log(sigma), 0.0]).double().expand(5, 2)
    metric = Interpretability(**settings)  # type: ignore[arg-type]
    metric.update(mean, factors, log_variance=log_variance)
    for name, other in (
        ("rmig", RobustMIG(normalize=False, **settings)),  # type: ignore[arg-type]
        ("rmig_normalized", RobustMIG(**settings)),  # type: ignore[arg-type]
        ("jemmig", JEMMIG(**settings)),  # type: ignore[arg-type]
        ("jemmig_normalized", JEMMIG(normalize=True, **settings)),  # type: ignore[arg-type]
    ):
        other.update(mean, factors, log_variance=log_variance)
        torch.testing.assert_close(metric.compute()[f"interpretability_{name}"], other.compute())
    return {name.removeprefix("interpretability_"): float(value) for name, value in metric.compute().items()}


@pytest.mark.parametrize("mode", ["exact", "reference"])
def test_interpretability_of_a_deterministic_factor(mode: str) -> None:
    certain = interpreted(1e-4, mode=mode)
    assert certain["rmig"] == pytest.approx(math.log(5), abs=1e-9)
    assert certain["rmig_normalized"] == pytest.approx(1, abs=1e-9)
    assert certain["jemmig"] == pytest.approx(0, abs=1e-9)
    assert certain["jemmig_normalized"] == pytest.approx(1, abs=1e-9)
    noisy = interpreted(0.1, mode=mode)
    noise = 0.5 * math.log(2 * math.pi * math.e * 0.01) - math.log(WIDTH)
    assert noise == pytest.approx(1.64208, abs=1e-5)
    # in bins of exact probability the noise gains about the variance of a bin, w^2 / 12
    gain = 0.5 * math.log(1 + WIDTH**2 / (12 * 0.01)) if mode == "exact" else 0.0
    assert noisy["jemmig"] == pytest.approx(noise + gain, abs=2e-3)
    assert noisy["rmig_normalized"] == pytest.approx(1, abs=1e-6)
    if mode == "reference":
        assert noisy["jemmig_normalized"] == pytest.approx(1 - 0.26423, abs=1e-4)


def test_interpretability_of_two_copies_and_of_an_unrelated_factor() -> None:
    grid = torch.cartesian_prod(torch.arange(5), torch.arange(4))
    mean = MODES[grid[:, 0]][:, None].repeat(1, 2)
    metric = Interpretability()
    metric.update(mean, grid, log_variance=torch.full_like(mean, -4.0))
    factors = metric.per_factor()
    assert factors["interpretability_rmig"].tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    mutual = metric.information().mutual
    assert mutual[:, 1].abs().max() < 1e-12  # crossed with everything: nothing, exactly
    entropy = 0.5 * math.log(2 * math.pi * math.e) - 2 - math.log(WIDTH)
    joint = entropy + 0.5 * math.log(1 + WIDTH**2 / (12 * math.exp(-4))) + math.log(5)
    assert float(factors["interpretability_jemmig"][0]) == pytest.approx(joint, abs=5e-3)  # H(z, y): no gap
    assert metric.plot()[1].images[0].get_array().shape == (2, 2)


def test_the_order_of_codes_does_not_matter_where_two_know_equally_much() -> None:
    """One code is the factor, another the factor and a coin: JEMMIG is that of the one without the coin."""
    grid = torch.cartesian_prod(torch.arange(4), torch.arange(2))
    codes = torch.stack([grid[:, 0], grid[:, 0] + 4 * grid[:, 1]], 1).double()
    for order in ([0, 1], [1, 0]):
        metric = JEMMIG(binning="hard", edges="data", num_bins=8)
        metric.update(codes[:, order], grid[:, 0])
        assert float(metric.compute()) == pytest.approx(math.log(4))  # H(z, y) = H(y), and no gap
