"""Information of latent channels and how it compares with earlier evaluations and other runs, in every validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import DistributedSampler, RandomSampler

from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.figures import curve_step
from torchdisentangle.callbacks.rows import RowPositions
from torchdisentangle.functional import ChannelComparison, compare_posteriors, compare_with_labels, match_latents
from torchdisentangle.functional.similarity.channels import INFORMATIVE
from torchdisentangle.models import LatentModel
from torchdisentangle.plots import plot_similarity
from torchdisentangle.similarity import (
    BhattacharyyaFingerprint,
    Fingerprint,
    align_fingerprints,
    find_fingerprint,
    similarity_matrix,
)
from torchdisentangle.similarity.measure import Measure, best_match, check_measure, measure_label


class RepresentationSimilarityCallback(EvaluationCallback):
    r"""Watches what each latent channel tells about the data, and when it settles (Murphy et al., TMLR 2025).

    In every validation epoch the posteriors of ``num_points`` data points, always the same, are kept as the model's
    fingerprint, saved in the log folder, and logged are, under ``<prefix>/similarity/``:

    ========================== =============================================================== ====================
    key                        meaning                                                         settled
    ========================== =============================================================== ====================
    ``total_information``      sum of the channels' information about the data, nats           constant
    ``informative_channels``   number of channels with more than 0.01 bits                     constant
    ``nmi_to_previous``        how well the channels are found again in the last evaluation    1
    ``nmi_to_reference``       how well in another run's fingerprint                           1 if it found the same
    ``nmi_to_labels``          how well the labels are found in the channels                   1 if disentangled
    ========================== =============================================================== ====================

    "How well found again" is, for each informative channel, its NMI with the most similar informative channel of the
    other, averaged; for labels it is the mean over labels of the NMI with their most similar channel. With
    ``measure="vi"`` the keys are ``vi_to_...``, in nats, and 0 is ideal. A value that does not exist (the first
    evaluation has no previous one, a collapsed model no informative channel) is not logged.

    Figures: ``channels`` (similarity within the model), ``to_previous``, ``to_reference``, ``to_labels`` and
    ``fingerprint``. Files: ``<log folder>/fingerprints/<prefix>/<step>.npz``, for ``torchdisentangle compare``.

    Points are chosen by their position in the validation data, so that must not be shuffled. The values are those of
    one process. Encoded is what can enter the sample, about ``F log(N / F)`` of ``N`` points. Nothing about the
    training changes.

    Args:
        num_points: how many data points, ``F``; where there are fewer, all, with a warning. No channel's information
            can exceed ``log F``.
        measure: ``"nmi"`` or ``"vi"``.
        reference: another run's fingerprint to compare with: a file, or the run's folder for its latest one.
        labels: whether to keep the validation labels (``label_key``) and compare the channels with them.
        noise_std: for deterministic encoders: the standard deviation within which codes count as the same.
        threshold: nats of information that an informative channel exceeds; by default 0.01 bits.
        save: whether to write fingerprints to files.
        folder: where; by default in the log folder.
        kwargs: as for :class:`~torchdisentangle.callbacks.evaluation.EvaluationCallback`. ``seed`` chooses the points:
            runs to be compared need the same.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model lacks what is needed, the
            reference cannot be read, or the data are shuffled.

    Example:
        >>> callback = RepresentationSimilarityCallback(num_points=300)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    family = "similarity"

    def __init__(
        self,
        num_points: int = 1000,
        measure: Measure = "nmi",
        reference: str | None = None,
        labels: bool = False,
        noise_std: float | None = None,
        threshold: float = INFORMATIVE,
        save: bool = True,
        folder: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        try:
            self.measure = check_measure(measure)
            self._metric = BhattacharyyaFingerprint(num_points, self.seed)
        except ValueError as error:
            raise MisconfigurationException(str(error)) from error
        if noise_std is not None and not noise_std > 0:
            raise MisconfigurationException(f"noise_std must be positive, got {noise_std}")
        self.num_points, self.labels, self.noise_std, self.threshold = num_points, labels, noise_std, threshold
        self.reference, self.save, self.folder = reference, save, folder
        self._reference: Fingerprint | None = None
        self._previous: dict[str, Fingerprint] = {}

    @property
    def abilities(self) -> tuple[str, ...]:
        """Encoding."""
        return ("encode",)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Read the reference."""
        if self.reference is not None:
            try:
                self._reference = Fingerprint.load(find_fingerprint(self.reference))
            except (OSError, ValueError) as error:
                raise MisconfigurationException(f"the reference cannot be read: {error}") from error

    def rehearse_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Encode two points."""
        _refuse_shuffled(self.loader(trainer))
        self._encode(model, batch, torch.arange(min(2, len(self.take(batch, self.input_key)))))

    def start(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Forget the points of the last evaluation."""
        loader = self.loader(trainer)
        _refuse_shuffled(loader)
        self._metric.reset()
        self._metric.to(trainer.strategy.root_device)
        self._rows = RowPositions(loader, trainer.global_rank, trainer.world_size)

    def on_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Add the batch's points that belong to the fingerprint, as far as is known yet."""
        positions = self._rows.next(len(self.take(batch, self.input_key)))
        rows = ((positions >= 0) & self._metric.wanted(positions).to(positions.device)).nonzero()[:, 0]
        if len(rows):
            mean, log_variance, labels = self._encode(model, batch, rows)
            self._metric.update(mean, log_variance, positions[rows].to(mean.device), labels)

    def finish(self, trainer: L.Trainer) -> tuple[Mapping[str, Tensor], Mapping[str, Callable[[], Figure]]]:
        """Compare, save, and remember; on all processes."""
        with self._metric.reduced():
            scalars = {"num_nonfinite": self._metric.num_nonfinite} if self._metric.num_nonfinite else {}
            if len(self._metric.keys) == 0:
                return scalars, {}
            current = self._metric.fingerprint()
        stage = self.prefix or ("test" if trainer.testing else "val")
        within = compare_posteriors(current.mean, current.log_variance)
        informative = within.information_a > self.threshold
        scalars["total_information"] = within.information_a.sum()
        scalars["informative_channels"] = informative.sum().double()
        order = within.information_a.argsort(descending=True, stable=True)
        matrices = {"channels": similarity_matrix(within, self.measure)[:, order]}
        for name, compared in self._comparisons(current, stage).items():
            similarity, there = similarity_matrix(compared, self.measure), compared.information_b > self.threshold
            best = best_match(similarity, informative, there, self.measure)
            if name == "labels":  # all of which should be found, not all channels
                best = best_match(similarity.mT, there, informative, self.measure)
            scalars[f"{self.measure}_to_{name}"] = best
            matrices[f"to_{name}"] = similarity
        if self.save and trainer.is_global_zero:
            current.step = curve_step(trainer)
            current.save(self._run_folder(trainer) / "fingerprints" / stage / f"{current.step}.npz")
        self._previous[stage] = current
        figures: dict[str, Callable[[], Any]] = {"fingerprint": current.plot}
        for name, matrix in matrices.items():
            figures[name] = partial(self._draw, matrix[order], order.tolist(), name)
        return scalars, {name: lambda draw=draw: draw()[0] for name, draw in figures.items()}

    @property
    def state_key(self) -> str:
        """Tells several callbacks of one trainer apart in its checkpoints."""
        names = ("prefix", "dataloader_idx", "num_points", "seed", "measure", "reference")
        return self._generate_state_key(**{name: getattr(self, name) for name in names})

    def state_dict(self) -> dict[str, Any]:
        """The last fingerprints, so that a resumed run goes on comparing."""
        names = ("mean", "log_variance", "index")
        return {
            stage: {name: getattr(fingerprint, name).cpu() for name in names}
            for stage, fingerprint in self._previous.items()
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the last fingerprints."""
        self._previous = {stage: Fingerprint(**tensors) for stage, tensors in state_dict.items()}

    def _comparisons(self, current: Fingerprint, stage: str) -> dict[str, ChannelComparison]:
        comparisons = {}
        previous = self._previous.get(stage)
        if previous is not None and torch.equal(previous.index, current.index.to(previous.index.device)):
            comparisons["previous"] = _compare(current, previous)
        if self._reference is not None:
            comparisons["reference"] = _compare(*align_fingerprints([current, self._reference.to(current.mean.device)]))
        if current.labels is not None:
            comparisons["labels"] = compare_with_labels(current.mean, current.log_variance, current.labels)
        return comparisons

    def _encode(self, model: LatentModel, batch: Any, rows: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Posteriors and labels of some rows of a batch."""
        x = self.take(batch, self.input_key)
        rows = rows.to(x.device)
        wanted = self.labels or model.num_classes is not None
        labels = self.take(batch, self.label_key)[rows] if wanted else None
        like = next((p for p in model.module.parameters() if p.is_floating_point()), x)
        x = x[rows].to(like) if x.is_floating_point() else x[rows]
        mean, log_variance = model.encode(x, labels if model.num_classes is not None else None)
        if log_variance is None:
            if self.noise_std is None:
                raise TypeError(
                    f"{type(model.module).__name__} encodes data as points, which carry unlimited information: set "
                    "noise_std, the standard deviation within which codes count as the same"
                )
            log_variance = torch.full_like(mean, 2 * math.log(self.noise_std))
        return mean, log_variance, labels if self.labels else None

    def _draw(self, matrix: Tensor, rows: list[int], name: str) -> Any:
        columns: list[Any] = rows
        if name != "channels":  # in the order that puts the best matches on the diagonal
            found = match_latents(matrix if self.measure == "nmi" else -matrix)
            matrix, columns = matrix[:, found], found.tolist()
        return plot_similarity(matrix, row_labels=rows, column_labels=columns, label=measure_label(self.measure))

    def _run_folder(self, trainer: L.Trainer) -> Path:
        if self.folder is not None:
            return Path(self.folder)
        logger: Any = trainer.logger
        place = getattr(logger, "log_dir", None)
        if place is None and getattr(logger, "save_dir", None) is not None:  # of all runs, as with Weights & Biases
            place = Path(logger.save_dir, str(logger.name), str(logger.version))
        return Path(place or trainer.default_root_dir)


def _compare(a: Fingerprint, b: Fingerprint) -> ChannelComparison:
    b = b.to(a.mean.device)
    return compare_posteriors(a.mean, a.log_variance, b.mean, b.log_variance)


def _refuse_shuffled(loader: Any) -> None:
    sampler = getattr(loader, "sampler", None)
    if isinstance(sampler, RandomSampler) or (isinstance(sampler, DistributedSampler) and sampler.shuffle):
        raise ValueError(
            "the evaluated data are shuffled, so their positions do not tell which data points they are, and "
            "fingerprints could not be compared: set shuffle=False in the data loader"
        )
