"""FrEIA-style invertible modules: ``forward(x, rev=False)`` encodes, ``rev=True`` decodes."""

from __future__ import annotations

import inspect
import math
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import one_hot

from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.models.adapters.inspection import attribute, find_latent_dim


class InvertibleModel(LatentModel):
    """Runs the module in both directions; a class label becomes the one-hot condition ``c``."""

    module: Any

    def __init__(
        self, module: nn.Module, latent_dim: int, num_classes: int | None, data_shape: tuple[int, ...]
    ) -> None:
        super().__init__(module, latent_dim, num_classes)
        self.data_shape = data_shape

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The latent of each data point."""
        return Posterior(self._run(x, labels, rev=False)[0].flatten(1))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The data point of each latent."""
        return self._run(z.reshape(-1, *self.data_shape), labels, rev=True)[0]

    def log_det(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The log-determinant that the module returns beside the data."""
        return self._run(z.reshape(-1, *self.data_shape), labels, rev=True)[1]

    def supports(self, ability: str) -> bool:
        """Everything; the log-determinant only of a module whose ``forward`` can be asked for it, by ``jac``."""
        return ability != "log_det" or "jac" in inspect.signature(self.module.forward).parameters

    def _run(self, x: Tensor, labels: Tensor | None, rev: bool) -> tuple[Tensor, Any]:
        condition = {}
        if self.num_classes is not None and labels is not None:
            condition["c"] = [one_hot(labels, self.num_classes).to(x)]
        result = self.module(x, rev=rev, **condition)
        if isinstance(result, Tensor):
            return result, None
        out, log_det = result
        return out if isinstance(out, Tensor) else out[0], log_det


def fits(module: nn.Module) -> bool:
    """Whether ``forward`` takes ``rev``."""
    return "rev" in inspect.signature(module.forward).parameters


def adapt(module: Any, *, latent_dim: int | None = None, num_classes: int | None = None) -> LatentModel:
    """Adapt an invertible module; its ``dims_in`` tells the shape of data that are not flat.

    Raises:
        TypeError: if it has several inputs, or conditions other than one-hot labels.
    """
    inputs = attribute(module, "dims_in") or [()]
    if len(inputs) > 1:
        raise TypeError(
            f"{type(module).__name__} has {len(inputs)} inputs, and what is latent in which cannot be known: subclass "
            "LatentModel and lay them side by side in encode and decode"
        )
    _check_conditions(module, num_classes)
    shape = tuple(inputs[0])
    size = math.prod(shape) if shape else find_latent_dim(module, latent_dim)
    return InvertibleModel(module, size, num_classes, shape or (size,))


def _check_conditions(module: Any, num_classes: int | None) -> None:
    """Refuse conditions that are not the one-hot labels of ``num_classes`` classes."""
    nodes = getattr(module, "condition_nodes", None)
    if nodes is not None:  # a GraphINN
        sizes: list[int | None] = [math.prod(node.output_dims[0]) for node in nodes]
    else:  # a SequenceINN knows which condition goes where, but not its size
        sizes = [None for _ in {cond for cond in getattr(module, "conditions", None) or [] if cond is not None}]
    one_hot_labels = len(sizes) == 1 and num_classes is not None and sizes[0] in (None, num_classes)
    if sizes and not one_hot_labels:
        raise TypeError(
            f"{type(module).__name__} has conditions: where it is one, the one-hot labels of k classes, pass "
            "num_classes=k; for any other subclass LatentModel and pass c= in encode and decode"
        )
