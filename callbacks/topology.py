"""Disentanglement by manifold topology, now and then while a model trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.functional.topology.submanifold import conditional_latents
from torchdisentangle.functional.topology.witness import import_gudhi
from torchdisentangle.models import LatentModel
from torchdisentangle.plots import plot_coclustering, plot_living_times
from torchdisentangle.topology import ManifoldTopologyScore, RandomConvEmbedding

_SMALL = 256  # data of no more dimensions are compared as they are


class ManifoldTopologyCallback(EvaluationCallback):
    """Watches whether holding a latent leaves the topology of what is generated as it is (Zhou et al., ICLR 2021).

    Works for decoders of any kind: VAE, flow, GAN. Logged under ``<prefix>/topology/`` are ``score`` (higher is better)
    and ``num_factors`` (the number of groups of latents), with the figures ``distances`` (co-clustered) and
    ``living_times``. It is the slow one: ``latents x num_values x num_draws`` witness complexes of some milliseconds
    each, shared out over threads and processes, with a progress bar. So by default it runs every tenth epoch.

    Args:
        num_samples: points of each conditional submanifold.
        num_values: at how many values, drawn from the prior, each latent is held.
        num_draws: draws of landmarks for each submanifold.
        num_landmarks: landmarks of each draw.
        gamma: end of the filtration as a share of the largest distance.
        max_holes: more holes count as so many.
        mode: ``"wasserstein"`` or ``"reference"``, as for
            :class:`~torchdisentangle.topology.ManifoldTopologyScore`.
        embedding: ``"none"``: distances between data as they are; ``"conv"``: between features of a random
            convolutional network; ``"auto"``: the latter for images of more than 256 numbers. Or a function of the
            data.
        num_threads: threads over draws.
        every_n_epochs: evaluate in every so many epochs of a fit.
        kwargs: as for :class:`~torchdisentangle.callbacks.evaluation.EvaluationCallback`.

    Raises:
        ImportError: without gudhi and scikit-learn (extra ``topology``).
        MisconfigurationException: for wrong settings, and before training if the model cannot decode.

    Example:
        >>> callback = ManifoldTopologyCallback(num_draws=20, every_n_epochs=5)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    family = "topology"

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
        every_n_epochs: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(every_n_epochs=every_n_epochs, **kwargs)
        import_gudhi()
        if num_samples < 2:
            raise MisconfigurationException(f"num_samples must be at least 2, got {num_samples}")
        if isinstance(embedding, str) and embedding not in ("auto", "none", "conv"):
            raise MisconfigurationException(
                f"embedding must be 'auto', 'none', 'conv' or a function, got {embedding!r}"
            )
        self.num_samples, self.num_values, self.embedding = num_samples, num_values, embedding
        self.settings: dict[str, Any] = {
            "num_draws": num_draws,
            "num_landmarks": num_landmarks,
            "gamma": gamma,
            "max_holes": max_holes,
            "mode": mode,
            "seed": self.seed,
            "num_threads": num_threads,
        }
        try:
            self._metric = ManifoldTopologyScore(1, num_values, **self.settings)
        except ValueError as error:
            raise MisconfigurationException(str(error)) from error

    @property
    def abilities(self) -> tuple[str, ...]:
        """Decoding."""
        return ("decode",)

    def rehearse(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Decode and embed two latents."""
        self._embed(self._decode(model, self._latents(model)[0][:2]))

    def start(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Make every submanifold, and this process's share of the draws."""
        self._metric = ManifoldTopologyScore(model.latent_dim, self.num_values, **self.settings)
        base, values = self._latents(model)
        clouds = [(latent, value) for latent in range(model.latent_dim) for value in range(self.num_values)]
        hidden = not trainer.is_global_zero or trainer.progress_bar_callback is None
        for latent, value in tqdm(clouds, desc="manifold topology", leave=False, disable=hidden):
            z = conditional_latents(base, latent, values[value, latent])
            self._metric.update(self._embed(self._decode(model, z)), latent=latent, value=value)

    @property
    def done(self) -> bool:
        """No batch of data is needed."""
        return True

    def finish(self, trainer: L.Trainer) -> tuple[Mapping[str, Tensor], Mapping[str, Callable[[], Figure]]]:
        """Score and figures over all processes."""
        with self._metric.reduced():
            scalars = self._metric.compute()
            distances, clusters = self._metric.distances(), self._metric.clusters()
            times = self._metric.mean_living_times().mean(1)
        return scalars, {
            "distances": lambda: plot_coclustering(distances, clusters)[0],
            "living_times": lambda: plot_living_times(times)[0],
        }

    def _latents(self, model: LatentModel) -> tuple[Tensor, Tensor]:
        """Latents that all submanifolds share, and the values at which each latent is held, from the prior."""
        labels = None if model.num_classes is None else torch.arange(self.num_samples) % model.num_classes
        generator = torch.Generator().manual_seed(self.seed)
        base = model.prior.sample(self.num_samples, generator, labels)
        of_values = None if model.num_classes is None else torch.arange(self.num_values) % model.num_classes
        return base, model.prior.sample(self.num_values, generator, of_values)

    def _decode(self, model: LatentModel, z: Tensor) -> Tensor:
        like = next((p for p in model.module.parameters() if p.is_floating_point()), z)
        if model.num_classes is None:
            return model.decode(z.to(like))
        return model.decode(z.to(like), (torch.arange(len(z)) % model.num_classes).to(like.device))

    def _embed(self, data: Tensor) -> Tensor:
        if not isinstance(self.embedding, str):
            return self.embedding(data)
        images = data.ndim == 4
        if self.embedding == "conv" or (self.embedding == "auto" and images and data[0].numel() > _SMALL):
            if not images:
                raise ValueError(f"the convolutional embedding needs images (N, C, H, W), got {tuple(data.shape)}")
            return RandomConvEmbedding(data.shape[1], seed=self.seed).to(data)(data)
        return data
