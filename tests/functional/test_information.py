"""Entropies and mutual information: exact values, scikit-learn, and what corrections correct."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.metrics.cluster import expected_mutual_information as sklearn_expected
from torch import Tensor

from torchdisentangle import functional as F
from torchdisentangle.functional.supervised.joint_counts import (
    _added_by_product,
    _added_one_by_one,
    grouped_counts,
    joint_counts,
    joint_weights,
)

LOG2, LOG3 = math.log(2), math.log(3)


def table(bins: Tensor, values: Tensor) -> Tensor:
    return joint_counts(bins[:, None], values[:, None], int(bins.max()) + 1, int(values.max()) + 1)[0, 0]


def random_pairs(n: int, num_bins: int, num_values: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    bins = torch.randint(num_bins, (n,), generator=generator)
    shared = torch.rand(n, generator=generator) < 0.3
    return bins, torch.where(shared, bins % num_values, torch.randint(num_values, (n,), generator=generator))


def test_exact_values() -> None:
    assert float(F.entropy(torch.tensor([2, 2, 2]))) == pytest.approx(LOG3, abs=1e-15)
    assert float(F.entropy(torch.tensor([0, 7, 0]))) == 0
    assert float(F.entropy(torch.tensor([0, 0]))) == 0  # nothing was counted
    a, b = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    codes, factors = torch.stack([a, b], 1), torch.stack([a, 1 - b], 1)
    information = F.mutual_information(joint_counts(codes, factors, 2, 2))
    torch.testing.assert_close(information, LOG2 * torch.eye(2).double(), rtol=0, atol=1e-15)


@settings(max_examples=30)
@given(st.integers(1, 300), st.integers(1, 8), st.integers(1, 8), st.integers(0, 99))
def test_agrees_with_scikit_learn(n: int, num_bins: int, num_values: int, seed: int) -> None:
    bins, values = random_pairs(n, num_bins, num_values, seed)
    joint = table(bins, values)
    information = float(F.mutual_information(joint))
    assert information == pytest.approx(mutual_info_score(bins, values), abs=1e-13)
    by_entropies = F.entropy(joint.sum(1)) + F.entropy(joint.sum(0)) - F.joint_entropy(joint)
    assert information == pytest.approx(float(by_entropies), abs=1e-13)
    expected = sklearn_expected(contingency_matrix(bins, values, sparse=True), n)
    assert float(F.expected_mutual_information(joint)) == pytest.approx(expected, abs=1e-12)


def test_leading_dimensions_and_labels_in_any_order() -> None:
    joint = torch.randint(0, 9, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0))
    for function in (F.mutual_information, F.joint_entropy, F.plug_in_bias, F.expected_mutual_information):
        value = function(joint)
        assert value.shape == (2, 3)
        torch.testing.assert_close(value[1, 2], function(joint[1, 2]), rtol=1e-13, atol=1e-14)
        shuffled = joint[:, :, torch.tensor([2, 0, 3, 1])][..., torch.tensor([4, 1, 0, 3, 2])]
        torch.testing.assert_close(function(shuffled), value, rtol=1e-12, atol=1e-14)


def test_a_product_table_has_no_information() -> None:
    joint = torch.tensor([3, 1, 6])[:, None] * torch.tensor([2, 5])
    assert F.mutual_information(joint) == 0
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):  # any sizes, and the rounding of weights: scores that are ratios must not see it
        rows, columns = (torch.rand(size, generator=generator).double().square() for size in (100, 40))
        assert F.mutual_information(rows[:, None] * columns) == 0


@pytest.mark.parametrize(("n", "bias"), [(3_000, 0.131), (10_000, 0.040)])
def test_bias_of_independent_variables(n: int, bias: float) -> None:
    """The mean over 20 x 40 tables of independent variables is what the formulas say, and corrections remove it."""
    shuffled = torch.stack([torch.randperm(n, generator=torch.Generator().manual_seed(i)) for i in range(40)])
    tables = torch.stack([table(torch.arange(n) % 20, order * 40 // n) for order in shuffled])
    plain = F.mutual_information(tables)
    spread = math.sqrt(2 * 19 * 39) / (2 * n)  # of one table: 2 n I follows a chi-squared distribution
    assert float(plain.std()) == pytest.approx(spread, rel=0.5)
    assert float(plain.mean()) == pytest.approx(bias, abs=4 * spread)  # the published number is of one table
    error = 4 * spread / math.sqrt(40)
    assert float(F.expected_mutual_information(tables[0])) == pytest.approx(float(plain.mean()), abs=error)
    assert float(F.plug_in_bias(tables[0])) == pytest.approx(19 * 39 / (2 * n))
    assert float(F.plug_in_bias(tables[0])) == pytest.approx(float(plain.mean()), rel=0.1)  # the first order in 1 / n
    for correction in ("miller_madow", "permutation"):
        # noise around zero is cut off at zero, which leaves less than a twentieth of the bias
        assert float(F.mutual_information(tables, correction).mean()) < 0.1 * bias


@pytest.mark.parametrize(("counts_a_cell", "ratio"), [(0.1, 1.86), (0.5, 1.0), (1, 0.87), (2, 0.87), (8, 0.98)])
def test_the_first_order_of_the_bias_at_few_counts(counts_a_cell: float, ratio: float) -> None:
    """What the documentation says: 15 % too small at one or two counts a cell, too large far below; exact by sums."""
    generator, num_rows = torch.Generator().manual_seed(0), round(400 * counts_a_cell)
    cells = torch.randint(400, (100, num_rows), generator=generator)
    tables = torch.stack([row.bincount(minlength=400).view(20, 20) for row in cells])
    plain = float(F.mutual_information(tables).mean())
    assert float(F.plug_in_bias(tables).mean()) / plain == pytest.approx(ratio, abs=0.05 * ratio)
    assert float(F.expected_mutual_information(tables[:10]).mean()) == pytest.approx(plain, rel=0.05)


def test_expected_information_is_the_mean_over_permutations() -> None:
    bins, values = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 1, 1, 0])
    orders = torch.cartesian_prod(*[torch.arange(5)] * 5)
    orders = orders[(orders.sort(1)[0] == torch.arange(5)).all(1)]
    mean = torch.stack([F.mutual_information(table(bins, values[order])) for order in orders]).mean()
    torch.testing.assert_close(F.expected_mutual_information(table(bins, values)), mean, rtol=1e-12, atol=0)


def test_corrections_keep_what_determines() -> None:
    values = torch.arange(300) % 7
    joint = table(values, values)
    assert float(F.mutual_information(joint, "permutation")) == pytest.approx(float(F.entropy(joint.sum(0))))
    corrected = F.entropy(joint.sum(0), miller_madow=True)
    assert float(F.mutual_information(joint, "miller_madow")) == pytest.approx(float(corrected))
    assert float(F.joint_entropy(joint, miller_madow=True)) == pytest.approx(float(corrected))
    constant = table(torch.zeros(9, dtype=torch.int64), torch.arange(9))
    unique = table(torch.arange(9), torch.arange(9))  # every pairing tells all: chance explains it
    for joint in (constant, unique):
        assert float(F.mutual_information(joint, "permutation")) == 0
    with pytest.raises(ValueError, match="bias_correction must be None"):
        F.mutual_information(constant, "jackknife")  # type: ignore[arg-type]


def test_gradients() -> None:
    weights = torch.rand(6, 1, 4, dtype=torch.float64, requires_grad=True)
    values = torch.tensor([[0], [1], [2], [0], [1], [1]])
    assert torch.autograd.gradcheck(lambda w: F.mutual_information(joint_weights(w, values, 3)), weights)
    empty = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    F.mutual_information(empty).backward()
    assert empty.grad is not None
    assert empty.grad.isfinite().all()


def test_tables_of_hard_and_soft_counts_agree_with_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    bins, values = torch.randint(5, (50, 3), generator=generator), torch.randint(4, (50, 2), generator=generator)
    expected = torch.zeros(2, 3, 5, 4, dtype=torch.int64)
    for row, labels in zip(bins.tolist(), values.tolist(), strict=True):
        for factor, value in enumerate(labels):
            for code, position in enumerate(row):
                expected[factor, code, position, value] += 1
    assert torch.equal(joint_counts(bins, values, 5, 4), expected)
    groups = torch.arange(len(bins)) % 3
    for group, counts in enumerate(grouped_counts(bins, values, groups, 5, 4, 3).unbind(1)):
        chosen = groups == group
        assert torch.equal(counts, joint_counts(bins[chosen], values[chosen], 5, 4).permute(3, 0, 1, 2))
    weights = torch.nn.functional.one_hot(bins, 5).double()
    assert torch.equal(joint_weights(weights, values, 4), expected.double())


def test_sums_on_a_gpu_are_those_on_a_cpu() -> None:
    """A product of matrices there, additions one by one here."""
    generator = torch.Generator().manual_seed(0)
    rows, values = torch.rand(50, 6, generator=generator).double(), torch.randint(4, (50,), generator=generator)
    found, expected = (add(rows, values, 5) for add in (_added_by_product, _added_one_by_one))
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)  # sums of some 12 numbers in another order
