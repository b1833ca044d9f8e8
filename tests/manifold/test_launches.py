"""What a GPU would see of an evaluation: how many pieces, operations, and waits for its answers.

The sizes are a GPU's; so the counts are those of a GPU, on any machine. All is done for Jacobians of a 64th of the size
in pieces of a 64th of the numbers, which takes as many pieces and operations and less time.
"""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from tests.launches import Launches
from tests.stand_in import STAND_IN, StandIn
from torchdisentangle import (
    ManifoldCrossPairwiseMutualInformation,
    ManifoldTotalCorrelation,
    StatisticCollection,
    evaluate,
    manifold_metrics,
)
from torchdisentangle.evaluation import ManifoldEvaluation
from torchdisentangle.functional import decoder_jacobian_chunks, probed_jacobian_chunks
from torchdisentangle.functional.device import GPU_SIZES, use_sizes
from torchdisentangle.functional.row_blocks import row_blocks

NUM_SAMPLES, DATA, LATENTS = 1024, 12288, 64
SHARE = 64  # of the data dimensions, of the numbers and of the bytes
SIZES = GPU_SIZES._replace(
    numbers_at_once=GPU_SIZES.numbers_at_once // SHARE, memory_budget=GPU_SIZES.memory_budget // SHARE
)


def decoder() -> nn.Module:
    return nn.Sequential(nn.Linear(LATENTS, 256), nn.SiLU(), nn.Linear(256, DATA // SHARE)).eval()


class DecodeOnly(nn.Module):
    latent_dim = 2

    def __init__(self, decode: nn.Module) -> None:
        super().__init__()
        self.decode = decode


@torch.no_grad()
def evaluated(metrics: StatisticCollection, pieces: Any) -> int:
    num_pieces = 0
    for _, piece in pieces:
        metrics.update(piece)
        num_pieces += 1
    return num_pieces


@pytest.mark.filterwarnings("ignore:the volume of all")
@pytest.mark.parametrize("num_probes", [None, 16])
def test_an_evaluation(num_probes: int | None) -> None:
    torch.manual_seed(0)  # other weights may have a sample whose volume is in doubt, which takes another wait
    decode, z = decoder(), torch.randn(NUM_SAMPLES, LATENTS)
    metrics = manifold_metrics(**({} if num_probes is None else {"estimator": "probes", "num_probes": num_probes}))

    def pieces(z: Tensor) -> Any:
        if num_probes is None:
            return decoder_jacobian_chunks(decode, z)
        return probed_jacobian_chunks(decode, z, num_probes=num_probes)

    with use_sizes(SIZES):
        evaluated(metrics, pieces(z[:2]))  # finds constants that are kept
        with Launches() as launches:
            num_pieces = evaluated(metrics, pieces(z))
    assert num_pieces <= 20
    assert launches.operations.total() <= 150 * num_pieces, launches.operations
    # each piece tells how many of its samples need more; by then the first has told whether the decoder mixes rows
    assert launches.waits.total() == num_pieces, launches.waits


@pytest.mark.filterwarnings("ignore:the volume of all")
@pytest.mark.parametrize("num_probes", [None, 16])
@pytest.mark.parametrize("data_std", [None, 2.0])
def test_nothing_is_sent_to_the_device(num_probes: int | None, data_std: float | None) -> None:
    """To send a number, or a list of rows, takes a wait."""
    given = {"data_std": data_std} if data_std is not None else {}
    settings = given if num_probes is None else {"estimator": "probes", "num_probes": num_probes, **given}
    with StandIn() as device, torch.no_grad():
        decode, z = decoder().to(STAND_IN), torch.randn(8, LATENTS, device=STAND_IN)
        metrics = manifold_metrics(**settings).to(STAND_IN)
        for _ in range(2):  # what is kept on the device is moved there once
            sent = device.sent
            if num_probes is None:
                pieces = decoder_jacobian_chunks(decode, z, chunk_size=4)
            else:
                pieces = probed_jacobian_chunks(decode, z, num_probes=num_probes, chunk_size=4, **given)
            assert evaluated(metrics, pieces) == 2
    assert device.sent == sent


def test_jacobians_by_themselves_are_waited_for_once() -> None:
    with use_sizes(SIZES._replace(memory_budget=2**20)), Launches() as launches, torch.no_grad():
        assert len(list(decoder_jacobian_chunks(decoder(), torch.randn(64, LATENTS)))) > 1
    assert launches.waits.total() == 1, launches.waits


@pytest.mark.parametrize("estimator", ["exact", "probes"])
def test_an_evaluation_of_a_decoder_that_mixes_rows_fails(estimator: Literal["exact", "probes"]) -> None:
    """Though the first piece has been added by the time that this is known."""
    decode = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats=False))  # in eval mode too
    with use_sizes(SIZES), pytest.raises(ValueError, match="changes when another row of the batch changes"):
        evaluate(DecodeOnly(decode), None, [ManifoldEvaluation(20, estimator=estimator)])


def jacobians(num_samples: int, data: int, latents: int) -> Tensor:
    return torch.randn(num_samples, data, latents, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("settings", [{}, {"data_std": 2.0}, {"partition": [list(range(32)), list(range(32, 64))]}])
@pytest.mark.parametrize("num_classes", [None, 10])
def test_an_update(settings: dict[str, Any], num_classes: int | None) -> None:
    metrics = manifold_metrics(num_classes=num_classes, **settings)
    jacobian, labels = jacobians(80, DATA // SHARE, LATENTS), torch.arange(80) % 10
    given = {} if num_classes is None else {"labels": labels}
    with use_sizes(SIZES):
        metrics.update(jacobian, **given)  # what is kept on the device is moved there
        with Launches() as launches:
            metrics.update(jacobian, **given)
    assert launches.operations.total() <= 150, launches.operations
    assert launches.waits.total() <= 1 + len(given), launches.waits  # labels must lie in their range


def test_an_update_of_a_flow_and_of_two_models() -> None:
    jacobian, cross = jacobians(80, LATENTS, LATENTS), ManifoldCrossPairwiseMutualInformation()
    metrics = manifold_metrics(mean_jacobian=False)
    with use_sizes(SIZES):
        for update in (
            lambda: metrics.update(jacobian, log_det=torch.linalg.slogdet(jacobian)[1]),
            lambda: cross.update(jacobian, jacobian.flip(-1)),
        ):
            update()
            with Launches() as launches:
                update()
            assert launches.operations.total() <= 150, launches.operations
            assert launches.waits.total() == 1, launches.waits


def test_doubtful_samples_cost_a_few_more_waits_whatever_their_number() -> None:
    """Volumes below what a determinant can tell, parallel columns, and samples that are not finite."""
    jacobian = jacobians(80, DATA // SHARE, LATENTS)
    jacobian[::2] += 2 * torch.randn(40, DATA // SHARE, 1, generator=torch.Generator().manual_seed(1))
    jacobian[::3, :, 0] = jacobian[::3, :, 1]
    jacobian[::5, 0, 0] = torch.nan
    metrics = manifold_metrics()
    with use_sizes(SIZES), Launches() as launches, pytest.warns(UserWarning, match="16 in this batch"):
        metrics.update(jacobian)
    assert launches.waits.total() <= 8, launches.waits
    assert launches.operations.total() <= 300, launches.operations


def test_the_decomposition_of_many_latents_is_one_product() -> None:
    """Each of 784 entropies by itself would multiply with a covariance of 784 latents."""
    operations = []
    for latents in (8, LATENTS):
        metric = ManifoldTotalCorrelation()
        metric.update(jacobians(10, LATENTS, latents))
        with Launches() as launches:
            metric.decomposition()
        operations.append(launches.operations["mm"] + launches.operations["bmm"] + launches.operations["mv"])
    assert operations[0] == operations[1] <= 4


def test_as_many_pieces_at_full_size() -> None:
    assert len(list(row_blocks(NUM_SAMPLES, DATA * LATENTS, GPU_SIZES.numbers_at_once))) <= 20
    full = list(row_blocks(NUM_SAMPLES, DATA * LATENTS, GPU_SIZES.numbers_at_once))
    share = list(row_blocks(NUM_SAMPLES, DATA // SHARE * LATENTS, SIZES.numbers_at_once))
    assert full == share
