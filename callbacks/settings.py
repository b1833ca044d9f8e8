"""The settings that all callbacks share."""

from __future__ import annotations

from typing_extensions import TypedDict

from torchdisentangle.evaluation.rows import Key


class UnscheduledSettings(TypedDict, total=False):
    """All of them but ``every_n_epochs``, of which a callback may have a default of its own."""

    prefix: str | None
    every_n_steps: int | None
    at_start: bool
    figures: bool | int
    log_seconds: bool
    dataloader_idx: int
    input_key: Key
    label_key: Key
    latent_dim: int | None
    num_classes: int | None


class CallbackSettings(UnscheduledSettings, total=False):
    """Settings of :class:`~torchdisentangle.callbacks.EvaluationCallback`."""

    every_n_epochs: int
