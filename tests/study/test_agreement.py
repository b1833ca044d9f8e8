"""Rank correlations over runs against SciPy's, and what several scores agree on."""

import pytest
import torch
from scipy.stats import spearmanr

from torchdisentangle.study import bootstrap_over_runs, consensus, rank_agreement, ranks_of_runs

GENERATOR = torch.Generator().manual_seed(0)
SCORES = torch.randn(40, 4, generator=GENERATOR, dtype=torch.float64)
ROUNDED = (2 * SCORES).round()  # with many ties


@pytest.mark.parametrize("scores", [SCORES, ROUNDED], ids=["different", "ties"])
def test_rank_correlations_are_those_of_scipy(scores: torch.Tensor) -> None:
    expected = torch.as_tensor(spearmanr(scores.numpy()).statistic)
    assert torch.allclose(rank_agreement(scores), expected, atol=1e-12)  # rounding of float64


def test_a_monotone_warp_of_a_score_changes_nothing() -> None:
    assert torch.equal(rank_agreement(SCORES), rank_agreement(torch.stack([SCORES[:, 0].exp(), *SCORES.mT[1:]], 1)))


def test_a_missing_value_is_neither_good_nor_bad() -> None:
    scores = torch.tensor([[1.0], [2.0], [float("nan")], [3.0]])
    assert float(ranks_of_runs(scores)[2, 0]) == 0


def test_a_constant_score_correlates_with_none_and_has_no_vote() -> None:
    scores = torch.cat([SCORES, torch.ones(40, 1)], 1)
    assert rank_agreement(scores)[-1].isnan().all()
    assert torch.equal(consensus(scores), consensus(SCORES))


def test_scores_of_one_kind_share_a_vote() -> None:
    twice = torch.cat([SCORES, SCORES[:, :1]], 1)
    assert torch.allclose(consensus(twice, [0, 1, 2, 3, 0]), consensus(SCORES), atol=1e-12)
    assert not torch.allclose(consensus(twice), consensus(SCORES), atol=1e-3)


def test_intervals_of_a_mean_cover_it_as_often_as_they_say() -> None:
    """Of 40 groups of three equal runs: so an interval that took the runs as independent would cover in about 75 %."""
    covered = 0
    for trial in range(200):
        means = torch.randn(40, generator=torch.Generator().manual_seed(trial))
        runs = means.repeat_interleave(3)
        groups = [position // 3 for position in range(120)]
        _, low, high = bootstrap_over_runs(lambda rows, runs=runs: runs[rows].mean(), groups, draws=200, seed=trial)
        covered += int(low <= 0 <= high)
    assert 0.88 < covered / 200 < 0.985  # 95 % less what percentiles of 40 lack, within three standard errors


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="two runs"):
        ranks_of_runs(torch.ones(1, 3))
    with pytest.raises(ValueError, match="one kind"):
        consensus(SCORES, ["a"])
    with pytest.raises(ValueError, match="same for all runs"):
        consensus(torch.ones(5, 2))
    with pytest.raises(ValueError, match="two groups"):
        bootstrap_over_runs(lambda rows: rows.double().mean(), ["a", "a"])
    with pytest.raises(ValueError, match="level"):
        bootstrap_over_runs(lambda rows: rows.double().mean(), ["a", "b"], level=1.0)
