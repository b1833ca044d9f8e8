"""Mutual information by nearest neighbours against scikit-learn's, all codes with all factors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from torch import Tensor

from tests.benchmarks import markdown, scaled, timed
from torchdisentangle import supervised_metrics
from torchdisentangle.functional import ksg_mutual_information, ross_mutual_information

SIZES, NUM_CODES, ROWS, NEIGHBOURS = (3, 6, 40, 32, 32), 10, 10_000, 10


def rows(num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes of which five know a factor each, with labels as factors, and with real numbers."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.stack([torch.randint(size, (num_rows,), generator=generator) for size in SIZES], 1)
    codes = torch.randn(num_rows, NUM_CODES, generator=generator).double()
    codes[:, : len(SIZES)] += 20 * labels / torch.tensor(SIZES)
    real = codes[:, : len(SIZES)] + torch.randn(num_rows, len(SIZES), generator=generator)
    return codes, labels, real


def by_scikit_learn(estimate: Callable, codes: Tensor, factors: Tensor) -> Tensor:
    """The matrix, one factor after the other."""
    options = {"discrete_features": False, "n_neighbors": NEIGHBOURS, "random_state": 0}
    return torch.stack([torch.as_tensor(estimate(codes.numpy(), y.numpy(), **options)) for y in factors.T], 1)


def ours(codes: Tensor, labels: Tensor) -> Tensor:
    """The matrix, one factor after the other."""
    return torch.stack([ross_mutual_information(codes, y, NEIGHBOURS) for y in labels.unbind(1)], 1)


def tables(device: str = "cpu") -> Iterator[str]:
    """Markdown tables: times, how they grow, and differences, in one run."""
    found = []
    for name, num_rows in (("", scaled(ROWS)), (", four times the rows", scaled(4 * ROWS))):
        codes, labels, real = rows(num_rows)
        there, labels_there, real_there = (x.to(device) for x in (codes, labels, real))
        for kind, own, other, estimate in (
            ("labels (Ross)", partial(ours, there, labels_there), labels, mutual_info_classif),
            (
                "numbers (KSG)",
                partial(ksg_mutual_information, there, real_there, NEIGHBOURS),
                real,
                mutual_info_regression,
            ),
        ):
            seconds, value = timed(own, device, runs=2)
            slow, expected = timed(partial(by_scikit_learn, estimate, codes, other))
            difference = f"{float((value.cpu() - expected).abs().max()):.0e}"
            cells = f"{seconds:.2f}", f"{slow:.2f}", f"{slow / seconds:.1f}", difference
            found.append((f"{kind}{name}", f"{num_rows:,}", *cells))
    columns = ("factors", "rows", "seconds", "scikit-learn", "ratio", "largest difference (nats)")
    yield markdown(f"{NUM_CODES} codes x {len(SIZES)} factors, k = {NEIGHBOURS}", columns, found)

    codes, labels, _ = (x.to(device) for x in rows(scaled(ROWS)))
    found = []
    for names in (["info_m"], ["info_m", "info_c"], ["info_e"]):
        metrics = supervised_metrics(names)
        metrics.to(device)
        metrics.update(codes, labels, index=torch.arange(len(codes), device=device))
        found.append((" and ".join(names), f"{timed(metrics.compute, device)[0]:.2f}"))
    yield markdown(f"InfoMEC, {len(codes):,} rows", ("scores", "seconds"), found)


if __name__ == "__main__":
    for table in tables():
        print(f"{table}\n")
