"""The topology of conditional submanifolds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from torchdisentangle.evaluation.base import Context, Evaluation, Goal, Pass
from torchdisentangle.evaluation.latents import decode
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.progress import with_bar
from torchdisentangle.evaluation.report import Report, draws, floats
from torchdisentangle.functional.topology.submanifold import conditional_latents
from torchdisentangle.functional.topology.witness import import_gudhi
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.plots.topology import plot_coclustering, plot_living_times
from torchdisentangle.topology import ManifoldTopologyScore, RandomConvEmbedding

_SMALL = 256  # numbers of an image whose pixels are compared as they are


@dataclass(frozen=True)
class TopologyEvaluation(Evaluation):
    """How well latents fall into groups whose conditional submanifolds share a topology (Zhou et al.).

    Args:
        num_samples: points of each conditional submanifold.
        num_values: at how many values, drawn from the prior, each latent is held.
        num_draws: draws of landmarks for each submanifold.
        num_landmarks: landmarks of each draw.
        gamma: end of the filtration as a share of the largest distance.
        max_holes: larger numbers of holes count as this one.
        mode: ``"wasserstein"`` or ``"reference"``.
        embedding: ``"none"``, ``"conv"``, ``"auto"``, or a function of the data.
        num_threads: threads over draws.
        seed: of latents and landmarks.

    Raises:
        ImportError: without gudhi and scikit-learn (extra ``topology``).
        ValueError: for wrong settings.

    Example:
        >>> TopologyEvaluation(num_draws=5).abilities
        ('decode',)
    """

    family: ClassVar[str] = "topology"

    num_samples: int = 1000
    num_values: int = 10
    num_draws: int = 20
    num_landmarks: int = 100
    gamma: float = 1 / 128
    max_holes: int = 100
    mode: Literal["wasserstein", "reference"] = "wasserstein"
    embedding: Literal["auto", "none", "conv"] | Callable[[Tensor], Tensor] = "auto"
    num_threads: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        import_gudhi()
        if self.num_samples < 2:
            raise ValueError(f"num_samples must be at least 2, got {self.num_samples}")
        if isinstance(self.embedding, str) and self.embedding not in ("auto", "none", "conv"):
            raise ValueError(f"embedding must be 'auto', 'none', 'conv' or a function, got {self.embedding!r}")
        self.metric(latent_dim=1)

    @property
    def headlines(self) -> Mapping[str, Goal]:
        """The values to look at first."""
        return {"score": "max", "num_factors": "none"}

    @property
    def abilities(self) -> tuple[str, ...]:
        """Decoding."""
        return ("decode",)

    def rehearse(self, model: LatentModel, place: Place) -> None:
        """Decode and embed two latents."""
        self.embed(self.decode(model, self.latents(model)[0][:2]))

    def begin(self, model: LatentModel, place: Place, context: Context) -> TopologyPass:
        """Begin a pass."""
        return TopologyPass(self, model, place, context.progress)

    def metric(self, latent_dim: int) -> ManifoldTopologyScore:
        """A new metric for a number of latents."""
        return ManifoldTopologyScore(
            latent_dim,
            self.num_values,
            num_draws=self.num_draws,
            num_landmarks=self.num_landmarks,
            gamma=self.gamma,
            max_holes=self.max_holes,
            mode=self.mode,
            seed=self.seed,
            num_threads=self.num_threads,
        )

    def latents(self, model: LatentModel) -> tuple[Tensor, Tensor]:
        """Latents that all submanifolds share, and the values at which each latent is held, from the prior."""
        labels = None if model.num_classes is None else torch.arange(self.num_samples) % model.num_classes
        generator = torch.Generator().manual_seed(self.seed)
        base = model.prior.sample(self.num_samples, generator, labels)
        of_values = None if model.num_classes is None else torch.arange(self.num_values) % model.num_classes
        return base, model.prior.sample(self.num_values, generator, of_values)

    def decode(self, model: LatentModel, z: Tensor) -> Tensor:
        """Data of latents, from all classes alike."""
        labels = None if model.num_classes is None else torch.arange(len(z)) % model.num_classes
        return decode(model, z.to(model.like), None if labels is None else labels.to(model.like.device))

    def embed(self, data: Tensor) -> Tensor:
        """The vectors that distances are taken between."""
        if not isinstance(self.embedding, str):
            return self.embedding(data)
        images = data.ndim == 4
        if self.embedding == "conv" or (self.embedding == "auto" and images and data[0].numel() > _SMALL):
            if not images:
                raise ValueError(f"the convolutional embedding needs images (N, C, H, W), got {tuple(data.shape)}")
            return RandomConvEmbedding(data.shape[1], seed=self.seed).to(data)(data)
        return data


class TopologyPass(Pass):
    """One evaluation of :class:`TopologyEvaluation`, which needs no rows."""

    def __init__(self, evaluation: TopologyEvaluation, model: LatentModel, place: Place, progress: bool) -> None:
        self.evaluation = evaluation
        self.model = model
        self.progress = progress
        self.metric: ManifoldTopologyScore = evaluation.metric(model.latent_dim).to(place.device)

    @property
    def done(self) -> bool:
        """No rows are needed."""
        return True

    def start(self) -> None:
        """Make every submanifold, and this process's share of the draws."""
        settings = self.evaluation
        base, values = settings.latents(self.model)
        clouds = [(latent, value) for latent in range(self.model.latent_dim) for value in range(settings.num_values)]
        for latent, value in with_bar(clouds, "manifold topology", self.progress):
            z = conditional_latents(base, latent, values[value, latent])
            points = settings.embed(settings.decode(self.model, z))
            self.metric.update(points, latent=latent, value=value)

    def finish(self) -> Report:
        """Score and figures over all processes."""
        with self.metric.reduced():
            scalars = self.metric.compute()
            distances, clusters = self.metric.distances(), self.metric.clusters()
            times = self.metric.mean_living_times().mean(1)
        figures: dict[str, Callable[[], Any]] = {
            "distances": lambda: plot_coclustering(distances, clusters),
            "living_times": lambda: plot_living_times(times),
        }
        num_points = self.evaluation.num_samples * self.evaluation.num_values * self.model.latent_dim
        return Report(floats(scalars), {"distances": distances, "living_times": times}, draws(figures), num_points)
