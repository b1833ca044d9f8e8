"""Flows of the library ``normflows``, which is imported only for a module that comes from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.models.adapters import trial
from torchdisentangle.models.adapters.inspection import comes_from, imported
from torchdisentangle.prior import Prior


class NormflowsModel(LatentModel):
    """A normflows flow with one latent space: ``NormalizingFlow`` or ``ClassCondFlow``.

    The log-determinants of the layers are added up here, in the latents' own dtype: the library's own sum is float32
    whatever the model's dtype.
    """

    module: Any
    _initialised = False

    @property
    def bases(self) -> list[Any]:
        """The base distributions, one for each level."""
        return [self.module.q0]

    @property
    def prior(self) -> Prior:
        """The base distributions side by side."""
        priors = [_prior(base) for base in self.bases]
        classes = max(len(prior.loc) for prior in priors)
        loc, scale = (
            torch.cat([getattr(prior, name).expand(classes, -1) for prior in priors], dim=1)
            for name in ("loc", "scale")
        )
        return Prior(loc, scale, torch.cat([prior.uniform.cpu() for prior in priors]))

    @property
    def ready(self) -> bool:
        """Whether all activation normalisations have seen data."""
        if not self._initialised:  # checked until it holds only, as the check waits for a GPU
            flags = [getattr(layer, "data_dep_init_done", True) for layer in self.module.modules()]
            self._initialised = super().ready and all(map(bool, flags))
        return self._initialised

    def supports(self, ability: str) -> bool:
        """Everything, but to encode only if all layers can be inverted, which planar and radial ones cannot."""
        return ability != "encode" or self._one_way is None

    def remedy(self, ability: str) -> str:
        """The layer that has no inverse."""
        return f"its layer {type(self._one_way).__name__} has no algebraic inverse"

    @property
    def _one_way(self) -> Any:
        """A layer that cannot be inverted, if there is one."""
        return next((layer for layer in self.module.modules() if _has_no_inverse(layer)), None)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The latent of each data point."""
        self._require_ready()
        for flow in reversed(list(self.module.flows)):
            x, _ = flow.inverse(x)
        return Posterior(x.flatten(1))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The data point of each latent."""
        return self._decode(z, labels)[0]

    def log_det(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Sum of the layers' log-determinants."""
        return self._decode(z, labels)[1]

    def _decode(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        self._require_ready()
        return _through(self.module.flows, z.reshape(-1, *self.module.q0.shape), z.new_zeros(len(z)))

    def _require_ready(self) -> None:
        if not self.ready:
            raise RuntimeError(
                f"{type(self.module).__name__} has ActNorm layers that initialise themselves on their first batch; "
                "run a batch of data through the model first"
            )


class MultiscaleModel(NormflowsModel):
    """normflows' ``MultiscaleFlow``, whose latents of all levels are laid side by side."""

    @property
    def bases(self) -> list[Any]:
        """The base distributions, one for each level."""
        return list(self.module.q0)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The latents of all levels of each data point."""
        self._require_ready()
        levels, _ = self.module.inverse_and_log_det(x)
        return Posterior(torch.cat([level.flatten(1) for level in levels], dim=1))

    def _decode(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        self._require_ready()
        levels = [
            level.reshape(-1, *base.shape)
            for level, base in zip(z.split([_size(base) for base in self.bases], dim=1), self.bases, strict=True)
        ]
        x, log_det = levels[0], z.new_zeros(len(z))
        for i, flows in enumerate(self.module.flows):
            if i > 0:
                x, step = self.module.merges[i - 1]([x, levels[i]])
                log_det = log_det + step
            x, log_det = _through(flows, x, log_det)
        return (x, log_det) if self.module.transform is None else _through([self.module.transform], x, log_det)


class ConditionalModel(NormflowsModel):
    """normflows' ``ConditionalNormalizingFlow``; a class label becomes its one-hot context."""

    @property
    def prior(self) -> Prior:
        """The base distribution, for each class if it depends on the context."""
        from normflows.distributions.base import ConditionalDiagGaussian

        base = self.module.q0
        if not isinstance(base, ConditionalDiagGaussian):
            return super().prior
        loc, log_scale = base.context_encoder(self._context(torch.arange(self.num_classes or 0))).chunk(2, dim=-1)
        return Prior.gaussian(loc.flatten(1), log_scale.exp().flatten(1))

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The latent of each data point."""
        self._require_ready()
        return Posterior(self.module.inverse(x, context=self._context(labels)).flatten(1))

    def _decode(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        self._require_ready()
        shaped, context = z.reshape(-1, *self.module.q0.shape), self._context(labels)
        return _through((partial(flow, context=context) for flow in self.module.flows), shaped, z.new_zeros(len(z)))

    def _context(self, labels: Tensor | None) -> Tensor | None:
        if labels is None:
            return None
        return one_hot(labels.to(self.like.device), self.num_classes or -1).to(self.like)


def _has_no_inverse(layer: nn.Module) -> bool:
    from normflows.flows import Flow, Planar

    if not isinstance(layer, Flow):
        return False
    return type(layer).inverse is Flow.inverse or (isinstance(layer, Planar) and layer.act != "leaky_relu")


def _through(flows: Iterable[Any], x: Tensor, log_det: Tensor) -> tuple[Tensor, Tensor]:
    for flow in flows:
        x, step = flow(x)
        log_det = log_det + step
    return x, log_det


def _prior(base: Any) -> Prior:
    """A base distribution as a product of one-dimensional densities."""
    from normflows.distributions.base import ClassCondDiagGaussian, DiagGaussian, GlowBase, Uniform, UniformGaussian

    if not isinstance(base, (ClassCondDiagGaussian, DiagGaussian, GlowBase, Uniform, UniformGaussian)):
        raise TypeError(
            f"the base distribution {type(base).__name__} is not known to have independent dimensions, which the "
            "entropies of single latents need; subclass LatentModel and define its prior"
        )
    size = _size(base)
    if isinstance(base, DiagGaussian):
        return Prior.gaussian(base.loc.reshape(1, size), base.log_scale.exp().reshape(1, size))
    if isinstance(base, ClassCondDiagGaussian):
        return Prior.gaussian(base.loc.reshape(size, -1).mT, base.log_scale.exp().reshape(size, -1).mT)
    if isinstance(base, GlowBase):
        return _glow_prior(base)
    if isinstance(base, Uniform):
        low, high = (bound.expand(base.shape).reshape(1, size) for bound in (base.low, base.high))
        return Prior((low + high) / 2, high - low, torch.ones(size, dtype=torch.bool))
    uniform = torch.zeros(size, dtype=torch.bool, device=base.ind.device).index_fill(0, base.ind, True)
    scale = base.scale.reshape(1, size)
    return Prior(torch.zeros_like(scale), scale, uniform)


def _glow_prior(base: Any) -> Prior:
    loc = base.loc * (base.loc_logs * base.logscale_factor).exp()
    log_scale = base.log_scale * (base.log_scale_logs * base.logscale_factor).exp()
    if base.class_cond:
        ones = (1,) * (len(base.shape) - 1)
        loc = loc + base.loc_cc.reshape(-1, base.shape[0], *ones)
        log_scale = log_scale + base.log_scale_cc.reshape(-1, base.shape[0], *ones)
    loc, log_scale = (value.expand(-1, *base.shape).flatten(1) for value in (loc, log_scale))
    return Prior.gaussian(loc, log_scale.exp())


def _size(base: Any) -> int:
    from normflows.distributions.base import UniformGaussian

    return base.ndim if isinstance(base, UniformGaussian) else math.prod(int(size) for size in base.shape)


def fits(module: nn.Module) -> bool:
    """Whether the module is a normflows flow."""
    if not comes_from(module, "normflows"):
        return False
    normflows = imported("normflows")
    return isinstance(module, (normflows.NormalizingFlow, normflows.ClassCondFlow, normflows.MultiscaleFlow))


def adapt(module: Any, *, latent_dim: int | None = None, num_classes: int | None = None) -> NormflowsModel:
    """Adapt a flow; its base distributions tell the number of latents.

    Raises:
        TypeError: if the flow has a context other than one-hot labels, or its base is not a product of one-dimensional
            densities.
    """
    import normflows

    if isinstance(module, normflows.ConditionalNormalizingFlow):
        return _adapt_conditional(module, num_classes)
    multiscale = isinstance(module, normflows.MultiscaleFlow)
    bases = list(module.q0) if multiscale else [module.q0]
    if num_classes is None:
        num_classes = next((count for base in bases if (count := getattr(base, "num_classes", None))), None)
    size = sum(_prior(base).loc.shape[1] for base in bases)
    return (MultiscaleModel if multiscale else NormflowsModel)(module, size, num_classes)


def _adapt_conditional(module: Any, num_classes: int | None) -> ConditionalModel:
    """Adapt a flow that has a context, after trying it on zeros."""
    try:
        if num_classes is None:
            raise ValueError("num_classes is not given")
        model = ConditionalModel(module, _size(module.q0), num_classes)
        _ = model.prior  # raises for a base of another kind
        if model.ready:
            with trial.trial(module):
                model.decode(model.like.new_zeros(num_classes, model.latent_dim), torch.arange(num_classes))
    except Exception as error:  # whatever layers raise that need another context
        raise TypeError(
            f"the context of this ConditionalNormalizingFlow is not known to be labels ({error}): for one-hot labels "
            "as context pass num_classes=; for any other context subclass LatentModel and pass it in encode and decode"
        ) from error
    return model
