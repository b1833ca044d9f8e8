"""What a GPU would see of an evaluation: how many pieces, operations, and waits for its answers.

The sizes are a GPU's; so the counts are those of a GPU, on any machine. All is done for Jacobians of a 64th of the size
in pieces of a 64th of the numbers, which takes as many pieces and operations and less time.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from torchdisentangle import ManifoldCrossPairwiseMutualInformation, StatisticCollection, manifold_metrics
from torchdisentangle.functional import decoder_jacobian_chunks, probed_jacobian_chunks
from torchdisentangle.functional.device import GPU_SIZES, use_sizes
from torchdisentangle.functional.row_blocks import row_blocks

NUM_SAMPLES, DATA, LATENTS = 1024, 12288, 64
SHARE = 64  # of the data dimensions, of the numbers and of the bytes
SIZES = GPU_SIZES._replace(
    numbers_at_once=GPU_SIZES.numbers_at_once // SHARE, memory_budget=GPU_SIZES.memory_budget // SHARE
)
WAITS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "_unique2")


class Launches(TorchDispatchMode):
    """Counts operations but for views, which launch nothing, and those whose answer a CPU has to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        returns = func._schema.returns
        is_view = any(value.alias_info is not None and not value.alias_info.is_write for value in returns)
        self.operations[name] += not is_view
        by_mask = name in ("index", "index_put", "index_put_") and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        self.waits[name] += by_mask or name in WAITS
        return func(*args, **(kwargs or {}))

    def __enter__(self) -> Launches:
        tolist = Tensor.tolist

        def waiting(tensor: Tensor) -> Any:
            self.waits["tolist"] += 1  # no operation on a CPU
            return tolist(tensor)

        self._patch = mock.patch.object(Tensor, "tolist", waiting)
        self._patch.start()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._patch.stop()


def test_what_is_counted() -> None:
    x = torch.arange(6.0).view(2, 3)
    for wait in (
        lambda: bool((x > 0).any()),
        lambda: x[x > 0],
        lambda: x.sum().item(),
        lambda: x[0].tolist(),
        lambda: x.nonzero(),
        lambda: torch.equal(x, x),
        lambda: int(x[0, 0]),
    ):
        with Launches() as launches:
            wait()
        assert launches.waits.total() == 1
    with Launches() as launches:
        (x[:, None].mT + 1)[..., 0].clamp(min=0)[torch.tensor([0, 1])]
    assert launches.waits.total() == 0
    assert +launches.operations == Counter(add=1, clamp=1, index=1)


def decoder() -> nn.Module:
    return nn.Sequential(nn.Linear(LATENTS, 256), nn.SiLU(), nn.Linear(256, DATA // SHARE)).eval()


@torch.no_grad()
def evaluated(metrics: StatisticCollection, pieces: Any) -> int:
    num_pieces = 0
    for _, piece in pieces:
        metrics.update(piece)
        num_pieces += 1
    return num_pieces


@pytest.mark.filterwarnings("ignore:the volume of all")
@pytest.mark.parametrize(("num_probes", "most"), [(None, 150), (16, 200)])  # random numbers take some 80
def test_an_evaluation(num_probes: int | None, most: int) -> None:
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
    assert launches.operations.total() <= most * num_pieces, launches.operations
    # each piece tells how many of its samples need more; the first one also, whether the decoder mixes rows
    assert launches.waits.total() <= num_pieces + 1, launches.waits


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


def test_as_many_pieces_at_full_size() -> None:
    assert len(list(row_blocks(NUM_SAMPLES, DATA * LATENTS, GPU_SIZES.numbers_at_once))) <= 20
    full = list(row_blocks(NUM_SAMPLES, DATA * LATENTS, GPU_SIZES.numbers_at_once))
    share = list(row_blocks(NUM_SAMPLES, DATA // SHARE * LATENTS, SIZES.numbers_at_once))
    assert full == share
