"""What settings a class takes: for ``repr``, and for errors that name the class that the user constructed."""

from __future__ import annotations

import inspect
from difflib import get_close_matches

_PASSED_ON = ("configuration", "evaluation")
"""What a class makes of its own settings, for its base."""
_OTHERS = ("abc", "builtins", "lightning", "pytorch_lightning", "torch", "torchmetrics", "typing")


def settings_of(cls: type) -> dict[str, inspect.Parameter]:
    """The settings of a class: parameters of its ``__init__``, then those that it passes on to its bases.

    Args:
        cls: a class of this library, or one that inherits it.

    Returns:
        The parameters by name; not those of torch's, torchmetrics' or Lightning's classes.

    Example:
        >>> from torchdisentangle import MIGSup
        >>> list(settings_of(MIGSup))[:2]
        ['threshold', 'num_bins']
    """
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in _OTHERS or "__init__" not in vars(base):
            continue
        own = dict(list(inspect.signature(vars(base)["__init__"]).parameters.items())[1:])
        for name, parameter in own.items():
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if named and (base is cls or name not in _PASSED_ON):
                found.setdefault(name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
            break  # it passes on nothing
    return found


def described(instance: object) -> str:
    """An object as the call that makes it, with the settings that differ from their defaults.

    Args:
        instance: an object that keeps each setting under its name, itself or in its ``evaluation``.

    Example:
        >>> from torchdisentangle import MIGSup
        >>> described(MIGSup(threshold=0.1, seed=3))
        'MIGSup(threshold=0.1, seed=3)'
    """
    shown = []
    for name, parameter in settings_of(type(instance)).items():
        of_parts = getattr(getattr(instance, "evaluation", None), name, parameter.default)
        value = getattr(instance, name, of_parts)
        if value is not parameter.default and repr(value) != repr(parameter.default):
            shown.append(f"{name}={value!r}")
    return f"{type(instance).__name__}({', '.join(shown)})"


def unknown_setting(cls: type, name: str, *others: str) -> TypeError:
    """The error for a setting that a class does not have.

    Args:
        cls: the class that the user constructed.
        name: of the setting.
        others: names of further settings that the class takes.

    Example:
        >>> from torchdisentangle import MIGSup
        >>> unknown_setting(MIGSup, "treshold")
        TypeError("MIGSup has no setting 'treshold': did you mean 'threshold'?")
    """
    known = [*settings_of(cls), *others]
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known) or 'none'}"
    return TypeError(f"{cls.__name__} has no setting {name!r}: {hint}")
