"""Agreement of distances that are known, and against SciPy."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor

from torchdisentangle import DistanceAgreement
from torchdisentangle.functional import distance_agreement
from torchdisentangle.supervised.distances import _draw_triplets

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.cartesian_prod(torch.arange(4), torch.arange(5)).repeat(3, 1)
NOISE = torch.randn(60, 2, generator=GENERATOR).double()
TRIPLETS = torch.rand(200, 60, generator=GENERATOR).argsort(1)[:, :3]


def filled(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> Any:
    metric.update(codes.double(), factors, index=torch.arange(len(codes)))
    return metric


@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l2", 2)])
def test_the_formula_is_that_of_scipy(norm: Any, power: int) -> None:
    codes = FACTORS + NOISE
    a, b, c = TRIPLETS.unbind(1)
    of_codes = [torch.linalg.vector_norm(codes[a] - codes[other], power, 1) for other in (b, c)]
    of_factors = [(FACTORS[a] - FACTORS[other]).abs().sum(1) for other in (b, c)]
    found = distance_agreement(codes, FACTORS, TRIPLETS, norm)
    # distances are rounded to 1e-9 of the largest
    assert float(found.rank) == pytest.approx(spearmanr(torch.cat(of_factors), torch.cat(of_codes))[0], abs=1e-6)
    assert float(found.linear) == pytest.approx(pearsonr(torch.cat(of_factors), torch.cat(of_codes))[0], abs=1e-6)
    same = [(x < y, x > y) == (v < w, v > w) for x, y, v, w in zip(*of_factors, *of_codes, strict=True)]
    assert float(found.same) == pytest.approx(sum(same) / len(same))


def test_perfect_codes() -> None:
    """In any order, with shifts and with other signs; ties are ties in spite of rounding."""
    for codes in (FACTORS, 0.1 - 0.3 * FACTORS.flip(1).double()):
        values = filled(DistanceAgreement(), codes).compute()
        assert [float(value) for value in values.values()] == pytest.approx([1.0] * 6, abs=1e-9)
    along = filled(DistanceAgreement("l2"), FACTORS).per_factor()  # along one factor all norms are alike
    assert all(value.tolist() == pytest.approx([1.0, 1.0], abs=1e-9) for value in along.values())
    rotated = torch.stack([FACTORS.sum(1), FACTORS[:, 0] - FACTORS[:, 1]], 1)
    for norm in ("l1", "l2"):
        assert filled(DistanceAgreement(norm), rotated).compute()["distance_agreement_factor_linear"] > 1 - 1e-9


def test_codes_that_know_nothing_or_reverse_the_order() -> None:
    noise = filled(DistanceAgreement(), NOISE).compute()
    assert abs(float(noise["distance_agreement_global_rank"])) < 0.2
    assert float(noise["distance_agreement_global_same"]) < 0.5
    constant = filled(DistanceAgreement(), 0 * NOISE).compute()
    assert constant["distance_agreement_global_rank"] == constant["distance_agreement_factor_linear"] == 0
    line = torch.arange(3)[:, None].repeat(20, 1)
    folded = filled(DistanceAgreement(), torch.tensor([0.0, 2.0, 1.0])[line], line).compute()
    assert 0 < float(folded["distance_agreement_factor_linear"]) < 0.9  # the middle value is at an end


def test_triplets_are_of_three_rows_of_a_group() -> None:
    group = torch.tensor([0, 1, 1, 2, 2, 2, 0, 0, 0])
    triplets = _draw_triplets(group, 500, GENERATOR)
    assert (group[triplets] == group[triplets[:, :1]]).all()
    assert 1 not in group[triplets]
    assert all(len(set(rows)) == 3 for rows in triplets.tolist())
    assert len({tuple(rows) for rows in triplets.tolist()}) == 4 * 3 * 2 + 3 * 2 * 1  # all there are
    assert len(_draw_triplets(torch.arange(5), 10, GENERATOR)) == 0


def test_what_cannot_be_scored() -> None:
    tied = torch.cat([FACTORS, torch.ones(60, 1, dtype=torch.int64)], 1)
    metric = filled(DistanceAgreement(), FACTORS, tied)
    with pytest.warns(UserWarning, match="no three rows that differ in them alone"):
        metric.compute()
    assert metric.unscored_factors() == ["2"]
    with pytest.raises(ValueError, match="norm must be one of"):
        DistanceAgreement("max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_triplets must be positive"):
        DistanceAgreement(num_triplets=0)
