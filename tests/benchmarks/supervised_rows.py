"""Scores from rows and moments against the published protocols, and a collection against its members one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import GradientBoostingClassifier
from torch import Tensor

from tests.benchmarks import scaled, timed
from torchdisentangle import DCI, SAP, FactorVAEScore, supervised_metrics
from torchdisentangle.supervised import default_scores

SIZES, NUM_CODES, BATCH = (3, 6, 40, 32, 32), 10, 1024


def rows(num_rows: int) -> tuple[Tensor, Tensor]:
    """Random factors, and codes of which five know one each."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.stack([torch.randint(size, (num_rows,), generator=generator) for size in SIZES], 1)
    codes = torch.randn(num_rows, NUM_CODES, generator=generator)
    codes[:, : len(SIZES)] += 20 * factors / torch.tensor(SIZES)
    return codes, factors


def boosted_importance(codes: Tensor, factors: Tensor) -> np.ndarray:
    """The published predictor, for each factor on all codes."""
    fits = [GradientBoostingClassifier(random_state=0).fit(codes.numpy(), y.numpy()) for y in factors.T]
    return np.stack([fit.feature_importances_ for fit in fits], 1)


def fed(metric: Any, codes: Tensor, factors: Tensor) -> Any:
    """The value after a pass in batches, where the codes are."""
    metric.to(codes.device)
    for index in torch.arange(len(codes), device=codes.device).split(BATCH):
        metric.update(codes[index], factors[index], index=index)
    return metric.compute()


def tables(device: str = "cpu") -> Iterator[str]:
    """Markdown tables: times, ratios and values in one run."""
    codes, factors = rows(900)
    few = factors[:, :2]
    slow, importance = timed(lambda: boosted_importance(codes[:600], few[:600]))
    dci = DCI()
    fast, _ = timed(lambda: fed(dci, codes.to(device), few.to(device)), device)
    agree = np.abs(importance - dci.matrix().cpu().numpy()).max()
    yield (
        f"DCI, 600 training rows x {NUM_CODES} codes, factors of {SIZES[:2]} values\n\n"
        "| predictor | seconds | ratio | largest difference of importances |\n|---|---|---|---|\n"
        f"| boosted trees (published) | {slow:.2f} | 1 | |\n"
        f"| forest (default) | {fast:.2f} | {slow / fast:.0f} | {agree:.3f} |\n"
    )

    codes, factors = rows(scaled(200_000))
    whole, expected = timed(lambda: np.corrcoef(codes.double().numpy().T, factors.double().numpy().T))
    metric, there = SAP(), (codes.to(device), factors.to(device))
    streamed, _ = timed(lambda: fed(metric, *there), device)
    kept = sum(state.nbytes for state in metric.metric_state.values())
    error = np.abs(metric.matrix().cpu().numpy() - expected[:NUM_CODES, NUM_CODES:] ** 2).max()
    yield (
        f"SAP, {len(codes):,} rows x {NUM_CODES} codes x {len(SIZES)} factors\n\n"
        "| squared correlations | seconds | ratio | bytes kept | largest difference |\n|---|---|---|---|---|\n"
        f"| numpy, all rows at once | {whole:.2f} | 1 | {8 * len(codes) * (NUM_CODES + len(SIZES)):,} | |\n"
        f"| batches of {BATCH}, merged moments | {streamed:.2f} | {whole / streamed:.2f} "
        f"| {kept:,} | {error:.0e} |\n"
    )

    codes, factors = (x.to(device) for x in rows(scaled(10_000, 500)))
    quick = default_scores("quick")
    apart, values = timed(lambda: [fed(supervised_metrics([name]), codes, factors)[name] for name in quick], device)
    together, same = timed(lambda: fed(supervised_metrics(quick), codes, factors), device)
    equal = all(torch.equal(value, same[name]) for name, value in zip(quick, values, strict=True))
    yield (
        f"{len(quick)} scores, {len(codes):,} rows x {NUM_CODES} codes x {len(SIZES)} factors\n\n"
        "| | seconds | ratio | values |\n|---|---|---|---|\n"
        f"| each by itself | {apart:.2f} | 1 | |\n"
        f"| one collection, two states | {together:.2f} | {apart / together:.1f} "
        f"| {'equal' if equal else 'differ'} |\n"
    )

    encoded = len(codes) + 15_000 * 64
    time_of, value = timed(lambda: fed(FactorVAEScore(), codes, factors), device)
    yield (
        "FactorVAE score of these codes\n\n"
        "| | encoded images | ratio | seconds but for encoding | value |\n|---|---|---|---|---|\n"
        f"| published protocol, new images for every vote | {encoded:,} | 1 | | |\n"
        f"| votes among kept rows | {len(codes):,} | {encoded / len(codes):.0f} | {time_of:.2f} | {value:.3f} |\n"
    )


if __name__ == "__main__":
    for table in tables():
        print(table)
