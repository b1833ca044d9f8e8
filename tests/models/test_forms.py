"""Every row of the documentation's tables of models: abilities, their values by the model's own means, or a refusal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.func import jacrev

from tests.helpers import RunProcesses
from tests.models import library_forms, results, torch_forms
from tests.models.form import Form, Made
from tests.models.torch_forms import DATA, LATENTS, VAE, Networks
from torchdisentangle.models import LatentModel, as_latent_model

FORMS = [*torch_forms.FORMS, *library_forms.FORMS]
ROWS = [(form, variant) for form in FORMS for variant in form.variants or ("",)]
X = torch.randn(20, DATA, generator=torch.Generator().manual_seed(0))


def close(actual: Any, expected: Any) -> None:
    # splines are inverted by solving quadratic equations, which costs digits
    tolerance = 1e-7 if actual.dtype == torch.float64 else 1e-5
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


def check_encoding(made: Made, model: LatentModel, form: Form, labels: Tensor | None) -> None:
    assert made.encode is not None
    x = torch.randn(4, *made.data_shape).to(model.like)
    posterior = model.encode(x, labels)
    assert posterior.mean.shape == (4, made.latent_dim)
    mean, log_variance = made.encode(x) if labels is None else made.encode(x, labels)
    close(posterior.mean, mean)
    if form.encodes == "mean only":
        assert posterior.log_variance is None
        assert log_variance is None
    else:
        close(posterior.log_variance, log_variance)


def check_decoding(made: Made, model: LatentModel, form: Form, labels: Tensor | None) -> None:
    assert made.decode is not None
    z = torch.randn(4, made.latent_dim).to(model.like)
    x = model.decode(z, labels)
    close(x, made.decode(z) if labels is None else made.decode(z, labels))
    if form.log_det:
        label = None if labels is None else labels[:1]
        jacobian = jacrev(lambda z: model.decode(z[None], label).flatten())(z[0])
        close(model.log_det(z, labels)[0], torch.linalg.slogdet(jacobian)[1])
        if form.encodes != "no":
            close(model.encode(x, labels).mean, z)


@pytest.mark.parametrize(("form", "variant"), ROWS, ids=[f"{form.title} {variant}" for form, variant in ROWS])
def test_what_works(form: Form, variant: str) -> None:
    torch.manual_seed(0)
    made = form.make(variant) if variant else form.make()
    if form.refused:
        with pytest.raises(TypeError, match=form.refused):
            as_latent_model(made.module, **made.settings)
        return
    made.module.eval() if isinstance(made.module, torch.nn.Module) else None
    model = as_latent_model(made.module, **made.settings)
    assert model.latent_dim == made.latent_dim
    works = {"encode": form.encodes != "no", "decode": form.decodes, "log_det": form.log_det}
    assert {ability: model.supports(ability) for ability in works} == works
    for ability in (ability for ability, able in works.items() if not able):
        with pytest.raises(TypeError, match=r"cannot "):
            model.require(ability)
    labels = None if model.num_classes is None else torch.tensor([0, 2, 1, 0])
    if works["encode"]:
        check_encoding(made, model, form, labels)
    if works["decode"]:
        check_decoding(made, model, form, labels)


@pytest.mark.parametrize("code", results.codes(results.ENCODE))
def test_what_encode_may_return(code: str) -> None:
    module = VAE(code)
    mean, log_variance = module.posterior(X)
    posterior = as_latent_model(module).encode(X)
    torch.testing.assert_close(posterior.mean, mean)
    if code in results.ENCODE[results.WITHOUT_VARIANCE]:
        assert posterior.log_variance is None
    else:
        torch.testing.assert_close(posterior.log_variance, log_variance)


@pytest.mark.parametrize("code", results.codes(results.FORWARD))
def test_what_forward_may_return(code: str) -> None:
    module = Networks(code)
    model = as_latent_model(module)
    assert model.latent_dim == LATENTS  # found by decoding
    for found, expected in zip(model.encode(X), module.posterior(X), strict=True):
        torch.testing.assert_close(found, expected)
    z = torch.randn(3, LATENTS)
    torch.testing.assert_close(model.decode(z), module.decoder(z))


@pytest.mark.parametrize("code", results.codes(results.DECODE))
def test_what_decode_may_return(code: str) -> None:
    class Decoder(VAE):
        def decode(self, z: Tensor) -> Any:
            return results.data_result(code, self.back(z).sigmoid())

    z, module = torch.randn(3, LATENTS), Decoder()
    torch.testing.assert_close(as_latent_model(module).decode(z), module.back(z).sigmoid())


def test_ddp_is_looked_through(run_processes: RunProcesses) -> None:
    def latents(rank: int) -> Tensor:
        assert dist.is_initialized()
        return as_latent_model(torch.nn.parallel.DistributedDataParallel(VAE())).encode(X).mean.detach()

    (mean,) = run_processes(1, latents)
    torch.testing.assert_close(mean, VAE().posterior(X)[0])
