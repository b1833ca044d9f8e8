"""Agreement of distances that are known, and against SciPy."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn
from torch.utils.data import DataLoader

from torchdisentangle import DistanceAgreement, evaluate
from torchdisentangle.datasets import FactorDataset
from torchdisentangle.evaluation import DisentanglementEvaluation
from torchdisentangle.functional import distance_agreement
from torchdisentangle.supervised.distances import _draw_triplets

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.cartesian_prod(torch.arange(4), torch.arange(5)).repeat(3, 1)
NOISE = torch.randn(60, 2, generator=GENERATOR).double()
TRIPLETS = torch.rand(200, 60, generator=GENERATOR).argsort(1)[:, :3]


def filled(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> Any:
    metric.update(codes.double(), factors, index=torch.arange(len(codes)))
    return metric


@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l2", 2)])
def test_the_formula_is_that_of_scipy(norm: Any, power: int) -> None:
    codes = FACTORS + NOISE
    a, b, c = TRIPLETS.unbind(1)
    of_codes = [torch.linalg.vector_norm(codes[a] - codes[other], power, 1) for other in (b, c)]
    of_factors = [(FACTORS[a] - FACTORS[other]).abs().sum(1) for other in (b, c)]
    found = distance_agreement(codes, FACTORS, TRIPLETS, norm)
    # distances are rounded to 1e-9 of the largest
    assert float(found.rank) == pytest.approx(spearmanr(torch.cat(of_factors), torch.cat(of_codes))[0], abs=1e-6)
    assert float(found.linear) == pytest.approx(pearsonr(torch.cat(of_factors), torch.cat(of_codes))[0], abs=1e-6)
    same = [(x < y, x > y) == (v < w, v > w) for x, y, v, w in zip(*of_factors, *of_codes, strict=True)]
    assert float(found.same) == pytest.approx(sum(same) / len(same))


def test_perfect_codes() -> None:
    """In any order, with shifts and with other signs; ties are ties in spite of rounding."""
    for codes in (FACTORS, 0.1 - 0.3 * FACTORS.flip(1).double()):
        values = filled(DistanceAgreement(), codes).compute()
        assert [float(value) for value in values.values()] == pytest.approx([1.0] * 6, abs=1e-9)
    along = filled(DistanceAgreement("l2"), FACTORS).per_factor()  # along one factor all norms are alike
    assert all(value.tolist() == pytest.approx([1.0, 1.0], abs=1e-9) for value in along.values())
    rotated = torch.stack([FACTORS.sum(1), FACTORS[:, 0] - FACTORS[:, 1]], 1)
    for norm in ("l1", "l2"):
        assert filled(DistanceAgreement(norm), rotated).compute()["distance_agreement_factor_linear"] > 1 - 1e-9


def test_codes_that_know_nothing_or_reverse_the_order() -> None:
    noise = filled(DistanceAgreement(), NOISE).compute()
    assert abs(float(noise["distance_agreement_global_rank"])) < 0.2
    assert float(noise["distance_agreement_global_same"]) < 0.5
    constant = filled(DistanceAgreement(), 0 * NOISE).compute()
    assert constant["distance_agreement_global_rank"] == constant["distance_agreement_factor_linear"] == 0
    line = torch.arange(3)[:, None].repeat(20, 1)
    folded = filled(DistanceAgreement(), torch.tensor([0.0, 2.0, 1.0])[line], line).compute()
    assert 0 < float(folded["distance_agreement_factor_linear"]) < 0.9  # the middle value is at an end


def test_two_rows_have_no_triplet() -> None:
    agreement = DistanceAgreement()
    agreement.update(torch.arange(4.0)[:, None], torch.tensor([[0, 0], [0, 1], [1, 2], [1, 3]]))
    with pytest.raises(ValueError, match="can score none of the factors"):
        agreement.compute()


def test_triplets_are_of_three_rows_of_a_group() -> None:
    group = torch.tensor([0, 1, 1, 2, 2, 2, 0, 0, 0])
    triplets = _draw_triplets(group, 500, GENERATOR)
    assert (group[triplets] == group[triplets[:, :1]]).all()
    assert 1 not in group[triplets]
    assert all(len(set(rows)) == 3 for rows in triplets.tolist())
    assert len({tuple(rows) for rows in triplets.tolist()}) == 4 * 3 * 2 + 3 * 2 * 1  # all there are
    assert len(_draw_triplets(torch.arange(5), 10, GENERATOR)) == 0


def test_distances_of_data() -> None:
    """A pixel for each step of each factor: mean squared differences are distances of the factors."""
    pixels = torch.cat([torch.arange(5) < FACTORS[:, :1], torch.arange(5) < FACTORS[:, 1:]], 1).view(60, 2, 5)
    metric = DistanceAgreement(data_width=10)
    metric.update(FACTORS.double() ** 2 + NOISE, FACTORS, data=pixels.byte(), index=torch.arange(60))
    values = metric.compute()
    plain = filled(DistanceAgreement(), FACTORS**2 + NOISE).compute()
    assert len(values) == 18
    for scope in ("global", "factor"):
        for part in ("rank", "linear", "same"):
            assert values[f"distance_agreement_{scope}_{part}"] == plain[f"distance_agreement_{scope}_{part}"]
            of_factors = values[f"distance_agreement_{scope}_factors_data_{part}"]
            assert float(of_factors) == pytest.approx(1.0, abs=1e-9)
            # the data are as far apart as the factors, so codes agree with both alike
            of_codes = values[f"distance_agreement_{scope}_codes_data_{part}"]
            assert float(of_codes) == pytest.approx(float(plain[f"distance_agreement_{scope}_{part}"]), abs=1e-6)
    assert metric.per_factor()["codes_data_same"].shape == (2,)


def test_squared_differences_are_those_of_scipy() -> None:
    data = torch.rand(60, 3, 2, generator=GENERATOR).double()
    metric = DistanceAgreement("l2", data_width=6, num_triplets=50_000)
    metric.update(NOISE, FACTORS, data=data, index=torch.arange(60))
    pairs = torch.combinations(torch.arange(60))
    of_data = (data.flatten(1)[pairs[:, 0]] - data.flatten(1)[pairs[:, 1]]).square().mean(1)
    of_codes = (NOISE[pairs[:, 0]] - NOISE[pairs[:, 1]]).norm(dim=1)
    found = metric.compute()["distance_agreement_global_codes_data_linear"]
    # of 1,770 pairs, drawn 100,000 times: a standard error of 0.003 beside their own correlation
    assert float(found) == pytest.approx(pearsonr(of_data, of_codes)[0], abs=0.015)


def test_wide_data_keep_their_distances_on_average() -> None:
    """Squared distances are those of the data, within the standard error that is said."""
    data = torch.rand(40, 3, 30, 30, generator=GENERATOR)
    metric = DistanceAgreement(data_width=400)
    for rows in torch.arange(40).split(7):
        metric.update(data[rows, 0, 0, :2], rows[:, None], data=data[rows], index=rows)
    kept = metric.sample.read(metric)["data"]
    assert kept.shape == (40, 400)
    order = metric._rows().factors[:, 0].long()
    pairs = torch.combinations(torch.arange(40))
    true = (data[order[pairs[:, 0]]] - data[order[pairs[:, 1]]]).square().flatten(1).mean(1)
    ratio = (kept[pairs[:, 0]] - kept[pairs[:, 1]]).square().sum(1) / true
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.04)  # 40 rows: about 0.07 / sqrt(40), times three
    assert float(ratio.std()) == pytest.approx((2 / 400) ** 0.5, rel=0.25)


def test_data_are_asked_for_and_checked() -> None:
    metric = DistanceAgreement(data_width=8)
    assert "data" in metric.needs
    with pytest.raises(ValueError, match="it needs data, one for each row"):
        metric.update(NOISE, FACTORS)
    for wrong in (torch.zeros(59, 4), torch.zeros(60)):
        with pytest.raises(ValueError, match=r"data must have shape \(60, ...\)"):
            metric.update(NOISE, FACTORS, data=wrong)
    with pytest.raises(TypeError, match="data must be real numbers"):
        metric.update(NOISE, FACTORS, data=1j * NOISE)
    with pytest.raises(ValueError, match="data_width must not be negative"):
        DistanceAgreement(data_width=-1)
    data = torch.zeros(60, 4)
    data[7, 2] = torch.nan
    with pytest.warns(UserWarning, match="left out"):
        metric.update(NOISE, FACTORS, data=data)
    assert metric.sample_size() == 59
    ignoring = DistanceAgreement()
    ignoring.update(NOISE, FACTORS, data=data)  # as scores of codes alone ignore log_variance
    assert ignoring.sample_size() == 60


class Bars(FactorDataset):
    """A pixel for each step of two factors."""

    factor_names = ("height", "width")

    def render(self, factors: Tensor) -> Tensor:
        return torch.cat([torch.arange(5) < factors[:, :1], torch.arange(5) < factors[:, 1:]], 1).float()


class FirstPixels(nn.Module):
    latent_dim = 2

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :2], torch.zeros(len(x), 2, device=x.device)

    def decode(self, z: Tensor) -> Tensor:
        return z


@pytest.mark.parametrize("sampler_rows", [0, 300])
def test_the_evaluation_gives_the_data(sampler_rows: int) -> None:
    """Of rows of the loader, and of images that the data set renders."""
    evaluation = DisentanglementEvaluation([DistanceAgreement(data_width=10)], sampler_rows=sampler_rows)
    report = evaluate(FirstPixels(), DataLoader(Bars((4, 5)), 7), [evaluation])
    found = {name: float(value) for name, value in report.scalars.items()}
    for scope in ("global", "factor"):
        (value,) = [found[name] for name in found if name.endswith(f"{scope}_factors_data_linear")]
        assert value == pytest.approx(1.0, abs=1e-9)


def test_what_cannot_be_scored() -> None:
    tied = torch.cat([FACTORS, torch.ones(60, 1, dtype=torch.int64)], 1)
    metric = filled(DistanceAgreement(), FACTORS, tied)
    with pytest.warns(UserWarning, match="no three rows that differ in them alone"):
        metric.compute()
    assert metric.unscored_factors() == ["2"]
    with pytest.raises(ValueError, match="norm must be one of"):
        DistanceAgreement("max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_triplets must be positive"):
        DistanceAgreement(num_triplets=0)
