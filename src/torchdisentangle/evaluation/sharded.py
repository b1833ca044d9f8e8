"""Models whose parameters are split between processes, which evaluations refuse."""

from __future__ import annotations

from torch import nn


def check_unsharded(module: nn.Module) -> None:
    """Refuse a module whose parameters are split between processes.

    Each call of such a module waits for all processes, and they call it different numbers of times in an evaluation.

    Args:
        module: the model.

    Raises:
        ValueError: if it is wrapped in FSDP, or has distributed tensors as parameters.

    Example:
        >>> check_unsharded(nn.Linear(2, 2))
    """
    wrapped = any(type(submodule).__name__ == "FullyShardedDataParallel" for submodule in module.modules())
    if wrapped or any(type(parameter.data).__name__ == "DTensor" for parameter in module.parameters()):
        raise ValueError(
            f"the parameters of {type(module).__name__} are split between processes, which an evaluation does not "
            "support: gather them in an ordinary module first, for instance from a full checkpoint"
        )
