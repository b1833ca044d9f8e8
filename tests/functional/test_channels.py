"""Bhattacharyya coefficients, and what follows from them, against closed forms and independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score
from torch import Tensor

from torchdisentangle import functional as F
from torchdisentangle.functional.device import CPU_SIZES, use_sizes

ROUNDING = {"rtol": 1e-12, "atol": 1e-12}  # the same float64 operations in another order


def random_posteriors(num_points: int, num_channels: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(num_points, num_channels, generator=generator, dtype=torch.float64)
    return mean, torch.randn(num_points, num_channels, generator=generator, dtype=torch.float64) - 2


def hard(clusters: Tensor) -> tuple[Tensor, Tensor]:
    """Posteriors that tell clusters apart with certainty, and nothing else."""
    mean = 100.0 * clusters.double()
    mean = mean[:, None] if mean.ndim == 1 else mean
    return mean, torch.zeros_like(mean)


def test_coefficients_are_the_integral() -> None:
    mean, log_variance = random_posteriors(3, 1)
    found = F.bhattacharyya_coefficients(mean, log_variance)[0]
    std = (0.5 * log_variance).exp()
    for i in range(3):
        for j in range(3):
            a, b = (norm(float(mean[k]), float(std[k])) for k in (i, j))
            integral, _ = quad(lambda u, a=a, b=b: math.sqrt(a.pdf(u) * b.pdf(u)), -10, 10, limit=200)
            assert found[i, j] == pytest.approx(integral, abs=1e-7)  # quad's own tolerance


def test_coefficients_in_closed_form() -> None:
    shifted = F.bhattacharyya_coefficients(torch.tensor([[0.0], [2.0]]).double(), torch.zeros(2, 1).double())
    assert shifted[0, 0, 1] == pytest.approx(math.exp(-0.5), rel=1e-14)
    log_variance = torch.tensor([[0.0], [math.log(4)]], dtype=torch.float64)
    scaled = F.bhattacharyya_coefficients(torch.zeros(2, 1).double(), log_variance)
    assert scaled[0, 0, 1] == pytest.approx(math.sqrt(0.8), rel=1e-14)


def test_a_space_has_the_product_of_its_channels() -> None:
    mean, log_variance = random_posteriors(6, 3)
    product = F.bhattacharyya_coefficients(mean, log_variance).prod(0, keepdim=True)
    torch.testing.assert_close(F.space_coefficients(mean, log_variance), product, **ROUNDING)


def test_extreme_variances_stay_finite() -> None:
    log_variance = torch.tensor([[-1e4], [-1e4], [1e4], [0.0]])
    coefficients = F.bhattacharyya_coefficients(torch.tensor([[0.0], [1.0], [0.0], [0.0]]), log_variance)
    assert coefficients.isfinite().all()
    torch.testing.assert_close(coefficients.diagonal(dim1=1, dim2=2), torch.ones(1, 4))
    assert F.channel_information(coefficients).isfinite().all()


def test_two_points_are_bounded_by_the_true_information() -> None:
    mean = torch.tensor([[-1.0], [1.0]]).double()
    bound = float(F.channel_information(F.bhattacharyya_coefficients(mean, torch.zeros_like(mean)))) / math.log(2)
    assert bound == pytest.approx(-math.log2((1 + math.exp(-0.5)) / 2), rel=1e-14)
    assert bound == pytest.approx(0.316051, abs=5e-7)
    assert bound < 0.485944  # of this channel by Gauss-Hermite quadrature


@pytest.mark.parametrize(("std", "spread"), [(0.5, 1.0), (1.0, 1.0), (0.3, 0.2)])
def test_gaussian_channel(std: float, spread: float) -> None:
    grid = torch.special.ndtri((torch.arange(1000).double() + 0.5) / 1000)[:, None] * spread
    coefficients = F.bhattacharyya_coefficients(grid, torch.full_like(grid, 2 * math.log(std)))

    def closed_form(r: float) -> float:
        return 0.5 * math.log(1 + r / 4) + r / (2 * (4 + r))

    r = (spread / std) ** 2
    found, doubled = F.channel_information(coefficients), F.channel_information(coefficients.square())
    assert found.item() == pytest.approx(closed_form(r), abs=1e-3)  # 1,000 quantiles instead of a density
    assert doubled.item() == pytest.approx(closed_form(2 * r), abs=1e-3)
    assert found.item() < 0.5 * math.log(1 + r)


@pytest.mark.parametrize(
    ("a", "b", "nmi", "vi"),
    [
        ([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 2, 2, 3, 3], math.sqrt(0.5), 1.0),  # nested
        ([0, 0, 0, 0, 1, 1, 1, 1], [5, 5, 5, 5, 2, 2, 2, 2], 1.0, 0.0),  # the same, named otherwise
        ([i // 4 for i in range(16)], [i % 4 for i in range(16)], 0.0, 4.0),  # orthogonal
    ],
)
def test_hard_clusters_in_closed_form(a: list[int], b: list[int], nmi: float, vi: float) -> None:
    compared = F.compare_posteriors(*hard(torch.tensor(a)), *hard(torch.tensor(b)))
    assert compared.normalized_mutual_information.item() == pytest.approx(nmi, abs=1e-13)
    assert compared.variation_of_information.item() / math.log(2) == pytest.approx(vi, abs=1e-13)
    assert compared.information_a.item() / math.log(2) == pytest.approx(math.log2(len(set(a))))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30))
def test_hard_clusters_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    a, b = torch.tensor(pairs).T
    compared = F.compare_with_labels(*hard(a), b)
    assert compared.mutual_information.item() == pytest.approx(mutual_info_score(a, b), abs=1e-12)
    if len(a.unique()) > 1 and len(b.unique()) > 1:  # where a channel is dead NMI is 0 here, 1 or 0 there
        expected = normalized_mutual_info_score(a, b, average_method="geometric")
        assert compared.normalized_mutual_information.item() == pytest.approx(expected, abs=1e-12)


def test_independent_coordinates_share_nothing() -> None:
    """On a full grid, a channel of one coordinate and a channel of the other, with graded posteriors."""
    first, second = torch.meshgrid(torch.linspace(-1, 1, 7).double(), torch.linspace(-1, 1, 9).double(), indexing="ij")
    mean = torch.stack([first.reshape(-1) ** 3, second.reshape(-1).sin()], dim=1)
    log_variance = torch.stack([first.reshape(-1) - 2, torch.full((63,), -3.0).double()], dim=1)
    compared = F.compare_posteriors(mean, log_variance)
    assert compared.normalized_mutual_information[0, 1].abs() < 1e-13
    torch.testing.assert_close(compared.variation_of_information[0, 1], compared.own_a.sum(), **ROUNDING)


@given(
    st.lists(st.floats(0.01, 100.0), min_size=3, max_size=3),
    st.lists(st.floats(-100.0, 100.0), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.permutations(range(3)),
)
def test_shift_scale_sign_and_order_of_latents_do_not_matter(
    scale: list[float], shift: list[float], flip: list[bool], order: list[int]
) -> None:
    mean, log_variance = random_posteriors(20, 3)
    factor = torch.tensor(scale).double() * torch.where(torch.tensor(flip), -1.0, 1.0)
    moved = factor * mean + torch.tensor(shift).double()
    compared = F.compare_posteriors(
        mean[:, order], log_variance[:, order], moved, log_variance + 2 * factor.abs().log()
    )
    same = torch.arange(3), torch.argsort(torch.tensor(order))
    # a shift of 100 leaves 1e-14 of a mean, and a scale of 0.01 makes that 1e-11 posterior widths
    torch.testing.assert_close(
        compared.normalized_mutual_information[same[1], same[0]], torch.ones(3).double(), rtol=0, atol=1e-8
    )
    torch.testing.assert_close(
        compared.variation_of_information[same[1], same[0]], torch.zeros(3).double(), rtol=0, atol=1e-8
    )


def test_the_gram_form_is_the_loop_over_pairs() -> None:
    a, b = (F.bhattacharyya_coefficients(*random_posteriors(15, m, seed)) for seed, m in ((0, 4), (1, 3)))
    expected = [[-(x * y).mean(1).log().mean() for y in b] for x in a]
    torch.testing.assert_close(F.joint_information(a, b), torch.tensor(expected).double(), **ROUNDING)


def test_blocks_of_rows_average_to_the_whole() -> None:
    (mean_a, log_variance_a), (mean_b, log_variance_b) = random_posteriors(17, 3), random_posteriors(17, 2, seed=1)
    a = F.bhattacharyya_coefficients(mean_a, log_variance_a)
    b = F.bhattacharyya_coefficients(mean_b, log_variance_b)
    for within in (True, False):
        whole = F.compare_channels(a) if within else F.compare_channels(a, b)
        other = () if within else (mean_b, log_variance_b)
        for block in (1, 17 * 5 * 4, 10**9):
            with use_sizes(CPU_SIZES._replace(numbers_at_once=4 * block)):
                compared = F.compare_posteriors(mean_a, log_variance_a, *other)
            for found, expected in zip(compared, whole, strict=True):
                torch.testing.assert_close(found, expected, **ROUNDING)


def test_variation_of_information_is_a_pseudometric() -> None:
    distance = F.compare_posteriors(*random_posteriors(25, 8)).variation_of_information
    assert distance.min() > -1e-12
    assert distance.diagonal().abs().max() < 1e-12
    torch.testing.assert_close(distance, distance.T, **ROUNDING)


def test_dead_channels_share_nothing_and_are_never_nan() -> None:
    mean, log_variance = random_posteriors(10, 3)
    mean[:, 1:], log_variance[:, 1:] = 0.3, 0.0
    compared = F.compare_posteriors(mean, log_variance)
    assert compared.information_a[1:].abs().max() < 1e-12
    assert torch.equal(compared.normalized_mutual_information[:, 1:], torch.zeros(3, 2).double())
    vi = compared.variation_of_information
    assert vi[1, 2].abs() < 1e-12
    assert vi[0, 1] == pytest.approx(compared.own_a[0].item())
    one_point = F.compare_posteriors(mean[:1], log_variance[:1])
    assert torch.equal(one_point.normalized_mutual_information, torch.zeros(3, 3).double())


@pytest.mark.parametrize("clusters", [2, 4])
def test_the_nmi_of_a_very_noisy_copy_exceeds_one(clusters: int) -> None:
    """The limit that the documentation states for equidistant values; VI has no such fault."""
    precise = F.label_coefficients(torch.arange(8) % clusters)
    noisy = 1 - 1e-4 * (1 - precise)
    compared = F.compare_channels(noisy, precise)
    limit = math.sqrt((clusters - 1) / math.log(clusters))
    assert compared.normalized_mutual_information.item() == pytest.approx(limit, rel=1e-3)
    assert compared.variation_of_information.item() == pytest.approx(math.log(clusters), rel=1e-3)


def test_the_nmi_of_a_very_noisy_copy_of_values_on_a_line() -> None:
    """The other limit that the documentation states: distances of a noisy copy grow with the square."""
    values = torch.arange(4).repeat(2)
    distances = (values - values[:, None]).double().square()
    precise = F.label_coefficients(values)
    compared = F.compare_channels((1 - 1e-4 * distances).view_as(precise), precise)
    # to first order I(U; V) = e mean d, and to second I(U; U') = e^2 mean_i var_j d
    limit = distances.mean() / (distances.var(1, correction=0).mean() * math.log(4)).sqrt()
    assert compared.normalized_mutual_information.item() == pytest.approx(float(limit), rel=1e-3)
    assert float(limit) == pytest.approx(0.79, abs=0.005)


def test_gradients_are_those_of_finite_differences() -> None:
    (mean_a, log_variance_a), (mean_b, log_variance_b) = random_posteriors(6, 2), random_posteriors(6, 2, seed=1)
    mean_a.requires_grad_(), log_variance_a.requires_grad_()

    def similarities(mean: Tensor, log_variance: Tensor) -> tuple[Tensor, ...]:
        compared = F.compare_posteriors(mean, log_variance, mean_b, log_variance_b)
        space = F.channel_information(F.space_coefficients(mean, log_variance))
        return compared.normalized_mutual_information, compared.variation_of_information, space

    assert torch.autograd.gradcheck(similarities, (mean_a, log_variance_a))
    dead = torch.zeros(6, 2, dtype=torch.float64, requires_grad=True)
    F.compare_posteriors(
        dead, log_variance_b * 0, mean_b, log_variance_b
    ).normalized_mutual_information.sum().backward()
    assert torch.equal(dead.grad, torch.zeros_like(dead))  # not NaN


def test_continuity_sees_a_tear() -> None:
    angle = torch.linspace(0, 2 * math.pi, 41, dtype=torch.float64)[:-1]
    ring = torch.stack([angle.cos(), angle.sin()], dim=1)
    distance = F.bhattacharyya_distance(ring, torch.zeros_like(ring)).sum(0)
    assert F.continuity(distance, closed=True) == pytest.approx(1, abs=1e-9)
    torn = F.bhattacharyya_distance(((angle - 2) % (2 * math.pi))[:, None], torch.zeros(40, 1).double())
    assert F.continuity(torn).item() == pytest.approx(39**2, rel=1e-9)  # one step of 39 steps' length
    at_the_end = F.bhattacharyya_distance(angle[:, None], torch.zeros(40, 1).double())
    assert F.continuity(at_the_end).item() == pytest.approx(1)
    assert F.continuity(at_the_end, closed=True).item() == pytest.approx(39**2, rel=1e-9)
    assert torch.equal(F.continuity(torch.zeros(4, 4)), torch.ones(()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.bhattacharyya_distance(torch.zeros(3), torch.zeros(3)), r"one shape \(F, d\)"),
        (lambda: F.bhattacharyya_distance(torch.zeros(3, 2), torch.zeros(3, 1)), r"got \(3, 2\)"),
        (lambda: F.bhattacharyya_distance(torch.zeros(3, 2).long(), torch.zeros(3, 2)), "floating point"),
        (lambda: F.compare_posteriors(torch.zeros(0, 2), torch.zeros(0, 2)), "F, d >= 1"),
        (lambda: F.compare_posteriors(*[torch.zeros(3, 2)] * 2, *[torch.zeros(4, 2)] * 2), "the same points"),
        (lambda: F.compare_channels(torch.ones(1, 3, 3), torch.ones(1, 4, 4)), "of the same points"),
        (lambda: F.compare_with_labels(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(4)), r"labels must have"),
        (lambda: F.label_coefficients(torch.zeros(2, 2, 2)), r"labels must have"),
        (lambda: F.continuity(torch.zeros(2, 2)), "three or more points"),
    ],
)
def test_bad_input_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def test_float32_is_close_enough() -> None:
    posteriors = random_posteriors(30, 3)
    exact, single = F.compare_posteriors(*posteriors), F.compare_posteriors(*(x.float() for x in posteriors))
    difference = exact.normalized_mutual_information - single.normalized_mutual_information
    assert np.abs(difference.numpy()).max() < 1e-5
    assert single.joint.dtype == torch.float32
