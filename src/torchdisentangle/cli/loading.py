"""Models and data by the names of their classes and files."""

from __future__ import annotations

import inspect
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from torchdisentangle.cli.arrays import FACTORS, READERS, as_numbers, read_arrays

DATA = ("x", "data", "images", "imgs", "inputs")
LABELS = ("labels", "label", "y", "targets")
_WEIGHTS = ("state_dict", "model", "model_state_dict")  # where training scripts put them in a checkpoint


class ArrayDataset(Dataset[dict[str, Tensor]]):
    """Rows of arrays, as dictionaries of tensors; images of bytes become floats in [0, 1].

    Args:
        arrays: of equal length, by name.

    Example:
        >>> ArrayDataset({"x": torch.tensor([[255, 0]], dtype=torch.uint8)})[0]
        {'x': tensor([1., 0.])}
    """

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        row = {name: array[index] for name, array in self.arrays.items()}
        return {name: value / 255 if value.dtype == torch.uint8 else value for name, value in row.items()}


def import_object(name: str) -> Any:
    """What ``package.module.Name`` is; modules of the working folder are found too.

    Raises:
        ValueError: if there is no such module or name in it.

    Example:
        >>> import_object("torch.nn.Linear")
        <class 'torch.nn.modules.linear.Linear'>
    """
    module, _, attribute = name.replace(":", ".").rpartition(".")
    if not module:
        raise ValueError(f"{name!r} is no dotted path: write package.module.Name")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # a package that the module itself needs
        raise ValueError(f"there is no module {error.name!r} for {name}") from error
    except AttributeError as error:
        raise ValueError(f"the module {module} has no {attribute!r}") from error


def load_model(name: str, checkpoint: str | None, settings: Mapping[str, Any], trusted: bool = False) -> Any:
    """A model by the name of its class, or of a function that makes it, with the weights of a checkpoint.

    Args:
        name: dotted path of a class, a function, or a module that is there already.
        checkpoint: of Lightning, if the class can load one; else a state dict, also one under ``"state_dict"``.
        settings: of the class or the function.
        trusted: whether the checkpoint may hold Python objects, which can run code.

    Raises:
        ValueError: if the checkpoint cannot be read or does not fit, naming it.
    """
    make = import_object(name)
    load = getattr(make, "load_from_checkpoint", None)
    if checkpoint is None:
        return make if isinstance(make, nn.Module) else _made(make, name, settings)
    content = _read_checkpoint(checkpoint, trusted)
    if load is not None and "pytorch-lightning_version" in content:
        known = {"weights_only": not trusted} if "weights_only" in inspect.signature(load).parameters else {}
        return _fitted(checkpoint, lambda: load(checkpoint, map_location="cpu", **known, **settings))
    model = make if isinstance(make, nn.Module) else _made(make, name, settings)
    weights = next((content[key] for key in _WEIGHTS if isinstance(content.get(key), Mapping)), content)
    _fitted(checkpoint, lambda: model.load_state_dict(weights))
    return model


def load_data(name: str, settings: Mapping[str, Any], split: str, batch_size: int) -> Any:
    """A data loader, of a file or of what a dotted path names.

    Args:
        name: a file with an array ``x`` (and ``factors``, ``labels``); or the dotted path of a data module, a data
            set, a data loader, or a class or function that makes one.
        settings: of that class or function.
        split: of a data module: ``"train"``, ``"val"`` or ``"test"``.
        batch_size: of batches of a file or a data set.

    Raises:
        ValueError: if there is no such data.
    """
    if Path(name).suffix.lower() in READERS or Path(name).exists():
        return DataLoader(ArrayDataset(read_data(name)), batch_size)
    made = import_object(name)
    if isinstance(made, type) or (not hasattr(made, "__iter__") and not hasattr(made, "__getitem__")):
        made = _made(made, name, settings)
    if hasattr(made, "val_dataloader"):
        made.prepare_data()
        made.setup({"train": "fit", "val": "validate", "test": "test"}[split])
        made = getattr(made, f"{split}_dataloader")()
    if isinstance(made, Dataset):
        made = DataLoader(made, batch_size)
    if not isinstance(made, Iterable):
        raise ValueError(f"{name} gives {type(made).__name__}: a data module, a data set or a data loader is needed")
    return made


def read_data(name: str) -> dict[str, Tensor]:
    """Arrays ``x``, ``factors`` and ``labels`` of a file, as far as it has them.

    Raises:
        ValueError: if they have different lengths.
    """
    file = read_arrays(name)
    x = as_numbers(file.choose(*DATA), file.path)
    arrays = {"x": x if x.is_floating_point() or x.dtype == torch.uint8 else x.float()}
    if len(file.arrays) > 1:
        for key, names in (("factors", FACTORS), ("labels", LABELS)):
            found = file.find(*names)
            if found is not None:
                arrays[key] = as_numbers(found, file.path)
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{key} has {len(array)}" for key, array in arrays.items())
        raise ValueError(f"{name} has arrays of different lengths: {lengths}")
    return arrays


def _read_checkpoint(path: str, trusted: bool) -> Mapping[str, Any]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=not trusted)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        hint = "" if trusted else "; add --trust-checkpoint to let it, if you know where it comes from"
        raise ValueError(f"{path} is broken, or holds Python objects that could run code{hint}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds no state dict but {type(content).__name__}")
    return content


def _made(make: Callable[..., Any], name: str, settings: Mapping[str, Any]) -> Any:
    try:
        return make(**settings)
    except TypeError as error:
        raise ValueError(f"{name} cannot be made: {error}") from error


def _fitted(checkpoint: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{checkpoint} does not fit the model: {' '.join(str(error).split())}") from error
