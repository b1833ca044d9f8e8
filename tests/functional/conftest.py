"""What the tests of formulas share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from torchdisentangle.functional.manifold import vector_products


@pytest.fixture(autouse=True)
def _fresh_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch.manual_seed(0)
    monkeypatch.setattr(vector_products, "_warned", set())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # everything here is tiny: several threads would mostly wait for each other
    yield
    torch.set_num_threads(threads)
