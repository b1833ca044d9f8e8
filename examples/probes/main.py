"""What random probes cost in accuracy: the error of the spectrum and of MPMI, by the number of samples and of probes.

Normalizing flows with random weights are measured exactly at many latents, and by 2 to 64 probes at few. Errors fall
with the root of the number of samples for every number of probes; what the probes add shrinks with their own number,
and beyond the variation that the decoder has from place to place, more of them are of no use.

Run ``python examples/probes/main.py``, or with ``--fast``. Nothing is trained and nothing logged: it writes a figure
and a table.
"""

from __future__ import annotations

import math
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import fmean

sys.path.append(str(Path(__file__).parents[1]))

import torch
from common import arguments, print_made
from matplotlib.figure import Figure
from torch import Tensor
from verdicts import Verdict, conclude, over_seeds, worst

from torchdisentangle.functional import decoder_jacobian, gram_matrix, probed_jacobian
from torchdisentangle.functional.manifold.gram import log_column_norms
from torchdisentangle.functional.manifold.pairs import pairwise_of_samples
from torchdisentangle.models import as_latent_model, real_nvp
from torchdisentangle.plots import BLUE, GREEN, GREY, ORANGE, figure_style

SEEDS = range(1, 6)  # of the flows; 0 was looked at before
STEEP = (-0.6, -0.4)  # a power that counts as -1/2
LATENTS = 16
PROBES = {2: ORANGE, 8: GREEN, 64: BLUE}
Errors = dict[str, dict[int | None, list[float]]]  # by quantity, number of probes (None: exact), number of samples
SAMPLES = [2**power for power in range(5, 11)]


def readings(matrix: Tensor, num_probes: int | None = None) -> dict[str, Tensor]:
    """Of each sample: the logarithm of the length of every tangent vector, and the MPMI of every pair."""
    gram = gram_matrix(matrix)
    first, second = torch.triu_indices(LATENTS, LATENTS, 1)
    return {
        "spectrum": log_column_norms(gram, num_probes),
        "MPMI": pairwise_of_samples(gram, num_probes)[:, first, second],
    }


def root_mean_square_error(of_samples: Tensor, truth: Tensor, num_samples: int) -> float:
    """The error of means over ``num_samples`` samples, from disjoint sets of samples and all latents or pairs."""
    return (of_samples.unflatten(0, (-1, num_samples)).mean(1) - truth).square().mean().sqrt().item()


@torch.no_grad()
def measure(seed: int, pool: int) -> Errors:
    """The errors of both quantities for one flow."""
    torch.manual_seed(seed)
    flow = real_nvp(LATENTS, num_blocks=6, hidden=64)
    for name, parameter in flow.named_parameters():
        if "weight" in name:
            parameter += torch.randn_like(parameter) * 0.8 / parameter.shape[1] ** 0.5
    model = as_latent_model(flow)
    z = model.prior.sample(pool, torch.Generator().manual_seed(0))
    exact = readings(decoder_jacobian(model.decode, z))
    projection = probed_jacobian(model.decode, z, num_probes=max(PROBES))
    errors: Errors = {name: {} for name in exact}
    for num_probes in (None, *PROBES):
        values = exact if num_probes is None else readings(projection[:, :num_probes], num_probes)
        for name, of_samples in values.items():
            truth = exact[name].mean(0)
            errors[name][num_probes] = [root_mean_square_error(of_samples, truth, size) for size in SAMPLES]
    return errors


def draw(errors: Errors) -> Figure:
    """Errors over the number of samples, a line for each number of probes."""
    with figure_style():
        figure = Figure(figsize=(6.6, 2.9), layout="constrained")
        for axes, (name, of_probes) in zip(figure.subplots(1, 2), errors.items(), strict=True):
            for num_probes, values in of_probes.items():
                color, label = (GREY, "exact") if num_probes is None else (PROBES[num_probes], f"{num_probes} probes")
                axes.plot(SAMPLES, values, color=color, marker="o", ms=3, lw=1.2, label=label)
            steep = of_probes[2][0] * math.sqrt(SAMPLES[0])
            axes.plot(SAMPLES, [1.4 * steep / math.sqrt(size) for size in SAMPLES], color="#444444", lw=0.7, ls=":")
            axes.set(xscale="log", yscale="log", xlabel="samples", title=f"Error of the {name}")
            axes.set_xticks(SAMPLES, [str(size) for size in SAMPLES], minor=False)
            axes.minorticks_off()
        figure.axes[0].set_ylabel("root mean square error (nats)")
        figure.axes[0].legend()
        figure.axes[1].annotate("samples$^{-1/2}$", (SAMPLES[-2], 1.5 * steep / math.sqrt(SAMPLES[-2])), fontsize=7)
        return figure


def table(errors: Errors) -> str:
    """The same in numbers."""
    lines = [
        "| error of | probes | " + " | ".join(map(str, SAMPLES)) + " |",
        "| --- | ---: |" + " ---: |" * len(SAMPLES),
    ]
    for name, of_probes in errors.items():
        for num_probes, values in of_probes.items():
            cells = " | ".join(f"{value:.4f}" for value in values)
            lines.append(f"| {name} | {num_probes or 'exact'} | {cells} |")
    return "\n".join(lines)


def findings(flows: list[Errors]) -> dict[str, Verdict]:
    """What must hold for both quantities, in the mean over flows."""
    found: dict[str, Verdict] = {}
    for name in flows[0]:
        powers = [over_seeds([power(errors[name][probes]) for errors in flows]) for probes in (None, *PROBES)]
        gains = [
            over_seeds([math.log(errors[name][few][-1] / errors[name][more][-1]) for errors in flows])
            for few, more in pairwise((*PROBES, None))
        ]
        means = [power.value for power in powers]
        times = (fmean(errors[name][probes][-1] / errors[name][None][-1] for errors in flows) for probes in PROBES)
        found |= {
            f"{name}: errors fall with the number of samples to the power {min(means):.2f} to {max(means):.2f}, "
            "near -1/2": worst(one.within(*STEEP) for one in powers),
            f"{name}: more probes err less, {', '.join(f'{one:.2f}' for one in times)} times the exact error": (
                worst(gain.above(0) for gain in gains)
            ),
        }
    return found


def power(errors: list[float]) -> float:
    """Of the number of samples, with which errors fall."""
    return math.log(errors[-1] / errors[0]) / math.log(SAMPLES[-1] / SAMPLES[0])


def main() -> None:
    options = arguments(__doc__, "runs/probes", fast="one flow, means over fewer sets of samples")
    folder: Path = options.folder
    start = time.time()
    seeds, pool = (range(1), 4096) if options.fast else (SEEDS, 8192)
    flows = [measure(seed, pool) for seed in seeds]
    draw(flows[0]).savefig(folder / "error.png", dpi=200)
    (folder / "error.md").write_text(table(flows[0]) + "\n")
    print(f"{table(flows[0])}\n\n{folder / 'error.png'}")
    print_made(start)
    conclude(findings(flows))


if __name__ == "__main__":
    main()
