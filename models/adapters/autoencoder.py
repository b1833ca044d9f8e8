"""Modules with methods or networks that encode and decode: VAEs, autoencoders, GANs, and encoders alone."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.models.adapters import trial
from torchdisentangle.models.adapters.inspection import (
    latent_shape_of,
    num_classes_of,
    takes_labels,
    unknown_latent_dim,
)
from torchdisentangle.models.adapters.posterior import PosteriorReader, as_data, posterior_in_output
from torchdisentangle.prior import Prior

ENCODERS = ("encode", "encoder", "embed")
DECODERS = ("decode", "decoder", "generator", "G_ema", "G", "netG", "gen")
"""Names of methods and networks, in the order in which they are looked for."""


class AutoencoderModel(LatentModel):
    """Calls the module's own methods and networks, with labels if it is conditional.

    What they may return is said in :mod:`torchdisentangle.models.adapters.posterior`. Latents that are images are flat
    outside of the module.

    Args:
        module: the model.
        latent_shape: of the latents inside of the module.
        num_classes: of a conditional model.
        encoder: name of the method or network that encodes, or ``"forward"``; ``None``: it cannot encode.
        decoder: name of the method or network that decodes; ``None``: it cannot decode.
        inside: what decodes in the module's stead.
    """

    module: Any

    def __init__(
        self,
        module: nn.Module,
        latent_shape: tuple[int, ...],
        num_classes: int | None = None,
        encoder: str | None = None,
        decoder: str | None = None,
        inside: LatentModel | None = None,
    ) -> None:
        super().__init__(module, math.prod(latent_shape), num_classes)
        self.latent_shape = latent_shape
        self.encoder = encoder
        self.decoder = decoder
        self.inside = inside
        self._reader = PosteriorReader(type(module).__name__, self.latent_dim)

    @property
    def prior(self) -> Prior:
        """A standard normal, unless what decodes has another."""
        return super().prior if self.inside is None else self.inside.prior

    def supports(self, ability: str) -> bool:
        """Whether the module has a method or a network for it."""
        if self.inside is not None and ability != "encode":
            return self.inside.supports(ability)
        if ability == "log_det":
            return callable(getattr(self.module, "log_det", None))
        return (self.encoder if ability == "encode" else self.decoder) is not None

    def remedy(self, ability: str) -> str:
        """What the user can do; where an encoder was found and tried, that it did not work."""
        tried = found(self.module, ENCODERS)
        if ability != "encode" or tried is None or self.decoder is None:
            return super().remedy(ability)
        return (
            f"neither its {tried} nor forward, tried on zeros, gave {self.latent_dim} means and log-variances; "
            "define encode(x) on it that returns (mean, log_variance)"
        )

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The module's posterior.

        Raises:
            TypeError: if what the encoder returns is no posterior.
            ValueError: if it has another number of latents.
        """
        posterior = self.encoded(x, labels)
        log_variance = posterior.log_variance
        flat = Posterior(posterior.mean.flatten(1), None if log_variance is None else log_variance.flatten(1))
        if flat.mean.shape[1] != self.latent_dim:
            shape = tuple(posterior.mean.shape[1:])
            raise ValueError(
                f"{type(self.module).__name__} encodes to latents of shape {shape}, but {self.latent_dim} latents are "
                f"expected: pass latent_dim={flat.mean.shape[1]}"
                + (f", or set latent_shape = {shape} on the module" if len(shape) > 1 else "")
            )
        return flat

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The module's data, or their mean."""
        if self.inside is not None:
            return self.inside.decode(z, labels)
        shaped = z if len(self.latent_shape) == 1 else z.reshape(-1, *self.latent_shape)
        return as_data(self._call(self.decoder, shaped, labels))

    def log_det(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The module's log-determinant."""
        return (
            self.module.log_det(z, *self._condition(labels)) if self.inside is None else self.inside.log_det(z, labels)
        )

    def encoded(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The posterior, its latents in the shape that they have inside of the module."""

        def encode() -> Any:
            if self.encoder == "forward":
                return posterior_in_output(self._call("forward", x, labels), x)
            return self._call(self.encoder, x, labels)

        return self._reader.read(encode(), again=encode)

    def _call(self, name: Any, values: Tensor, labels: Tensor | None) -> Any:
        function = self.module if name == "forward" else getattr(self.module, name)
        condition = self._condition(labels)
        if condition and name != "decode" and not takes_labels(getattr(function, "forward", function)):
            condition = ()
        return function(values, *condition)

    def _condition(self, labels: Tensor | None) -> tuple[Tensor, ...]:
        return () if self.num_classes is None or labels is None else (labels,)


def fits(module: nn.Module) -> bool:
    """Whether the module has a method or a network that decodes."""
    return found(module, DECODERS) is not None


def encodes_only(module: nn.Module) -> bool:
    """Whether the module has a method or a network that encodes, and none that decodes."""
    return found(module, ENCODERS) is not None and not fits(module)


def found(module: nn.Module, names: tuple[str, ...]) -> str | None:
    """The first of the names that is a method or a network of the module."""
    return next((name for name in names if callable(getattr(module, name, None))), None)


def adapt(
    module: Any, *, latent_dim: int | None = None, num_classes: int | None = None, inside: LatentModel | None = None
) -> LatentModel:
    """Adapt a module, after trying it on zeros if it does not tell how it encodes, or the shape of its latents.

    Args:
        module: the module.
        latent_dim: the number of latents, if the user tells.
        num_classes: the number of classes, if the user tells.
        inside: what decodes in the module's stead, if its decoder or generator is itself a latent model.

    Raises:
        TypeError: if the number of latents cannot be found.
    """
    decoder = found(module, DECODERS)
    if num_classes is None and decoder is not None:
        decode = getattr(module, decoder)
        num_classes = num_classes_of(module, getattr(decode, "forward", decode))
    if inside is not None:
        size: Any = (inside.latent_dim,)
    else:
        size = latent_shape_of(module, latent_dim)
    model = AutoencoderModel(module, _shape(size) or (1,), num_classes, found(module, ENCODERS), decoder, inside)
    if not trial.can_be_tried(module):
        if size is None:
            raise unknown_latent_dim(module)
        return model
    in_doubt = inside is None and not isinstance(size, tuple) and (size is None or trial.has_convolutions(module))
    if in_doubt or (model.encoder != "encode" and decoder is not None):
        with trial.trial(module):
            if in_doubt:
                model = _with_shape(model, size)
            if model.encoder != "encode" and decoder is not None:
                model.encoder = _encoder_tried(model)
    return model


def _shape(size: int | tuple[int, ...] | None) -> tuple[int, ...] | None:
    return (size,) if isinstance(size, int) else size


def _with_shape(model: AutoencoderModel, size: int | None) -> AutoencoderModel:
    """The model with the shape of latents that it can decode; if it cannot decode, that it encodes to."""

    def shaped(shape: tuple[int, ...]) -> AutoencoderModel:
        return AutoencoderModel(model.module, shape, model.num_classes, model.encoder, model.decoder)

    told = trial.told_data_shape(model.module) is not None
    if size is None and model.encoder is not None and (told or model.decoder is None):
        shape = trial.encoded_shape(lambda x: _mean(model, x), model.module, model.like)
        if shape is not None:
            return shaped(shape)
    if model.decoder is not None:
        decoder = getattr(model.module, model.decoder)
        layers = decoder if isinstance(decoder, nn.Module) else getattr(model.module, "decoder", model.module)
        for shape in trial.latent_shapes(layers if isinstance(layers, nn.Module) else model.module, size):
            candidate = shaped(shape)
            if _decoded(candidate) is not None:
                return candidate
    if size is None:
        raise unknown_latent_dim(model.module)
    return model


def _encoder_tried(model: AutoencoderModel) -> str | None:
    """The first way of encoding that gives log-variances, else means, of as many latents as the model decodes."""
    decoded = _decoded(model)
    told = trial.told_data_shape(model.module)
    shapes = [] if told is None else [told]
    shapes += [] if decoded is None else [tuple(decoded.shape[1:])]
    shapes += trial.data_shapes(model.module)
    deterministic = None
    for name in (model.encoder, "forward"):
        if name is None or (name == "forward" and type(model.module).forward is nn.Module.forward):
            continue
        candidate = AutoencoderModel(
            model.module, model.latent_shape, model.num_classes, name, model.decoder, model.inside
        )
        for shape in dict.fromkeys(shapes):
            posterior = trial.outcome(candidate.encode, trial.zeros(shape, model.like), _labels(model))
            if posterior is not None and posterior.log_variance is not None:
                return name
            if posterior is not None:
                deterministic = deterministic or name
    return deterministic


def _decoded(model: AutoencoderModel) -> Tensor | None:
    z = trial.zeros((model.latent_dim,), model.like)
    data = trial.outcome(model.decode, z, _labels(model))
    return data if isinstance(data, Tensor) and len(data) == len(z) else None


def _mean(model: AutoencoderModel, x: Tensor) -> Tensor:
    return model.encoded(x, _labels(model)).mean


def _labels(model: AutoencoderModel) -> Tensor | None:
    return None if model.num_classes is None else trial.zeros((), model.like).long()
