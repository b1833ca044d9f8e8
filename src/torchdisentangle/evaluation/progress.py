"""Progress bars of evaluations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def with_bar(items: Iterable[Item], desc: str, show: bool) -> Iterable[Item]:
    """Iterate with a progress bar, if one is shown.

    If none is, ``tqdm`` is left alone. Even a disabled bar takes its lock, which forked processes share: one that was
    forked while another thread held it waits forever, and makes all others wait.
    """
    return tqdm(items, desc=desc, leave=False) if show else items
