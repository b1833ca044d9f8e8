"""The delete-a-group jackknife against what it is known to do."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import t as student

from torchdisentangle.functional import (
    jackknife_interval,
    jackknife_replicates,
    mutual_information,
    replicate_interval,
)

SIZES = torch.tensor([3, 10, 1, 26])


@pytest.mark.parametrize("sizes", [SIZES, torch.full((4,), 10)])
def test_a_bias_of_order_one_over_n_cancels(sizes: torch.Tensor) -> None:
    """The plug-in variance is (1 - 1/n) of the variance on average, whatever the groups' sizes are."""
    n = sizes.sum().double()
    estimate, without = jackknife_replicates(1 - 1 / n, 1 - 1 / (n - sizes), sizes)
    torch.testing.assert_close(estimate, torch.tensor(1.0).double(), rtol=1e-13, atol=0.0)  # rounding
    torch.testing.assert_close(without, torch.ones(4).double(), rtol=1e-13, atol=0.0)


def test_the_mean_of_unequal_groups() -> None:
    """Leaving out a group moves a mean by m / (n - m) of what the group's mean differs by."""
    rows = torch.randn(40, generator=torch.Generator().manual_seed(0)).double()
    groups = torch.arange(4).repeat_interleave(SIZES)
    means = torch.stack([rows[groups == group].mean() for group in range(4)])
    without = torch.stack([rows[groups != group].mean() for group in range(4)])
    low, high = jackknife_interval(rows.mean(), without, sizes=SIZES)
    variance = (SIZES / (40.0 - SIZES.double()) * (means - rows.mean()).square()).mean()
    reach = student.ppf(0.975, 3) * variance.sqrt()
    assert float(low) == pytest.approx(float(rows.mean() - reach), rel=1e-12)
    assert float(high) == pytest.approx(float(rows.mean() + reach), rel=1e-12)


def test_without_correction_the_value_is_the_centre() -> None:
    value, without = torch.tensor([1.0, 2.0]).double(), torch.rand(4, 2).double()
    replicates = jackknife_replicates(value, without, SIZES, correct_bias=False)
    assert torch.equal(replicates.estimate, value)
    low, high = replicate_interval(*replicates, sizes=SIZES)
    torch.testing.assert_close((low + high) / 2, value)
    moved = replicates.without - without
    torch.testing.assert_close(moved, moved[:1].expand(4, 2))  # the groups differ as they did


def test_variance_about_nothing_counts_once() -> None:
    """Of independent variables 2 n I has a chi-squared distribution with nine degrees of freedom, of variance 18."""
    num_rows, ratios, plain = 2000, [], []
    truth = torch.tensor(18.0 / (2 * num_rows) ** 2).double()
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        pairs = torch.randint(16, (num_rows,), generator=generator)
        counts = torch.stack([torch.bincount(part, minlength=16).view(4, 4) for part in pairs.view(20, -1)])
        whole = counts.sum(0)
        value, without = mutual_information(whole), mutual_information(whole - counts)
        for found, quadratic in ((ratios, truth), (plain, None)):
            low, high = replicate_interval(*jackknife_replicates(value, without, quadratic=quadratic))
            found.append(((high - low) / 2 / student.ppf(0.975, 19)) ** 2 / truth)
    # each of 100 has an error of some 60 %, so their mean one of 6 %; at least half is kept of each, which adds 20 %
    assert 1.0 < float(torch.stack(ratios).mean()) < 1.4
    assert float(torch.stack(plain).mean()) == pytest.approx(2.0, abs=0.4)


def test_an_estimate_that_is_clear_is_not_changed() -> None:
    value, without = torch.tensor(1.0).double(), torch.linspace(0.99, 1.01, 20).double()
    plain = jackknife_replicates(value, without)
    other = jackknife_replicates(value, without, quadratic=torch.tensor(1e-4).double())
    torch.testing.assert_close(other.without, plain.without)


def test_errors() -> None:
    one = torch.ones(1)
    with pytest.raises(ValueError, match="at least two groups of rows, got 1"):
        jackknife_interval(torch.tensor(1.0), one)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        jackknife_interval(torch.tensor(1.0), torch.ones(2), level=0.0)
