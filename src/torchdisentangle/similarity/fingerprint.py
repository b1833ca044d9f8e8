"""A model's posteriors on a fixed set of data points: made once, kept in a file, compared with others at any time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from torchdisentangle.archive import read_arrays
from torchdisentangle.functional.similarity.bhattacharyya import bhattacharyya_coefficients, check_posteriors
from torchdisentangle.functional.similarity.channels import channel_information
from torchdisentangle.plots import plot_coefficients
from torchdisentangle.plots.style import Plot

FINGERPRINT = "fingerprint.npz"
"""Name of the file in the folder of a run that has one fingerprint."""
_FORMAT = 1
_LARGEST = 2**30  # bytes of all arrays; a fingerprint of 1000 points and 1000 channels takes 16 MB
_ARRAYS = ("mean", "log_variance", "index")


class Fingerprint:
    """Gaussian posteriors of ``F`` data points, from which the Bhattacharyya coefficients of all channels follow.

    Args:
        mean: ``(F, d)``; kept in float64.
        log_variance: ``(F, d)``.
        index: which data points: their positions in the data set, ``(F,)`` distinct integers.
        labels: discrete labels or factors of the points, ``(F,)`` or ``(F, K)`` integers.
        step: of the training, if it was made in one.

    Raises:
        ValueError: if the shapes do not fit, a value is NaN or infinite, or a point occurs twice.

    Example:
        >>> fingerprint = Fingerprint(torch.tensor([[0.0], [2.0]]), torch.zeros(2, 1), torch.tensor([7, 3]))
        >>> fingerprint
        Fingerprint(2 points, 1 channel)
        >>> fingerprint.coefficients()
        tensor([[[1.0000, 0.6065],
                 [0.6065, 1.0000]]], dtype=torch.float64)
    """

    def __init__(
        self,
        mean: Tensor,
        log_variance: Tensor,
        index: Tensor,
        labels: Tensor | None = None,
        step: int | None = None,
    ) -> None:
        check_posteriors(mean, log_variance)
        if not (mean.isfinite().all() and log_variance.isfinite().all()):
            raise ValueError("mean and log_variance must be finite")
        if index.shape != (len(mean),) or index.is_floating_point():
            raise ValueError(f"index must be integers of shape ({len(mean)},), got {tuple(index.shape)}")
        if len(index.unique()) != len(index):
            raise ValueError("a data point occurs twice in the fingerprint: its index must be distinct")
        if labels is not None:
            labels = labels[:, None] if labels.ndim == 1 else labels
            if labels.ndim != 2 or len(labels) != len(mean):
                raise ValueError(
                    f"labels must have shape ({len(mean)},) or ({len(mean)}, K), got {tuple(labels.shape)}"
                )
            labels = labels.long()
        self.mean: Tensor = mean.double()
        self.log_variance: Tensor = log_variance.double()
        self.index: Tensor = index.long()
        self.labels = labels
        self.step = step

    @property
    def num_points(self) -> int:
        """Number of data points ``F``."""
        return len(self.mean)

    @property
    def num_channels(self) -> int:
        """Number of channels ``d``."""
        return self.mean.shape[1]

    def coefficients(self) -> Tensor:
        """Bhattacharyya coefficients of all pairs of points for every channel, ``(d, F, F)``."""
        return bhattacharyya_coefficients(self.mean, self.log_variance)

    def plot(self, max_points: int = 200, ax: Axes | None = None) -> Plot:
        """Matrices of coefficients, the most informative channel first; points in the order of that channel's means.

        Args:
            max_points: draw at most this many points, the first ones.
            ax: where to draw the first channel alone; ``None``: a new figure.

        Returns:
            The figure and its axes.
        """
        mean, log_variance = self.mean[:max_points], self.log_variance[:max_points]
        information = channel_information(bhattacharyya_coefficients(mean, log_variance))
        channels = information.argsort(descending=True, stable=True)
        points = mean[:, channels[0]].argsort()
        coefficients = bhattacharyya_coefficients(mean[points][:, channels], log_variance[points][:, channels])
        return plot_coefficients(coefficients, labels=channels.tolist(), ax=ax)

    def at(self, index: Tensor) -> Fingerprint:
        """The fingerprint of some of the points, in the order asked for.

        Args:
            index: positions in the data set, ``(n,)``.

        Raises:
            ValueError: if a point is missing.
        """
        order = self.index.argsort()
        place = torch.searchsorted(self.index[order], index).clamp(max=len(order) - 1)
        rows = order[place]
        if not torch.equal(self.index[rows], index):
            missing = index[self.index[rows] != index].tolist()
            raise ValueError(f"the fingerprint has no data point {missing[0]} ({len(missing)} are missing)")
        labels = None if self.labels is None else self.labels[rows]
        return Fingerprint(self.mean[rows], self.log_variance[rows], index, labels, self.step)

    def to(self, device: torch.device | str) -> Fingerprint:
        """The fingerprint on another device."""
        labels = None if self.labels is None else self.labels.to(device)
        mean, log_variance, index = (tensor.to(device) for tensor in (self.mean, self.log_variance, self.index))
        return Fingerprint(mean, log_variance, index, labels, self.step)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fingerprint to a NumPy archive, without pickle.

        Args:
            path: of the file; ``.npz`` is added if it is missing. Folders are made.

        Returns:
            The file's path.
        """
        file = Path(path)
        file = file if file.suffix == ".npz" else file.with_name(f"{file.name}.npz")
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self, name).detach().cpu().numpy() for name in _ARRAYS}
        if self.labels is not None:
            arrays["labels"] = self.labels.cpu().numpy()
        if self.step is not None:
            arrays["step"] = np.array(self.step)
        unfinished = file.with_name(f"{file.name}.part")  # a run that is killed must not leave half a file
        with unfinished.open("wb") as stream:
            np.savez_compressed(stream, format=np.array(_FORMAT), **arrays)
        unfinished.replace(file)
        return file

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Fingerprint:
        """Read a fingerprint.

        Args:
            path: of a file that :meth:`save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file holds no fingerprint.
        """
        try:
            arrays = read_arrays(path, max_bytes=_LARGEST)
            return cls._of(arrays)
        except (ValueError, TypeError, RuntimeError) as error:
            raise ValueError(f"{os.fspath(path)} is no fingerprint: {error}") from error

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray]) -> Fingerprint:
        if int(arrays.get("format", np.array(0))) != _FORMAT or not all(name in arrays for name in _ARRAYS):
            raise ValueError(f"it is not of format {_FORMAT}, it has {sorted(arrays)}")
        step = int(arrays["step"]) if "step" in arrays else None
        tensors = {name: torch.from_numpy(arrays[name]) for name in (*_ARRAYS, "labels") if name in arrays}
        return cls(**tensors, step=step)

    def __repr__(self) -> str:
        channels = f"{self.num_channels} channel{'s' if self.num_channels > 1 else ''}"
        step = "" if self.step is None else f", step {self.step}"
        return f"Fingerprint({self.num_points} points, {channels}{step})"


def find_fingerprint(path: str | os.PathLike[str]) -> Path:
    """The latest fingerprint file of a run.

    Args:
        path: of a fingerprint file, of a folder with a ``fingerprint.npz``, as
            :func:`~torchdisentangle.study.save_run` leaves it, of a folder of files named by their step (``1200.npz``),
            or of a folder that holds such a folder below one that is called ``fingerprints``, as
            :class:`~torchdisentangle.callbacks.RepresentationSimilarityCallback` leaves it.

    Returns:
        The file with the highest step.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if there are several and it is not clear which is meant.
    """
    place = Path(path)
    if place.is_file():
        return place
    if (place / FINGERPRINT).is_file():
        return place / FINGERPRINT
    files = [file for file in place.rglob("*.npz") if "fingerprints" in file.parts] or list(place.glob("*.npz"))
    if not files:
        raise FileNotFoundError(f"{place} is no fingerprint and holds none")
    folders = sorted({str(file.parent) for file in files})
    if len(folders) > 1:
        raise ValueError(f"{place} holds fingerprints of several runs or data, name one of: {', '.join(folders)}")
    if len(files) > 1 and not all(file.stem.isdigit() for file in files):
        names = ", ".join(sorted(file.name for file in files))
        raise ValueError(f"{place} holds several fingerprints that are not named by their step, name one of: {names}")
    return max(files, key=lambda file: int(file.stem) if file.stem.isdigit() else -1)
