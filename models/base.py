"""What all models here have in common: a loss made of named terms, the steps, the logging, the optimizer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchdisentangle.lightning_package import LIGHTNING

if TYPE_CHECKING:
    import lightning as L
else:
    L = import_module(LIGHTNING)


class GenerativeModule(L.LightningModule):
    """Trains on the ``loss`` among the terms that a subclass computes, and logs all of them.

    A subclass defines :meth:`terms`. The module logs their means over an epoch, as ``train/<term>``, ``val/<term>`` and
    ``test/<term>``, the latter two over all processes.

    Args:
        learning_rate: of Adam.

    Example:
        >>> class Constant(GenerativeModule):
        ...     def __init__(self):
        ...         super().__init__(learning_rate=0.1)
        ...         self.level = torch.nn.Parameter(torch.zeros(1))
        ...     def terms(self, x):
        ...         return {"loss": (x - self.level).square().mean()}
        >>> Constant().training_step([torch.ones(4, 1)], 0)
        tensor(1., grad_fn=<MeanBackward0>)
    """

    def __init__(self, learning_rate: float = 1e-3) -> None:
        super().__init__()
        self.learning_rate = learning_rate

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The ``loss`` and what it is made of.

        Args:
            x: data, ``(N, *data_shape)``.

        Returns:
            Scalars, averaged over the batch.
        """
        raise NotImplementedError

    def batch_terms(self, batch: Any) -> dict[str, Tensor]:
        """The terms of a batch: of the batch itself if it is a tensor, else of its first element."""
        return self.terms(batch if isinstance(batch, Tensor) else batch[0])

    def training_loss(self, terms: dict[str, Tensor]) -> Tensor:
        """What is minimised: the ``loss``, unless a subclass trains something beside it."""
        return terms["loss"]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.training_loss(self._step(batch, "train"))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._step(batch, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def _step(self, batch: Any, stage: str) -> dict[str, Tensor]:
        terms = self.batch_terms(batch)
        size = len(batch if isinstance(batch, Tensor) else batch[0])
        named = {f"{stage}/{name}": value for name, value in terms.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=size, sync_dist=stage != "train")
        return terms


def check_weights(**weights: float) -> None:
    """Refuse negative weights.

    Raises:
        ValueError: naming the first one.

    Example:
        >>> check_weights(beta=-1.0)
        Traceback (most recent call last):
            ...
        ValueError: beta must not be negative, got -1.0
    """
    for name, weight in weights.items():
        if not weight >= 0:
            raise ValueError(f"{name} must not be negative, got {weight}")
