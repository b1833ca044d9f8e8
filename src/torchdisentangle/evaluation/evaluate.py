"""The door to all evaluations from any code: ``evaluate(model, dataloader)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DistributedSampler
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.evaluation.base import Context, Evaluation
from torchdisentangle.evaluation.disentanglement import DisentanglementEvaluation
from torchdisentangle.evaluation.elbo import ELBOEvaluation
from torchdisentangle.evaluation.informativeness import InformativenessEvaluation
from torchdisentangle.evaluation.loaders import plain
from torchdisentangle.evaluation.manifold import ManifoldEvaluation
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.positions import RowPositions, sampler_of
from torchdisentangle.evaluation.progress import with_bar
from torchdisentangle.evaluation.report import Report
from torchdisentangle.evaluation.rows import Key
from torchdisentangle.evaluation.session import ROWS_DIFFER, Session
from torchdisentangle.evaluation.sharded import check_unsharded
from torchdisentangle.evaluation.shared import SharedBatches
from torchdisentangle.evaluation.similarity import SimilarityEvaluation
from torchdisentangle.evaluation.topology import TopologyEvaluation
from torchdisentangle.evaluation.traversal import TraversalEvaluation
from torchdisentangle.evaluation.undisturbed import undisturbed
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.models.adapters import as_latent_model

EVALUATIONS: dict[str, type[Evaluation]] = {
    evaluation.family: evaluation
    for evaluation in (
        ManifoldEvaluation,
        ELBOEvaluation,
        DisentanglementEvaluation,
        InformativenessEvaluation,
        SimilarityEvaluation,
        TopologyEvaluation,
        TraversalEvaluation,
    )
}
"""The evaluations by their families' names."""


def evaluate(
    model: nn.Module | LatentModel,
    dataloader: Iterable[Any] | None = None,
    evaluations: Sequence[str | Evaluation] = ("manifold",),
    *,
    input_key: Key = None,
    label_key: Key = 1,
    latent_dim: int | None = None,
    num_classes: int | None = None,
    device: torch.device | str | None = None,
    dataloader_idx: int | None = None,
    progress: bool = False,
) -> Report:
    """Evaluate a model: in any training loop, or afterwards.

    The model keeps its mode, weights and buffers, and random number generators keep their states. If
    ``torch.distributed`` is initialised, all processes must call this together; they share the work, and each gets the
    report that one process would get, or raises an error. A data loader with a
    :class:`~torch.utils.data.DistributedSampler` is read as it is; any other must give the same batches on every
    process, and the processes take turns. Models and data loaders that Fabric's ``setup`` or accelerate's ``prepare``
    has wrapped are unwrapped.

    Args:
        model: a module that :func:`~torchdisentangle.models.as_latent_model` can adapt, or an adapted one.
        dataloader: batches of data, in a fixed order; not needed by evaluations of the decoder alone.
        evaluations: names (``"manifold"``, ``"elbo"``, ``"disentanglement"``, ``"informativeness"``, ``"similarity"``,
            ``"topology"``, ``"latents"``) or :class:`~torchdisentangle.evaluation.Evaluation` objects, which hold
            settings.
        input_key: where the data are in a batch: a position, a key or an attribute (dotted: ``"meta.image"``), or a
            function of the batch; ``None``: the batch itself if it is a tensor, else its first element.
        label_key: where the labels are in a batch, likewise.
        latent_dim: number of latents, if the model does not tell.
        num_classes: number of classes of a conditional model, if it does not tell.
        device: where to evaluate; ``None``: where the model is. Batches are moved there.
        dataloader_idx: which data loader of a ``CombinedLoader``, from 0; a batch is then one of that loader.
        progress: show a progress bar of the batches.

    Returns:
        Scalars (``report["manifold/total_correlation"]``), matrices, and figures to draw.

    Raises:
        TypeError: if the model or a batch lacks what is needed.
        ValueError: for an unknown name, or settings that do not fit; and on several processes if the loader does not
            tell which rows each of them sees.

    Example:
        >>> from torchdisentangle.models import VAE
        >>> model = VAE(data_shape=(4,), latent_dim=2, hidden=[8])
        >>> data = torch.utils.data.DataLoader(torch.rand(20, 4), batch_size=5)
        >>> report = evaluate(model, data, ["elbo", ManifoldEvaluation(num_samples=16)])
        >>> report["elbo/kl"] >= 0, "manifold/total_correlation" in report.scalars
        (True, True)
    """
    check_unsharded(model if isinstance(model, nn.Module) else model.module)
    dataloader = plain(dataloader, dataloader_idx)
    adapted = as_latent_model(model, latent_dim=latent_dim, num_classes=num_classes)
    if device is not None:
        adapted.module.to(device)
    wanted = [named(one) for one in evaluations]
    families = [one.family for one in wanted]
    if len(set(families)) < len(families):
        raise ValueError(f"each family can be evaluated once at a time, got {families}")
    for one in wanted:
        one.check(adapted)
    place = Place.here(adapted.like.device)
    context = Context(loader=dataloader, progress=progress)
    with undisturbed(adapted.module):
        passes = {one.family: one.settle(adapted, place).begin(adapted, place, context) for one in wanted}
        in_turn = place.world_size > 1 and not isinstance(sampler_of(dataloader), DistributedSampler)
        shared = SharedBatches(place, input_key) if in_turn else None
        positions = RowPositions(None, 0, 1) if in_turn else None
        session = Session(adapted, place, dataloader, list(passes.values()), input_key, label_key, positions)
        _feed(session, dataloader, place, shared, progress)
    _raise_together(session, place, shared)
    reports = {family: one.finish() for family, one in passes.items()}
    for one in wanted:
        if caution := one.caution(reports[one.family]):
            rank_zero_warn(f"{one.family}: {caution}", UserWarning)
    return Report.combined(reports)


def named(evaluation: str | Evaluation) -> Evaluation:
    """An evaluation by its name, with default settings.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> named("elbo") == ELBOEvaluation()
        True
    """
    if isinstance(evaluation, Evaluation):
        return evaluation
    if evaluation not in EVALUATIONS:
        raise ValueError(f"there is no evaluation {evaluation!r}; there are {', '.join(EVALUATIONS)}")
    return EVALUATIONS[evaluation]()


def on_device(batch: Any, device: torch.device) -> Any:
    """A batch, of tensors in sequences and mappings, on a device.

    Example:
        >>> on_device({"x": [torch.zeros(1)]}, torch.device("cpu"))
        {'x': [tensor([0.])]}
    """
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {key: on_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(on_device(value, device) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(on_device(value, device) for value in batch)
    return batch


def _feed(
    session: Session,
    dataloader: Iterable[Any] | None,
    place: Place,
    shared: SharedBatches | None,
    progress: bool,
) -> None:
    if shared is not None:
        shared.share_random_state()
    session.start()
    if not session.active:
        return
    if dataloader is None:
        raise TypeError("these evaluations need data: give a dataloader")
    for batch in with_bar(dataloader, "batches", progress):
        if shared is None or shared.is_own(batch):
            session.feed(on_device(batch, place.device))
        else:
            session.skip(batch)
        if not session.active:
            return
    if shared is not None:
        shared.exhausted = True


def _raise_together(session: Session, place: Place, shared: SharedBatches | None) -> None:
    """Raise the first error of this process, or one that says that another process failed."""
    failed = place.any(bool(session.errors))
    for error in session.errors.values():
        raise error
    if failed:
        raise RuntimeError("the evaluation failed on another process")
    if shared is not None:
        shared.check()
    elif not place.same(session.signature):
        raise ValueError(ROWS_DIFFER)
