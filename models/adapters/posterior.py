"""What encoders and decoders return, read as a posterior or as data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from torchdisentangle.latent_model import Posterior

_DISTRIBUTION = ("latent_dist", "posterior", "distribution", "dist", "q")
_MEAN = ("mean", "mu", "loc", "z_mean", "embedding")
_LOG_VARIANCE = ("log_variance", "logvar", "log_var", "log_covariance", "z_log_var", "z_logvar")
_OTHER_SCALES: tuple[tuple[tuple[str, ...], Callable[[Tensor], Tensor]], ...] = (
    (("variance", "var"), torch.log),
    (("std", "scale", "sigma", "stddev"), lambda std: 2 * std.log()),
    (("log_std", "logstd", "log_scale", "log_sigma"), lambda log_std: 2 * log_std),
)
_POINT = ("latents", "latent", "z", "codes", "code")
_DATA = ("reconstruction", "recon_x", "recon", "x_recon", "x_hat", "sample", "mean", "mu", "loc")

_ENOUGH = 6  # latents: those of a new network are each positive in one case of two
_NO_POSTERIOR = (
    "encode must return latents, a pair (mean, log_variance), a triple of these two and a sample, a mapping or an "
    "object with mean and log_variance (or std), a Posterior or a Normal distribution, got {}"
)


class PosteriorReader:
    """Reads what one encoder returns as a diagonal Gaussian; remembers what it learned about the encoder.

    Args:
        name: of the encoder's class, for warnings.
        latent_dim: number of latents, to recognise a mean and a log-variance in one tensor; ``None``: unknown.

    Example:
        >>> PosteriorReader("VAE").read(Normal(torch.zeros(1, 2), torch.ones(1, 2)))
        Posterior(mean=tensor([[0., 0.]]), log_variance=tensor([[0., 0.]]))
    """

    def __init__(self, name: str, latent_dim: int | None = None) -> None:
        self.name = name
        self.latent_dim = latent_dim
        self._order: tuple[int, int] | None = None
        self._looked = False

    def read(self, encoded: Any, again: Callable[[], Any] | None = None) -> Posterior:
        """Read one result.

        Args:
            encoded: what the encoder returned.
            again: encodes the same data again. Of three tensors, the one that differs then is the sample.

        Raises:
            TypeError: if it is none of the known forms, or a Gaussian whose latents depend on each other.
        """
        if isinstance(encoded, Posterior):
            return encoded
        if isinstance(encoded, Tensor):
            if self.latent_dim is not None and encoded.ndim == 2 and encoded.shape[1] == 2 * self.latent_dim:
                return self._pair(*encoded.chunk(2, dim=1))
            return Posterior(encoded)
        if isinstance(encoded, Distribution):
            return _of_distribution(encoded)
        named = _of_names(encoded)
        if named is not None:
            return named
        if isinstance(encoded, (tuple, list)):
            return self._of_sequence(encoded, again)
        raise TypeError(_NO_POSTERIOR.format(described(encoded)))

    def _of_sequence(self, encoded: Sequence[Any], again: Callable[[], Any] | None) -> Posterior:
        parts = [part for part in encoded if part is not None]
        nested = [part for part in parts if not isinstance(part, Tensor)]
        if len(nested) == 1:
            return self.read(nested[0])
        if not nested and len(parts) == 1:
            return Posterior(parts[0])
        if not nested and len(parts) == 2 and parts[0].shape == parts[1].shape:
            return self._pair(parts[0], parts[1])
        if not nested and len(parts) == 3 and parts[0].shape == parts[1].shape == parts[2].shape:
            mean, log_variance = self._order or self._without_sample(parts, again)
            return self._pair(parts[mean], parts[log_variance])
        raise TypeError(_NO_POSTERIOR.format(described(encoded)))

    def _without_sample(self, parts: list[Tensor], again: Callable[[], Any] | None) -> tuple[int, int]:
        """Which of three tensors are the mean and the log-variance, in this order."""
        second = [part for part in again() if part is not None] if again else parts
        changed = [place for place in range(3) if not torch.equal(parts[place], second[place])]
        if not changed:  # in eval mode many encoders return the mean for the sample
            changed = [2] if torch.equal(parts[0], parts[2]) else [0] if torch.equal(parts[0], parts[1]) else []
        if len(changed) != 1:
            raise TypeError(
                f"encode of {self.name} returns three tensors, and which one is the sample cannot be told: return "
                "(mean, log_variance)"
            )
        mean, log_variance = (place for place in range(3) if place != changed[0])
        self._order = mean, log_variance
        return self._order

    def _pair(self, mean: Tensor, scale: Tensor) -> Posterior:
        if not self._looked and scale[0].numel() >= _ENOUGH:
            self._looked = True  # looking waits for a GPU
            if bool((scale > 0).all()):
                warnings.warn(
                    f"the log-variances from {self.name} are all positive, as standard deviations are: if they are "
                    "standard deviations, return Normal(mean, std) or {'mean': mean, 'std': std} from encode",
                    UserWarning,
                    stacklevel=2,
                )
        return Posterior(mean, scale)


def posterior_in_output(output: Any, x: Tensor) -> Any:
    """The part of what ``forward`` of a VAE returned that describes the posterior, for :class:`PosteriorReader`.

    Args:
        output: a reconstruction, then mean and log-variance, and perhaps a sample; in between, before or after, the
            data themselves and losses may stand. Or a mapping or an object with names for them.
        x: the data.

    Raises:
        TypeError: if there is no posterior.

    Example:
        >>> x, mean, log_variance = torch.ones(3, 5), torch.zeros(3, 2), torch.ones(3, 2)
        >>> [tuple(part.shape) for part in posterior_in_output((x + 1, x, mean, log_variance), x)]
        [(3, 2), (3, 2)]
    """
    if not isinstance(output, (tuple, list)) or hasattr(output, "_fields"):
        if _of_names(output) is not None:
            return output
        raise TypeError(f"forward returned {described(output)}, without mean and log-variance")
    parts = [part for part in output if part is not x and not (isinstance(part, Tensor) and part.ndim < 2)]
    rest = parts[1:]
    nested = [part for part in rest if not isinstance(part, Tensor)]
    if len(nested) == 1:
        return nested[0]
    if nested or len(rest) not in (2, 3):
        raise TypeError(f"forward returned {described(output)}, not (reconstruction, mean, log_variance)")
    return tuple(rest)


def as_data(decoded: Any) -> Tensor:
    """The data that a decoder returned: a tensor, the mean of a distribution, a named or a first value.

    Example:
        >>> as_data({"reconstruction": torch.ones(2)})
        tensor([1., 1.])
    """
    if isinstance(decoded, Distribution):
        return decoded.mean
    if isinstance(decoded, Tensor):
        return decoded
    named = next(_values(decoded, _DATA), None)
    if (
        named is None
        and isinstance(decoded, (tuple, list))
        and decoded
        and isinstance(decoded[0], (Tensor, Distribution))
    ):
        return as_data(decoded[0])
    return decoded if named is None else named


def described(value: Any) -> str:
    """What something is, and what is in it.

    Example:
        >>> described((torch.ones(2, 3), None))
        'tuple of (2, 3), NoneType'
    """
    if isinstance(value, Mapping):
        return f"{type(value).__name__} with keys {list(value)}"
    if not isinstance(value, (tuple, list)):
        return type(value).__name__
    parts = (str(tuple(part.shape)) if isinstance(part, Tensor) else type(part).__name__ for part in value)
    return f"{type(value).__name__} of {', '.join(parts)}"


def _of_distribution(distribution: Distribution) -> Posterior:
    if isinstance(distribution, Independent):
        return _of_distribution(distribution.base_dist)
    if isinstance(distribution, Normal):
        return Posterior(distribution.loc, 2 * distribution.scale.log())
    if isinstance(distribution, MultivariateNormal):
        scale = distribution.scale_tril.diagonal(dim1=-2, dim2=-1)
        if torch.equal(distribution.scale_tril, scale.diag_embed()):
            return Posterior(distribution.loc, 2 * scale.log())
        raise TypeError("the posterior is a MultivariateNormal whose covariance is not diagonal; the metrics need one")
    raise TypeError(_NO_POSTERIOR.format(type(distribution).__name__))


def _of_names(encoded: Any) -> Posterior | None:
    whole = next(_values(encoded, _DISTRIBUTION, object), None)
    if isinstance(whole, Distribution):
        return _of_distribution(whole)
    if whole is not None and not isinstance(whole, Tensor):
        return _of_names(whole)
    mean = next(_values(encoded, _MEAN), None)
    if mean is None:
        mean = next(_values(encoded, _POINT), None)
        return None if mean is None else Posterior(mean)
    log_variance = next(_values(encoded, _LOG_VARIANCE), None)
    if log_variance is None:
        scales = ((next(_values(encoded, names), None), to_log) for names, to_log in _OTHER_SCALES)
        log_variance = next((to_log(scale) for scale, to_log in scales if scale is not None), None)
    return Posterior(mean, log_variance)


def _values(named: Any, names: Sequence[str], kind: type = Tensor) -> Iterator[Any]:
    """The values of that kind that a mapping or an object has under any of the names."""
    for name in names:
        value = named.get(name) if isinstance(named, Mapping) else getattr(named, name, None)
        if isinstance(value, kind) and value is not None:
            yield value
