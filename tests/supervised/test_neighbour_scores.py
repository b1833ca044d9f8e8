"""Scores of mutual information by nearest neighbours: the estimator behind the seam that all of them share."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from torchdisentangle import (
    DCIMIG,
    JEMMIG,
    MIGSup,
    Minimality,
    Modularity,
    MutualInformationGap,
    MutualInformationMatrix,
    StatisticCollection,
    Sufficiency,
)
from torchdisentangle.functional import informational_correlation, ksg_mutual_information, ross_mutual_information

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.randint(4, (1000, 2), generator=GENERATOR)
REAL = torch.rand(1000, 1, generator=GENERATOR).double()
BOTH = torch.cat([FACTORS, REAL], dim=1)
CODES = torch.cat([FACTORS, 4 * REAL], dim=1) + 0.02 * torch.randn(1000, 3, generator=GENERATOR).double()


def filled(metric: Any, codes: Any = CODES, factors: Any = BOTH) -> Any:
    metric.update(codes, factors, index=torch.arange(len(codes)))
    return metric


@pytest.mark.parametrize("score", [MutualInformationGap, MIGSup, DCIMIG, Modularity, Sufficiency])
def test_perfect_codes_of_labels_and_numbers(score: Any) -> None:
    metric = filled(score(estimator="neighbours", continuous=[2]))
    assert 0.9 < float(metric.compute()) <= 1.0


def test_the_matrix_is_in_nats_and_normalised_on_request() -> None:
    settings: dict[str, Any] = {"estimator": "neighbours", "continuous": [-1], "num_neighbours": 5}
    matrix = filled(MutualInformationMatrix(**settings)).compute()
    expected = torch.stack([ross_mutual_information(CODES, labels, 5) for labels in FACTORS.T], dim=1)
    of_number = ksg_mutual_information(CODES, REAL, 5)
    # rows are read in another order, and sums in another order round otherwise
    torch.testing.assert_close(matrix, torch.cat([expected, of_number], dim=1), rtol=0, atol=1e-12)
    normalised = filled(MutualInformationMatrix(normalize=True, **settings)).compute()
    torch.testing.assert_close(normalised[:, 2:], informational_correlation(of_number), rtol=0, atol=1e-9)
    share = float(expected[0, 0]) / math.log(4)
    assert float(normalised[0, 0]) == pytest.approx(share, abs=2e-3)  # random labels have a little less entropy
    assert normalised.max() <= 1.0


def test_bins_cap_what_neighbours_do_not() -> None:
    factor = torch.arange(50).repeat(40)[:, None]
    codes = factor.double() + 0.1 * torch.rand(2000, 1, generator=GENERATOR)
    assert float(filled(MutualInformationGap(), codes, factor).compute()) < 0.8
    assert float(filled(MutualInformationGap(estimator="neighbours"), codes, factor).compute()) > 0.99
    warped = codes.sub(25).mul(0.4).sinh()  # neighbours do not see scales
    assert float(filled(MutualInformationGap(), warped, factor).compute()) < 0.4
    assert float(filled(MutualInformationGap(estimator="neighbours"), warped, factor).compute()) > 0.99


@pytest.mark.parametrize("column", [0, 2])
def test_a_factor_with_one_value(column: int) -> None:
    factors = BOTH.clone()
    factors[:, column] = 1.0
    metric = filled(MutualInformationGap(estimator="neighbours", continuous=[2]), factors=factors)
    assert metric.unscored_factors() == [str(column)]
    assert metric.per_factor().isnan().tolist() == [f == column for f in range(3)]
    assert metric.matrix()[:, column].abs().max() == 0


def test_scores_share_rows_and_intervals_refit() -> None:
    scores = {"mig": MutualInformationGap, "sup": MIGSup, "counted": MutualInformationGap}
    metrics = StatisticCollection(
        {name: score(estimator="counts" if name == "counted" else "neighbours") for name, score in scores.items()}
    )
    filled(metrics, factors=FACTORS)
    values = metrics.compute()
    assert len(metrics.compute_groups) == 1
    low, high = metrics["mig"].interval()
    assert low < high
    assert abs(float(values["mig"]) - float(low + high) / 2) < 0.05


def test_what_neighbours_cannot_do() -> None:
    for score in (Minimality, JEMMIG):
        with pytest.raises(ValueError, match=f"estimator of {score.__name__} must be one of"):
            score(estimator="neighbours")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="has no bias correction"):
        MutualInformationGap(estimator="neighbours", bias_correction="miller_madow")
    with pytest.raises(ValueError, match="num_neighbours must be at least 1"):
        MutualInformationGap(estimator="neighbours", num_neighbours=0)
    with pytest.raises(ValueError, match="needs at least 4 rows, got 3"):
        filled(MutualInformationGap(estimator="neighbours"), CODES[:3], FACTORS[:3]).compute()
    with pytest.raises(ValueError, match="has no counts"):
        filled(MutualInformationGap(estimator="neighbours"), factors=FACTORS).ceiling()
