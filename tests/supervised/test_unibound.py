"""UniBound: bits whose decomposition is known, MIG as an upper bound, densities of posteriors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from torch import Tensor

from torchdisentangle import MutualInformationGap, UniBound
from torchdisentangle.functional.supervised.unique_information import posterior_rest_information, rest_of_bins

BITS = torch.cartesian_prod(torch.arange(2), torch.arange(2))
ONE, TWO, XOR = BITS[:, 0], BITS[:, 1], BITS.sum(1) % 2
KNOWN = {
    "perfect": ([ONE, TWO], 1.0, 1.0),
    "one is given twice": ([ONE, ONE, TWO], 0.5, 0.5),
    "beside their sum": ([ONE, TWO, XOR], 0.0, 1.0),
    "their sum in place of one": ([XOR, TWO], 0.5, 0.5),
}


def filled(metric: Any, codes: Tensor, factors: Tensor = BITS, **more: Tensor) -> Any:
    metric.update(codes.double(), factors, **more)
    return metric


@pytest.mark.parametrize("name", KNOWN)
def test_bits(name: str) -> None:
    codes, expected, mig = KNOWN[name]
    assert float(filled(UniBound(), torch.stack(codes, 1)).compute()) == pytest.approx(expected, abs=1e-12)
    assert float(filled(MutualInformationGap(), torch.stack(codes, 1)).compute()) == pytest.approx(mig, abs=1e-12)


@pytest.mark.parametrize("name", KNOWN)
def test_bits_in_posteriors_that_lie_apart(name: str) -> None:
    codes, expected, _ = KNOWN[name]
    means, narrow = 20.0 * torch.stack(codes, 1).double(), torch.zeros(4, len(codes))
    metric = filled(UniBound("posterior"), means, log_variance=narrow)
    # two modes, 20 standard deviations apart: the densities of the other are below rounding
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=15)
@given(st.integers(0, 999))
def test_mig_is_an_upper_bound(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randint(3, (60, 2), generator=generator)
    codes = torch.cat([factors, factors[:, :1] + factors[:, 1:]], 1)
    codes = torch.where(torch.rand(60, 3, generator=generator) < 0.3, 0, codes)
    mig = filled(MutualInformationGap(), codes, factors).per_factor()
    assert bool((filled(UniBound(), codes, factors).per_factor() <= mig + 1e-12).all())


def test_scikit_learn_agrees() -> None:
    generator = torch.Generator().manual_seed(1)
    factors = torch.randint(3, (200, 2), generator=generator)
    codes = torch.cat([factors, factors[:, :1] * factors[:, 1:]], 1)
    codes = torch.where(torch.rand(200, 3, generator=generator) < 0.1, 0, codes)
    expected = []
    for y in factors.numpy().T:
        gaps = []
        for k in range(3):
            first, second = (codes[:, other].numpy() for other in range(3) if other != k)
            gaps.append(mutual_info_score(y, codes[:, k].numpy()) - mutual_info_score(y, 5 * first + second))
        expected.append(max(0.0, *gaps) / mutual_info_score(y, y))
    assert filled(UniBound(), codes, factors).per_factor().tolist() == pytest.approx(expected, abs=1e-12)


def test_information_of_overlapping_posteriors() -> None:
    """Of one of two latents the other is left, so the information of the rest is that of the other: by quadrature."""
    bit = torch.arange(400) % 2
    mean = torch.stack([2.0 * bit - 1.0, torch.zeros(400)], 1).double()
    z = mean + torch.randn(400, 2, generator=torch.Generator().manual_seed(2)).double()
    found = posterior_rest_information(z, mean, torch.zeros(400, 2), bit[:, None], bit[:, None])
    # without the first latent nothing is known; without the second N(+-1, 1), within three standard errors of 400 draws
    assert found[:, 0].tolist() == pytest.approx([0.0, 0.33683], abs=0.08)
    assert float(found[0]) == pytest.approx(0.0, abs=1e-12)


def test_few_rows_look_as_if_the_others_knew_all() -> None:
    generator = torch.Generator().manual_seed(3)
    factors = torch.randint(4, (300, 4), generator=generator)
    codes = factors + 0.9 * torch.rand(300, 4, generator=generator)
    fine, coarse = filled(UniBound(), codes, factors), filled(UniBound(num_bins=4), codes, factors)
    assert float(fine.lone_rows().min()) > 0.6
    assert float(fine.compute()) < 0.2
    assert float(coarse.compute()) > 2 * float(fine.compute())
    assert float(filled(UniBound(), codes[:, :1], factors[:, :1]).compute()) == pytest.approx(1.0, abs=1e-12)


def test_edge_cases() -> None:
    assert float(filled(UniBound(), torch.zeros(4, 3)).compute()) == 0.0
    single = filled(UniBound(), BITS[:, :1])  # one code for two factors
    assert single.per_factor().tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    assert single.lone_rows().tolist() == [0.0]
    assert single.matrix()[0].tolist() == pytest.approx([math.log(2), 0.0], abs=1e-12)
    assert rest_of_bins(BITS[:, :1])[0].tolist() == [0, 0, 0, 0]
    constant = torch.cat([BITS, torch.ones(4, 1, dtype=torch.int64)], 1)
    metric = filled(UniBound(), BITS, constant)
    with pytest.warns(UserWarning, match="leaves out factors"):
        assert float(metric.compute()) == pytest.approx(1.0, abs=1e-12)
    real = filled(UniBound(continuous=True, num_factor_bins=2), BITS, BITS / 3)
    assert float(real.compute()) == pytest.approx(1.0, abs=1e-12)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="estimator must be"):
        UniBound("kde")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be at least 1"):
        UniBound(num_bins=0)
    with pytest.raises(ValueError, match="needs discrete factors"):
        UniBound("posterior", continuous=[0])
