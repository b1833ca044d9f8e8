"""``torchdisentangle evaluate``: every evaluation that a model and its data allow."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from torchdisentangle.cli.loading import ArrayDataset, load_data, load_model
from torchdisentangle.cli.options import add_output_options, collected_warnings, flat, say, words
from torchdisentangle.cli.output import Result, write_out, write_result
from torchdisentangle.evaluation.disentanglement import DisentanglementEvaluation
from torchdisentangle.evaluation.evaluate import EVALUATIONS, evaluate, named
from torchdisentangle.evaluation.report import Report
from torchdisentangle.evaluation.traversal import TraversalEvaluation


def add_command(commands: Any) -> None:
    """Add the parser of ``evaluate`` to those of the other commands."""
    parser = commands.add_parser(
        "evaluate",
        help="evaluate a model on data",
        description="Evaluate a model: everything that the model and the data allow. Under torchrun the processes "
        "share the work, and the values are those of one process.",
    )
    parser.add_argument(
        "--model", required=True, metavar="NAME", help="package.module.Class, or a function that returns the model"
    )
    parser.add_argument("--model-args", type=json.loads, default={}, metavar="JSON", help="arguments of that class")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="Lightning's checkpoint or a state dict (the model as it is made)"
    )
    parser.add_argument(
        "--trust-checkpoint", action="store_true", help="allow Python objects in the checkpoint, which can run code"
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="a file with the array x, and factors and labels if there are any; or package.module.Name of a data "
        "module, data set or data loader (none: evaluate the decoder alone)",
    )
    parser.add_argument("--data-args", type=json.loads, default={}, metavar="JSON", help="arguments of that class")
    parser.add_argument("--split", choices=("train", "val", "test"), default="val", help="of a data module")
    parser.add_argument("--batch-size", type=int, default=256, help="of a file's or a data set's batches")
    for name, usual in (("input", "the first"), ("labels", "1"), ("factors", "1")):
        parser.add_argument(
            f"--{name}", type=key, metavar="KEY", help=f"{name} in a batch: position or key ({usual}; a file's own)"
        )
    parser.add_argument(
        "--evaluations", type=words, nargs="+", metavar="NAME", help=f"some of {', '.join(EVALUATIONS)} (all possible)"
    )
    parser.add_argument("--latent-dim", type=int, help="number of latents (what the model tells)")
    parser.add_argument("--num-classes", type=int, help="of a conditional model (what the model tells)")
    parser.add_argument("--device", help="where to evaluate (a GPU if there is one)")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluate the model that the arguments name."""
    start = time.perf_counter()
    wanted = flat(arguments.evaluations)
    for name in wanted or ():
        named(name)  # an unknown name or a missing package is said before the model is made
    model = load_model(arguments.model, arguments.checkpoint, arguments.model_args, arguments.trust_checkpoint)
    data = None
    if arguments.data is not None:
        data = load_data(arguments.data, arguments.data_args, arguments.split, arguments.batch_size)
    with processes() as device, collected_warnings() as said:
        model = model.to(arguments.device or device) if isinstance(model, nn.Module) else model
        report = Report.joined(*every_report(model, data, wanted or list(EVALUATIONS), arguments, strict=bool(wanted)))
        first = first_process()
    if first:
        facts = {name: getattr(arguments, name) for name in ("model", "checkpoint", "data", "split")}
        result = Result(f"Evaluation of {arguments.checkpoint or arguments.model}", report, facts, said)
        write_result(result, arguments)
        if arguments.out is not None:
            write_out(result, arguments.out)
        say(f"{len(report)} values in {time.perf_counter() - start:.1f} s")


def every_report(
    model: Any, data: Any, names: Sequence[str], arguments: argparse.Namespace, strict: bool
) -> list[Report]:
    """The reports of the evaluations that are possible.

    Args:
        model: the model.
        data: the data loader.
        names: of the evaluations to try.
        arguments: where the data are in a batch, and what the model does not tell.
        strict: whether one that is not possible is an error, not a warning.

    Raises:
        ValueError: if none is possible.
    """
    keys = keys_of(data, arguments)
    reports = []
    for number, name in enumerate(names, 1):
        say(f"{name} ({number} of {len(names)})")
        try:
            evaluation = named(name)
            if isinstance(evaluation, DisentanglementEvaluation):
                evaluation = DisentanglementEvaluation(factors=keys["factors"], intervals=True)
            if isinstance(evaluation, TraversalEvaluation):
                evaluation = TraversalEvaluation(page=arguments.out is not None)
            report = evaluate(
                model,
                data,
                [evaluation],
                input_key=keys["input"],
                label_key=keys["labels"],
                latent_dim=arguments.latent_dim,
                num_classes=arguments.num_classes,
                progress=sys.stderr.isatty() and first_process(),
            )
            if not (report.scalars or report.matrices or report.figures):
                raise ValueError("it had no rows")
        except (TypeError, ValueError, RuntimeError, ImportError) as error:
            reason = f"{name} is left out: {error}"
            if strict:
                raise ValueError(reason) from error
            warnings.warn(reason, UserWarning, stacklevel=2)
        else:
            reports.append(report)
    if not reports:
        raise ValueError(f"{arguments.model} cannot be evaluated in any way")
    return reports


def first_process() -> bool:
    """Whether this process is the one that prints."""
    return not dist.is_initialized() or dist.get_rank() == 0


def keys_of(data: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Where data, labels and factors are in a batch: as the options say, or as files and most data sets have it."""
    of_file = isinstance(getattr(data, "dataset", None), ArrayDataset)
    usual = {"input": "x", "labels": "labels", "factors": "factors"} if of_file else {"labels": 1, "factors": 1}
    given = {name: getattr(arguments, name) for name in ("input", "labels", "factors")}
    return {name: usual.get(name) if value is None else value for name, value in given.items()}


def key(text: str) -> int | str:
    """A position or a key.

    Example:
        >>> key("1"), key("image")
        (1, 'image')
    """
    return int(text) if text.lstrip("-").isdigit() else text


@contextmanager
def processes() -> Iterator[torch.device]:
    """The device of this process, joined with the others that ``torchrun`` has started."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    joins = int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized()
    if joins:
        dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield device
    finally:
        if joins:
            dist.destroy_process_group()
