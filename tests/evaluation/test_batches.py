"""Any batch: where the data, the labels and the factors are, and what is said where they are not."""

from __future__ import annotations

from typing import Any

import jsonargparse
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.evaluation.batches import BATCHES, FACTORS, IMAGES, SHAPE, SIZE, Batch
from tests.helpers import MakeTrainer
from torchdisentangle.callbacks import DisentanglementCallback
from torchdisentangle.evaluation import Context, DisentanglementEvaluation, Place, evaluate
from torchdisentangle.evaluation.rows import Columns, take
from torchdisentangle.models import VAE, as_latent_model


def rounded(batch: Batch) -> Tensor:
    """The images, after those of integers."""
    return (255 * IMAGES).byte().float() / 255 if "integers" in batch.batch else IMAGES


@pytest.mark.parametrize("form", BATCHES, ids=[form.name for form in BATCHES])
def test_where_tensors_may_be(form: Batch) -> None:
    assert torch.equal(take(form.made, form.images), rounded(form))
    assert torch.equal(take(form.made, form.columns).long(), FACTORS)


def test_columns_of_several_types() -> None:
    angle = torch.rand(12)
    columns = take({"shape": SHAPE, "angle": angle}, ["shape", "angle"])
    assert torch.equal(columns, torch.stack([SHAPE.float(), angle], 1))


@pytest.mark.parametrize(
    ("batch", "key", "message"),
    [
        ({"x": IMAGES}, "y", r"no tensor at 'y' \(a batch with keys \['x'\]\): set factors$"),
        ({"x": IMAGES}, None, r"no tensor at None \(a batch with keys \['x'\]\): set factors"),
        ([IMAGES], 1, r"no tensor at 1 \(a list of Tensor\): set factors"),
        ([IMAGES, "names"], 1, r"no tensor at 1 \(a list of Tensor, str\)"),
        ({"meta": {"a": IMAGES}}, "meta.b", "no tensor at 'meta.b'"),
        ([{"image": IMAGES, "mask": SHAPE}], 0, r"no tensor at 0 \(a list of dict\)"),
        (IMAGES, 1, "no tensor at 1"),
        (IMAGES, "T", "no tensor at 'T'"),
        ([torch.tensor(1.0)], 0, "factors=0 must give one row for each row of the batch, got a single number"),
        ([IMAGES], lambda batch: batch["x"], r"the function factors= failed on a list of Tensor: TypeError"),
        ([IMAGES], lambda batch: 3, "the function factors= must return a tensor, got int"),
    ],
)
def test_what_is_not_there(batch: Any, key: Columns, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        take(batch, key, "factors")


class Batches(list):
    """A data loader of one batch."""


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    return VAE(data_shape=(1, 4, 4), latent_dim=2, hidden=[8])


@pytest.mark.parametrize("form", BATCHES, ids=[form.name for form in BATCHES])
def test_scores_do_not_depend_on_the_batch(form: Batch, model: VAE) -> None:
    expected = evaluate(model, Batches([[rounded(form), FACTORS]]), [DisentanglementEvaluation(["mig", "dcimig"])])
    evaluation = DisentanglementEvaluation(["mig", "dcimig"], factors=form.columns)
    report = evaluate(model, Batches([form.made]), [evaluation], input_key=form.images)
    assert report.scalars == expected.scalars


def labels_of(batch: Any) -> Tensor:
    return batch["meta"]["label"]


@pytest.mark.parametrize("label_key", ["meta.label", labels_of])
def test_where_labels_may_be(label_key: Any) -> None:
    """A conditional model gets them."""
    seen = []

    class Conditional(nn.Module):
        latent_dim, num_classes = 16, 3

        def encode(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            seen.append(labels)
            return x.flatten(1), -x.flatten(1)

        def decode(self, z: Tensor, labels: Tensor) -> Tensor:
            return z

    batch = {"image": IMAGES, "meta": {"label": SHAPE}}
    evaluate(Conditional(), Batches([batch]), ["elbo"], input_key="image", label_key=label_key)
    assert torch.equal(seen[-1], SHAPE)


def test_errors_name_the_argument_that_is_meant(model: VAE) -> None:
    for evaluation, settings, meant in (
        (DisentanglementEvaluation(["mig"]), {"input_key": "image"}, "set factors"),
        (DisentanglementEvaluation(["mig"], factors="factors"), {"input_key": "x"}, "set input_key"),
        ("elbo", {"input_key": "image", "num_classes": 3}, "set label_key"),
    ):
        with pytest.raises(TypeError, match=meant):
            evaluate(model, Batches([{"image": IMAGES, "factors": FACTORS}]), [evaluation], **settings)  # type: ignore


def test_integers_are_scaled_by_the_user(model: VAE) -> None:
    """What 255 stands for is the model's matter, so nothing is scaled in silence."""
    images = (255 * IMAGES).byte()
    with pytest.raises(TypeError, match=r"VAE cannot encode data of dtype torch.uint8 .*input_key=lambda batch"):
        evaluate(model, Batches([[images, FACTORS]]), ["elbo"])
    report = evaluate(model, Batches([[images, FACTORS]]), ["elbo"], input_key=lambda batch: batch[0].float() / 255)
    expected = evaluate(model, Batches([[images.float() / 255, FACTORS]]), ["elbo"])
    assert report.scalars == expected.scalars

    class Scaling(nn.Module):
        latent_dim = 16

        def encode(self, x: Tensor) -> Tensor:
            assert x.dtype == torch.uint8
            return x.flatten(1) / 255

    evaluation = DisentanglementEvaluation(["mig"])
    assert "disentanglement/mig" in evaluate(Scaling(), Batches([[images, FACTORS]]), [evaluation]).scalars


@pytest.mark.parametrize("form", BATCHES, ids=[form.name for form in BATCHES])
def test_callbacks_take_all_batches(form: Batch, model: VAE, make_trainer: MakeTrainer) -> None:
    callback = DisentanglementCallback(["mig"], factors=form.columns, input_key=form.images, figures=False)
    trainer = make_trainer(callback)
    model.validation_step = lambda batch, batch_idx: None  # type: ignore
    trainer.validate(model, DataLoader([form.made], batch_size=None), verbose=False)  # type: ignore[arg-type]
    expected = evaluate(model, Batches([[rounded(form), FACTORS]]), [DisentanglementEvaluation(["mig"])])
    logged = float(trainer.callback_metrics["val/disentanglement/mig"])
    assert logged == pytest.approx(expected["disentanglement/mig"], rel=1e-6)  # logged in float32


def test_command_lines_take_all_keys() -> None:
    """LightningCLI builds callbacks from YAML by their type hints."""
    parser = jsonargparse.ArgumentParser()
    parser.add_class_arguments(DisentanglementCallback, "callback")

    def built(*settings: str) -> DisentanglementCallback:
        instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # of older versions
        return instantiate(parser.parse_args([f"--callback.{one}" for one in settings])).callback

    callback = built("input_key=meta.image", "label_key=2", "factors=[shape, size]")
    assert (callback.input_key, callback.label_key) == ("meta.image", 2)
    assert callback.evaluation.factors == ["shape", "size"]
    assert built("factors=0").evaluation.factors == 0
    assert built().input_key is None


def test_a_list_of_keys_names_the_factors(model: VAE) -> None:
    batch = {"image": IMAGES, "shape": SHAPE, "meta": {"size": SIZE}}
    evaluation = DisentanglementEvaluation(["mig"], factors=["shape", "meta.size"])
    begun = evaluation.begin(as_latent_model(model), Place(), Context())
    assert begun.evaluation.factor_names == ["shape", "size"]
    assert "disentanglement/mig" in evaluate(model, Batches([batch]), [evaluation], input_key="image").scalars
