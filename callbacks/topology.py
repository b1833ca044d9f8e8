"""Disentanglement by manifold topology, now and then while a model trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.evaluation import TopologyEvaluation
from torchdisentangle.evaluation.rows import Key
from torchdisentangle.functional.topology.witness import import_gudhi


class ManifoldTopologyCallback(EvaluationCallback):
    """Logs whether holding a latent leaves the topology of what is generated as it is (Zhou et al., ICLR 2021).

    The callback works for decoders of any kind: VAE, flow, GAN. It logs, under ``<prefix>/topology/``, ``score``
    (higher is better) and ``num_factors`` (the number of groups of latents), with the figures ``distances``
    (co-clustered) and ``living_times``. It is slow: ``latents x num_values x num_draws`` witness complexes of some
    milliseconds each, shared out over threads and processes, with a progress bar. So it runs every tenth epoch by
    default.

    Args:
        num_samples: points of each conditional submanifold.
        num_values: at how many values, drawn from the prior, each latent is held.
        num_draws: draws of landmarks for each submanifold.
        num_landmarks: landmarks of each draw.
        gamma: end of the filtration as a share of the largest distance.
        max_holes: larger numbers of holes count as this one.
        mode: ``"wasserstein"`` or ``"reference"``, as for
            :class:`~torchdisentangle.topology.ManifoldTopologyScore`.
        embedding: ``"none"``: distances between data as they are; ``"conv"``: between features of a random
            convolutional network; ``"auto"``: the latter for images of more than 256 numbers. Or a function of the
            data.
        num_threads: threads over draws.
        seed: of latents and landmarks.
        prefix: first part of the logged keys; by default ``val`` in fit and validate, ``test`` in test. Two callbacks
            of one family need different ones.
        every_n_epochs: how often to evaluate in a fit (validate and test always evaluate).
        figures: draw figures at every ``figures``-th evaluation of a fit; ``True``: at each, ``False``: never.
        dataloader_idx: which validation data loader to use where there are several.
        input_key: where the data are in a batch: a position, a key or an attribute (dotted: ``"meta.image"``), or a
            function of the batch; ``None``: the batch itself if it is a tensor, else its first element.
        label_key: where the labels are in a batch, likewise.
        latent_dim: number of latents, if the model does not tell.
        num_classes: number of classes of a conditional model, if it does not tell.

    Raises:
        ImportError: without gudhi and scikit-learn (extra ``topology``).
        MisconfigurationException: for wrong settings, and before training if the model cannot decode.

    Example:
        >>> import lightning as L
        >>> callback = ManifoldTopologyCallback(num_draws=20, every_n_epochs=5)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    def __init__(
        self,
        num_samples: int = 1000,
        num_values: int = 10,
        num_draws: int = 20,
        num_landmarks: int = 100,
        gamma: float = 1 / 128,
        max_holes: int = 100,
        mode: Literal["wasserstein", "reference"] = "wasserstein",
        embedding: Literal["auto", "none", "conv"] | Callable[[Tensor], Tensor] = "auto",
        num_threads: int = 2,
        seed: int = 0,
        *,
        prefix: str | None = None,
        every_n_epochs: int = 10,
        figures: bool | int = True,
        dataloader_idx: int = 0,
        input_key: Key = None,
        label_key: Key = 1,
        latent_dim: int | None = None,
        num_classes: int | None = None,
    ) -> None:
        import_gudhi()
        with misconfiguration():
            evaluation = TopologyEvaluation(
                num_samples,
                num_values,
                num_draws,
                num_landmarks,
                gamma,
                max_holes,
                mode,
                embedding,
                num_threads,
                seed,
            )
        super().__init__(
            evaluation,
            prefix=prefix,
            every_n_epochs=every_n_epochs,
            figures=figures,
            dataloader_idx=dataloader_idx,
            input_key=input_key,
            label_key=label_key,
            latent_dim=latent_dim,
            num_classes=num_classes,
        )
