"""Run the benchmarks and print their tables: ``python -m tests.benchmarks [--device D] [--threads N] [names]``."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import platform
from importlib.metadata import version
from pathlib import Path

import torch

import tests.benchmarks as package


def cpu_model() -> str:
    """Name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def header(device: str) -> str:
    """Machine and versions, in one paragraph."""
    card = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}; " if device.startswith("cuda") else ""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "torchmetrics"))
    threads = torch.get_num_threads()
    return (
        f"{card}{cpu_model()}, {os.cpu_count()} cores, {threads} torch thread{'s' if threads > 1 else ''}, "
        f"{platform.system()}, Python {platform.python_version()}, {packages}.\n"
        "Ratios are of the least times of several runs that take turns.\n"
    )


def main() -> None:
    """Print the tables of the benchmarks that are named, by default of all."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name != "__main__")
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names)}; by default all")
    available = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=available, help=f"where to run (default {available})")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes, to see whether the benchmarks run")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    torch.set_num_threads(arguments.threads)
    package.set_scale(arguments.scale)
    print(header(arguments.device))
    for name in arguments.names or names:
        module = importlib.import_module(f"tests.benchmarks.{name}")
        print(f"## {name}\n", flush=True)
        for table in module.tables(arguments.device):
            print(table, flush=True)


if __name__ == "__main__":
    main()
