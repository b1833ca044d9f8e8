"""Latents against factors: what the panels show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torchdisentangle.plots.factors import plot_latents_against_factors

RNG = np.random.default_rng(0)
FACTORS = RNG.integers([3, 6, 8, 8], size=(3000, 4))
NAMES = ["shape", "scale", "x", "y"]
CODES = np.stack([0.0 * FACTORS[:, 0] + 0.3, FACTORS[:, 2], FACTORS[:, 1] * (FACTORS[:, 0] + 1)], axis=1)


def test_position_and_colours() -> None:
    figure, axes = plot_latents_against_factors(CODES, FACTORS, NAMES, latents=[1, 2])
    assert [ax.get_title() for ax in axes[0]] == ["x, y", "scale"]
    assert [row[0].get_ylabel() for row in axes] == ["latent 1", "latent 2"]
    plane = np.asarray(axes[0, 0].images[0].get_array())
    np.testing.assert_allclose(plane, np.broadcast_to(np.arange(8), (8, 8)))  # x grows to the right
    for shape, line in enumerate(axes[1, 1].lines):
        np.testing.assert_allclose(line.get_xdata(), np.arange(6))
        np.testing.assert_allclose(line.get_ydata(), np.arange(6) * (shape + 1))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["shape 0", "shape 1", "shape 2"]


def test_without_names_every_factor_has_its_curve() -> None:
    _, axes = plot_latents_against_factors(CODES, FACTORS)
    assert axes.shape == (3, 4)
    assert [row[0].get_ylabel() for row in axes] == ["latent 1", "latent 2", "latent 0"]  # the constant one last
    np.testing.assert_allclose(axes[0, 2].lines[0].get_ydata(), np.arange(8))
    low, high = axes[2, 0].get_ylim()
    assert low < 0.3 < high


def test_few_rows_and_many_values() -> None:
    x = RNG.random((200, 2))
    _, axes = plot_latents_against_factors(x, x, ["x", "y"], most_latents=1)
    assert axes.shape == (1, 1)
    plane = np.asarray(axes[0, 0].images[0].get_array())
    assert 200 / plane.size >= 4  # cells are as large as the rows need
    _, axes = plot_latents_against_factors(x, x, ["a", "b"])
    assert len(axes[0, 0].lines[0].get_xdata()) <= 20
    _, axes = plot_latents_against_factors(x[:1], x[:1, 0])
    assert axes.shape == (2, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factor_names": ["a"]}, "4 factors need as many names"),
        ({"factors": FACTORS[:5]}, "of the same rows"),
        ({"latents": [3]}, "among the 3 there are"),
        ({"position": ("x", "z")}, "position names"),
        ({"colour_by": "colour"}, "colour_by names"),
        ({"factors": np.arange(3000)[:, None], "factor_names": ["a"], "colour_by": "a"}, "too many for colours"),
    ],
)
def test_bad_input_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_latents_against_factors(**{"codes": CODES, "factors": FACTORS, "factor_names": NAMES, **settings})
