"""What the tables say: rank correlations, shares of variance, and three to report, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import torch
from results import SETTING, Results, Row
from scores import COMPARED, GROUPS, RECOMMENDED, UNSUPERVISED, kind_of, question_of, supervised_signs
from torch import Tensor
from verdicts import Interval, resampled

from torchdisentangle.study import (
    bootstrap_over_runs,
    consensus,
    rank_agreement,
    ranks_of_runs,
    variance_shares,
    votes_of_kinds,
)

DRAWS = 500
AT_MOST = 1.0  # seconds that a score may cost with its interval, to be one of the three
EFFECTS = ("model", "strength", "seed")


@dataclass(frozen=True)
class Scored:
    """The runs on one data set.

    Args:
        name: of the data set.
        rows: of its runs.
        names: of the scores with factors, those that differ between models on every data set.
        scores: their values, more is better, ``(n, S)``.
        others: of the scores without factors and what they are compared with, ``(n, U)``.
        costs: seconds with the interval, or without where there is none, by entry of the registry or evaluation.
    """

    name: str
    rows: list[Row]
    names: list[str]
    scores: Tensor
    others: Tensor
    costs: dict[str, float]

    @property
    def kinds(self) -> list[str]:
        """The entry of the registry of each score."""
        return [str(kind_of(name)) for name in self.names]

    @property
    def settings(self) -> list[tuple[object, ...]]:
        """The model and strength of each run, whose seeds belong together."""
        return [tuple(row[name] for name in SETTING[1:-1]) for row in self.rows]

    def columns(self, names: Sequence[str]) -> list[int]:
        """Where scores are; those that are the same for all models are left out."""
        return [self.names.index(name) for name in names if name in self.names]


def scored(results: Results) -> list[Scored]:
    """The runs by data set."""
    signs = supervised_signs(list(results.scores[0]))
    tables = {data: [row for row in results.scores if row["data"] == data] for data in _data_of(results.scores)}
    varied = [name for name in signs if all(_varies(rows, name) for rows in tables.values())]
    return [
        Scored(
            data,
            rows,
            varied,
            _matrix(rows, {name: signs[name] for name in varied}),
            _matrix(rows, {**UNSUPERVISED, **COMPARED}),
            {row["name"]: _known(row["with_interval"], row["seconds"]) for row in results.costs if row["data"] == data},
        )
        for data, rows in tables.items()
    ]


def _data_of(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["data"] for row in rows))


def _varies(rows: list[Row], name: str) -> bool:
    values = {row[name] for row in rows if not math.isnan(row[name])}
    return len(values) > 1


def _matrix(rows: list[Row], signs: dict[str, int]) -> Tensor:
    return torch.tensor([[sign * row[name] for name, sign in signs.items()] for row in rows], dtype=torch.float64)


def _known(value: float, otherwise: float) -> float:
    return otherwise if math.isnan(value) else value


@dataclass(frozen=True)
class Agreement:
    """How far the scores of one data set agree.

    Args:
        pairs: rank correlations of scores with factors, ``(S, S)``.
        predicted: rank correlations of those without, and of what they are compared with, with each score, ``(U, S)``.
        mean: of pairs of different entries of the registry.
        within_less_between: groups of one question.
        with_others: each score with the consensus of all other entries, by name.
        odd: that of ``modularity`` less the mean of all.
        with_all: the others, by name, with the consensus of all scores.
        three: the consensus of the documentation's three with that of all other entries.
    """

    pairs: Tensor
    predicted: Tensor
    mean: Interval
    within_less_between: Interval
    with_others: dict[str, Interval]
    odd: Interval
    with_all: dict[str, Interval]
    three: Interval


def agreement(data: Scored) -> Agreement:
    """All rank correlations, with intervals over settings."""
    kinds = data.kinds
    different = torch.tensor([[a != b for b in kinds] for a in kinds])
    questions = [question_of(name) for name in data.names]
    grouped = torch.tensor([[a is not None and b is not None for b in questions] for a in questions]) & different
    same = torch.tensor([[a == b for b in questions] for a in questions]) & grouped
    odd, count = data.names.index("modularity"), len(data.names)

    def statistic(runs: Tensor) -> Tensor:
        scores, others = data.scores[runs], data.others[runs]
        pairs = rank_agreement(scores)
        own = with_others(scores, kinds)
        everything = consensus(scores, kinds)
        with_all = rank_agreement(torch.cat([everything[:, None], others], 1))[0, 1:]
        within, between = pairs[same].nanmean(), pairs[grouped & ~same].nanmean()
        heads = [
            pairs[different].nanmean(),
            within - between,
            own[odd] - own.nanmean(),
            together(data, RECOMMENDED, runs),
        ]
        return torch.cat([torch.stack(heads), own, with_all])

    mean, difference, odd_one, three, *rest = intervals(statistic, data)
    both = rank_agreement(torch.cat([data.scores, data.others], 1))
    return Agreement(
        both[:count, :count],
        both[count:, :count],
        mean,
        difference,
        dict(zip(data.names, rest, strict=False)),
        odd_one,
        dict(zip((*UNSUPERVISED, *COMPARED), rest[count:], strict=True)),
        three,
    )


def intervals(statistic: Callable[[Tensor], Tensor], data: Scored) -> list[Interval]:
    """Those of a vector, over settings."""
    found = bootstrap_over_runs(statistic, data.settings, draws=DRAWS)
    return [Interval(*map(float, ends)) for ends in zip(*(part.tolist() for part in found), strict=True)]


def with_others(scores: Tensor, kinds: Sequence[str]) -> Tensor:
    """Rank correlation of each score with the consensus of all other entries of the registry, ``(S,)``."""
    ranks, entries = ranks_of_runs(scores), list(dict.fromkeys(kinds))
    votes = votes_of_kinds(ranks, kinds)
    own = torch.tensor([entries.index(kind) for kind in kinds])
    return (ranks * ranks_of_runs(votes.sum(1, keepdim=True) - votes[:, own])).mean(0)


def together(data: Scored, names: Sequence[str], runs: Tensor | None = None) -> Tensor:
    """Rank correlation of the consensus of some scores with that of all other entries."""
    scores = data.scores if runs is None else data.scores[runs]
    chosen = data.columns(names)
    taken = {data.kinds[column] for column in chosen}
    rest = [column for column, kind in enumerate(data.kinds) if kind not in taken]
    both = [consensus(scores[:, chosen]), consensus(scores[:, rest], [data.kinds[column] for column in rest])]
    return rank_agreement(torch.stack(both, 1))[0, 1]


def shares(data: Scored) -> tuple[Tensor, dict[str, Interval]]:
    """Shares of each score's variance, ``(3, S)``, and their means over scores with intervals over seeds."""
    seeds = sorted({row["seed"] for row in data.rows})
    both = torch.cat([data.scores, data.others], 1)

    def of_seeds(chosen: Sequence[int], values: Tensor) -> Tensor:
        kept = [number for number, row in enumerate(data.rows) if seeds.index(row["seed"]) in set(chosen)]
        settings = [data.settings[number] for number in kept]
        return variance_shares(values[kept], [model for model, _ in settings], [strength for _, strength in settings])

    means = {
        effect: resampled(
            lambda chosen, e=number: float(of_seeds(chosen.tolist(), data.scores)[e].nanmean()), len(seeds)
        )
        for number, effect in enumerate(EFFECTS)
    }
    return of_seeds(range(len(seeds)), both), means


def three_to_report(tables: Sequence[Scored], all_shares: Sequence[Tensor]) -> list[str]:
    """From each group the score that agrees best with the group, of those that are cheap and depend little on the seed.

    Args:
        tables: of the data sets that they are chosen on.
        all_shares: of the variance, of these.
    """
    chosen = []
    for names in GROUPS.values():
        present = [name for name in names if name in tables[0].names]
        columns = tables[0].columns(present)
        kinds = [tables[0].kinds[column] for column in columns]
        agreements = torch.stack([with_others(table.scores[:, columns], kinds) for table in tables]).mean(0)
        of_seed = torch.stack([found[-1, columns] for found in all_shares]).mean(0)
        cheap = torch.tensor([fmean(table.costs[kind] for table in tables) <= AT_MOST for kind in kinds])
        eligible = cheap & (of_seed <= median(of_seed.tolist()))
        best = int(torch.where(eligible, agreements, -math.inf).argmax())
        chosen.append(present[best])
    return chosen
