"""A flow's prior, set to the latents of data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torchdisentangle.models.adapters import as_latent_model

_SMALLEST_SCALE = 1e-6


@torch.no_grad()
def fit_prior(flow: nn.Module, x: Tensor, labels: Tensor | None = None) -> None:
    r"""Set the means and scales of a flow's Gaussian prior to those of the latents of data.

    .. math:: \mu_{ci} = \mathbb{E}[z_i \mid c], \quad \sigma_{ci}^2 = \operatorname{Var}[z_i \mid c], \quad z = f(x)

    For the flow as it is, this is the prior of maximum likelihood. Before training it saves a flow that cannot make
    volume, such as :func:`~torchdisentangle.models.gin_flow`, the many small steps to the scales of its data. Layers
    that set themselves on the first batch do so first.

    Args:
        flow: a normflows flow over ``DiagGaussian``, or ``ClassCondFlow`` over ``ClassCondDiagGaussian``,
            with learned means and scales.
        x: data, as the flow takes them.
        labels: class of each ``(N,)``, needed if the prior has classes.

    Raises:
        TypeError: if the prior is another, or has nothing to learn.
        ValueError: if labels are missing, or a class has fewer than two data.

    Example:
        >>> from torchdisentangle.models import gin_flow
        >>> flow = gin_flow(2, num_blocks=2)
        >>> fit_prior(flow, torch.tensor([[1.0, 0.0], [3.0, 0.2]]))
        >>> as_latent_model(flow).prior.scale.detach()
        tensor([[1.0000, 0.1000]])
    """
    base: Any = getattr(flow, "q0", None)
    if not isinstance(getattr(base, "loc", None), nn.Parameter) or not hasattr(base, "log_scale"):
        raise TypeError(f"a flow over a Gaussian with learned means and scales is needed, got {type(base).__name__}")
    classes = getattr(base, "num_classes", None)
    if classes is not None and labels is None:
        raise ValueError(f"this prior has {classes} classes: labels are needed")
    flow.log_prob(x, *([] if classes is None else [labels]))  # type: ignore[operator]
    z = as_latent_model(flow).encode(x, labels).mean
    groups = [z] if labels is None or classes is None else [z[labels == label] for label in range(classes)]
    if min(map(len, groups)) < 2:
        raise ValueError("two data or more of each class are needed")
    loc = torch.stack([group.mean(0) for group in groups], dim=-1)
    scale = torch.stack([group.std(0, correction=0) for group in groups], dim=-1).clamp(min=_SMALLEST_SCALE)
    base.loc.copy_(loc.view_as(base.loc))
    base.log_scale.copy_(scale.log().view_as(base.log_scale))
