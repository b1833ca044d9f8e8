from __future__ import annotations

from typing import Literal

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor
from torch.utils.data import DataLoader

from torchdisentangle.datasets.correlated import CorrelatedFactors, CorrelatedSampler, joint_distribution
from torchdisentangle.datasets.sprites import Sprites

Kind = Literal["uniform", "nonuniform", "dependent", "correlated"]
KINDS: tuple[Kind, ...] = ("uniform", "nonuniform", "dependent", "correlated")


@pytest.fixture(scope="module")
def dataset() -> Sprites:
    return Sprites(image_size=8, factor_sizes=(3, 4, 5, 6))


def covariance_and_dependence(joint: Tensor) -> tuple[float, float, float]:
    """Covariance of the two values; mutual information in nats; mutual information of the marginals with uniform."""
    rows, columns = joint.sum(1), joint.sum(0)
    s, t = (torch.linspace(-1, 1, size, dtype=torch.float64) for size in joint.shape)
    covariance = (joint * s[:, None] * t).sum() - (rows @ s) * (columns @ t)
    information = (joint * (joint / (rows[:, None] * columns)).log()).sum()
    shortfall = sum((p * (p * len(p)).log()).sum() for p in (rows, columns))
    return float(covariance), float(information), float(shortfall)


@pytest.mark.parametrize("sizes", [(5, 5), (8, 5), (32, 32)])
def test_kinds_are_what_their_names_say(sizes: tuple[int, int]) -> None:
    joints = {kind: joint_distribution(kind, sizes) for kind in KINDS}
    for joint in joints.values():
        assert joint.shape == sizes
        assert joint.sum().item() == pytest.approx(1, abs=1e-12)
    uniform, nonuniform, dependent, correlated = (covariance_and_dependence(joints[kind]) for kind in KINDS)
    assert uniform == pytest.approx((0, 0, 0), abs=1e-12)  # float64 sums of at most 1024 terms
    assert nonuniform[:2] == pytest.approx((0, 0), abs=1e-12)
    assert nonuniform[2] > 0.1
    assert dependent[0] == pytest.approx(0, abs=1e-12)
    assert dependent[1] > 0.05
    assert correlated[0] > 0.1
    assert correlated[1] > 0.1


@pytest.mark.parametrize("kind", ["uniform", "nonuniform", "dependent"])
def test_uncorrelated_kinds_are_their_own_mirror_images(kind: Kind) -> None:
    joint = joint_distribution(kind, (6, 6))
    for mirrored in (joint.flip(0), joint.flip(1), joint.T):
        torch.testing.assert_close(mirrored, joint, rtol=1e-12, atol=0)


def test_narrower_is_stronger_and_wide_is_uniform() -> None:
    information = [covariance_and_dependence(joint_distribution("correlated", (10, 10), w))[1] for w in (0.2, 0.4, 0.7)]
    assert information[0] > information[1] > information[2] > 0
    wide = joint_distribution("correlated", (10, 10), 1e3)
    # The exponent is at most 4 / (2 * 10^6).
    torch.testing.assert_close(wide, joint_distribution("uniform", (10, 10)), rtol=4e-6, atol=0)


def test_probabilities_have_the_given_joint_and_uniform_other_marginals_exactly(dataset: Sprites) -> None:
    joints = {
        ("x", "y"): joint_distribution("correlated", (5, 6)),
        ("orientation", "shape"): torch.arange(12.0).reshape(4, 3),  # weights, not normalised; in the other order
    }
    factors = dataset.index_to_factors(torch.arange(len(dataset)))
    grid = CorrelatedFactors(dataset, joints).probability(factors).reshape(dataset.factor_sizes)
    assert grid.sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(grid.sum((0, 1, 2)), joints["x", "y"], rtol=1e-12, atol=1e-15)
    wanted = joints["orientation", "shape"].T.double() / 66
    torch.testing.assert_close(grid.sum((1, 3, 4)), wanted, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(grid.sum((0, 2, 3, 4)), torch.full((3,), 1 / 3, dtype=torch.float64))
    product = torch.einsum("os,xy->soxy", joints["orientation", "shape"].double() / 66, joints["x", "y"])
    torch.testing.assert_close(grid.sum(1), product, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_follow_the_probabilities(dataset: Sprites, kind: Kind) -> None:
    biased = CorrelatedFactors(dataset, {("y", "x"): joint_distribution(kind, (6, 5))})
    n = 20_000
    factors = biased.sample_factors(n, torch.Generator().manual_seed(1))
    columns = factors[:, [1, 3, 4]]  # scale, which is not paired, and the pair: 90 combinations
    counts = torch.bincount(columns @ torch.tensor([30, 6, 1]), minlength=90).double()
    grid = biased.probability(dataset.index_to_factors(torch.arange(len(dataset)))).reshape(dataset.factor_sizes)
    expected = n * grid.sum((0, 2)).flatten()
    # Pearson's statistic is close to chi-square where 5 are expected or more; the rarer cells are taken together.
    rare = expected < 5
    cells = torch.cat([counts[~rare], counts[rare].sum(0, keepdim=True)[: int(rare.any())]])
    wanted = torch.cat([expected[~rare], expected[rare].sum(0, keepdim=True)[: int(rare.any())]])
    statistic = ((cells - wanted) ** 2 / wanted).sum().item()
    # One seed in ten thousand would be beyond this quantile, and this seed is fixed.
    assert statistic < chi2.ppf(1 - 1e-4, len(cells) - 1)


def test_sampler_feeds_a_loader_with_new_draws_each_epoch(dataset: Sprites) -> None:
    biased = CorrelatedFactors(dataset, {("shape", "scale"): torch.eye(3)})
    sampler = CorrelatedSampler(biased, num_samples=50, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(dataset, batch_size=20, sampler=sampler)
    epochs = [torch.cat([factors for _, factors in loader]) for _ in range(2)]
    for factors in epochs:
        assert len(factors) == len(sampler) == 50
        assert torch.equal(factors[:, 0], factors[:, 1])
    assert not torch.equal(*epochs)
    again = CorrelatedSampler(biased, num_samples=50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dataset.index_to_factors(torch.tensor(list(again))), epochs[0])
    assert len(CorrelatedSampler(biased)) == len(dataset)


def test_no_samples(dataset: Sprites) -> None:
    assert CorrelatedFactors(dataset, {("x", "y"): torch.ones(5, 6)}).sample_factors(0).shape == (0, 5)


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        ({("x", "z"): torch.ones(5, 6)}, "no factor 'z'"),
        ({("x", "x"): torch.ones(5, 5)}, "one pair only"),
        ({("x", "y"): torch.ones(5, 6), ("shape", "x"): torch.ones(3, 5)}, "one pair only"),
        ({("x", "y"): torch.ones(6, 5)}, r"shape \(5, 6\)"),
        ({("x", "y"): -torch.ones(5, 6)}, "none negative"),
        ({("x", "y"): torch.zeros(5, 6)}, "not all zero"),
        ({("x", "y"): torch.full((5, 6), torch.nan)}, "finite"),
    ],
)
def test_bad_joints_are_refused(dataset: Sprites, joints: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CorrelatedFactors(dataset, joints)


def test_bad_arguments_are_refused(dataset: Sprites) -> None:
    with pytest.raises(ValueError, match="kind must be"):
        joint_distribution("skewed", (2, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positive"):
        joint_distribution("uniform", (2, 0))
    with pytest.raises(ValueError, match="positive"):
        joint_distribution("correlated", (2, 2), width=0)
    with pytest.raises(ValueError, match="num_samples"):
        CorrelatedSampler(CorrelatedFactors(dataset, {}), num_samples=0)
