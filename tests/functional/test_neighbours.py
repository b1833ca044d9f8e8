"""Mutual information by nearest neighbours: brute force, scikit-learn, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from torch import Tensor

from torchdisentangle.functional import informational_correlation, ksg_mutual_information, ross_mutual_information
from torchdisentangle.functional.supervised.sorted_neighbours import count_within, neighbour_distance

GENERATOR = torch.Generator().manual_seed(0)
NORMAL = torch.randn(4000, 2, generator=GENERATOR).double()


def distances(x: Tensor) -> Tensor:
    return (x[:, None] - x).abs()


def inside(distance: Tensor, radius: Tensor) -> Tensor:
    """Nearer than the radius of each row; where this is 0, equal to the row."""
    return (distance < radius[:, None]) | (distance == 0)


def psi(counts: Tensor) -> np.ndarray:
    return digamma(counts.numpy())


def brute_force_ross(x: Tensor, labels: Tensor, k: int) -> float:
    same = labels[:, None] == labels
    kept = same.sum(1) > 1
    x, same = x[kept], same[kept][:, kept]
    distance = distances(x)
    of_label = distance.masked_fill(~same, torch.inf).sort(dim=1).values  # the first is the row itself
    sizes = same.sum(1)
    radius = of_label[torch.arange(len(x)), (sizes - 1).clamp(max=k)]
    near = inside(distance, radius)
    terms = psi((near & same).sum(1)) - psi(sizes) - psi(near.sum(1))
    return max(float(digamma(len(x)) + terms.mean()), 0.0)


def brute_force_ksg(x: Tensor, y: Tensor, k: int) -> float:
    x, y = ((v - v.mean()) / v.std(correction=0).clamp(min=1e-300) for v in (x, y))
    x_distance, y_distance = distances(x), distances(y)
    radius = torch.maximum(x_distance, y_distance).sort(dim=1).values[:, k]
    equal = ((x_distance == 0) & (y_distance == 0)).sum(1)
    number = torch.where(radius > 0, k, equal)
    terms = psi(number) - psi(inside(x_distance, radius).sum(1)) - psi(inside(y_distance, radius).sum(1))
    return max(float(digamma(len(x)) + terms.mean()), 0.0)


# the first of numbers that are all apart, the others with ties; multiples of 0.1 are not evenly spaced in float64
COLUMNS = {
    "normal": NORMAL[:60, 0],
    "tenths": 0.1 * torch.randint(0, 6, (60,), generator=GENERATOR).double(),
    "many zeros": NORMAL[:60, 0].clamp(min=0),
    "constant": torch.full((60,), 0.1).double(),
}


@pytest.mark.parametrize("x", COLUMNS.values(), ids=list(COLUMNS))
@pytest.mark.parametrize("k", [1, 3, 10])
def test_brute_force_agrees(x: Tensor, k: int) -> None:
    labels = torch.randint(0, 4, (60,), generator=torch.Generator().manual_seed(1))
    labels[0] = 9  # occurs once
    found = float(ross_mutual_information(x[:, None], labels, k))
    assert found == pytest.approx(brute_force_ross(x, labels, k), abs=1e-12)  # rounding of a mean of 60
    for y in COLUMNS.values():
        found = float(ksg_mutual_information(x[:, None], y[:, None], k))
        assert found == pytest.approx(brute_force_ksg(x, y, k), abs=1e-12)


def test_scikit_learn_agrees() -> None:
    """It adds noise of 1e-10 against ties, which moves no neighbour here."""
    labels = (NORMAL[:800, 0] > 0.5).long() + (NORMAL[:800, 1] > 0).long()
    codes = NORMAL[:800] @ torch.tensor([[1.0, 1.0], [0.3, -2.0]]).double()
    options = {"n_neighbors": 4, "random_state": 0}
    expected = mutual_info_classif(codes.numpy(), labels.numpy(), discrete_features=False, **options)
    np.testing.assert_allclose(ross_mutual_information(codes, labels, 4), expected, atol=1e-10)
    expected = mutual_info_regression(codes.numpy(), NORMAL[:800, 0].numpy(), discrete_features=False, **options)
    np.testing.assert_allclose(ksg_mutual_information(codes, NORMAL[:800, :1], 4)[:, 0], expected, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=5, max_size=30), st.integers(1, 4))
def test_neighbours_of_numbers_with_ties(numbers: list[int], k: int) -> None:
    """Tenths: a search for x + r would find the neighbour at distance r, or not, as rounding has it."""
    x = 0.1 * torch.tensor(numbers).double().sort().values
    start = torch.zeros(len(x), dtype=torch.int64)
    found = neighbour_distance(x[None], start, start + len(x), start + k)[0]
    assert torch.equal(found, distances(x).sort(dim=1).values[:, k])
    assert torch.equal(count_within(x[None], start, start + len(x), found[None])[0], inside(distances(x), found).sum(1))


@settings(max_examples=10, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.booleans())
def test_scale_sign_and_place_do_not_matter(shift: float, scale: float, flip: bool) -> None:
    codes, labels = NORMAL[:200, :1], (NORMAL[:200, 0] > 0).long()
    moved, factor = codes * (-scale if flip else scale) + shift, codes + NORMAL[:200, 1:]
    # rounding of the shifted numbers may change which of two rows is nearer, and one count of 200 by one
    expected = ross_mutual_information(codes, labels)
    torch.testing.assert_close(ross_mutual_information(moved, labels), expected, rtol=0, atol=5e-3)
    expected = ksg_mutual_information(codes, factor)
    torch.testing.assert_close(ksg_mutual_information(moved, factor), expected, rtol=0, atol=5e-3)


def test_closed_forms_of_labels() -> None:
    labels = torch.arange(4000) % 2
    uniform = torch.rand(4000, generator=GENERATOR).double()
    codes = torch.stack([uniform + 2 * labels, NORMAL[:, 0] + 2 * labels, NORMAL[:, 1]], dim=1)
    found = ross_mutual_information(codes, labels, 10)
    assert float(found[0]) == pytest.approx(math.log(2), abs=1e-3)  # intervals that do not touch
    # quadrature of two normal distributions two standard deviations apart; the standard error is about 0.01
    assert float(found[1]) == pytest.approx(0.33683, abs=0.03)
    assert float(found[2]) < 0.03


def test_closed_forms_of_numbers() -> None:
    correlated = 0.8 * NORMAL[:, :1] + 0.6 * NORMAL[:, 1:]
    found = float(ksg_mutual_information(NORMAL[:, :1], correlated))
    assert found == pytest.approx(-0.5 * math.log(1 - 0.64), abs=0.04)  # about three standard errors
    assert float(informational_correlation(torch.tensor(found))) == pytest.approx(0.8, abs=0.03)
    assert float(ksg_mutual_information(NORMAL[:, :1], NORMAL[:, 1:])) < 0.04
    assert ksg_mutual_information(correlated, NORMAL[:, :1]).item() == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize(("num_rows", "k"), [(100, 3), (1000, 3), (1000, 7)])
def test_what_a_number_says_about_itself_grows_with_the_rows(num_rows: int, k: int) -> None:
    """No normaliser: strictly inside of the distance to the k-th neighbour are k - 1 others, so psi(N) - psi(k)."""
    uniform = torch.rand(num_rows, 1, generator=GENERATOR).double()
    found = float(ksg_mutual_information(uniform, uniform, k))
    assert found == pytest.approx(float(digamma(num_rows) - digamma(k)), abs=1e-12)


def test_codes_that_repeat_their_values() -> None:
    """No noise against ties is needed: a constant knows nothing exactly, labels know about their entropy."""
    labels = torch.arange(600) % 3
    constant, own = torch.full((600, 1), 0.1), labels[:, None].double()
    assert ross_mutual_information(constant, labels).item() == 0.0
    assert ksg_mutual_information(constant, NORMAL[:600, :1]).item() == 0.0
    # the digamma function of 200 is log(200) - 1/400, so the estimate is 1/600 off
    assert ross_mutual_information(own, labels).item() == pytest.approx(math.log(3), abs=2e-3)
    assert ksg_mutual_information(own, own).item() == pytest.approx(math.log(3), abs=2e-3)


def test_labels_that_occur_once_tell_nothing() -> None:
    assert ross_mutual_information(NORMAL[:9], torch.arange(9)).tolist() == [0.0, 0.0]


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="num_neighbours must be at least 1"):
        ross_mutual_information(NORMAL, torch.zeros(4000), 0)
    with pytest.raises(ValueError, match=r"labels \(N,\) are needed"):
        ross_mutual_information(NORMAL, torch.zeros(7))
    with pytest.raises(ValueError, match="3 neighbours need more rows, got 3"):
        ksg_mutual_information(NORMAL[:3], NORMAL[:3])
    with pytest.raises(ValueError, match="of the same rows"):
        ksg_mutual_information(NORMAL[:3], NORMAL[:4])
