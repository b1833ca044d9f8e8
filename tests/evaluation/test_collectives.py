"""Every message between the processes of an evaluation: how many, of what, where, and how large.

NCCL refuses tensors that are not on the GPU, and each collective makes a GPU wait for the slowest process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Metric, MetricCollection

from tests.helpers import RunProcesses
from tests.stand_in import STAND_IN, StandIn
from torchdisentangle import evaluate
from torchdisentangle.evaluation import (
    DisentanglementEvaluation,
    ELBOEvaluation,
    Evaluation,
    InformativenessEvaluation,
    ManifoldEvaluation,
    SimilarityEvaluation,
    TopologyEvaluation,
    TraversalEvaluation,
)
from torchdisentangle.evaluation.base import Context
from torchdisentangle.evaluation.place import Place
from torchdisentangle.models import as_latent_model

EVALUATIONS: list[Evaluation] = [
    ManifoldEvaluation(20),
    ELBOEvaluation(num_queries=20, max_rows=40),
    DisentanglementEvaluation(["mig", "sap"], factors=1, max_rows=40),
    InformativenessEvaluation(num_queries=20, max_rows=40),
    SimilarityEvaluation(num_points=10),
    TopologyEvaluation(10, 2, num_draws=2, num_landmarks=5, num_threads=1),
    TraversalEvaluation(num_steps=3),
]

READ = [
    "broadcast uint8",  # the random state that a loader shuffles with
    "all_reduce float64",  # has the pass failed on any process?
    *["all_reduce float64"] * 3,  # the fewest and the most batches that a process read; has any reached the end?
    "all_reduce int64",  # were they the same?
]
AGREED = ["all_reduce int64"] * 2  # the same metrics? the same shapes?
SUMS, COUNTS = ["all_reduce float64"], ["all_reduce int64"]  # of all metrics at once
SAMPLE = [
    "all_reduce int64",
    "all_gather int64",
    "all_reduce int64",
    "all_gather float64",
]  # of all rows
MOMENTS = ["all_reduce int64", *["all_reduce float64"] * 2]  # widths; means; products
LOG_SUMS = ["all_reduce float64"] * 2  # the largest logarithms; the sums

EXPECTED = {
    "manifold": [*READ, *AGREED, *SUMS, *COUNTS],
    "elbo": [*READ, *AGREED, *SUMS, *COUNTS, *SAMPLE, *MOMENTS, *LOG_SUMS, *LOG_SUMS],  # of two draws of latents
    "disentanglement": [*READ, *AGREED, *COUNTS, *SAMPLE, *MOMENTS],
    "informativeness": [*READ, *AGREED, *SUMS, *COUNTS, *SAMPLE, *LOG_SUMS],
    "similarity": [*READ, *AGREED, *COUNTS, *SAMPLE],
    "topology": [*READ, *AGREED, *SUMS, *COUNTS],
    "latents": READ,
}

COLLECTIVES = {
    "all_gather", "all_gather_coalesced", "all_gather_into_tensor", "all_gather_object", "all_reduce",
    "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier", "batch_isend_irecv", "broadcast",
    "broadcast_object_list", "gather", "gather_object", "irecv", "isend", "monitored_barrier", "recv", "reduce",
    "reduce_scatter", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send",
}  # fmt: skip


class Message(NamedTuple):
    """What a process gives to a collective."""

    what: str
    device: str
    num_bytes: int


@contextmanager
def recorded() -> Iterator[list[Message]]:
    """The messages of this process inside the context."""
    messages: list[Message] = []

    def recorder(name: str) -> Any:
        collective = getattr(dist, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            tensor = next((value for value in args if isinstance(value, Tensor)), torch.empty(0))  # a barrier has none
            dtype = str(tensor.dtype).removeprefix("torch.")
            messages.append(Message(f"{name} {dtype}", tensor.device.type, tensor.nbytes))
            return collective(*args, **kwargs)

        return call

    existing = COLLECTIVES & set(dir(dist))
    with mock.patch.multiple(dist, **{name: recorder(name) for name in existing}):
        yield messages


class SmallVAE(nn.Module):
    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = nn.Linear(3, 4), nn.Linear(2, 3)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


def messages_of(evaluation: Evaluation, num_rows: int, device: str = "cpu") -> list[Message]:
    factors = torch.cartesian_prod(torch.arange(3), torch.arange(4)).repeat(num_rows // 12, 1)
    data = torch.randn(num_rows, 3, generator=torch.Generator().manual_seed(0)) + factors[:, :1]
    with recorded() as messages:
        evaluate(SmallVAE(), DataLoader(TensorDataset(data, factors), 8), [evaluation], device=device)
    return messages


def work(rank: int) -> list[dict[str, list[Message]]]:
    return [{one.family: messages_of(one, num_rows) for one in EVALUATIONS} for num_rows in (96, 384)]


def test_the_messages_of_an_evaluation(run_processes: RunProcesses) -> None:
    """As many as listed, the same on each process, and no more bytes for more rows."""
    first, second = run_processes(2, work)
    few_rows, many_rows = first
    assert {family: [message.what for message in messages] for family, messages in few_rows.items()} == EXPECTED
    assert few_rows == many_rows
    assert first == second


def work_on_a_device(rank: int) -> dict[str, list[Message]]:
    with StandIn():
        return {one.family: messages_of(one, 96, STAND_IN) for one in EVALUATIONS}


def test_messages_stay_on_the_device(run_processes: RunProcesses) -> None:
    """All of them, which are those of the CPU."""
    first, second = run_processes(2, work_on_a_device)
    assert first == second
    assert {family: [message.what for message in messages] for family, messages in first.items()} == EXPECTED
    assert {message.device for messages in first.values() for message in messages} == {STAND_IN}


@pytest.mark.parametrize("evaluation", EVALUATIONS, ids=lambda evaluation: evaluation.family)
def test_states_are_on_the_device_of_the_evaluation(evaluation: Evaluation) -> None:
    """From the beginning: a process without rows takes part in every message."""
    model, place = as_latent_model(SmallVAE().to("meta")), Place(torch.device("meta"))
    parts = vars(evaluation.begin(model, place, Context())).values()
    metrics = [metric for part in parts for metric in (part.values() if isinstance(part, MetricCollection) else [part])]
    devices = {metric.device.type for metric in metrics if isinstance(metric, Metric)}
    assert devices == (set() if evaluation.family == "latents" else {"meta"})


@pytest.mark.gpu
@pytest.mark.parametrize("evaluation", EVALUATIONS, ids=lambda evaluation: evaluation.family)
def test_messages_stay_on_the_gpu(evaluation: Evaluation, tmp_path: Path) -> None:
    """NCCL itself refuses others."""
    dist.init_process_group("nccl", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    try:
        messages = messages_of(evaluation, 96, "cuda")
    finally:
        dist.destroy_process_group()
    assert messages or evaluation.family == "latents"
    assert {message.device for message in messages} <= {"cuda"}
    assert {message.what for message in messages} <= {what for listed in EXPECTED.values() for what in listed}
