"""Scores of given matrices: published examples, bounds, and independence of order."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchdisentangle import functional as F

EYE = torch.eye(10).double()
ONE = torch.ones(10).double()


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (5 * EYE, 1.0),
        (EYE[[0, 1, 2], :2], 2 / 3),
        (0 * EYE, 0.0),
        (torch.cat([5 * EYE, 5 * EYE]), 1.0),  # duplicated codes
        (5 * EYE[:2, :5], 1.0),
        (5 * torch.cat([EYE[:1] + EYE[1:2]]), 1 - 1 / 9),  # one code serves two of ten factors
        (torch.tensor([[2.0], [0.0]]), 0.5),  # a single factor
    ],
)
def test_modularity(matrix: Tensor, expected: float) -> None:
    assert float(F.modularity(matrix).mean()) == pytest.approx(expected, abs=1e-15)


def test_perfect_duplicated_and_missing_codes() -> None:
    duplicated, missing = torch.cat([EYE, EYE]), EYE[:9]
    assert float(F.mutual_information_gap(EYE, ONE).mean()) == 1
    assert float(F.mutual_information_gap(duplicated, ONE).mean()) == 0
    assert float(F.mutual_information_gap(missing, ONE).mean()) == pytest.approx(0.9)
    assert float(F.mutual_information_gap_sup(duplicated, ONE).mean()) == 1
    assert float(F.dci_mig(duplicated, ONE)) == 1
    assert float(F.dci_mig(missing, ONE)) == pytest.approx(0.9)
    mixed = EYE + EYE.roll(1, 0)  # every code knows two factors equally well
    assert float(F.mutual_information_gap_sup(mixed, ONE).max()) == 0
    assert float(F.dci_mig(mixed, ONE)) == 0


def test_one_code_or_one_factor() -> None:
    half = torch.tensor([[0.5]])
    one = torch.ones(1)
    assert float(F.mutual_information_gap(half, one)) == 0.5
    assert float(F.mutual_information_gap_sup(half, one)) == 0.5
    assert float(F.dci_mig(half, one)) == 0.5
    assert float(F.jemmig(half, torch.tensor([[1.5]]))) == 1.0


def test_jemmig_takes_the_joint_entropy_of_the_best_code() -> None:
    information = torch.tensor([[0.1, 0.9], [0.6, 0.2]])
    joint = torch.tensor([[2.0, 1.0], [1.5, 3.0]])
    value = F.jemmig(information, joint)
    torch.testing.assert_close(value, torch.tensor([1.5 - 0.6 + 0.1, 1.0 - 0.9 + 0.2]))
    score = F.normalized_jemmig(value, torch.tensor([0.6, 0.9]), num_bins=10)
    torch.testing.assert_close(score, 1 - value / (torch.tensor([0.6, 0.9]) + math.log(10)))


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(1, 5), st.randoms(use_true_random=False))
def test_order_does_not_matter(d: int, num_factors: int, random: object) -> None:
    generator = torch.Generator().manual_seed(random.randint(0, 10**6))  # type: ignore[attr-defined]
    entropy = 0.5 + torch.rand(num_factors, generator=generator).double()
    information = torch.rand(d, num_factors, generator=generator).double() * entropy
    joint = information + torch.rand(d, num_factors, generator=generator)
    codes, factors = torch.randperm(d, generator=generator), torch.randperm(num_factors, generator=generator)
    shuffled, entropies = information[codes][:, factors], entropy[factors]
    exact = {"rtol": 1e-13, "atol": 1e-15}
    gap = F.mutual_information_gap(information, entropy)
    torch.testing.assert_close(F.mutual_information_gap(shuffled, entropies), gap[factors], **exact)
    sup = F.mutual_information_gap_sup(information, entropy)
    torch.testing.assert_close(F.mutual_information_gap_sup(shuffled, entropies), sup[codes], **exact)
    torch.testing.assert_close(F.modularity(shuffled), F.modularity(information)[codes], **exact)
    torch.testing.assert_close(F.dci_mig(shuffled, entropies), F.dci_mig(information, entropy), **exact)
    torch.testing.assert_close(
        F.jemmig(shuffled, joint[codes][:, factors]), F.jemmig(information, joint)[factors], **exact
    )
    for value in (gap, sup, F.modularity(information), F.dci_mig(information, entropy)):
        assert ((value >= 0) & (value <= 1 + 1e-12)).all()
