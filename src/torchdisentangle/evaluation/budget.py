"""Which estimator, and how many samples, an evaluation should take: by the model's shape, or by a limit of time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from torchdisentangle.evaluation.place import Place
from torchdisentangle.statistics.jacobian import Estimator

_WORTH_IT = 8  # times fewer products, to make up for the noise of probes
_WORTH_IT_ON_GPU = 64  # 49 times fewer products took a quarter of the time: a GPU does many at once
_OF_BUDGET = 0.75  # is planned for, to leave room for the reduction and for slower days
_OF_BUDGET_TO_MEASURE = 0.1


class Plan(NamedTuple):
    """How an evaluation is done."""

    estimator: Estimator
    num_samples: int


def estimator_for(latent_dim: int, data_size: int, num_probes: int, device: torch.device | str = "cpu") -> Estimator:
    """The estimator that suits a decoder's shape.

    Args:
        latent_dim: ``d``.
        data_size: ``D``.
        num_probes: ``m``.
        device: where the decoder is.

    Returns:
        ``"probes"`` if they take at least 8 times fewer products than the Jacobian, ``min(d, D)``, does; 64 times on a
        GPU.

    Example:
        >>> estimator_for(10, 784, 16), estimator_for(784, 784, 16), estimator_for(784, 784, 16, "cuda")
        ('exact', 'probes', 'exact')
    """
    worth_it = _WORTH_IT if torch.device(device).type == "cpu" else _WORTH_IT_ON_GPU
    return "probes" if min(latent_dim, data_size) >= worth_it * num_probes else "exact"


def plan_in_time(
    place: Place,
    evaluate: Callable[[Plan], None],
    estimators: Sequence[Estimator],
    num_samples: int,
    max_seconds: float,
) -> Plan:
    """The plan that fits a budget, found by measuring, and the same on all processes.

    Args:
        place: where this process stands; all processes share the samples, and take part in this.
        evaluate: carries out a plan on this process.
        estimators: which are allowed, the preferred one first.
        num_samples: how many are wanted.
        max_seconds: the budget of every process.

    Returns:
        The first estimator with which all samples fit, otherwise that with which most do; and how many.

    Raises:
        RuntimeError: if the evaluation failed on another process; on the process that failed, its own error.

    Example:
        >>> plan = plan_in_time(Place(), lambda plan: time.sleep(plan.num_samples / 1000), ["exact"], 1000, 0.1)
        >>> plan.estimator, 2 <= plan.num_samples <= 64  # 64 on a machine with nothing else to do
        ('exact', True)
    """
    plans: list[Plan] = []
    for estimator in estimators:
        measured = agree(place, partial(seconds_per_sample, evaluate, estimator, num_samples, max_seconds))
        plans.append(Plan(estimator, samples_in_time(num_samples, measured, max_seconds, place.world_size)))
        if plans[-1].num_samples == num_samples:
            break
    return max(plans, key=lambda plan: plan.num_samples)


def agree(place: Place, measure: Callable[[], float]) -> float:
    """The largest result over all processes; a failure on one is an error on all, so that none waits for another.

    Args:
        place: where this process stands; all processes take part.
        measure: what to do on each.

    Returns:
        The largest of all results.

    Raises:
        RuntimeError: if another process failed; on the process that failed, its own error.

    Example:
        >>> agree(Place(), lambda: 2.0)
        2.0
    """
    failure, result = None, math.inf
    try:
        result = measure()
    except Exception as error:  # whatever a model raises
        failure = error
    largest = place.largest(result)
    if failure is not None:
        raise failure
    if math.isinf(largest):
        raise RuntimeError("the evaluation failed on another process")
    return largest


def seconds_per_sample(
    evaluate: Callable[[Plan], None], estimator: Estimator, num_samples: int, max_seconds: float
) -> float:
    """Time two samples, then twice as many, until a tenth of the budget is spent; seconds of each in the last trial."""
    spent, size = 0.0, 2
    while True:
        start = time.perf_counter()
        evaluate(Plan(estimator, size))
        seconds = time.perf_counter() - start
        spent += seconds
        if spent + 2 * seconds > _OF_BUDGET_TO_MEASURE * max_seconds or size >= num_samples:
            return seconds / size
        size *= 2


def samples_in_time(num_samples: int, seconds: float, max_seconds: float, num_processes: int) -> int:
    """The number of samples that fit a budget.

    Args:
        num_samples: how many are wanted.
        seconds: that each takes.
        max_seconds: the budget of every process.
        num_processes: that share the samples.

    Returns:
        ``num_samples``, or the largest power of two that fits (so that runs of about the same speed agree), at least 2.

    Example:
        >>> samples_in_time(1024, 0.01, 1.0, 1), samples_in_time(1024, 0.01, 1.0, 2), samples_in_time(50, 0.01, 1.0, 1)
        (64, 128, 50)
    """
    fitting = int(_OF_BUDGET * max_seconds / seconds) * num_processes
    return num_samples if fitting >= num_samples else min(num_samples, 2 ** max(1, fitting.bit_length() - 1))
