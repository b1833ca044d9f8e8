from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from torch import Tensor
from torch.utils.data import DataLoader

from torchdisentangle.datasets.factors import FactorDataset


class Codes(FactorDataset):
    """Images of 1 x 1 x K pixels that spell out their own factors."""

    def __init__(self, factor_sizes: list[int]) -> None:
        self.factor_names = tuple(f"factor{k}" for k in range(len(factor_sizes)))
        super().__init__(factor_sizes)

    def render(self, factors: Tensor) -> Tensor:
        self._check(factors)
        return (factors / torch.tensor(self.factor_sizes, device=factors.device))[:, None, None, :]


sizes = st.lists(st.integers(1, 7), min_size=1, max_size=5)


@given(sizes)
def test_index_maps_are_inverse_bijections_in_lexicographic_order(factor_sizes: list[int]) -> None:
    dataset = Codes(factor_sizes)
    index = torch.arange(len(dataset))
    factors = dataset.index_to_factors(index)
    assert torch.equal(factors, torch.cartesian_prod(*map(torch.arange, factor_sizes)).reshape(len(dataset), -1))
    assert torch.equal(dataset.factors_to_index(factors), index)


def test_items_are_rendered_factors_one_by_one_and_in_batches() -> None:
    dataset = Codes([2, 3, 4])
    images, factors = next(iter(DataLoader(dataset, batch_size=len(dataset))))
    assert torch.equal(images, dataset.render(dataset.index_to_factors(torch.arange(24))))
    for i in range(len(dataset)):
        image, factor = dataset[i]
        assert torch.equal(image, images[i])
        assert torch.equal(factor, factors[i])
    assert torch.equal(dataset[-1][1], torch.tensor([1, 2, 3]))


@pytest.mark.parametrize("index", [24, -25])
def test_item_outside_is_an_index_error_so_that_iteration_ends(index: int) -> None:
    with pytest.raises(IndexError, match="24 images"):
        Codes([2, 3, 4])[index]


def test_sampled_factors_are_uniform_and_independent() -> None:
    dataset = Codes([2, 3, 4])
    n = 24_000
    factors = dataset.sample_factors(n, torch.Generator().manual_seed(0))
    counts = torch.bincount(dataset.factors_to_index(factors), minlength=24)
    # Pearson's statistic over all 24 combinations is chi-square with 23 degrees of freedom if the factors are uniform
    # and independent; beyond its 1 - 1e-4 quantile one seed in ten thousand would fail, and this seed is fixed.
    statistic = ((counts - n / 24) ** 2 / (n / 24)).sum().item()
    assert statistic < chi2.ppf(1 - 1e-4, 23)


def test_the_same_generator_gives_the_same_factors() -> None:
    dataset = Codes([5, 7])
    first, second, other = (dataset.sample_factors(50, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("factor", ["factor1", 1, -2])
def test_fixed_factor_has_one_value_and_the_others_all_of_theirs(factor: int | str) -> None:
    dataset = Codes([2, 3, 4])
    factors = dataset.sample_fixed(factor, 200, torch.Generator().manual_seed(0))
    # A value of another factor is missed with probability at most 4 (3/4)^200, about 1e-24.
    assert [column.unique().numel() for column in factors.T] == [2, 1, 4]
    assert torch.equal(dataset.sample_fixed(factor, 9, value=2)[:, 1], torch.full((9,), 2))


def test_fixed_factor_takes_every_value_over_repeated_draws() -> None:
    dataset = Codes([3, 2])
    generator = torch.Generator().manual_seed(0)
    drawn = {int(dataset.sample_fixed(0, 1, generator)[0, 0]) for _ in range(60)}  # misses one: 3 (2/3)^60 < 1e-10
    assert drawn == {0, 1, 2}


def test_sub_grid_has_the_parents_images() -> None:
    dataset = Codes([2, 6, 4])
    grid = dataset.sub_grid(factor1=slice(None, None, 2), factor2=[3, 0], factor0=1)
    assert grid.factor_sizes == (1, 3, 2)
    assert grid.factor_names == dataset.factor_names
    wanted = torch.tensor([[1, 0, 3], [1, 0, 0], [1, 2, 3], [1, 2, 0], [1, 4, 3], [1, 4, 0]])
    factors = grid.index_to_factors(torch.arange(6))
    assert torch.equal(grid.parent_factors(factors), wanted)
    assert torch.equal(grid.render(factors), dataset.render(wanted))


def test_sub_grid_of_a_sub_grid() -> None:
    grid = Codes([10]).sub_grid(factor0=slice(1, None, 2)).sub_grid(factor0=slice(None, None, -2))
    assert torch.equal(grid.render(torch.arange(3)[:, None]).flatten(), torch.tensor([0.9, 0.5, 0.1]))


@pytest.mark.parametrize(
    "values",
    [{"factor9": 0}, {"factor0": 2}, {"factor0": -1}, {"factor0": []}, {"factor0": [1, 1]}, {"factor0": slice(5, 9)}],
)
def test_sub_grid_refuses_what_is_not_there(values: dict) -> None:
    with pytest.raises(ValueError, match="factor"):
        Codes([2, 3]).sub_grid(**values)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (torch.zeros(3, dtype=torch.long), r"shape \(N, 2\)"),
        (torch.zeros(1, 3, dtype=torch.long), r"shape \(N, 2\)"),
        (torch.zeros(1, 2), "integer"),
        (torch.tensor([[0, 0], [0, 3]]), "factor1 has values 0 to 2, got 3"),
        (torch.tensor([[-1, 0]]), "factor0 has values 0 to 1, got -1"),
    ],
)
def test_bad_factors_are_refused(factors: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Codes([2, 3]).factors_to_index(factors)


@pytest.mark.parametrize("index", [torch.tensor([6]), torch.tensor([-1]), torch.tensor(0), torch.tensor([0.0])])
def test_bad_indices_are_refused(index: Tensor) -> None:
    with pytest.raises(ValueError, match=r"indices must be|vector of integers"):
        Codes([2, 3]).index_to_factors(index)


def test_bad_sizes_names_and_values_are_refused() -> None:
    with pytest.raises(ValueError, match="positive size"):
        Codes([2, 0])
    with pytest.raises(ValueError, match="no factor 'colour'"):
        Codes([2, 3]).factor_index("colour")
    with pytest.raises(ValueError, match="no factor at position 2"):
        Codes([2, 3]).factor_index(2)
    with pytest.raises(ValueError, match="values 0 to 2, got 3"):
        Codes([2, 3]).sample_fixed("factor1", 4, value=3)


def test_index_maps_do_not_overflow_on_large_grids() -> None:
    dataset = Codes([1000] * 6)
    index = torch.tensor([len(dataset) - 1])
    assert len(dataset) == math.prod([1000] * 6)
    assert torch.equal(dataset.factors_to_index(dataset.index_to_factors(index).to(torch.int32)), index)
