"""Ten autoencoders that differ in their seed: what do all of them learn, and can it be put together?

1. Beta-VAEs on small images of a heart, ten of each beta, leave fingerprints while they train. The findings: whole
   latent spaces of different seeds carry the same information, but divide it among their latents in their own ways;
   with the larger beta the parts, too, are found again in the other members. They make dense regions in the distance
   between channels, hot spots, and each of the three factors has its own.
2. Autoencoders with one latent on points of a circle, which each of them has to tear, are fused into two dimensions.
   The finding: their consensus has no tear, and is more like unseen learners than any learner is.

Run ``python examples/ensembles/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and PNG
files.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeAlias

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import numpy as np
import torch
from circles import Circles, fuse_circles
from common import Progress, arguments, print_made, train
from figures import draw_circles, draw_hot_spots, draw_similarity
from hearts import FACTORS, hearts, loaders
from numpy.typing import NDArray
from torch import Tensor
from verdicts import Interval, Verdict, conclude, over_seeds, resampled, worst

from torchdisentangle import compare_fingerprints
from torchdisentangle.callbacks import RepresentationSimilarityCallback
from torchdisentangle.cli import main as command_line
from torchdisentangle.functional import compare_channels, space_coefficients
from torchdisentangle.models import BetaVAE
from torchdisentangle.similarity import Fingerprint, find_fingerprint, find_hot_spots, similarity_matrix

SHOWN = ("reconstruction", "kl", "similarity/informative_channels", "similarity/nmi_to_labels")
SEEDS = range(10, 20)  # others were looked at before
SHARE = 0.4  # of the members that a hot spot takes: the paper's 20 channels of 50 models


Indices: TypeAlias = NDArray[np.intp]


class HotSpot(NamedTuple):
    """A cluster of channels."""

    channels: Tensor  # which, of the informative ones in the ensemble's order
    members: int
    similarity: float  # NMI of two of its channels, averaged over pairs of different members; NaN if there are none
    information: list[float]  # about each factor, nats, averaged over the channels

    @property
    def factor(self) -> str:
        """What it tells most about."""
        return FACTORS[max(range(len(FACTORS)), key=self.information.__getitem__)]


class Ensemble(NamedTuple):
    """What members that differ in their seed have in common; channels: the informative ones, as OPTICS sorts them."""

    members: Tensor  # the one that each channel is of, (m,)

    matrix: Tensor  # NMI of all channels, (m, m)
    reachability: Tensor  # (m,)
    labels: Tensor  # number of each channel's hot spot, (m,), -1 for none
    factors: Tensor  # information of each channel about each factor, (m, K), nats
    hot_spots: list[HotSpot]
    best: Tensor  # NMI of each channel with the most similar one of each member, (m, E)
    spaces: Tensor  # NMI of all pairs of the members' whole latent spaces, (E, E)

    def channels_found(self, members: Indices | None = None) -> float:
        """The mean over channels and other members of the NMI with the most similar channel there.

        Args:
            members: of those with these numbers; by default of all.
        """
        kept = torch.arange(len(self.spaces)) if members is None else torch.as_tensor(members)
        elsewhere = torch.isin(self.members, kept)[:, None] & (self.members[:, None] != kept)
        return float(self.best[:, kept][elsewhere].mean())

    def spaces_found(self, members: Indices | None = None) -> float:
        """The mean NMI of two members' whole latent spaces."""
        kept = torch.arange(len(self.spaces)) if members is None else torch.as_tensor(members)
        return float(self.spaces[kept][:, kept][~torch.eye(len(kept), dtype=torch.bool)].mean())


def train_members(folder: Path, beta: float, seeds: Sequence[int], epochs: int) -> list[Path]:
    """Train models that differ in their seed; return the folders of their fingerprints."""
    data, runs = hearts(columns=range(4, 12)), []
    for seed in seeds:
        L.seed_everything(seed, verbose=False)
        model = BetaVAE(data_shape=(1, 16, 16), latent_dim=6, beta=beta, hidden=(128, 128), learning_rate=2e-3)
        run = folder / f"beta{beta:g}-seed{seed}"
        shutil.rmtree(run / "fingerprints", ignore_errors=True)  # of an earlier call, perhaps a longer one
        watched = RepresentationSimilarityCallback(
            num_points=400,
            reference=str(runs[0]) if runs else None,
            labels=True,
            folder=str(run),
            figures=8 if seed == seeds[1] else False,
        )
        progress = Progress(run.name, (*SHOWN, "similarity/nmi_to_reference"))
        train(run.name, model, loaders(data), [watched, progress], epochs, folder, "torchdisentangle-ensembles")
        runs.append(run)
    return runs


def shuffled(fingerprint: Fingerprint, seed: int) -> Fingerprint:
    """The fingerprint of a model that knows as much, but of other points than it says: the level of chance."""
    rows = torch.randperm(fingerprint.num_points, generator=torch.Generator().manual_seed(seed))
    return Fingerprint(
        fingerprint.mean[rows], fingerprint.log_variance[rows], fingerprint.index, fingerprint.labels, fingerprint.step
    )


def examine(fingerprints: list[Fingerprint]) -> Ensemble:
    """Compare the channels of all members, cluster them, and name what the clusters tell about."""
    compared = compare_fingerprints({str(member): one for member, one in enumerate(fingerprints)})
    assert compared.with_labels is not None
    spots = find_hot_spots(compared.comparison, min_samples=max(2, round(SHARE * len(fingerprints))))
    order, labels = spots.order, spots.labels[spots.order]
    matrix = similarity_matrix(compared.comparison)[order][:, order]
    factors = compared.with_labels.mutual_information[order]
    member = torch.tensor([int(name.split(":")[0]) for name in compared.names])[order]
    hot_spots = []
    for number in range(int(labels.max()) + 1):
        channels = (labels == number).nonzero()[:, 0]
        elsewhere = member[channels, None] != member[channels]
        similarity = float(matrix[channels][:, channels][elsewhere].mean())
        information = factors[channels].mean(0).tolist()
        hot_spots.append(HotSpot(channels, len(member[channels].unique()), similarity, information))
    members = range(len(fingerprints))
    best = torch.stack([matrix[:, member == one].amax(1) for one in members], dim=1)
    spaces = compare_channels(torch.cat([space_coefficients(one.mean, one.log_variance) for one in fingerprints]))
    return Ensemble(
        member,
        matrix,
        spots.reachability,
        labels,
        factors,
        hot_spots,
        best,
        similarity_matrix(spaces),
    )


def main() -> None:
    options = arguments(__doc__, "runs/ensembles", fast="three members of one beta, a few weak learners")
    folder: Path = options.folder
    start = time.time()
    betas, seeds, epochs = ((1.0,), range(3), 24) if options.fast else ((1.0, 4.0), SEEDS, 336)
    ensembles: dict[str, Ensemble] = {}
    for beta in betas:
        runs = train_members(folder, beta, seeds, epochs)
        print()
        command_line(["compare", *map(str, runs), "--out", str(folder / f"compare-beta{beta:g}")])
        print()
        fingerprints = [Fingerprint.load(find_fingerprint(run)) for run in runs]
        ensembles[f"beta {beta:g}"] = examine(fingerprints)
        ensembles[f"beta {beta:g}, shuffled"] = examine([shuffled(one, seed) for seed, one in enumerate(fingerprints)])
    settings = (12, 250, 60, (1, 2)) if options.fast else (48, 400, 200, (1, 2, 4, 8))
    circles = fuse_circles(*settings)

    summary = f"{ensemble_table(ensembles)}\n\n{hot_spot_table(ensembles)}\n\n{circle_table(circles)}"
    (folder / "summary.md").write_text(summary + "\n")
    draw_similarity(ensembles, FACTORS).savefig(folder / "similarity.png", dpi=150)
    draw_hot_spots(ensembles, FACTORS).savefig(folder / "hot_spots.png", dpi=150)
    draw_circles(circles).savefig(folder / "circle.png", dpi=150)
    print(f"{summary}\n\nwandb runs         {folder / 'wandb'}\nfigures            {folder}/*.png")
    print_made(start)
    conclude(findings(ensembles, circles, len(seeds), options.fast))


def ensemble_table(ensembles: dict[str, Ensemble]) -> str:
    """How well channels and whole spaces are found again in other members."""
    lines = ["| ensemble | informative channels | NMI, channels | NMI, whole spaces |", "| --- | ---: | ---: | ---: |"]
    for name, found in ensembles.items():
        lines.append(f"| {name} | {len(found.labels)} | {found.channels_found():.3f} | {found.spaces_found():.3f} |")
    return "\n".join(lines)


def hot_spot_table(ensembles: dict[str, Ensemble]) -> str:
    """What hot spots tell about."""
    lines = ["| ensemble | hot spot | channels | members | NMI within | " + " | ".join(FACTORS) + " |"]
    lines.append("| --- | --- |" + " ---: |" * (3 + len(FACTORS)))
    for name, found in ensembles.items():
        for number, spot in enumerate(found.hot_spots):
            numbers = " | ".join(f"{value:.2f}" for value in spot.information)
            size = f"{len(spot.channels)} | {spot.members} | " + (f"{spot.similarity:.2f}" if spot.members > 1 else "")
            lines.append(f"| {name} | {number}: {spot.factor} | {size} | {numbers} |")
    return "\n".join(lines)


def circle_table(circles: Circles) -> str:
    """Learners of the circle and their fusion."""
    columns = zip(*circles.learners, strict=True)
    rows = {
        "learners, median": [median(values) for values in columns],
        "learner most like the unseen": max(circles.learners, key=lambda learner: learner.nmi),
    }
    rows |= {f"consensus of {size}": judged for size, judged in circles.consensus.items()}
    rows["consensus, shuffled"] = circles.chance
    lines = ["| circle | information (nats) | NMI with unseen learners | tear |", "| --- | ---: | ---: | ---: |"]
    for name, (information, nmi, tear) in rows.items():
        lines.append(f"| {name} | {information:.2f} | {nmi:.3f} | {tear:.1f} |")
    return "\n".join(lines)


def above_chance(similarity: float, by_chance: float) -> float:
    """Similarity on a scale on which chance is 0 and equal information 1."""
    return (similarity - by_chance) / (1 - by_chance)


def spaces_above_chance(ensembles: dict[str, Ensemble], name: str, members: Indices) -> float:
    """Similarity of members' whole spaces."""
    found, chance = (ensembles[label].spaces_found(members) for label in (name, f"{name}, shuffled"))
    return above_chance(found, chance)


def channels_behind_spaces(ensembles: dict[str, Ensemble], name: str, members: Indices) -> float:
    """By how much less similar than whole spaces single channels are."""
    found, chance = (ensembles[label].channels_found(members) for label in (name, f"{name}, shuffled"))
    return spaces_above_chance(ensembles, name, members) - above_chance(found, chance)


def findings(ensembles: dict[str, Ensemble], circles: Circles, members: int, fast: bool) -> dict[str, Verdict | bool]:
    """What must hold; intervals leave out a seed with its members, and for circles are those over unseen learners.

    The fast setting has too few of both for an interval, and judges directions.
    """
    (*_, (name, large), (_, chance)) = ensembles.items()
    (_, small) = next(iter(ensembles.items()))

    def interval(statistic: Callable[[Indices], float]) -> Interval:
        found = resampled(statistic, members)
        return found.direction() if fast else found

    again = interval(lambda some: large.channels_found(some) - 5 * chance.channels_found(some))
    found: dict[str, Verdict | bool] = {
        f"channels are found again in other members, {name}: NMI {large.channels_found():.2f}, "
        f"above 5 times that of chance by {again}": again.above(0)
    }
    if not fast:
        alike = interval(lambda some: large.channels_found(some) - small.channels_found(some))
        found[f"the larger beta makes channels more alike: NMI higher by {alike}, more than 0.1"] = alike.above(0.1)
        for label in (label for label in ensembles if "shuffled" not in label):
            spaces = interval(partial(spaces_above_chance, ensembles, label))
            less = interval(partial(channels_behind_spaces, ensembles, label))
            found[
                f"{label}: members know the same but divide it differently: above chance, NMI of spaces {spaces}, "
                f"above 0.9, of channels less by {less}, more than 0.1"
            ] = worst([spaces.above(0.9), less.above(0.1)])
        for factor in FACTORS:
            spots = [spot for spot in large.hot_spots if spot.factor == factor]
            spot = max(spots, key=lambda spot: spot.members, default=None)
            shared = spot is not None and 2 * spot.members > members and spot.similarity > 0.5
            what = f"in {spot.members} of {members} members, NMI within {spot.similarity:.2f}" if spot else "none"
            found[f"{name}: {factor} has a hot spot ({what})"] = shared
        whole, tear = circles.consensus[len(circles.learners)], median(one.tear for one in circles.learners)
        found[f"the consensus of circles is not torn: {whole.tear:.1f}, below a tenth of {tear:.0f}, the learners'"] = (
            whole.tear < tear / 10
        )
    ahead = over_seeds(circles.ahead).direction() if fast else over_seeds(circles.ahead)
    found[f"the consensus is more like unseen learners than any learner is: NMI higher by {ahead}"] = ahead.above(0)
    return found


if __name__ == "__main__":
    main()
