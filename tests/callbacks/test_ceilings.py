"""What an evaluation says once of values that are no findings: information at its ceiling, errors of few samples."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import MakeTrainer, logged
from torchdisentangle import Report, evaluate
from torchdisentangle.callbacks import ELBODecompositionCallback, InformativenessCallback
from torchdisentangle.evaluation import ManifoldEvaluation
from torchdisentangle.models import BetaVAE

FAMILIES = {"elbo": "mutual_information", "informativeness": "information"}
ROWS = DataLoader(TensorDataset(torch.randn(600, 4, generator=torch.Generator().manual_seed(0))), 100)
CAUTION = "within 5 % of its ceiling"


def model(std: float) -> Any:
    """Ten independent latents with posteriors of a width."""
    vae = BetaVAE((4,), latent_dim=10, hidden=(8,))

    def encode(x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(int(x[0, 0] * 1e6) % 2**31)
        mean = torch.randn(len(x), 10, generator=generator)
        return mean, torch.full_like(mean, 2 * math.log(std))

    vae.encode = encode  # type: ignore[method-assign]
    return vae


def cautions(records: list[warnings.WarningMessage]) -> list[str]:
    return [str(record.message) for record in records if CAUTION in str(record.message)]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_evaluation_warns_of_sharp_posteriors(family: str) -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        report = evaluate(model(1e-3), ROWS, [family])
        calm = evaluate(model(0.9), ROWS, [family])
    name = f"{family}/{FAMILIES[family]}"
    assert report[name] == pytest.approx(math.log(600))
    assert report.ceilings[name] == calm.ceilings[name] == pytest.approx(math.log(600))
    assert calm[name] < 0.8 * math.log(600)
    assert len(cautions(found)) == 1
    assert cautions(found)[0].startswith(f"{family}: {FAMILIES[family]} is 6.397, {CAUTION}, 6.397")


@pytest.mark.parametrize("callback", [ELBODecompositionCallback, InformativenessCallback])
def test_a_fit_logs_the_ceiling_and_warns_once(make_trainer: MakeTrainer, callback: Any) -> None:
    one = callback(64, figures=False)
    name = FAMILIES[one.family]
    for expected in (1, 2):  # once in each fit
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            trainer = make_trainer(one, max_epochs=3, limit_train_batches=1)
            trainer.fit(model(1e-3), ROWS, ROWS)
        assert len(cautions(found)) == 1, expected
        values = logged(trainer, one.family)
        assert values[name] == pytest.approx(values[f"{name}_ceiling"], rel=1e-6) == pytest.approx(math.log(600))


@pytest.mark.parametrize(("num_samples", "standard_errors", "said"), [(99, True, 1), (100, True, 0), (99, False, 0)])
def test_standard_errors_of_few_samples(num_samples: int, standard_errors: bool, said: int) -> None:
    evaluation = ManifoldEvaluation(num_samples=num_samples, standard_errors=standard_errors)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        evaluate(model(0.5), None, [evaluation])
    assert sum("standard errors of skewed values are too small" in str(record.message) for record in found) == said


@pytest.mark.parametrize(("value", "ceiling", "said"), [(4.76, 5.0, True), (4.74, 5.0, False), (0.0, 0.0, False)])
def test_the_limit(value: float, ceiling: float, said: bool) -> None:
    report = Report({"bits": value}, ceilings={"bits": ceiling})
    assert (report.caution("bits", "more rows") is not None) is said
    assert report.caution("others", "more rows") is None
