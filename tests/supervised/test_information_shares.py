"""MED, axis alignment and latent matching: closed forms, published conventions, degenerate input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from torch import Tensor

from torchdisentangle import MED, AxisAlignment, LatentMatchingScore, MutualInformationGap, Sufficiency
from torchdisentangle.functional import (
    axis_alignment,
    dci_completeness,
    dci_disentanglement,
    information_shares,
    latent_matching,
    most_disentangled_codes,
)

BITS = torch.cartesian_prod(torch.arange(2), torch.arange(2))
SCORES = [MED, AxisAlignment, LatentMatchingScore]


def filled(metric: Any, codes: Tensor, factors: Tensor = BITS) -> Any:
    metric.update(codes.double(), factors)
    return metric


def numbers(value: Any) -> list[float]:
    return [float(x) for x in (value.values() if isinstance(value, dict) else [value])]


def test_med_of_a_copied_code() -> None:
    value = filled(MED(), BITS[:, [0, 0, 1]]).compute()
    assert float(value["med_disentanglement"]) == pytest.approx(1.0, abs=1e-12)
    expected = (1 - math.log(2) / math.log(3) + 1) / 2
    assert float(value["med_completeness"]) == pytest.approx(expected, abs=1e-12)
    assert expected == pytest.approx(0.6845, abs=1e-4)


def test_equal_shares_have_no_order() -> None:
    shares = information_shares(torch.full((3, 4), 0.2))
    assert float(dci_disentanglement(shares)) == pytest.approx(0.0, abs=1e-6)
    assert float(dci_completeness(shares)) == pytest.approx(0.0, abs=1e-6)
    assert axis_alignment(torch.full((3, 4), 0.2)).tolist() == [0.0] * 4


def test_med_is_scipys_entropy_of_shares() -> None:
    matrix = torch.rand(6, 3, generator=torch.Generator().manual_seed(0)).double()
    shares = (matrix / matrix.sum(0)).numpy()
    per_code, per_factor = 1 - entropy(shares.T, base=3), 1 - entropy(shares, base=6)
    found = information_shares(matrix)
    assert float(dci_disentanglement(found)) == pytest.approx((per_code * shares.sum(1)).sum() / 3, abs=1e-12)
    assert float(dci_completeness(found)) == pytest.approx(per_factor.mean(), abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 999), st.integers(1, 4))
def test_top_k_codes_are_those_of_a_plain_search(seed: int, k: int) -> None:
    matrix = torch.rand(9, 3, generator=torch.Generator().manual_seed(seed)).double()
    matrix[4] = 0  # a dead code
    alive = [code for code in range(9) if code != 4]
    purity = {code: 1 - entropy(matrix[code].numpy(), base=3) for code in alive}
    expected = []
    for factor in range(3):
        mine = [code for code in alive if int(matrix[code].argmax()) == factor]
        expected += sorted(mine, key=lambda code: -purity[code])[:k]
    assert most_disentangled_codes(matrix, k).tolist() == sorted(expected)


def test_top_k_takes_idle_codes_out() -> None:
    """The noise of forty codes that know nothing lowers completeness, and the best code of each factor has none."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(3, (600, 2), generator=generator)
    codes = torch.cat([factors, torch.randn(600, 40, generator=generator)], 1)
    value = filled(MED(top_k=1), codes, factors).compute()
    assert float(value["med_completeness"]) < 0.6
    assert float(value["med_top_k_completeness"]) > 0.95
    assert float(value["med_top_k_disentanglement"]) > 0.95
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        MED(top_k=0)
    with pytest.raises(ValueError, match="k must be at least 1"):
        most_disentangled_codes(torch.ones(2, 2), 0)


def test_axis_alignment_does_not_see_how_much_is_known() -> None:
    matrix = torch.tensor([[0.5, 0.3], [0.1, 0.3], [0.1, 0.0]], dtype=torch.float64)
    assert axis_alignment(matrix).tolist() == pytest.approx([0.6, 0.0], abs=1e-12)
    assert axis_alignment(1e-3 * matrix).tolist() == pytest.approx([0.6, 0.0], abs=1e-12)


def test_latent_matching_of_the_published_example() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.9], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.1, 0.9, 0.1]], dtype=torch.float64)
    means = [float(score.mean()) for score in latent_matching(scores)]
    assert means == pytest.approx([0.9, 0.9, 0.8 / 3], abs=1e-12)


def test_most_similar_scores_are_sufficiency_and_mig() -> None:
    generator = torch.Generator().manual_seed(1)
    factors = torch.randint(4, (400, 3), generator=generator)
    codes = factors + 0.5 * torch.randn(400, 3, generator=generator)
    score = filled(LatentMatchingScore(), codes, factors)
    information = score.information()
    of_matrix = latent_matching(information.mutual / information.factor_entropy)
    assert float(score.compute()) == pytest.approx(float(of_matrix.matched.mean()), abs=1e-12)
    for other, value in ((Sufficiency(), of_matrix.most_similar), (MutualInformationGap(), of_matrix.gap)):
        assert float(filled(other, codes, factors).compute()) == pytest.approx(float(value.mean()), abs=1e-12)


def test_single_and_missing_codes() -> None:
    one = filled(LatentMatchingScore(), BITS[:, :1])
    assert one.per_factor().tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    assert filled(AxisAlignment(), BITS[:, :1]).per_factor().tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    # the factor that the code does not know is left out
    assert numbers(filled(MED(), BITS[:, :1]).compute()) == pytest.approx([1.0, 1.0], abs=1e-12)
    for build in SCORES:
        single = filled(build(), BITS[:, :1], BITS[:, :1])
        assert numbers(single.compute()) == pytest.approx([1.0] * len(numbers(single.compute())), abs=1e-12)


@pytest.mark.parametrize("build", [*SCORES, lambda: MED(top_k=2)])
def test_codes_that_know_nothing(build: Any) -> None:
    assert set(numbers(filled(build(), torch.zeros(4, 3)).compute())) == {0.0}


@settings(max_examples=10)
@given(st.permutations(range(3)), st.permutations(range(3)), st.integers(0, 99))
def test_order_and_scale_do_not_matter(codes_order: list[int], factors_order: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randint(4, (80, 3), generator=generator)
    codes = (factors + torch.randn(80, 3, generator=generator)).double()
    scale = torch.tensor([1.0, 8.0, 0.25]).double()  # powers of two: no bin changes by rounding
    for build in SCORES:
        plain = numbers(filled(build(), codes, factors).compute())
        changed = numbers(filled(build(), (codes * scale)[:, codes_order], factors[:, factors_order]).compute())
        np.testing.assert_allclose(changed, plain, atol=1e-12)
