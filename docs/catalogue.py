"""What the API reference shows: the public names of every package, each under the name that one imports it by."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple, is_typeddict

ROOT = "torchdisentangle"
FORMULAS = f"{ROOT}.functional"


class Topic(NamedTuple):
    """The public names that one module defines."""

    module: str
    title: str
    classes: list[str]
    functions: list[str]


@cache
def packages() -> list[str]:
    """The packages with a page each: the root's, the callbacks, the models, and the families of formulas.

    The root exports what the families of metrics define, and ``functional`` what the families of formulas define. The
    adapters and the command line export nothing.

    Example:
        >>> packages()[:3]
        ['torchdisentangle.attributes', 'torchdisentangle.callbacks', 'torchdisentangle.datasets']
    """
    inside = {*_packages_of(ROOT), f"{ROOT}.callbacks", f"{ROOT}.models", *_packages_of(FORMULAS)}
    return sorted(inside - {FORMULAS, f"{ROOT}.cli"})


def topics(package: str) -> list[Topic]:
    """The public names of a package by the modules that define them, those that it exports first.

    Public are the names in ``__all__`` that no other package defines, and the classes of the package that these inherit
    from, for they document settings and methods. The package of statistics shows all of its classes.

    Example:
        >>> [name for topic in topics("torchdisentangle.topology") for name in topic.classes][:2]
        ['torchdisentangle.topology.RandomConvEmbedding', 'torchdisentangle.GeometryScore']
    """
    exported = [getattr(import_module(package), name) for name in import_module(package).__all__]
    exported = [value for value in exported if package_of(value) in (package, None)]
    shown = {_key(value): value for value in exported if _is_code(value)}
    shown |= {_key(base): base for value in exported for base in _bases(value, package)}
    if package == f"{ROOT}.statistics":
        shown |= {_key(value): value for module in _modules(package) for value in _classes(module)}
    found = []
    exporting = {value.__module__ for value in exported if _is_code(value)}
    for module in sorted(
        {value.__module__ for value in shown.values()}, key=lambda name: (name not in exporting, name)
    ):
        own = [value for value in vars(import_module(module)).values() if _key(value) in shown]
        own = [value for value in dict.fromkeys(own) if value.__module__ == module]
        names = {kind: [home(value) for value in own if kind(value)] for kind in (inspect.isclass, inspect.isfunction)}
        found.append(Topic(module, _title(module), *names.values()))
    return found


def package_of(value: Any) -> str | None:
    """The package that defines a class or function; ``None`` if that is a module of the root, or it is neither.

    Example:
        >>> from torchdisentangle.callbacks import undisturbed
        >>> from torchdisentangle.models import Prior
        >>> package_of(undisturbed), package_of(Prior)
        ('torchdisentangle.evaluation', None)
    """
    module = value.__module__ if _is_code(value) else ""
    return next((package for package in packages() if module.startswith(f"{package}.")), None)


def home(value: Any) -> str:
    """The name by which a class or function is imported: from the root, its package or another, or where it is defined.

    Example:
        >>> from torchdisentangle.manifold.base import ManifoldMetric
        >>> from torchdisentangle.manifold.entropy import ManifoldEntropy
        >>> home(ManifoldEntropy), home(ManifoldMetric)
        ('torchdisentangle.ManifoldEntropy', 'torchdisentangle.manifold.base.ManifoldMetric')
    """
    module = value.__module__
    parts = module.split(".")
    above = [".".join(parts[:length]) for length in range(1, max(len(parts), 2))]
    for place in [*above, *packages()]:
        if value.__name__ in getattr(import_module(place), "__all__", ()):
            return f"{place}.{value.__name__}"
    return f"{module}.{value.__name__}"


def home_of(name: str) -> str:
    """The same of a dotted name that may be an attribute.

    Example:
        >>> home_of("torchdisentangle.similarity.fingerprint.Fingerprint.save")
        'torchdisentangle.Fingerprint.save'
    """
    value = find(name)
    if _is_code(value) and "." not in value.__qualname__:
        return home(value)
    owner, _, attribute = name.rpartition(".")
    return f"{home(find(owner))}.{attribute}" if inspect.isclass(find(owner)) else name


def find(target: str) -> Any:
    """What a dotted name means, ``None`` if there is no such thing.

    Example:
        >>> find("torchdisentangle.functional.entropy").__name__, find("torchdisentangle.nothing")
        ('entropy', None)
    """
    parts = target.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for name in parts[length:]:
            value = getattr(value, name, None)
        return value
    return None


def _key(value: Any) -> tuple[str, str] | None:
    return (value.__module__, value.__qualname__) if _is_code(value) else None


def _is_code(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isfunction(value)


def _bases(value: Any, package: str) -> Iterator[type]:
    for base in value.__mro__[1:] if inspect.isclass(value) else ():
        if base.__module__.startswith(f"{package}.") and not base.__name__.startswith("_"):
            yield base


def _classes(module: ModuleType) -> Iterator[type]:
    for name, value in vars(module).items():
        for_types_alone = is_typeddict(value) or getattr(value, "_is_protocol", False)
        own = inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
        if own and not for_types_alone:
            yield value


def _packages_of(package: str) -> list[str]:
    return [f"{package}.{module.name}" for module in iter_modules(import_module(package).__path__) if module.ispkg]


def _modules(package: str) -> Iterator[ModuleType]:
    for module in iter_modules(import_module(package).__path__):
        yield import_module(f"{package}.{module.name}")


def _title(module: str) -> str:
    return (import_module(module).__doc__ or module).strip().splitlines()[0].rstrip(".")
