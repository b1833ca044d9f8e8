"""Figures of 64 latents: what is left out is said, and matrices stay readable."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from torchdisentangle import AttributeRange, LatentPathLength, PairwiseMutualInformation
from torchdisentangle.plots import (
    plot_coefficients,
    plot_elbo_decomposition,
    plot_factor_matrix,
    plot_informativeness,
    plot_jacobian_columns,
    plot_pairwise,
    plot_scalar,
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
    pairs = PairwiseMutualInformation("sampling", top_k=5, num_queries=20)
    pairs.update(torch.randn(50, 64), torch.zeros(50, 64))
    assert said(pairs.plot()[0]) == "5 of 64 latents shown"
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


def test_values_of_64_latents_have_few_ticks() -> None:
    path_length, attribute = LatentPathLength(), AttributeRange()
    path_length.update(torch.randn(5, 8, 64))
    attribute.update(torch.randn(5, 6, 64))
    for metric in (path_length, attribute):
        _, ax = metric.plot()
        assert len(ax.patches) == 64
        assert ax.get_xlabel() == "latent"
        assert len(ax.get_xticks()) < 12


def test_long_names_do_not_overlap() -> None:
    names = [f"distance_agreement_of_kind_{number}" for number in range(6)]
    figure, ax = plot_scalar(dict.fromkeys(names, 0.5), label="score")
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert not any(left.overlaps(right) for left, right in pairwise(boxes))
    assert all(figure.bbox.x0 <= box.x0 for box in boxes)
    assert ax.bbox.width > 100  # pixels


def test_digits_stand_above_error_bars() -> None:
    terms = {"mutual_information": 3.0, "total_correlation": 0.4, "dimension_wise_kl": -0.1}
    figure, ax = plot_elbo_decomposition(terms, dict.fromkeys(terms, 0.5))
    figure.draw_without_rendering()
    for text, value in zip(ax.texts, terms.values(), strict=False):
        end = ax.transData.transform((0, value + (1.0 if value >= 0 else -1.0)))[1]  # two standard errors
        box = text.get_window_extent()
        assert box.y0 > end if value >= 0 else box.y1 < end


def test_data_that_are_no_image_are_seen() -> None:
    _, panels = plot_jacobian_columns(torch.randn(64, 3), (1, 64))
    assert panels[0].get_aspect() == "auto"


@pytest.mark.parametrize(("largest", "top"), [(0.31, 0.5), (0.5, 0.5), (0.51, 1.0), (1.7, 2.0), (0.0, 1e-3)])
def test_colour_scales_end_at_round_numbers(largest: float, top: float) -> None:
    """So that the figures of most steps of a training can be compared."""
    _, ax = plot_pairwise([[0.0, largest], [0.0, 0.0]], square=False)
    assert ax.images[0].get_clim() == pytest.approx((0.0, top))


def test_shares_and_correlations_are_drawn_on_the_same_scale() -> None:
    for largest in (0.2, 0.9):
        _, ax = plot_factor_matrix([[largest, 0.0]], label="squared correlation")
        assert ax.images[0].get_clim() == (0.0, 1.0)
