"""What methods of a model may return, as a user writes it: tests evaluate it, and the documentation shows it."""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal

from torchdisentangle.models import Posterior


@dataclass
class Encoded:
    mu: Tensor
    logvar: Tensor


class NamedPosterior(NamedTuple):
    z: Tensor
    mean: Tensor
    scale: Tensor


class ModelOutput(OrderedDict):
    """As the outputs of pythae and diffusers: a mapping whose keys are attributes too."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        vars(self).update(values)


def sample(mean: Tensor, log_variance: Tensor) -> Tensor:
    return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)


WITHOUT_VARIANCE = "latents without a variance"
ENCODE = {
    WITHOUT_VARIANCE: ["mean", "{'mean': mean}", "Posterior(mean)"],
    "the posterior; a warning if it looks like a standard deviation: six or more latents, and all are positive": [
        "(mean, log_variance)",
        "[mean, log_variance]",
        "Posterior(mean, log_variance)",
    ],
    "the posterior: mean and log-variance side by side, as it is twice as wide": [
        "torch.cat([mean, log_variance], 1)",
    ],
    "the posterior; the sample is the one that differs when the data are encoded twice": [
        "(z, mean, log_variance)",
        "(mean, z, log_variance)",
        "(mean, log_variance, z)",
        "(mean, mean, log_variance)",
        "(mean, log_variance, mean)",
    ],
    "the posterior, without the sample": [
        "(z, (mean, log_variance))",
        "(z, Normal(mean, std))",
    ],
    "the posterior; the mean may be called `mean`, `mu`, `loc`, `z_mean` or `embedding`": [
        "{'mean': mean, 'logvar': log_variance}",
        "{'mu': mean, 'log_var': log_variance}",
        "{'z_mean': mean, 'log_variance': log_variance, 'z': z}",
        "{'mean': mean, 'var': variance}",
        "{'loc': mean, 'scale': std}",
        "{'mean': mean, 'std': std}",
        "{'mean': mean, 'sigma': std}",
        "{'mean': mean, 'log_std': log_std}",
        "ModelOutput(embedding=mean, log_covariance=log_variance)",
        "ModelOutput(latent_dist=distribution)",
    ],
    "the posterior; a dataclass and a named tuple, whose fields are called as the keys above": [
        "Encoded(mu=mean, logvar=log_variance)",
        "NamedPosterior(z=z, mean=mean, scale=std)",
    ],
    "its mean and variance; a `MultivariateNormal` whose covariance is not diagonal is refused": [
        "Normal(mean, std)",
        "Independent(Normal(mean, std), 1)",
        "MultivariateNormal(mean, torch.diag_embed(variance))",
    ],
}
"""What ``encode`` may return, by what it is read as."""

FORWARD = {
    "the posterior": [
        "(reconstruction, mean, log_variance)",
        "(reconstruction, mean, log_variance, z)",
        "(reconstruction, z, mean, log_variance)",
        "[reconstruction, x, mean, log_variance]",
        "(loss, reconstruction, mean, log_variance)",
        "(reconstruction, (mean, log_variance))",
        "(reconstruction, Normal(mean, std))",
        "{'recon_x': reconstruction, 'z': z, 'mu': mean, 'log_var': log_variance}",
        "Encoded(mu=mean, logvar=log_variance)",
    ]
}
"""What ``forward`` may return of a model that has a network ``decoder``, and none of its own that encodes."""

DECODE = {
    "the data": ["data", "(data, log_variance)", "ModelOutput(reconstruction=data)", "ModelOutput(sample=data)"],
    "the mean of the distribution": ["Bernoulli(data)", "Independent(Normal(data, 1), 1)"],
}
"""What ``decode`` may return."""

_NAMES = {
    "torch": torch,
    "Bernoulli": Bernoulli,
    "Encoded": Encoded,
    "Independent": Independent,
    "ModelOutput": ModelOutput,
    "MultivariateNormal": MultivariateNormal,
    "NamedPosterior": NamedPosterior,
    "Normal": Normal,
    "Posterior": Posterior,
}


def codes(results: dict[str, list[str]]) -> list[str]:
    return [code for group in results.values() for code in group]


def posterior_result(code: str, mean: Tensor, log_variance: Tensor, **others: Tensor) -> Any:
    """What such a method returns for a posterior, of which it draws a sample."""
    values = {
        "mean": mean,
        "log_variance": log_variance,
        "variance": log_variance.exp(),
        "std": (0.5 * log_variance).exp(),
        "log_std": 0.5 * log_variance,
        "z": sample(mean, log_variance),
        "distribution": Namespace(mean=mean, logvar=log_variance),
        **others,
    }
    return eval(code, _NAMES, values)


def data_result(code: str, data: Tensor) -> Any:
    """What such a method returns for data."""
    return eval(code, _NAMES, {"data": data, "log_variance": torch.zeros_like(data)})


def table() -> str:
    """The results as a table in Markdown.

    Example:
        >>> print(table().splitlines()[2])
        | `encode` | `mean`, `{'mean': mean}`, `Posterior(mean)` | latents without a variance |
    """
    rows = [["method", "returns", "read as"], ["---"] * 3]
    for method, results in (("encode", ENCODE), ("forward", FORWARD), ("decode", DECODE)):
        for read_as, group in results.items():
            rows.append([f"`{method}`", ", ".join(f"`{code}`" for code in group), read_as])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
