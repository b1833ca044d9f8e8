"""MCC, linear R² and CCA: known answers, chance, and independent computations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.cross_decomposition import CCA as SklearnCCA
from sklearn.linear_model import LinearRegression
from torch import Tensor

from torchdisentangle import CCA, MCC, LinearR2

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.randn(2000, 3, generator=GENERATOR).double()
NOISE = torch.randn(2000, 3, generator=GENERATOR).double()
PERMUTED = FACTORS[:, [2, 0, 1]] * torch.tensor([-1.0, 3.0, 0.1]) + 5.0


def filled(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> Any:
    metric.update(codes, factors, index=torch.arange(len(codes)))
    return metric


def rotation(width: int, angle: float = math.pi / 4) -> Tensor:
    matrix = torch.eye(width, dtype=torch.float64)
    matrix[0, :2] = torch.tensor([math.cos(angle), -math.sin(angle)])
    matrix[1, :2] = torch.tensor([math.sin(angle), math.cos(angle)])
    return matrix


def white(num_rows: int, width: int, seed: int = 1) -> Tensor:
    """Rows whose covariance is the identity exactly."""
    rows = torch.randn(num_rows, width, generator=torch.Generator().manual_seed(seed)).double()
    return torch.linalg.qr(rows - rows.mean(0))[0] * math.sqrt(num_rows - 1)


@pytest.mark.parametrize("metric", [MCC(), MCC("spearman"), MCC(held_out=True), LinearR2(), CCA()])
def test_order_signs_and_scales_do_not_matter(metric: Any) -> None:
    metric.reset()
    assert float(filled(metric, PERMUTED).compute()) == pytest.approx(1.0, abs=1e-12)


def test_the_matching_undoes_the_permutation() -> None:
    assert filled(MCC(), PERMUTED).matching().tolist() == [1, 2, 0]


def test_a_rotation_by_45_degrees() -> None:
    factors = white(500, 2)
    codes = factors @ rotation(2)
    assert float(filled(MCC(), codes, factors).compute()) == pytest.approx(math.sqrt(0.5), abs=1e-12)
    assert float(filled(LinearR2(), codes, factors).compute()) == pytest.approx(1.0, abs=1e-12)
    assert filled(CCA(), codes, factors).canonical_correlations().tolist() == pytest.approx([1.0, 1.0], abs=1e-12)


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.7, 1.0, 1.5])
def test_a_rotation_of_two_factors_never_scores_below_the_root_of_a_half(angle: float) -> None:
    factors = white(500, 2)
    found = float(filled(MCC(), factors @ rotation(2, angle), factors).compute())
    assert found == pytest.approx(max(math.cos(angle), math.sin(angle)), abs=1e-7)  # the entries are single precision
    assert found > math.sqrt(0.5)


def test_cubes_are_monotone_but_not_linear() -> None:
    """The correlation of a standard normal and its cube is 3 / sqrt(15); ranks are the same."""
    normal = torch.special.ndtri((torch.arange(200_000).double()[:, None] + 0.5) / 200_000)
    assert float(filled(MCC(), normal**3, normal).compute()) == pytest.approx(3 / math.sqrt(15), abs=1e-3)
    assert float(filled(MCC("spearman"), normal**3, normal).compute()) == pytest.approx(1.0, abs=1e-12)


def test_noise_as_large_as_the_signal() -> None:
    pair = white(400, 2)
    codes, factors = pair.sum(1, keepdim=True), pair[:, :1]
    assert float(filled(MCC(), codes, factors).compute()) == pytest.approx(math.sqrt(0.5), abs=1e-12)
    assert float(filled(LinearR2(), codes, factors).compute()) == pytest.approx(0.5, abs=1e-12)
    assert float(filled(LinearR2(), codes, factors).multiple_correlation()) == pytest.approx(math.sqrt(0.5), abs=1e-12)


def test_codes_that_are_all_the_mean_of_correlated_factors() -> None:
    """A false positive that the documentation warns of: sqrt((1 + (F - 1) rho) / F)."""
    covariance = torch.full((5, 5), 0.9, dtype=torch.float64).fill_diagonal_(1.0)
    factors = white(300, 5) @ torch.linalg.cholesky(covariance).T
    codes = factors.mean(1, keepdim=True).expand(-1, 5)
    assert float(filled(MCC(), codes, factors).compute()) == pytest.approx(math.sqrt(0.92), abs=1e-12)


CHANCE = [(5, 1000, 0.046), (5, 100, 0.142), (10, 1000, 0.057), (100, 1000, 0.088), (1000, 1000, 0.108)]


@pytest.mark.parametrize(("num_codes", "num_rows", "chance"), CHANCE)
def test_chance_of_mcc(num_codes: int, num_rows: int, chance: float) -> None:
    """Mean of 20 data sets, or of 3 of many codes; the standard error of each value is about a tenth of it."""
    generator = torch.Generator().manual_seed(3)
    values = []
    for _ in range(20 if num_codes < 1000 else 3):
        codes, factors = (torch.randn(num_rows, width, generator=generator) for width in (num_codes, 5))
        values.append(float(filled(MCC(), codes, factors).compute()))
    assert np.mean(values) == pytest.approx(chance, rel=0.1)


def test_chance_of_linear_r2_and_its_adjustment() -> None:
    generator = torch.Generator().manual_seed(4)
    plain, adjusted = [], []
    for _ in range(40):
        codes, factors = (torch.randn(200, width, generator=generator) for width in (10, 5))
        plain.append(float(filled(LinearR2(), codes, factors).compute()))
        adjusted.append(float(filled(LinearR2(adjusted=True), codes, factors).compute()))
    assert np.mean(plain) == pytest.approx(10 / 199, abs=0.005)  # five standard errors
    assert np.mean(adjusted) == pytest.approx(0.0, abs=0.005)


def test_scikit_learn_agrees() -> None:
    codes = FACTORS @ rotation(3, 0.3) + 0.7 * NOISE
    regression = LinearRegression().fit(codes.numpy(), FACTORS.numpy())
    residual = FACTORS.numpy() - regression.predict(codes.numpy())
    expected = 1 - residual.var(0) / FACTORS.numpy().var(0)
    np.testing.assert_allclose(filled(LinearR2(), codes).per_factor(), expected, rtol=1e-10)
    x, y = SklearnCCA(3, max_iter=5000, tol=1e-14).fit_transform(codes.numpy(), FACTORS.numpy())
    expected = [np.corrcoef(x[:, i], y[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(filled(CCA(), codes).canonical_correlations(), expected, rtol=1e-6)
    ranks = spearmanr(codes.numpy(), FACTORS.numpy()).statistic[:3, 3:]
    np.testing.assert_allclose(filled(MCC("spearman"), codes).matrix(), abs(ranks), rtol=1e-10)


def test_other_numbers_of_codes_than_of_factors() -> None:
    more = torch.cat([NOISE, FACTORS, FACTORS[:, :1]], dim=1)  # one code is given twice
    assert float(filled(MCC(), more).compute()) == pytest.approx(1.0, abs=1e-12)
    assert float(filled(LinearR2(), more).compute()) == pytest.approx(1.0, abs=1e-12)
    assert float(filled(CCA(), more).compute()) == pytest.approx(1.0, abs=1e-12)
    factors = white(500, 5)
    fewer = factors[:, :1]
    assert filled(MCC(), fewer, factors).per_factor().tolist() == pytest.approx([1, 0, 0, 0, 0], abs=1e-12)
    assert float(filled(MCC(), fewer, factors).compute()) == pytest.approx(0.2, abs=1e-12)
    assert float(filled(LinearR2(), fewer, factors).compute()) == pytest.approx(0.2, abs=1e-12)
    assert float(filled(CCA(), fewer, factors).compute()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("metric", [MCC, LinearR2, CCA])
def test_constant_codes_and_factors(metric: Any) -> None:
    codes = torch.cat([FACTORS[:, :2], torch.full((2000, 1), 1e3)], dim=1)
    factors = torch.cat([FACTORS[:, :2], torch.full((2000, 1), 0.1)], dim=1)
    with pytest.warns(UserWarning, match=r"cannot score \(too few values\): 2"):
        assert float(filled(metric(), codes, factors).compute()) == pytest.approx(1.0, abs=1e-12)
    assert filled(metric(), codes, factors).unscored_factors() == ["2"]
    with pytest.raises(ValueError, match="none of the factors"):
        filled(metric(), codes, factors[:, 2:]).compute()
    assert float(filled(metric(), codes[:, 2:], FACTORS).compute()) == 0.0  # a constant code knows nothing


def test_held_out_rows_take_the_choice_out() -> None:
    """With many codes that know nothing, the best of them on the same rows looks better than it is."""
    generator = torch.Generator().manual_seed(5)
    codes, factors = torch.randn(200, 50, generator=generator), torch.randn(200, 3, generator=generator)
    same = float(filled(MCC(), codes, factors).compute())
    held_out = float(filled(MCC(held_out=True), codes, factors).compute())
    assert same > 0.12
    assert held_out < same - 0.03


def test_digits_are_kept_far_from_zero() -> None:
    codes = FACTORS + 1e7
    assert float(filled(LinearR2(), codes).compute()) == pytest.approx(1.0, abs=1e-6)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="'pearson' or 'spearman'"):
        MCC("kendall")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs at least 5 rows"):
        filled(LinearR2(adjusted=True), FACTORS[:4], FACTORS[:4]).compute()
