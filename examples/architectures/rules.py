"""What must hold of the flows, by rules that were written before the runs that they judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from analysis import Found
from judging import Rule

Start = Mapping[str, Found]  # what each architecture found from one start
Quantity = Callable[[Found], float]


def _over(name: str, which: Callable[[Iterable[float]], float], quantity: Quantity) -> Callable[[Start], float]:
    """A flow's quantity over the largest (``max``) or the least (``min``) of the others."""

    def ratio(start: Start) -> float:
        return quantity(start[name]) / which(quantity(found) for other, found in start.items() if other != name)

    return ratio


def _correlation(found: Found) -> float:
    return found.total_correlation / len(found.spectrum)


def _dimension(found: Found) -> float:
    return found.effective_dimension


def _pairwise(found: Found) -> float:
    return found.mean_pairwise


def _contrast(found: Found) -> float:
    """1 for blocks alone, 0 for none; unlike their ratio it has no pole where the blocks share nothing."""
    return (found.within - found.between) / (found.within + found.between)


# Of images of 28x28 pixels only the direction is asked.
SOON: tuple[Rule[Start], ...] = (
    Rule(
        "all flows learn: bits per dimension gained after the first epoch, the least of the four",
        lambda start: min(found.bits_at_first - found.bits for found in start.values()),
        0.0,
    ),
    Rule(
        "GIN makes no volume: nats per dimension",
        lambda start: abs(start["GIN"].volume) / len(start["GIN"].spectrum),
        1e-4,
        below=True,
    ),
)
MOST_ENTANGLED: Mapping[str, Rule[Start]] = {
    "8x8": Rule(
        "Glow is the most entangled: its total correlation over the largest of the others",
        _over("Glow", max, _correlation),
        1.25,
    ),
    "28x28": Rule(
        "GIN is the most entangled: its total correlation over the largest of the others",
        _over("GIN", max, _correlation),
        1.0,
    ),
}
SHARES_MOST: Mapping[str, Rule[Start]] = {
    "8x8": Rule(
        "Glow's latents share most in pairs: its mean MPMI over the largest of the others",
        _over("Glow", max, _pairwise),
        1.0,
    ),
    "28x28": Rule(
        "GIN's latents share most in pairs: its mean MPMI over the largest of the others",
        _over("GIN", max, _pairwise),
        1.0,
    ),
}
LATER: tuple[Rule[Start], ...] = (
    Rule(
        "the wavelet flow is the most aligned: its effective dimension over the least of the others",
        _over("wavelet", min, _dimension),
        0.75,
        of_large=1.0,
        below=True,
    ),
    Rule(
        "it is the most disentangled: its total correlation over the least of the others",
        _over("wavelet", min, _correlation),
        1.0,
        below=True,
    ),
    Rule(
        "its latents share least in pairs: its mean MPMI over the least of the others",
        _over("wavelet", min, _pairwise),
        1.0,
        below=True,
    ),
    Rule(
        "the wavelet flow's MPMI has blocks: that within scales minus that between, over their sum",
        lambda start: _contrast(start["wavelet"]),
        1 / 3,
        of_large=0.0,
    ),
    Rule(
        "Glow's has none so clear: the wavelet flow's contrast minus Glow's",
        lambda start: _contrast(start["wavelet"]) - _contrast(start["Glow"]),
        1 / 3,
        of_large=0.0,
    ),
    Rule(
        "GIN's order by the prior's deviation hides latents of the first quarter: a share of",
        lambda start: len(start["GIN"].hidden(start["GIN"].quarter)) / start["GIN"].quarter,
        1 / 8,
    ),
    Rule(
        "their entropies exceed those of the latents that are shown in their place: nats",
        lambda start: start["GIN"].hidden_by(start["GIN"].quarter),
        0.1,
    ),
)


def rules_of(size: str, fast: bool) -> tuple[Rule[Start], ...]:
    """The rules for images of a size; a short training is judged by those that hold soon.

    With 8x8 pixels Glow is the most entangled from the start, with 28x28 GIN becomes it.
    """
    if not fast:
        return (*SOON, MOST_ENTANGLED[size], SHARES_MOST[size], *LATER)
    return (*SOON, MOST_ENTANGLED[size]) if size == "8x8" else SOON
