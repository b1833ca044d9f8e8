"""The ELBO callback: what is logged, that it is right, and the same on several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import BARE_TRAINER, MakeTrainer, encoded, logged
from torchdisentangle import ActiveUnits, ELBODecomposition, GaussianTotalCorrelation
from torchdisentangle.callbacks import ELBODecompositionCallback
from torchdisentangle.models import BetaVAE, LatentModel, Posterior, Prior

TERMS = ["mutual_information", "total_correlation", "dimension_wise_kl"]
SCALARS = [
    *TERMS, "kl", "active_units", "gaussian_total_correlation", "gaussian_wasserstein_correlation",
    "code_mutual_information", "mutual_information_ceiling",
]  # fmt: skip


def expected(mean: Tensor, log_variance: Tensor) -> dict[str, float]:
    decomposition, units, gaussian = ELBODecomposition(), ActiveUnits(), GaussianTotalCorrelation()
    index = torch.arange(len(mean))
    decomposition.update(mean, log_variance, index=index)
    units.update(mean, log_variance, index=index)
    gaussian.update(mean)
    values = {**decomposition.compute(), "active_units": units.compute()}
    return {name: float(value) for name, value in values.items()} | {
        "gaussian_total_correlation": float(gaussian.compute())
    }


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_values(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, stage: str) -> None:
    trainer = make_trainer(ELBODecompositionCallback(standard_errors=True))
    if stage == "fit":
        trainer.fit(tiny_vae, loader, loader)
    else:
        getattr(trainer, stage)(tiny_vae, loader, verbose=False)
    values = logged(trainer, "elbo", "test" if stage == "test" else "val")
    assert set(values) == {*SCALARS, *(f"{name}_standard_error" for name in TERMS)}
    for name, value in expected(*encoded(tiny_vae, loader)).items():
        assert values[name] == pytest.approx(value, rel=1e-5, abs=1e-5), name  # float32 encoder and logged values
    assert sum(values[name] for name in TERMS) == pytest.approx(values["kl"], rel=1e-5)


class Standardised(LatentModel):
    """A model whose prior is another Gaussian; in units of that prior it is the one inside."""

    loc, scale = torch.tensor([1.0, -2.0, 0.0]), torch.tensor([0.5, 3.0, 1.0])

    @property
    def prior(self) -> Prior:
        return Prior.gaussian(self.loc, self.scale)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        mean, log_variance = self.module.encode(x)
        return Posterior(self.loc + self.scale * mean, log_variance + 2 * self.scale.log())


class Classes(Standardised):
    @property
    def prior(self) -> Prior:
        return Prior.gaussian(torch.zeros(2, 3), torch.ones(2, 3))


class Points(LatentModel):
    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        return Posterior(self.module.encode(x)[0])


def with_latent_model(model: Any, kind: type[LatentModel]) -> Any:
    model.latent_model = lambda: kind(model, 3)
    return model


def test_any_gaussian_prior(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    trainer = make_trainer(ELBODecompositionCallback())
    trainer.validate(with_latent_model(tiny_vae, Standardised), loader, verbose=False)
    for name, value in expected(*encoded(tiny_vae, loader)).items():
        assert logged(trainer, "elbo")[name] == pytest.approx(value, rel=1e-4, abs=1e-4), (
            name
        )  # scaled and back in float32


@pytest.mark.parametrize(("processes", "num_samples"), [(2, 37), (3, 10), (3, 2)])  # padded; fewer rows than processes
def test_processes_give_the_values_of_one(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, processes: int, num_samples: int
) -> None:
    subset = TensorDataset(*(tensor[:num_samples] for tensor in loader.dataset.tensors))  # type: ignore[attr-defined]
    found = []
    for settings in ({}, {"strategy": "ddp_fork", "devices": processes}):
        callbacks = [ELBODecompositionCallback(20), ELBODecompositionCallback(20, max_rows=8, prefix="sample")]
        trainer = make_trainer(*callbacks, **settings)
        trainer.validate(tiny_vae, DataLoader(subset, 7), verbose=False)
        found.append(
            {**logged(trainer, "elbo"), **{f"of {k}": v for k, v in logged(trainer, "elbo", "sample").items()}}
        )
    assert len(found[0]) == 2 * len(SCALARS)
    assert found[1] == pytest.approx(found[0], rel=1e-4, abs=1e-5)  # float32 encoders on other batch sizes


def test_fit_on_two_processes(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    """Under DDP wrapping: one set of figures, and values as those of the trained weights on one process."""
    logger = CSVLogger(tmp_path, version="ddp")
    several = make_trainer(
        ELBODecompositionCallback(), strategy="ddp_fork", devices=2, logger=logger, enable_checkpointing=True
    )
    several.fit(tiny_vae, loader, loader)
    checkpoint = torch.load(several.checkpoint_callback.best_model_path, weights_only=False)  # type: ignore[union-attr]
    tiny_vae.load_state_dict(checkpoint["state_dict"])
    for name, value in expected(*encoded(tiny_vae, loader)).items():
        assert logged(several, "elbo")[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    pictures = {path.relative_to(logger.log_dir).parts[-2] for path in Path(logger.log_dir).rglob("*.png")}
    assert pictures == {"decomposition", "latent_kl", "code_pairs"}


def test_training_is_bitwise_the_same(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    states, start = [], {name: value.clone() for name, value in tiny_vae.state_dict().items()}
    for callbacks in ([], [ELBODecompositionCallback(8)]):
        L.seed_everything(3, verbose=False)
        tiny_vae.load_state_dict(start)
        make_trainer(*callbacks).fit(tiny_vae, DataLoader(loader.dataset, 10, shuffle=True), loader)
        states.append({name: value.clone() for name, value in tiny_vae.state_dict().items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("spoiled", ["some", "all"])
def test_broken_posteriors_log_counts_and_no_nan(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, spoiled: str
) -> None:
    encode = tiny_vae.encode

    def broken(x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = encode(x)
        rows = x[:, 0, 0, 0] > (0.5 if spoiled == "some" else -10.0)
        return mean.masked_fill(rows[:, None], float("nan")), log_variance

    tiny_vae.encode = broken
    trainer = make_trainer(ELBODecompositionCallback())
    with pytest.warns(UserWarning, match="left out"):
        trainer.validate(tiny_vae, loader, verbose=False)
    values = logged(trainer, "elbo")
    if spoiled == "all":
        assert values == {"num_nonfinite": 37.0}
    else:
        mean, log_variance = encoded(tiny_vae, loader)
        lost = mean.isnan().any(1)
        assert values["num_nonfinite"] == float(lost.sum()) > 0
        assert values["kl"] == pytest.approx(expected(mean[~lost], log_variance[~lost])["kl"], rel=1e-5)


def test_one_row_and_one_latent(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(ELBODecompositionCallback())
    data = DataLoader(TensorDataset(torch.rand(1, 1, 4, 4)))
    trainer.validate(BetaVAE((1, 4, 4), latent_dim=1, hidden=(8,)), data, verbose=False)
    values = logged(trainer, "elbo")
    assert set(values) == set(SCALARS)
    alone = [values[name] for name in ("mutual_information", "total_correlation", "active_units")]
    assert alone == pytest.approx([0, 0, 0], abs=1e-9)


def test_a_large_table_of_pairs_is_left_out(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    trainer = make_trainer(ELBODecompositionCallback(num_bins=2000))
    trainer.validate(tiny_vae, loader, verbose=False)
    assert set(logged(trainer, "elbo")) == set(SCALARS) - {"code_mutual_information"}


def test_models_that_do_not_fit(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    with pytest.raises(MisconfigurationException, match="same for all classes"):
        make_trainer(ELBODecompositionCallback()).fit(with_latent_model(tiny_vae, Classes), loader, loader)
    trainer = make_trainer(ELBODecompositionCallback())
    with pytest.raises(MisconfigurationException, match=r"TinyVAE gives no variance.*pair \(mean, log_variance\)"):
        trainer.fit(with_latent_model(tiny_vae, Points), loader, loader)
    assert trainer.global_step == 0
    with pytest.raises(MisconfigurationException, match="num_queries must be at least 1"):
        ELBODecompositionCallback(num_queries=0)


CONFIG = (
    """
model: {data_shape: [1, 4, 4], latent_dim: 3, hidden: [16]}
"""
    + BARE_TRAINER
    + """  callbacks:
    - class_path: torchdisentangle.callbacks.ELBODecompositionCallback
      init_args: {num_queries: 16, max_rows: 100, active_threshold: 0.1, prefix: probe, figures: 2}
"""
)


def test_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    arguments = ["--config", str(tmp_path / "config.yaml")]
    cli = LightningCLI(BetaVAE, run=False, args=arguments, save_config_callback=None)
    data = DataLoader(TensorDataset(torch.rand(12, 1, 4, 4)), 6)
    cli.trainer.fit(cli.model, data, data)
    assert "probe/elbo/total_correlation" in cli.trainer.callback_metrics
    (tmp_path / "config.yaml").write_text(CONFIG.replace("num_queries: 16", "num_queries: many"))
    with pytest.raises(SystemExit):
        LightningCLI(BetaVAE, run=False, args=arguments, save_config_callback=None)
