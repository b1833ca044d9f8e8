"""Shares of variance where they are known."""

import pytest
import torch

from torchdisentangle.study import variance_shares

MODELS, STRENGTHS, SEEDS = 4, 3, 5


def runs_of(model: torch.Tensor, strength: torch.Tensor, seed: torch.Tensor) -> torch.Tensor:
    """Scores of all runs: effects of models ``(4,)``, of their strengths ``(4, 3)``, and of seeds ``(4, 3, 5)``."""
    return (model[:, None, None] + strength[:, :, None] + seed).flatten()


LEVELS = (
    [model for model in range(MODELS) for _ in range(STRENGTHS * SEEDS)],
    [strength for _ in range(MODELS) for strength in range(STRENGTHS) for _ in range(SEEDS)],
)


@pytest.mark.parametrize("which", range(3))
def test_a_single_effect_has_all_of_the_variance(which: int) -> None:
    effects = [torch.zeros(MODELS), torch.zeros(MODELS, STRENGTHS), torch.zeros(MODELS, STRENGTHS, SEEDS)]
    values = torch.randn(effects[which].shape, generator=torch.Generator().manual_seed(which))
    if which:
        values = values - values.mean(-1, keepdim=True)  # balanced, so that no other level has a part in it
    effects[which] = values
    shares = variance_shares(runs_of(*effects), *LEVELS)
    assert float(shares[which]) == pytest.approx(1, abs=1e-12)  # rounding of float64


def test_components_are_unbiased() -> None:
    """Standard deviations 3, 2 and 1: variances in the ratio 9 : 4 : 1, as means of numerators over many draws."""
    generator = torch.Generator().manual_seed(0)
    draws = 4000
    model = 3 * torch.randn(MODELS, draws, generator=generator)
    strength = 2 * torch.randn(MODELS, STRENGTHS, draws, generator=generator)
    seed = torch.randn(MODELS, STRENGTHS, SEEDS, draws, generator=generator)
    scores = (model[:, None, None] + strength[:, :, None] + seed).flatten(0, 2)
    shares = variance_shares(scores, *LEVELS)
    assert torch.allclose(shares.sum(0), torch.ones(draws, dtype=torch.float64))
    rest_per_strength = (shares[2] / shares[1]).median()
    assert float(rest_per_strength) == pytest.approx(
        1 / 4, rel=0.15
    )  # a median of ratios of 48 and 8 degrees of freedom


def test_the_order_of_the_runs_and_other_units_do_not_matter() -> None:
    scores = torch.randn(60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    shuffled = ([level[i] for i in order.tolist()] for level in LEVELS)
    assert torch.allclose(
        variance_shares(7 - 3 * scores[order], *shuffled), variance_shares(scores, *LEVELS), atol=1e-12
    )


def test_chance_is_no_effect_and_a_constant_has_no_shares() -> None:
    noise = torch.randn(60, 500, generator=torch.Generator().manual_seed(3))
    assert float(variance_shares(noise, *LEVELS)[2].mean()) > 0.85  # shares of sums of squares would say 48 / 59
    assert variance_shares(torch.ones(60), *LEVELS).isnan().all()


def test_unequal_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="each of 5 runs"):
        variance_shares(torch.ones(5), ["a"] * 4)
    with pytest.raises(ValueError, match="levels"):
        variance_shares(torch.ones(5))
    with pytest.raises(ValueError, match="equally many"):
        variance_shares(torch.ones(5), ["a", "a", "b", "b", "b"])
    with pytest.raises(ValueError, match="at least two each"):
        variance_shares(torch.ones(4), ["a", "a", "b", "b"], [0, 0, 0, 0])
