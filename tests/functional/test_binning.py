"""Bins of numbers as numpy has them, and of Gaussians as scipy integrates them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from torchdisentangle.functional.supervised import binning as F

GENERATOR = torch.Generator().manual_seed(0)


def test_bins_of_the_reference() -> None:
    values = torch.tensor([[0.1], [0.2], [0.3], [0.4], [0.5], [0.6]]).double()
    edges = F.equal_width_edges(values.amin(0), values.amax(0), 3)
    assert F.assign_bins(values, edges)[:, 0].tolist() == [0, 0, 1, 1, 2, 2]


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40), st.integers(1, 30))
def test_equal_bins_are_those_of_numpy(numbers: list[float], num_bins: int) -> None:
    """Bit by bit the published protocol: edges of ``np.histogram``, then ``np.digitize``, counted from 0."""
    values = np.array(numbers)
    edges = F.equal_width_edges(float(values.min()), float(values.max()), num_bins)
    bins = F.assign_bins(torch.tensor(values)[:, None], edges)[:, 0].numpy()
    column, low, high = torch.tensor(values)[:, None], float(values.min()), float(values.max())
    by_arithmetic = F.assign_equal_bins(column, low, high, num_bins)[:, 0].numpy()
    if values.min() == values.max():
        assert len(set(bins)) == len(set(by_arithmetic)) == 1
    else:
        assert np.array_equal(bins, by_arithmetic)
        assert np.array_equal(bins, np.digitize(values, np.histogram(values, num_bins)[1][:-1]) - 1)


def test_each_dimension_has_its_own_edges() -> None:
    values = torch.rand(100, 3, generator=GENERATOR) * torch.tensor([1.0, 10.0, 0.0]) - 0.5
    edges = F.equal_width_edges(values.amin(0), values.amax(0), 7)
    together = F.assign_bins(values, edges)
    for k in range(3):
        assert torch.equal(together[:, k], F.assign_bins(values[:, k : k + 1], edges[k])[:, 0])
    arithmetic = F.assign_equal_bins(values, values.amin(0), values.amax(0), 7)
    assert torch.equal(arithmetic[:, :2], together[:, :2])
    assert len(together[:, 2].unique()) == 1  # a constant is in one bin


def test_normal_quantiles_hold_equal_shares() -> None:
    edges = F.normal_quantile_edges(20)
    np.testing.assert_allclose(edges.numpy(), norm.ppf(np.arange(1, 20) / 20), atol=1e-14)
    values = torch.special.ndtri((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000)[:, None]
    assert F.assign_bins(values, edges)[:, 0].bincount().tolist() == [50] * 20
    assert F.assign_bins(torch.tensor([[-1e30], [1e30]]), edges)[:, 0].tolist() == [0, 19]  # the ends are open


def test_soft_bins_are_integrals() -> None:
    mean = torch.tensor([[0.3, -5.0, 9.0, 0.0]]).double()
    deviation = torch.tensor([[0.5, 2.0, 0.1, 1e-3]]).double()
    edges = F.equal_width_edges(-4.0, 4.0, 10)
    soft = F.soft_bins(mean, 2 * deviation.log(), edges)
    ends = np.concatenate([[-np.inf], edges.numpy(), [np.inf]])
    distribution = norm(mean.numpy()[..., None], deviation.numpy()[..., None])
    upper_half = ends[:-1] > mean.numpy()[..., None]
    expected = np.where(upper_half, -np.diff(distribution.sf(ends)), np.diff(distribution.cdf(ends)))
    # relative precision in both tails, down to 1e-300
    np.testing.assert_allclose(soft.numpy(), expected, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(soft.sum(-1).numpy(), 1.0, rtol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_narrow_posteriors_become_hard_bins(dtype: torch.dtype) -> None:
    mean = torch.randn(200, 3, generator=GENERATOR).to(dtype)
    edges = F.normal_quantile_edges(20)
    hard = torch.nn.functional.one_hot(F.assign_bins(mean, edges), 20).to(dtype)
    for log_variance in (-80.0, -1e6):
        torch.testing.assert_close(F.soft_bins(mean, torch.full_like(mean, log_variance), edges), hard)
        on_edge, on_centre = (torch.full((1, 1), x, dtype=dtype) for x in (0.0, 0.5))
        narrow = torch.full_like(on_edge, log_variance)
        assert F.soft_bins(on_edge, narrow, torch.tensor([-1.0, 0.0, 1.0])).tolist() == [[[0, 0.5, 0.5, 0]]]
        assert F.density_bins(on_centre, narrow, -2.0, 2.0, 4).tolist() == [[[0, 0, 1, 0]]]


@pytest.mark.parametrize("on_an_edge", [False, True])
def test_soft_bins_are_differentiable(on_an_edge: bool) -> None:
    mean = torch.randn(4, 2, generator=GENERATOR).double()
    mean[0] = F.normal_quantile_edges(5)[1] if on_an_edge else mean[0]
    mean.requires_grad_()
    log_variance = torch.randn(4, 2, generator=GENERATOR).double().requires_grad_()
    edges = F.normal_quantile_edges(5)
    assert torch.autograd.gradcheck(lambda m, v: F.soft_bins(m, v, edges), (mean, log_variance))


def test_densities_are_close_to_integrals_where_posteriors_are_wide() -> None:
    mean, log_variance = torch.tensor([[0.2, -1.0]]).double(), torch.tensor([[-1.0, 0.0]]).double()
    soft = F.soft_bins(mean, log_variance, F.equal_width_edges(-4.0, 4.0, 100))
    density = F.density_bins(mean, log_variance, -4.0, 4.0, 100)
    inner = slice(1, -1)  # the outer bins hold the tails, which the density spreads
    torch.testing.assert_close(density[..., inner], soft[..., inner], rtol=3e-3, atol=1e-5)
    centres = np.linspace(-4, 4, 100, endpoint=False) + 0.04
    by_scipy = norm.pdf(centres, mean.numpy()[..., None], np.exp(0.5 * log_variance.numpy())[..., None])
    np.testing.assert_allclose(density.numpy(), by_scipy / by_scipy.sum(-1, keepdims=True), rtol=1e-12)
    far = F.density_bins(torch.tensor([[9.0, -9.0]]), torch.tensor([[-9.0, -9.0]]), -4.0, 4.0, 100)
    assert far.argmax(-1).tolist() == [[99, 0]]
    narrow = F.density_bins(torch.tensor([[0.03]]), torch.tensor([[2 * math.log(0.002)]]), -4.0, 4.0, 100)
    assert narrow[0, 0, 50] == 1  # between centres: counts in its bin


def test_bad_bins_are_refused() -> None:
    for low, high in ((1.0, 0.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="finite and ascend"):
            F.equal_width_edges(low, high, 3)
    with pytest.raises(ValueError, match="num_bins must be at least 1"):
        F.normal_quantile_edges(0)
