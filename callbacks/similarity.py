"""Information of latent channels, compared with earlier evaluations and other runs, in every validation epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
from typing_extensions import Unpack

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.figures import curve_step, run_folder
from torchdisentangle.callbacks.settings import CallbackSettings
from torchdisentangle.evaluation import Evaluation, Report, SimilarityEvaluation
from torchdisentangle.evaluation.similarity import SimilarityReport
from torchdisentangle.functional.similarity.channels import INFORMATIVE
from torchdisentangle.similarity import Fingerprint, find_fingerprint
from torchdisentangle.similarity.measure import Measure


class RepresentationSimilarityCallback(EvaluationCallback):
    r"""Logs what each latent channel tells about the data, and when it settles (Murphy et al., TMLR 2025).

    In every validation epoch the callback keeps the posteriors of ``num_points`` data points, always the same, as the
    model's fingerprint, saves it in the log folder, and logs, under ``<prefix>/similarity/``:

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
    ``measure="vi"`` the keys are ``vi_to_...``, in nats, and 0 is ideal. A value that does not exist is
    not logged: the first evaluation has no previous one, and a collapsed model has no informative channel.

    Figures: ``channels`` (similarity within the model), ``to_previous``, ``to_reference``, ``to_labels`` and
    ``fingerprint``. Files: ``<log folder>/fingerprints/<prefix>/<step>.npz``, for ``torchdisentangle compare``.

    Points are chosen by their position in the validation data, so the data must not be shuffled. Several processes log
    the values that one would. Unless another callback needs all rows, only those that can enter the sample are encoded,
    about ``F log(N / F)`` of ``N``. Training stays bitwise the same.

    Args:
        num_points: how many data points, ``F``; where there are fewer, all, with a warning. No channel's information
            can exceed ``log F``.
        measure: ``"nmi"`` or ``"vi"``.
        reference: another run's fingerprint to compare with: a file, or the run's folder for its latest one.
        labels: whether to keep the validation labels (``label_key``) and compare the channels with them.
        noise_std: for deterministic encoders: the standard deviation within which codes count as the same.
        threshold: nats of information that an informative channel exceeds; by default 0.01 bits.
        save: whether to write fingerprints to files.
        folder: where; by default in the log folder, or nowhere if the trainer has no logger.
        seed: of the choice of points: runs to be compared need the same.
        settings: of :class:`EvaluationCallback`, such as ``every_n_epochs`` and ``input_key``.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model lacks what is needed, the
            reference cannot be read, or the data are shuffled.

    Example:
        >>> callback = RepresentationSimilarityCallback(num_points=300)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

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
        seed: int = 0,
        **settings: Unpack[CallbackSettings],
    ) -> None:
        with misconfiguration():
            evaluation = SimilarityEvaluation(
                num_points, measure, labels=labels, noise_std=noise_std, threshold=threshold, seed=seed
            )
        super().__init__(evaluation, **settings)
        self.reference = reference
        self.save = save
        self.folder = folder
        self.later: tuple[str, ...] = (f"{measure}_to_previous",)
        self._reference: Fingerprint | None = None
        self._previous: dict[str, Fingerprint] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Read the reference."""
        super().setup(trainer, pl_module, stage)
        if self.reference is not None:
            with misconfiguration():
                self._reference = read_reference(self.reference)

    def forget(self) -> None:
        """A run begins without a previous evaluation."""
        super().forget()
        self._previous = {}

    def evaluation_now(self, trainer: L.Trainer, evaluation: Evaluation) -> Evaluation:
        """Compared with the last evaluation of this stage."""
        assert isinstance(evaluation, SimilarityEvaluation)
        return replace(evaluation, reference=self._reference, previous=self._previous.get(self.stage(trainer)))

    def keep(self, trainer: L.Trainer, report: Report) -> None:
        """Remember the fingerprint, and save it."""
        if not isinstance(report, SimilarityReport) or report.fingerprint is None:
            return
        current, stage = report.fingerprint, self.stage(trainer)
        self._previous[stage] = current
        folder = run_folder(trainer) if self.folder is None else Path(self.folder)
        if self.save and folder is not None and trainer.is_global_zero:
            current.step = curve_step(trainer)
            current.save(folder / "fingerprints" / stage / f"{current.step}.npz")

    @property
    def state_key(self) -> str:
        """Tells several callbacks of one trainer apart in its checkpoints."""
        settings = self.evaluation
        names = ("num_points", "seed", "measure")
        return self._generate_state_key(
            prefix=self.prefix,
            dataloader_idx=self.dataloader_idx,
            reference=self.reference,
            **{name: getattr(settings, name) for name in names},
        )

    def state_dict(self) -> dict[str, Any]:
        """The last fingerprints too, so that a resumed run goes on comparing."""
        names = ("mean", "log_variance", "index")
        previous = {
            stage: {name: getattr(fingerprint, name).cpu() for name in names}
            for stage, fingerprint in self._previous.items()
        }
        return {**super().state_dict(), "previous": previous}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the last fingerprints."""
        super().load_state_dict(state_dict)
        self._previous = {stage: Fingerprint(**tensors) for stage, tensors in state_dict["previous"].items()}


def read_reference(path: str) -> Fingerprint:
    """The fingerprint in a file, or the latest one of a run.

    Raises:
        ValueError: if it cannot be read.
    """
    try:
        return Fingerprint.load(find_fingerprint(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"the reference cannot be read: {error}") from error
