"""The values that a callback has logged, so that none is taken for that of another epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn


class Logged:
    """What a callback has logged in a run.

    ``current`` holds the values of this epoch, ``metrics`` the values that monitors see.

    Args:
        later: names of values that the first evaluations may lack.
    """

    def __init__(self, later: Sequence[str] = ()) -> None:
        self.later = later
        self.current: dict[str, Tensor] = {}
        self.metrics: dict[str, Tensor] = {}
        self._keys: set[str] = set()
        self._compared = self._cautioned = False

    def forget(self, metrics: dict[str, Tensor]) -> None:
        """Take the values of an earlier epoch away from monitors.

        Args:
            metrics: a trainer's ``callback_metrics``, which are kept for this epoch.
        """
        self.current, self.metrics = {}, metrics
        for key in self._keys:
            metrics.pop(key, None)

    def take(self, prefix: str, scalars: Mapping[str, float], taken: Iterable[str] = ()) -> dict[str, Tensor]:
        """The values to log: those that are finite in float32, which loggers hold, and the number of infinite ones.

        Args:
            prefix: first part of the keys.
            scalars: the values by name.
            taken: what Lightning holds in this epoch, as ``<hook>.<key>``.
        """
        values = {f"{prefix}/{name}": torch.tensor(value, dtype=torch.float32) for name, value in scalars.items()}
        infinite = sum(bool(value.isinf()) for value in values.values())
        self.current = {key: value for key, value in values.items() if value.isfinite()}
        if infinite:
            self.current[f"{prefix}/num_unlogged"] = torch.tensor(float(infinite))
        self._keys |= {*values, *self.current, *(f"{prefix}/{name}" for name in self.later)}
        self._warn(self.current.keys() & {name.partition(".")[2] for name in taken})
        return self.current

    def lacks(self, key: str) -> bool:
        """Whether a key that has had a value, even one that was not finite, has none in this epoch."""
        return key in self._keys and key not in self.current

    def warn_of_others(self, metrics: Mapping[str, Tensor]) -> None:
        """Warn, at the first evaluation, if a key has another value than the one logged: the module logs it too."""
        if self.current and not self._compared:
            self._warn(key for key, value in self.current.items() if float(metrics.get(key, value)) != float(value))
            self._compared = True

    def warn_once(self, prefix: str, caution: str | None) -> None:
        """Warn, once in a run, of values that are no findings.

        Args:
            prefix: first part of the keys.
            caution: what to say, if anything.
        """
        if caution is not None and not self._cautioned:
            self._cautioned = True
            rank_zero_warn(f"{prefix}: {caution}", UserWarning)

    def _warn(self, keys: Iterable[str]) -> None:
        for key in keys:
            if not self._compared:
                rank_zero_warn(
                    f"{key} is logged by something else too, so its curve may be of neither value: give the callback "
                    "another prefix",
                    UserWarning,
                )
