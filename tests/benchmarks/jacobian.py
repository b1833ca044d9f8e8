"""Decoder Jacobians and what is made of them, against what one would write by hand and against the machine's limits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import normflows as nf
import torch
import torch._inductor.config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.benchmarks import Work, least_seconds, markdown, peak_bytes, scaled, seconds
from torchdisentangle.functional import (
    decoder_jacobian,
    decoder_jacobian_chunks,
    gram_matrix,
    manifold_pairwise_mutual_information,
)
from torchdisentangle.functional.manifold.jacobian import ChunkSize
from torchdisentangle.manifold import manifold_metrics
from torchdisentangle.models import spline_flow
from torchdisentangle.models.networks import decoder

PATIENCE = 0.5  # seconds: what takes longer on two samples is timed on them alone, what does on all of them, once
MEBIBYTE = 2**20

Decode = Callable[[Tensor], Tensor]


class Case(NamedTuple):
    """A decoder and as many latents as an evaluation might take at a time."""

    name: str
    decode: Decode
    z: Tensor


def cases(device: str) -> list[Case]:
    """Two flows and two decoders, in float32."""
    torch.manual_seed(0)
    spline = spline_flow(16).to(device)
    for parameter in spline.parameters():  # they begin at the identity
        nn.init.normal_(parameter, std=0.1)
    blocks = [nf.flows.GlowBlock(4, 32, init_zeros=False) for _ in range(4)]
    glow = nf.NormalizingFlow(None, [*blocks, nf.flows.Squeeze()]).to(device)
    with torch.no_grad():
        glow.forward(torch.randn(64, 4, 8, 8, device=device))  # initialises the activation norms
    conv = decoder("conv", 16, (32, 64, 128), (3, 32, 32)).to(device)
    mlp = decoder("mlp", 10, (256, 256), (1, 28, 28)).to(device)

    def latents(n: int, d: int) -> Tensor:
        return torch.randn(scaled(n, 4), d, device=device)

    return [
        Case("spline flow, 16", spline.forward, latents(64, 16)),
        Case("spline flow, 16", spline.forward, latents(512, 16)),
        Case("Glow, 1x16x16", lambda z: glow.forward(z.view(-1, 4, 8, 8)).flatten(1), latents(8, 256)),
        Case("convolutional decoder, 16 to 3x32x32", lambda z: conv(z).flatten(1), latents(64, 16)),
        Case("MLP decoder, 10 to 28x28", lambda z: mlp(z).flatten(1), latents(256, 10)),
    ]


# What one would write by hand. Each takes a decoder and latents and returns (N, D, d).


def vmap_jacfwd(decode: Decode, z: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.func.vmap(torch.func.jacfwd(lambda row: decode(row[None])[0]))(z)


def vmap_jacrev(decode: Decode, z: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.func.vmap(torch.func.jacrev(lambda row: decode(row[None])[0]))(z)


def autograd_jacobian(decode: Decode, z: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(lambda z: decode(z).sum(0), z).transpose(0, 1)


def autograd_jacobian_vectorized(decode: Decode, z: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(lambda z: decode(z).sum(0), z, vectorize=True).transpose(0, 1)


def loop_over_outputs(decode: Decode, z: Tensor) -> Tensor:
    z = z.detach().requires_grad_()
    data = decode(z)
    rows = [torch.autograd.grad(data[:, k].sum(), z, retain_graph=True)[0] for k in range(data.shape[1])]
    return torch.stack(rows, dim=1)


ALTERNATIVES = {
    "`vmap(jacfwd)`": vmap_jacfwd,
    "`vmap(jacrev)`": vmap_jacrev,
    "`autograd.functional.jacobian`": autograd_jacobian,
    "the same, vectorized": autograd_jacobian_vectorized,
    "loop of `autograd.grad`": loop_over_outputs,
}


def ours(decode: Decode, z: Tensor, chunk_size: ChunkSize = "auto", compile: bool = False) -> Tensor:
    with torch.no_grad():
        return decoder_jacobian(decode, z, chunk_size=chunk_size, compile=compile)


def products_at_once(decode: Decode, z: Tensor) -> None:
    with torch.no_grad():
        basis = torch.eye(z.shape[1], device=z.device)
        torch.func.vmap(lambda tangent: torch.func.jvp(decode, (z,), (tangent.expand_as(z),))[1])(basis)


def size_of(case: Case) -> str:
    with torch.no_grad():
        return f"{len(case.z)} x {case.decode(case.z[:2]).shape[1]} x {case.z.shape[1]}"


def ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def against_alternatives(device: str) -> str:
    rows = []
    for case in cases(device):
        _, decode, z = case
        works: dict[str, Work] = {"ours": partial(ours, decode, z), "one piece": partial(ours, decode, z, len(z))}
        cells, slow = {}, {}
        for label, alternative in ALTERNATIVES.items():
            try:
                few = alternative(decode, z[:2])
            except Exception as error:
                cells[label] = f"fails ({type(error).__name__})"
                continue
            torch.testing.assert_close(few, ours(decode, z)[:2], rtol=1e-3, atol=1e-3 * few.abs().max().item())
            time = seconds(partial(alternative, decode, z[:2]), device)
            if time > PATIENCE:
                slow[label] = ("> ", time)
                continue
            time = seconds(partial(alternative, decode, z), device)
            if time > PATIENCE:
                slow[label] = ("", time)
            else:
                works[label] = partial(alternative, decode, z)
        times = least_seconds(works, device)
        cells |= {label: ratio(times[label] / times["ours"]) for label in works}
        cells |= {label: sign + ratio(time / times["ours"]) for label, (sign, time) in slow.items()}
        per_sample = [] if device == "cpu" else [f"{1e3 * times['ours'] / len(z):.3f}"]
        rows.append([case.name, size_of(case), *per_sample, *(cells[label] for label in ("one piece", *ALTERNATIVES))])
    return markdown(
        "Time of other ways to all Jacobians over that of `decoder_jacobian`: above 1, ours is faster "
        "(>: two of the samples alone take that long)",
        [
            *("model", "N x D x d"),
            *([] if device == "cpu" else ["ours, ms per sample"]),
            *("ours with `chunk_size=N`", *ALTERNATIVES),
        ],
        rows,
    )


def compiled(device: str) -> str:
    rows = []
    for case in cases(device)[-2:]:  # those in forward mode
        _, decode, z = case
        with torch._inductor.config.patch(force_disable_caches=True):
            first = seconds(partial(ours, decode, z, compile=True), device)
        works: dict[str, Work] = {"compiled": partial(ours, decode, z, compile=True), "not": partial(ours, decode, z)}
        times = least_seconds(works, device)
        gain = times["not"] - times["compiled"]
        calls = f"{first / gain:.0f}" if gain > 0 else "never"
        rows.append([case.name, size_of(case), ratio(times["not"] / times["compiled"]), f"{first:.0f}", calls])
    return markdown(
        "Time of `decoder_jacobian` over its time with `compile=True`",
        ["model", "N x D x d", "ratio", "first call, s", "calls until it has paid"],
        rows,
    )


def against_bare_products(device: str) -> str:
    timed = 4
    rows = []
    for case in cases(device):
        _, decode, z = case
        metrics = manifold_metrics().to(device)

        def update(decode: Decode = decode, z: Tensor = z, metrics: nn.Module = metrics) -> None:
            with torch.no_grad():
                for _, jacobian in decoder_jacobian_chunks(decode, z):
                    metrics.update(jacobian)

        def products(decode: Decode = decode, z: Tensor = z) -> None:
            with torch.no_grad():
                for tangent in torch.eye(z.shape[1], device=z.device)[:timed]:
                    torch.func.jvp(decode, (z,), (tangent.expand_as(z),))

        at_once = partial(products_at_once, decode, z)
        times = least_seconds({"update": update, "products": products, "at once": at_once}, device)
        one_by_one = times["products"] * z.shape[1] / timed
        rows.append(
            [case.name, size_of(case), ratio(times["update"] / one_by_one), ratio(times["update"] / times["at once"])]
        )
    return markdown(
        "Full update of the manifold metrics, Jacobians included, over d bare Jacobian-vector products of all samples",
        ["model", "N x D x d", f"one after the other ({timed} timed)", "all at once under `vmap`"],
        rows,
    )


def pairs_against_loops(device: str) -> str:
    n, data_dim, latent_dim, timed = scaled(1000), 784, 100, 20
    jacobian = torch.randn(n, data_dim, latent_dim, dtype=torch.float64, device=device)
    columns = jacobian.permute(2, 0, 1).contiguous()
    pairs = torch.triu_indices(latent_dim, latent_dim, 1).T.tolist()
    some = pairs[:: len(pairs) // timed][:timed]

    def pair(a: Tensor, b: Tensor) -> Tensor:
        cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
        return -0.5 * (1 - cosine.square()).log().mean()

    metrics = manifold_metrics(mean_jacobian=False).to(device)
    times = least_seconds(
        {
            "matrix": lambda: manifold_pairwise_mutual_information(gram_matrix(jacobian)),
            "all": lambda: metrics.update(jacobian),
            "loop": lambda: [pair(jacobian[:, :, i], jacobian[:, :, j]) for i, j in some],
            "loop over contiguous": lambda: [pair(columns[i], columns[j]) for i, j in some],
        },
        device,
    )
    scale = len(pairs) / len(some)
    rows = [
        [label, *(ratio(times[loop] * scale / times[key]) for loop in ("loop", "loop over contiguous"))]
        for label, key in (("the MPMI matrix", "matrix"), ("the sums of all manifold metrics", "all"))
    ]
    return markdown(
        f"Time of a loop over pairs of latents over ours, from {n} given Jacobians {data_dim} x {latent_dim} in "
        f"float64 (loops timed on {len(some)} of {len(pairs)} pairs)",
        ["what ours computes", "loop over columns as they lie", "loop over columns copied to be contiguous"],
        rows,
    )


def gram_in_float64(jacobian: Tensor) -> Tensor:
    """As one would write it."""
    jacobian = jacobian.double()
    return jacobian.mT @ jacobian


def updates_against_products(device: str) -> str:
    rows = []
    for n, data_dim, latent_dim in ((512, 784, 100), (64, 12288, 64), (16, 784, 256), (4, 784, 784)):
        n = scaled(n, 4)
        jacobian = torch.randn(n, data_dim, latent_dim, device=device)
        correlated = jacobian + torch.randn(n, data_dim, 1, device=device)
        metrics = manifold_metrics(mean_jacobian=False).to(device)
        times = least_seconds(
            {
                "product": partial(gram_in_float64, jacobian),
                "update": partial(metrics.update, jacobian),
                "correlated": partial(metrics.update, correlated),
            },
            device,
        )
        size = f"{n} x {data_dim} x {latent_dim}"
        rows.append([size, *(ratio(times[key] / times["product"]) for key in ("update", "correlated"))])
    return markdown(
        "Time of an update of all manifold metrics from given Jacobians, over that of their Gram product in float64",
        ["N x D x d", "independent columns", "correlated columns (volumes that need a closer look)"],
        rows,
    )


def discarded(decode: Decode, z: Tensor, budget: int) -> None:
    """All Jacobians, of which none is kept."""
    with torch.no_grad():
        for _, piece in decoder_jacobian_chunks(decode, z, memory_budget=budget):
            del piece


def memory(device: str) -> str:
    budgets = [4 * MEBIBYTE, 32 * MEBIBYTE, 256 * MEBIBYTE]
    rows = []
    for case in cases(device)[1:]:
        _, decode, z = case
        shares = []
        for budget in budgets:
            shares.append(f"{peak_bytes(partial(discarded, decode, z, budget), device) / budget:.2f}")
        at_once = peak_bytes(partial(products_at_once, decode, z), device)
        rows.append([case.name, size_of(case), *shares, f"{at_once / MEBIBYTE:.0f} MiB"])
    return markdown(
        "Peak of the bytes of all tensors over the budget",
        ["model", "N x D x d", *(f"{budget // MEBIBYTE} MiB" for budget in budgets), "all products at once"],
        rows,
    )


def roofline(device: str) -> str:
    tasks: list[tuple[str, str, torch.dtype, float, Work]] = []
    for case in cases(device)[1:]:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            data_size = case.decode(case.z).shape[1]
        flops = counter.get_total_flops() * (1 + min(case.z.shape[1], data_size))  # the decoder, and every direction
        work = partial(ours, case.decode, case.z)
        tasks.append((f"Jacobians: {case.name}", size_of(case), torch.float32, flops, work))
    for n, data_dim, latent_dim in ((1000, 784, 100), (1000, 784, 10), (100, 3072, 16)):
        jacobian = torch.randn(n, data_dim, latent_dim, dtype=torch.float64, device=device)
        size, flops = f"{n} x {data_dim} x {latent_dim}", 2 * n * data_dim * latent_dim**2
        tasks.append(("Gram matrices", size, torch.float64, flops, partial(gram_matrix, jacobian)))
    rows, side = [], 768
    for name, size, dtype, flops, work in tasks:
        square = torch.randn(side, side, dtype=dtype, device=device)
        times = least_seconds({"work": work, "matmul": partial(torch.matmul, square, square)}, device)
        rate, limit = flops / times["work"], 2 * side**3 / times["matmul"]
        rows.append([name, size, str(dtype).removeprefix("torch."), f"{rate / limit:.2f}"])
    return markdown(
        f"FLOP of matrix products and convolutions per second of all the work, over those of a {side} x {side} product",
        ["what", "N x D x d", "dtype", "share"],
        rows,
    )


def tables(device: str = "cpu") -> Iterator[str]:
    """The tables, one after the other."""
    warnings.filterwarnings("ignore", message=".*vmap|.*torch.lu is deprecated")
    for table in (
        against_alternatives,
        compiled,
        against_bare_products,
        pairs_against_loops,
        updates_against_products,
        memory,
        roofline,
    ):
        yield table(device)


if __name__ == "__main__":
    for table in tables():
        print(table, flush=True)
