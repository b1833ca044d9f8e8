"""The callback of supervised scores: what is logged, when, from which rows, and the same on any processes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from tests.helpers import BARE_TRAINER, MakeTrainer, logged
from torchdisentangle import (
    DCI,
    IRS,
    JEMMIG,
    SAP,
    FactorVAEScore,
    MutualInformationGap,
    RobustMIG,
    supervised_metrics,
)
from torchdisentangle.callbacks import DisentanglementCallback
from torchdisentangle.datasets import FactorDataset, intervention_factors
from torchdisentangle.evaluation import DisentanglementEvaluation
from torchdisentangle.functional.row_hash import hashed_normal
from torchdisentangle.models import BetaVAE

SCALARS = {
    *("mig", "mig_sup", "dcimig", "modularity", "jemmig", "minimality", "sufficiency"),
    *("sap", "mcc", "linear_r2", "cca", "irs", "factor_vae"),
}
DCI_SCALARS = {"dci_disentanglement", "dci_completeness", "dci_informativeness"}


def watch(metrics: list[Any] | None = None, figures: bool | int = False, **settings: Any) -> DisentanglementCallback:
    return DisentanglementCallback(metrics, figures=figures, **settings)


class Stripes(FactorDataset):
    """Images that two of three factors shape in different ways, and the third only just."""

    factor_names = ("row", "column", "tint")

    def __init__(self, sizes: tuple[int, ...] = (4, 4, 3)) -> None:
        super().__init__(sizes)

    def render(self, factors: Tensor) -> Tensor:
        self._check(factors)
        images = torch.zeros(len(factors), 1, 4, 4, device=factors.device)
        everywhere = torch.arange(len(factors))
        images[everywhere, 0, factors[:, 0] % 4] += 0.5
        images[everywhere, 0, :, factors[:, 1] % 4] += 0.3
        return images + 0.05 * factors[:, 2, None, None, None]


STRIPES = Stripes()
FACTORS = STRIPES.index_to_factors(torch.randperm(48, generator=torch.Generator().manual_seed(1)))[:37]
IMAGES = STRIPES.render(FACTORS)
ROWS = TensorDataset(IMAGES, FACTORS)


def means(model: Any, images: Tensor = IMAGES) -> Tensor:
    with torch.no_grad():
        return model.eval().encode(images)[0]


def directly(names: list[str] | None, codes: Tensor, factors: Tensor = FACTORS, **kwargs: Any) -> dict[str, Tensor]:
    metrics = supervised_metrics(names, **kwargs)
    metrics.update(codes, factors, index=torch.arange(len(codes)))
    return metrics.compute()


def assert_equals(values: dict[str, float], expected: dict[str, Any], tolerance: float = 1e-5) -> None:
    """The logged values, which are float32 and of float32 encodings in other batches."""
    assert values
    for name, value in values.items():
        assert value == pytest.approx(float(expected[name]), abs=tolerance), name


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_values_from_rows(make_trainer: MakeTrainer, tiny_vae: Any, stage: str) -> None:
    trainer = make_trainer(watch())
    loader = DataLoader(ROWS, 10)
    if stage == "fit":
        trainer.fit(tiny_vae, loader, loader)
    else:
        getattr(trainer, stage)(tiny_vae, loader, verbose=False)
    values = logged(trainer, "disentanglement", "test" if stage == "test" else "val")
    assert set(values) == SCALARS
    assert_equals(values, directly(list(SCALARS), means(tiny_vae)))


def test_settings_reach_the_scores(make_trainer: MakeTrainer, tiny_vae: Any) -> None:
    callback = watch(["mig", "irs", "factor_vae"], codes="sample", max_rows=20, seed=5)
    trainer = make_trainer(callback)
    trainer.validate(tiny_vae, DataLoader(ROWS, 10), verbose=False)
    mean, log_variance = tiny_vae.eval().encode(IMAGES)
    codes = mean.detach() + (0.5 * log_variance.detach()).exp() * hashed_normal(torch.arange(37), 3, 5).float()
    assert_equals(
        logged(trainer, "disentanglement"), directly(["mig", "irs", "factor_vae"], codes, max_rows=20, seed=5)
    )


def ends(*names: str) -> set[str]:
    return {f"{name}_{end}" for name in names for end in ("low", "high")}


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        (False, set()),
        (True, ends("mig", "sap", "irs")),
        ("all", ends("mig", "sap", "irs", "beta_vae")),
    ],
)
def test_intervals_are_logged_on_request(
    make_trainer: MakeTrainer, tiny_vae: Any, intervals: Any, expected: set[str]
) -> None:
    """The cheap ones, or all; those of the metrics themselves."""
    names = ["mig", "sap", "irs", "beta_vae"]
    trainer = make_trainer(watch(names, intervals=intervals))
    trainer.validate(tiny_vae, DataLoader(ROWS, 10), verbose=False)
    values = logged(trainer, "disentanglement")
    assert set(values) == {*names} | expected
    if intervals:
        metric = SAP()
        metric.update(means(tiny_vae), FACTORS, index=torch.arange(len(FACTORS)))
        low, high = metric.interval()
        assert_equals({name: values[name] for name in ends("sap")}, {"sap_low": low, "sap_high": high}, 1e-4)


def test_wrong_intervals_are_refused() -> None:
    with pytest.raises(MisconfigurationException, match="intervals must be True, False or 'all', got 'some'"):
        watch(intervals="some")


@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: Subset(Subset(data, range(5, 48)), range(30))])
def test_scores_of_interventions_ask_the_data_set(
    make_trainer: MakeTrainer, tiny_vae: Any, wrap: Callable[[Dataset], Dataset]
) -> None:
    """Images of rendered factors for those, validation rows for the others."""
    data = wrap(STRIPES)
    factors = torch.stack([data[i][1] for i in range(len(data))])  # type: ignore[arg-type]
    trainer = make_trainer(watch(["sap", "irs", "factor_vae"], sampler_rows=300))
    trainer.validate(tiny_vae, DataLoader(data, 9), verbose=False)
    designed = intervention_factors(STRIPES, 300, generator=torch.Generator().manual_seed(0))
    expected = directly(["irs", "factor_vae"], means(tiny_vae, STRIPES.render(designed)), designed)
    expected |= directly(["sap"], means(tiny_vae, STRIPES.render(factors)), factors)
    assert_equals(logged(trainer, "disentanglement"), expected)


@pytest.mark.parametrize(
    "settings", [{"sampler_rows": 0}, {"factors": lambda batch: batch[1]}, {"factor_names": ["a", "b"]}]
)
def test_or_validation_rows(make_trainer: MakeTrainer, tiny_vae: Any, settings: dict[str, Any]) -> None:
    if "factor_names" in settings:  # of a choice of columns
        settings = {**settings, "factors": lambda batch: batch[1][:, :2]}
    trainer = make_trainer(watch(["irs"], **settings))
    trainer.validate(tiny_vae, DataLoader(STRIPES, 9), verbose=False)
    factors = STRIPES.index_to_factors(torch.arange(48))
    columns = 2 if "factor_names" in settings else 3
    assert_equals(
        logged(trainer, "disentanglement"),
        directly(["irs"], means(tiny_vae, STRIPES.render(factors)), factors[:, :columns]),
    )


def test_other_images_than_the_data_sets_are_warned_of(make_trainer: MakeTrainer, tiny_vae: Any) -> None:
    def halve(items: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        images, factors = zip(*items, strict=True)
        return [torch.stack(images) / 2, torch.stack(factors)]

    def fewer(items: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        images, factors = zip(*items, strict=True)
        return [torch.stack(images), torch.stack(factors)[:, :2]]

    for collate in (halve, fewer):
        trainer = make_trainer(watch(["sap", "irs"], sampler_rows=50))
        with pytest.warns(UserWarning, match="set sampler_rows=0"):
            trainer.validate(tiny_vae, DataLoader(STRIPES, 9, collate_fn=collate), verbose=False)
        assert "sap" in logged(trainer, "disentanglement")


def test_factors_are_found_by_key_and_function(make_trainer: MakeTrainer, tiny_vae: Any) -> None:
    class Named(Dataset):
        def __len__(self) -> int:
            return 37

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            return {"image": IMAGES[index], "factors": FACTORS[index]}

    tiny_vae.validation_step = lambda batch, batch_idx: None
    of_function = watch(["mig"], factors=lambda batch: batch["factors"][:, 0], input_key="image", prefix="one")
    callbacks = [watch(["mig"], factors="factors", input_key="image"), of_function]
    trainer = make_trainer(*callbacks)
    trainer.validate(tiny_vae, DataLoader(Named(), 10), verbose=False)
    assert_equals(logged(trainer, "disentanglement"), directly(["mig"], means(tiny_vae)))
    assert_equals(logged(trainer, "disentanglement", "one"), directly(["mig"], means(tiny_vae), FACTORS[:, :1]))


def test_metric_objects(make_trainer: MakeTrainer, tiny_vae: Any) -> None:
    """Whatever of codes, posteriors, factors and positions they take."""
    robust = RobustMIG(edges=(-1.0, 1.0))
    robust.update(
        torch.zeros(5, 3), torch.zeros(5, 3).long(), log_variance=torch.zeros(5, 3)
    )  # is not to be in the value
    metrics = [IRS(quantile=1.0), robust, MutualInformationGap(estimator="posterior"), JEMMIG(binning="hard"), "sap"]
    trainer = make_trainer(watch(metrics))
    trainer.validate(tiny_vae, DataLoader(ROWS, 10), verbose=False)
    values = logged(trainer, "disentanglement")
    assert set(values) == {"irs", "robust_mig", "posterior_mig", "jemmig", "sap"}
    mean, log_variance = (x.detach() for x in tiny_vae.eval().encode(IMAGES))
    alone = RobustMIG(edges=(-1.0, 1.0))
    alone.update(mean, FACTORS, log_variance=log_variance)
    assert values["robust_mig"] == pytest.approx(float(alone.compute()), abs=1e-5)
    with pytest.raises(MisconfigurationException, match="two metrics would be called 'factor_vae'"):
        watch([FactorVAEScore(), FactorVAEScore()])


def test_slow_scores_and_figures_have_their_schedules(make_trainer: MakeTrainer, tiny_vae: Any, tmp_path: Path) -> None:
    seen: list[set[str]] = []

    class Watch(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            seen.append(set(logged(trainer, "disentanglement")))
            trainer.callback_metrics.clear()

    logger = CSVLogger(tmp_path, version="run")
    slow = watch(["sap"], slow_metrics=["dci"], slow_every=2, figures=2, factor_names=["a", "b", "c"])
    trainer = make_trainer(slow, Watch(), logger=logger, max_epochs=2)
    trainer.fit(tiny_vae, DataLoader(ROWS, 10), DataLoader(ROWS, 10))
    assert seen == [{"sap"} | DCI_SCALARS, {"sap"}]
    folder = Path(logger.log_dir) / "figures" / "val" / "disentanglement"
    assert {path.name: len(list(path.glob("*.png"))) for path in folder.iterdir()} == {
        "latents_against_factors": 1,
        "sap_matrix": 1,
        "dci_matrix": 1,
    }
    trainer.validate(tiny_vae, DataLoader(ROWS, 10), verbose=False)
    assert set(logged(trainer, "disentanglement")) == {"sap"} | DCI_SCALARS
    never = make_trainer(watch(["sap"], slow_metrics=["dci"]))
    never.validate(tiny_vae, DataLoader(ROWS, 10), verbose=False)
    assert set(logged(never, "disentanglement")) == {"sap"}


def test_one_score_that_fails_does_not_take_the_others(make_trainer: MakeTrainer, tiny_vae: Any) -> None:
    trainer = make_trainer(watch(["sap", "z_max", "mig"], factors=1))
    unique = TensorDataset(IMAGES[:6], torch.arange(6)[:, None].repeat(1, 2))
    with pytest.warns(UserWarning, match="z_max could not be computed"):
        trainer.validate(tiny_vae, DataLoader(unique, 10), verbose=False)
    assert set(logged(trainer, "disentanglement")) == {"sap", "mig"}


def test_rows_that_are_not_finite_are_counted(make_trainer: MakeTrainer, tiny_vae: Any) -> None:
    factors = FACTORS.double()
    factors[4] = math.nan
    trainer = make_trainer(watch(["sap", "irs"]))
    with pytest.warns(UserWarning, match="num_nonfinite"):
        trainer.validate(tiny_vae, DataLoader(TensorDataset(IMAGES, factors), 10), verbose=False)
    assert logged(trainer, "disentanglement")["num_nonfinite"] == 1


def callbacks() -> list[L.Callback]:
    return [
        watch(slow_metrics=["dci"], slow_every=1, sampler_rows=100),
        watch(["mig", "sap", "irs"], sampler_rows=0, codes="sample", max_rows=15, prefix="few"),
    ]


@pytest.mark.parametrize(
    ("processes", "num_rows"),
    [(2, 37), (3, 10), (3, 2)],  # padded by one row; by two; a process without rows
)
@pytest.mark.filterwarnings("ignore:.* could not be computed")  # too few rows for some, on one process too
@pytest.mark.filterwarnings("ignore:.* leaves out factors")
def test_processes_give_the_values_of_one(
    make_trainer: MakeTrainer, tiny_vae: Any, processes: int, num_rows: int
) -> None:
    loader = DataLoader(Subset(STRIPES, [(7 * i) % 48 for i in range(num_rows)]), 7)
    one = make_trainer(*callbacks())
    several = make_trainer(*callbacks(), strategy="ddp_fork", devices=processes)
    one.validate(tiny_vae, loader, verbose=False)
    several.validate(tiny_vae, loader, verbose=False)
    for prefix in ("val", "few"):
        expected, found = logged(one, "disentanglement", prefix), logged(several, "disentanglement", prefix)
        assert len(expected) >= (11 if num_rows == 37 and prefix == "val" else 1)
        assert expected.keys() == found.keys()
        assert_equals(found, expected)


def test_training_is_bitwise_the_same(make_trainer: MakeTrainer, tiny_vae: Any) -> None:
    def train(*callbacks: L.Callback) -> tuple[Any, Tensor]:
        L.seed_everything(3, verbose=False)
        model = copy.deepcopy(tiny_vae)
        trainer = make_trainer(*callbacks, num_sanity_val_steps=2)
        trainer.fit(model, DataLoader(STRIPES, 10, shuffle=True), DataLoader(STRIPES, 10))
        return model, torch.get_rng_state()

    every = watch(["z_max"], True, slow_every=1, sampler_rows=60, codes="sample")
    (model, state), (watched, watched_state) = train(), train(every)
    assert model.losses == watched.losses
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), watched.state_dict().values(), strict=True)
    )
    assert torch.equal(state, watched_state)


CONFIG = (
    """
model:
  data_shape: [1, 4, 4]
  latent_dim: 3
  hidden: [16]
"""
    + BARE_TRAINER
    + """  callbacks:
    - class_path: torchdisentangle.callbacks.DisentanglementCallback
      init_args:
        metrics:
          - sap
          - class_path: torchdisentangle.IRS
            init_args:
              quantile: 0.9
        slow_metrics: [dci]
        slow_every: 1
        factors: 1
        factor_names: [row, column, tint]
        continuous: [2]
        codes: sample
        max_rows: 30
"""
)


def test_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    cli = LightningCLI(BetaVAE, run=False, args=["--config", str(tmp_path / "config.yaml")], save_config_callback=None)
    callback = next(c for c in cli.trainer.callbacks if isinstance(c, DisentanglementCallback))  # type: ignore[attr-defined]
    assert callback.metrics[0] == "sap"
    assert isinstance(callback.metrics[1], IRS)
    assert callback.metrics[1].quantile == 0.9
    evaluation = callback.evaluation
    assert isinstance(evaluation, DisentanglementEvaluation)
    assert (evaluation.continuous, evaluation.codes, evaluation.factors) == ([2], "sample", 1)
    cli.trainer.fit(cli.model, DataLoader(ROWS, 10), DataLoader(ROWS, 10))
    assert set(logged(cli.trainer, "disentanglement")) == {"sap", "irs"} | DCI_SCALARS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codes": "median"}, "codes must be"),
        ({"slow_every": 0}, "slow_every must be at least 1"),
        ({"max_rows": 0}, "max_rows and sampler_rows cannot be 0"),
        ({"metrics": ["migg"]}, "no score 'migg'"),
        ({"slow_metrics": ["dcj"], "slow_every": 3}, "no score 'dcj'"),
        ({"factors": 2}, "DisentanglementCallback: the batch has no tensor at 2 .*: set factors"),
        ({"factors": 0, "metrics": ["sap"]}, r"factors must have shape \(10, F\)"),
        ({"metrics": [DCI("lasso"), "dci", DCI()]}, "two metrics"),
    ],
)
def test_misconfiguration_is_raised_before_training(
    make_trainer: MakeTrainer, tiny_vae: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(MisconfigurationException, match=message):
        make_trainer(watch(**settings)).fit(tiny_vae, DataLoader(ROWS, 10), DataLoader(ROWS, 10))
    assert not tiny_vae.losses


def test_a_model_that_cannot_encode_is_refused(make_trainer: MakeTrainer) -> None:
    class Decoder(L.LightningModule):
        latent_dim = 2

        def __init__(self) -> None:
            super().__init__()
            self.decoder = nn.Linear(2, 16)

        def test_step(self, batch: Any, batch_idx: int) -> None: ...

    with pytest.raises(MisconfigurationException, match="cannot encode data"):
        make_trainer(watch()).test(Decoder(), DataLoader(ROWS, 10), verbose=False)


def test_intervals_are_reported_logged_and_drawn(make_trainer: MakeTrainer, tiny_vae: Any, tmp_path: Path) -> None:
    callback = watch(["mig", "sap"], intervals=True, figures=True)
    logger = CSVLogger(tmp_path, version="run")
    trainer = make_trainer(callback, logger=logger)
    trainer.validate(tiny_vae, DataLoader(ROWS, 10), verbose=False)
    assert callback.report is not None
    assert callback.report.scalars.keys() == callback.report.intervals.keys() == {"mig", "sap"}
    values = logged(trainer, "disentanglement")
    assert set(values) == {f"{name}{end}" for name in ("mig", "sap") for end in ("", "_low", "_high")}
    for name, (low, high) in callback.report.intervals.items():
        assert low < high
        assert (values[f"{name}_low"], values[f"{name}_high"]) == pytest.approx((low, high), rel=1e-6)
    folder = Path(logger.log_dir) / "figures" / "val" / "disentanglement"
    assert len(list((folder / "scores").glob("*.png"))) == 1
