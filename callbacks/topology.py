"""Disentanglement by manifold topology, now and then while a model trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.settings import UnscheduledSettings
from torchdisentangle.evaluation import TopologyEvaluation
from torchdisentangle.functional.topology.witness import import_gudhi


class ManifoldTopologyCallback(EvaluationCallback):
    """Logs whether holding a latent leaves the topology of what is generated as it is (Zhou et al., ICLR 2021).

    The callback works for decoders of any kind: VAE, flow, GAN. It logs, under ``<prefix>/topology/``, ``score``
    (higher is better) and ``num_factors`` (the number of groups of latents), with the figures ``distances``
    (co-clustered) and ``living_times``. It is slow: it makes ``latents x num_values x num_draws`` witness
    complexes, each of which takes some milliseconds, in several threads and processes, and shows a progress bar. So by
    default it runs every tenth epoch.

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
        every_n_epochs: how often to evaluate in a fit.
        settings: of :class:`EvaluationCallback`, such as ``prefix`` and ``every_n_steps``.

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
        every_n_epochs: int = 10,
        **settings: Unpack[UnscheduledSettings],
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
        super().__init__(evaluation, every_n_epochs=every_n_epochs, **settings)
