"""InfoM, InfoE and InfoC: known answers, edges, floors, and an independent computation of the losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import Tensor

from torchdisentangle import InfoC, InfoE, InfoM, MutualInformationMatrix, supervised_metrics
from torchdisentangle.functional import largest_share

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.randint(5, (1500, 4), generator=GENERATOR)
NOISE = torch.randn(1500, 4, generator=GENERATOR).double()
PERFECT = FACTORS + 0.01 * NOISE
BITS = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(25, 1)


def filled(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> Any:
    metric.update(codes, factors, index=torch.arange(len(codes)))
    return metric


def value(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> float:
    return float(filled(metric, codes, factors).compute())


def test_shares_of_matrices() -> None:
    matrix = torch.tensor([[1.0, 0.0], [0.5, 0.5]])  # codes x factors
    assert largest_share(matrix, dim=1).mean() == 0.5
    assert float(largest_share(matrix, dim=0).mean()) == pytest.approx(2 / 3, abs=1e-6)
    assert largest_share(torch.ones(3, 4), dim=0).abs().max() < 1e-6
    assert largest_share(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), dim=1).isnan().tolist() == [True, False]
    assert largest_share(torch.ones(3, 1), dim=1).isnan().all()


@pytest.mark.parametrize("score", [InfoM, InfoC, InfoE])
def test_perfect_codes_in_any_order_and_scale(score: Any) -> None:
    assert value(score(), PERFECT[:, [2, 0, 3, 1]] * torch.tensor([-1.0, 2.0, 1.0, -3.0])) > 0.97


def test_a_rotation_is_explicit_and_neither_modular_nor_compact() -> None:
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)).double())[0]
    codes = PERFECT @ rotation
    assert value(InfoE(), codes) > 0.97
    assert value(InfoM(), codes) < 0.6
    assert value(InfoC(), codes) < 0.6


@pytest.mark.parametrize("settings", [{"discrete_codes": True}, {}, {"estimator": "counts"}])
def test_copies_of_a_bit(settings: dict[str, Any]) -> None:
    """The shares of the first bit are (1/2, 1/2, 0), those of the second (0, 0, 1)."""
    codes = BITS[:, [0, 0, 1]].double()
    assert value(InfoM(**settings), codes, BITS) == pytest.approx(1.0, abs=1e-12)
    assert value(InfoC(**settings), codes, BITS) == pytest.approx(0.625, abs=1e-12)


def test_discrete_codes_are_counted() -> None:
    """Numbers that are far apart, whose order says nothing, and that a dead latent stands beside."""
    codes = torch.tensor([7.0, -30.0, 0.5, 11.0, 900.0]).double()[FACTORS[:, :2]]
    codes = torch.cat([codes, torch.zeros(1500, 1)], dim=1)
    score = filled(InfoM(discrete_codes=True), codes)
    expected = filled(MutualInformationMatrix(num_bins=5, edges=(-0.5, 4.5)), FACTORS[:, :2].double()).compute()
    torch.testing.assert_close(score.matrix()[:2], expected, rtol=0, atol=1e-12)
    assert score.active_codes().tolist() == [True, True, False]
    assert value(InfoE(discrete_codes=True), codes, FACTORS[:, :2]) > 0.97


def test_idle_codes_are_left_out_by_their_range() -> None:
    scales = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.049, 0.051])
    codes = torch.cat([PERFECT / PERFECT.std(0), NOISE[:, :2].flip(0)], dim=1)
    codes = codes / (codes.amax(0) - codes.amin(0)) * scales
    score = filled(InfoM(), codes)
    assert score.active_codes().tolist() == [True, True, True, True, False, True]
    assert score.per_code().isnan().tolist() == [False, False, False, False, True, False]
    kept = [0, 1, 2, 3, 5]
    assert float(score.compute()) == pytest.approx(value(InfoM(), codes[:, kept]), abs=1e-12)
    assert value(InfoC(), codes) == pytest.approx(value(InfoC(), codes[:, kept]), abs=1e-12)
    assert filled(InfoC(threshold=0.0), codes).active_codes().all()
    assert float(score.compute()) < value(InfoM(threshold=1 / 8), codes)  # the noise pulls it down


@pytest.mark.parametrize(
    ("make", "num_rows"),
    [(lambda: InfoM(estimator="counts"), 400), (lambda: InfoC(estimator="counts"), 400), (InfoE, 120)],
)
def test_the_floor_is_the_score_of_other_rows(make: Any, num_rows: int) -> None:
    """The codes are perfect, which the floor does not see: it is the mean score of rows that were shuffled by hand."""
    codes, factors, times = PERFECT[:num_rows], FACTORS[:num_rows, :3], 8
    score = filled(make(), codes, factors)
    own, floor = float(score.compute()), float(score.floor(permutations=times))
    generator = torch.Generator().manual_seed(7)
    orders = [torch.randperm(num_rows, generator=generator) for _ in range(times)]
    by_hand = torch.tensor([value(make(), codes, factors[order]) for order in orders])
    assert abs(floor - by_hand.mean()) < 4 * by_hand.std() * math.sqrt(2 / times)  # standard errors of a difference
    assert floor < own - 0.2
    assert float(score.floor(permutations=times)) == floor
    assert float(score.floor(permutations=times, seed=1)) != floor
    assert float(score.compute()) == own  # nothing of the permutations is left


def test_known_values_of_five_factors() -> None:
    """Of 3,000 rows and five values. Perfect codes vary by a few thousandths from sample to sample, others by 0.1."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(5, (3000, 5), generator=generator)
    perfect = factors + 0.01 * torch.randn(3000, 5, generator=generator).double()
    noise = torch.randn(3000, 10, generator=generator).double()
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator).double())[0]
    for codes, modular, compact, explicit, spread in (
        (perfect, 0.992, 0.992, 1.0, 0.005),
        (noise, 0.5, 0.3, 0.0, 0.12),
        (perfect @ rotation, 0.33, 0.38, 1.0, 0.1),
        (torch.cat([perfect / perfect.std(0), noise[:, :5]], 1), 0.78, 0.98, 1.0, 0.08),  # noise is active
    ):
        assert value(InfoM(), codes, factors) == pytest.approx(modular, abs=spread)
        assert value(InfoC(), codes, factors) == pytest.approx(compact, abs=spread)
        assert value(InfoE(), codes, factors) == pytest.approx(explicit, abs=0.01)


def test_noise_does_not_score_zero() -> None:
    codes = torch.cat([NOISE, NOISE.flip(0)], dim=1)
    assert value(InfoM(), codes) > 0.3
    assert value(InfoC(), codes) > 0.15
    assert float(filled(InfoM(), codes).floor(permutations=2)) > 0.3


def test_shares_of_posteriors() -> None:
    """Those of the matrix of posteriors; a code that is idle by the range of its means is left out."""
    generator = torch.Generator().manual_seed(5)
    means = torch.cat(
        [10.0 * BITS[:, [0, 0, 1]] + 0.1 * torch.randn(100, 3, generator=generator), torch.zeros(100, 1)], 1
    )
    log_variance = torch.rand(100, 4, generator=generator) - 2
    scores = [score(estimator="posterior") for score in (InfoM, InfoC, MutualInformationMatrix)]
    for score in scores:
        score.update(means, BITS, log_variance=log_variance, index=torch.arange(100))
    modular, compact, matrix = scores
    assert modular.needs == {"log_variance"}
    assert modular.active_codes().tolist() == [True, True, True, False]
    shares = matrix.compute()[:3] / math.log(2)
    assert float(modular.compute()) == pytest.approx(float(largest_share(shares, dim=1).mean()), abs=1e-12)
    assert float(compact.compute()) == pytest.approx(float(largest_share(shares, dim=0).mean()), abs=1e-12)
    # values are ten units apart; widths and means of 25 rows a cell say a few thousandths of a nat about the other bit
    assert float(modular.compute()) == pytest.approx(1.0, abs=0.02)
    assert float(compact.compute()) == pytest.approx(0.625, abs=0.02)


def test_the_floor_of_posteriors_keeps_their_widths() -> None:
    """Rows of known means with wide and with narrow posteriors, whose factors are all that is shuffled."""
    means = torch.arange(60.0)[:, None].repeat(1, 2)
    log_variance = torch.where(torch.arange(60)[:, None] % 2 == 0, 6.0, -6.0).repeat(1, 2)
    factors = torch.stack([torch.arange(60) % 2, torch.arange(60) // 30], 1)

    def score_of(order: Tensor) -> InfoM:
        score = InfoM(estimator="posterior")
        score.update(means, factors[order], log_variance=log_variance, index=torch.arange(60))
        return score

    score, generator = score_of(torch.arange(60)), torch.Generator().manual_seed(0)
    by_hand = torch.stack([score_of(torch.randperm(60, generator=generator)).compute() for _ in range(40)])
    floor = float(score.floor(permutations=40))
    assert abs(floor - by_hand.mean()) < 4 * by_hand.std() * math.sqrt(2 / 40)


def test_floors_that_cannot_be() -> None:
    score = filled(InfoM(estimator="counts", edges=(-1.0, 5.0)), PERFECT)
    with pytest.raises(ValueError, match="keeps no rows"):
        score.floor()
    with pytest.raises(ValueError, match="permutations must be at least 1"):
        filled(InfoM(), PERFECT).floor(0)


def test_nothing_to_know() -> None:
    constant = torch.full((1500, 3), 0.1).double()
    assert value(InfoM(), constant) == 0.0
    assert value(InfoC(), constant) == 0.0
    assert value(InfoE(), constant) == pytest.approx(0.0, abs=1e-9)
    assert math.isnan(value(InfoM(), PERFECT, FACTORS[:, :1]))  # with one factor
    assert math.isnan(value(InfoC(), PERFECT[:, :1]))  # with one code
    with pytest.warns(UserWarning, match=r"cannot score \(too few values\): 1"):
        per_factor = filled(InfoC(), PERFECT, torch.stack([FACTORS[:, 0], 0 * FACTORS[:, 0]], dim=1)).per_factor()
    assert per_factor.isnan().tolist() == [False, True]


@pytest.mark.parametrize("score", [InfoM, InfoC, InfoE])
def test_continuous_factors(score: Any) -> None:
    factors = torch.randn(1500, 3, generator=torch.Generator().manual_seed(2)).double()
    codes = factors.flip(1) + 0.05 * NOISE[:, :3]
    assert value(score(continuous=True), codes, factors) > (0.97 if score is InfoE else 0.85)
    mixed = torch.cat([factors[:, :2], FACTORS[:, :1]], dim=1)
    assert value(score(continuous=[0, 1]), mixed + 0.05 * NOISE[:, :3], mixed) > 0.85


def test_explicitness_is_that_of_scikit_learn() -> None:
    """A rare value: balanced weights make the loss without codes that of uniform guesses."""
    rare = (torch.rand(1500, 1, generator=torch.Generator().manual_seed(3)) < 0.05).long()
    codes = 2.0 * rare + NOISE[:, :1]
    for weight, chance in (("balanced", math.log(2)), (None, log_loss(rare, [rare.double().mean()] * 1500))):
        fitted = LogisticRegression(C=np.inf, class_weight=weight).fit(codes, rare[:, 0])
        expected = 1 - log_loss(rare, fitted.predict_proba(codes)) / chance
        # other units of the codes make another path to the same optimum, to the tolerance 1e-4
        assert value(InfoE(class_weight=weight), codes, rare) == pytest.approx(expected, abs=1e-3)


def test_held_out_rows_take_chance_off() -> None:
    codes = torch.randn(300, 30, generator=torch.Generator().manual_seed(4)).double()
    assert value(InfoE(), codes, FACTORS[:300]) > 0.05
    assert value(InfoE(held_out=True), codes, FACTORS[:300]) < 0.0
    with pytest.raises(ValueError, match="none of the factors"):  # each value occurs once, fitted or tested
        value(InfoE(held_out=True), codes, torch.arange(300)[:, None])
    separable = torch.cat([PERFECT, codes.repeat(5, 1)], dim=1)
    assert value(InfoE(held_out=True), separable) > 0.9


def test_intervals_by_the_jackknife() -> None:
    score = filled(InfoC(), PERFECT[:200] + 0.5 * NOISE[:200], FACTORS[:200])
    low, high = score.interval()
    assert low < high
    assert 0.0 < float(high - low) < 1.0


def test_by_their_short_names_in_one_state() -> None:
    metrics = supervised_metrics(["info_m", "info_e", "info_c", "mig"])
    metrics.update(PERFECT, FACTORS)
    assert len(metrics.compute_groups) == 1
    assert {*metrics.compute()} == {"info_m", "info_e", "info_c", "mig"}


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\)"):
        InfoM(threshold=1.0)
    with pytest.raises(ValueError, match="leave out estimator"):
        InfoC(discrete_codes=True, estimator="counts")
    with pytest.raises(ValueError, match="leave out estimator"):
        InfoC(discrete_codes=True, estimator="posterior")
    with pytest.raises(ValueError, match="class_weight must be"):
        InfoE(class_weight="equal")  # type: ignore[arg-type]
