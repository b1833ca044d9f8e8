"""Figures of 64 latents: what is left out is said, and matrices stay readable."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from torchdisentangle.plots import (
    plot_coefficients,
    plot_factor_matrix,
    plot_informativeness,
    plot_jacobian_columns,
    plot_pairwise,
    plot_traversals,
)
from torchdisentangle.plots.factors import plot_latents_against_factors

RNG = np.random.default_rng(0)


def said(figure: Figure) -> str:
    return figure.get_suptitle()


def test_figures_of_some_latents_say_so() -> None:
    factors = RNG.integers(0, 4, (200, 3))
    codes = RNG.standard_normal((200, 64))
    assert said(plot_latents_against_factors(codes, factors)[0]) == "10 of 64 latents shown"
    assert said(plot_jacobian_columns(torch.randn(16, 64), (4, 4))[0]) == "20 of 64 latents shown"
    assert said(plot_coefficients(RNG.random((64, 5, 5)))[0]) == "10 of 64 channels shown"
    images = torch.rand(20, 3, 1, 4, 4)
    assert said(plot_traversals(images, [-1, 0, 1], num_latents=64)[0]) == "20 of 64 latents shown"
    assert plot_informativeness(RNG.random(64))[1].get_xlabel().endswith("the first 40 of 64")


def test_figures_of_all_latents_say_nothing() -> None:
    assert said(plot_jacobian_columns(torch.randn(16, 10), (4, 4))[0]) == ""
    assert said(plot_traversals(torch.rand(4, 3, 1, 4, 4), [-1, 0, 1], num_latents=4)[0]) == ""
    assert plot_informativeness(RNG.random(10))[1].get_xlabel().endswith("by informativeness")


def test_names_of_ten_factors_have_room_beside_64_latents() -> None:
    figure, ax = plot_factor_matrix(RNG.random((64, 10)), [f"factor {i}" for i in range(10)])
    figure.draw_without_rendering()
    ticks = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert len(ticks) == 10
    gap = min(right.x0 - left.x0 for left, right in pairwise(ticks))
    assert gap > 8  # pixels, of letters that are 8 points high and turned by 45 degrees


@pytest.mark.parametrize(("largest", "top"), [(0.31, 0.5), (0.5, 0.5), (0.51, 1.0), (1.7, 2.0), (0.0, 1e-3)])
def test_colour_scales_end_at_round_numbers(largest: float, top: float) -> None:
    """So that the figures of most steps of a training can be compared."""
    _, ax = plot_pairwise([[0.0, largest], [0.0, 0.0]], square=False)
    assert ax.images[0].get_clim() == pytest.approx((0.0, top))


def test_shares_and_correlations_are_drawn_on_the_same_scale() -> None:
    for largest in (0.2, 0.9):
        _, ax = plot_factor_matrix([[largest, 0.0]], label="squared correlation")
        assert ax.images[0].get_clim() == (0.0, 1.0)
