"""The plain data loader inside of those that Lightning, Fabric and accelerate make."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader

_KEPT = ("num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "prefetch_factor")


def plain(loader: Any, dataloader_idx: int | None = None) -> Any:
    """The data loader to read, where another one holds it.

    Fabric's and accelerate's loaders move batches to a device, which an evaluation does itself, and keep account of
    how far training has read. Accelerate repeats rows, so that all processes get equally many; the loader without
    them is the same on every process.

    Args:
        loader: any loader, or ``None``.
        dataloader_idx: which loader of a ``CombinedLoader``.

    Returns:
        One that no library has wrapped.

    Raises:
        ValueError: if ``dataloader_idx`` is missing or wrong.

    Example:
        >>> loader = DataLoader(range(4))
        >>> plain(loader) is loader
        True
    """
    kind = type(loader).__name__
    if kind == "CombinedLoader":
        return plain(_chosen(loader.flattened, dataloader_idx))
    if dataloader_idx is not None:
        raise ValueError(f"dataloader_idx chooses from a CombinedLoader, got {kind}")
    if kind == "_FabricDataLoader":
        return loader._dataloader
    if kind in ("DataLoaderShard", "DataLoaderDispatcher"):  # of accelerate
        return _whole(loader.base_dataloader)
    return loader


def _chosen(loaders: list[Any], idx: int | None) -> Any:
    if idx is None and len(loaders) == 1:
        return loaders[0]
    if idx is None or not 0 <= idx < len(loaders):
        raise ValueError(
            f"the CombinedLoader holds {len(loaders)} data loaders: say which one to read, by dataloader_idx from 0, "
            f"got {idx}"
        )
    return loaders[idx]


def _whole(loader: DataLoader) -> DataLoader:
    """A loader of all batches, in place of one that reads only this process's share."""
    dealt = loader.batch_sampler if loader.batch_sampler is not None else loader.sampler
    if type(dealt).__name__ != "BatchSamplerShard":
        return loader
    batches: Any = dealt.batch_sampler  # type: ignore[union-attr]
    settings = {name: getattr(loader, name) for name in _KEPT}
    if loader.batch_sampler is None:  # a batch is an item, which a list of indices chooses
        return DataLoader(loader.dataset, batch_size=None, sampler=batches, **settings)
    return DataLoader(loader.dataset, batch_sampler=batches, **settings)
