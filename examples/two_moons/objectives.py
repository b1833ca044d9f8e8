"""The three objectives, and how the weight of the last one falls."""

from __future__ import annotations

from typing import Any

import lightning as L

from torchdisentangle.models import NormalizingFlowModule

# weights of the flow module's terms
OBJECTIVES: dict[str, dict[str, float]] = {
    "maximum likelihood": {},
    "+ total correlation": {"total_correlation_weight": 1.0},
    "+ core reconstruction": {"total_correlation_weight": 1.0, "core_reconstruction_weight": 12.0},
}


class FadingReconstruction(L.Callback):
    """Lets the weight of the core reconstruction fall to 3 % in the middle third of the training.

    It decides early what the core latents are; to fit the data, the last third is for the other terms.
    """

    def on_fit_start(self, trainer: L.Trainer, pl_module: NormalizingFlowModule) -> None:
        self.initial = pl_module.core_reconstruction_weight

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: NormalizingFlowModule, batch: Any, batch_idx: int
    ) -> None:
        fallen = min(1.0, max(0.0, 3 * trainer.global_step / trainer.estimated_stepping_batches - 1))
        pl_module.core_reconstruction_weight = self.initial * (1 - 0.97 * fallen)
