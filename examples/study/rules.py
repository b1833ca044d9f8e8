"""The rules of the README, written before the runs, and their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from analysis import Agreement, Scored, agreement, intervals, shares, three_to_report, together
from scores import RECOMMENDED, UNSUPERVISED, kind_of, question_of
from torch import Tensor
from verdicts import ORDER, Interval, Verdict

AGREE, AGREE_MORE, MODEL_SHARE, SEED_SHARE, SPEAK_FOR_OTHERS = 0.3, 0.1, 0.5, 0.25, 0.7


class Rule(NamedTuple):
    """A rule with what it is judged on."""

    claim: str
    found: list[Interval]
    """On each data set."""
    verdict: Verdict


class Findings(NamedTuple):
    """All that is printed and drawn."""

    rules: list[Rule]
    three: list[str]
    """To report."""
    agreements: list[Agreement]
    shares: list[Tensor]


def judge(tables: Sequence[Scored]) -> Findings:
    """Every rule on all data sets; a rule is as good as its worst verdict."""
    agreements = [agreement(table) for table in tables]
    all_shares, mean_shares = zip(*(shares(table) for table in tables), strict=True)
    others = [_chosen_on_the_others(tables, all_shares, number) for number in range(len(tables))]

    def above(claim: str, bound: float, found: Sequence[Interval]) -> Rule:
        return _rule(f"{claim} is above {bound:g}", found, lambda one: one.above(bound))

    def below(claim: str, bound: float, found: Sequence[Interval]) -> Rule:
        return _rule(f"{claim} is below {bound:g}", found, lambda one: one.below(bound))

    rules = [
        above("1. mean rank correlation of scores", AGREE, [one.mean for one in agreements]),
        above("2. that within questions less between", AGREE_MORE, [one.within_less_between for one in agreements]),
        below("3. `modularity` with its consensus, less the mean of all,", 0, [one.odd for one in agreements]),
        *(
            above(f"4. `{name}` with the consensus", 0, [one.with_all[name] for one in agreements])
            for name in UNSUPERVISED
        ),
        below("5. the model's share of the variance", MODEL_SHARE, [found["model"] for found in mean_shares]),
        above("6. the seed's share of the variance", SEED_SHARE, [found["seed"] for found in mean_shares]),
        above(f"7. {_listed(RECOMMENDED)} with all others", SPEAK_FOR_OTHERS, [one.three for one in agreements]),
        above("8. three chosen on the other data set with all others", SPEAK_FOR_OTHERS, others),
    ]
    return Findings(rules, three_to_report(tables, all_shares), agreements, list(all_shares))


def _rule(claim: str, found: Sequence[Interval], judged: Callable[[Interval], Verdict]) -> Rule:
    return Rule(claim, list(found), max((judged(one) for one in found), key=ORDER.index))


def _chosen_on_the_others(tables: Sequence[Scored], all_shares: Sequence[Tensor], number: int) -> Interval:
    """How well three that are chosen on all other data sets speak for the rest of the scores on this one."""
    rest = [other for other in range(len(tables)) if other != number]
    three = three_to_report([tables[other] for other in rest], [all_shares[other] for other in rest])
    return intervals(lambda runs: together(tables[number], three, runs)[None], tables[number])[0]


def _listed(names: Sequence[str]) -> str:
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}"


def table_of_rules(tables: Sequence[Scored], found: Findings) -> str:
    """The verdicts in Markdown."""
    lines = [
        f"| rule | {' | '.join(table.name for table in tables)} | verdict |",
        f"| --- | {' | '.join('---:' for _ in tables)} | --- |",
        *(f"| {rule.claim} | {' | '.join(map(str, rule.found))} | {rule.verdict} |" for rule in found.rules),
    ]
    return "\n".join(lines)


def table_of_three(tables: Sequence[Scored], found: Findings) -> str:
    """The three to report beside those that were recommended: agreement with all others, seed's share and cost."""
    lines = ["| score | asks for | with all others | seed's share | seconds |", "| --- | --- | ---: | ---: | ---: |"]
    for name in dict.fromkeys((*found.three, *RECOMMENDED)):
        column = tables[0].names.index(name)
        agreements = [f"{one.with_others[name].value:.2f}" for one in found.agreements]
        of_seed = [f"{float(one[-1, column]):.2f}" for one in found.shares]
        seconds = [f"{table.costs[str(kind_of(name))]:.2g}" for table in tables]
        label = f"**`{name}`**" if name in found.three else f"`{name}`"
        cells = (label, str(question_of(name)), *(", ".join(part) for part in (agreements, of_seed, seconds)))
        lines.append(f"| {' | '.join(cells)} |")
    for label, names in {"**the three**": found.three, "the documentation's": RECOMMENDED}.items():
        agreements = ", ".join(f"{float(together(table, names)):.2f}" for table in tables)
        lines.append(f"| {label} together | | {agreements} | | |")
    return "\n".join(lines)
