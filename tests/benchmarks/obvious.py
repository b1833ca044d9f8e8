"""Every family of formulas against what one would write in PyTorch at first, and against the machine's limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn.functional import one_hot

from tests.benchmarks import Work, least_seconds, markdown, scaled
from torchdisentangle.functional import aggregate_log_sums, compare_posteriors, pairwise_information
from torchdisentangle.functional.device import sizes_of
from torchdisentangle.functional.informativeness.quantization import DEFAULT_EDGES, quantized_blocks
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.functional.supervised.binning import assign_equal_bins, equal_width_edges, soft_bins
from torchdisentangle.functional.supervised.joint_counts import joint_counts, joint_weights
from torchdisentangle.manifold import manifold_metrics

NUM_BINS, NUM_VALUES = 20, 40


class Case(NamedTuple):
    """Ours and the obvious form, which return the same.

    Args:
        name: of the formula.
        size: of the task.
        ours: as the metrics call it.
        obvious: in PyTorch's own functions.
        num_bytes: what has to be read and written at least.
        flops: of matrix products in float64.
    """

    name: str
    size: str
    ours: Work
    obvious: Work
    num_bytes: float
    flops: float = 0.0


def posteriors(num_rows: int, num_latents: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """A latent of each row, its mean and its log-variance."""
    mean, noise = torch.randn(2, num_rows, num_latents, generator=torch.Generator().manual_seed(0)).double().to(device)
    return mean + 0.3 * noise, mean, torch.full_like(mean, 2 * math.log(0.3))


def counts(device: str) -> Iterator[Case]:
    num_rows, num_codes, num_factors = scaled(200_000), 10, 5
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(num_rows, num_codes, generator=generator).to(device)
    values = torch.randint(NUM_VALUES, (num_rows, num_factors), generator=generator).to(device)
    low, high = codes.amin(0), codes.amax(0)
    bins = assign_equal_bins(codes, low, high, NUM_BINS)
    edges = equal_width_edges(low, high, NUM_BINS)

    def searched() -> Tensor:
        columns = codes.double().mT.contiguous()
        return torch.stack([torch.bucketize(x, e, right=True) for x, e in zip(columns, edges, strict=True)], dim=1)

    def pair_by_pair() -> Tensor:
        tables = [
            torch.bincount(code * NUM_VALUES + value, minlength=NUM_BINS * NUM_VALUES)
            for value in values.mT
            for code in bins.mT
        ]
        return torch.stack(tables).view(num_factors, num_codes, NUM_BINS, NUM_VALUES)

    def by_product() -> Tensor:
        left, right = one_hot(bins, NUM_BINS).float().flatten(1), one_hot(values, NUM_VALUES).float().flatten(1)
        table = (left.mT @ right).view(num_codes, NUM_BINS, num_factors, NUM_VALUES)
        return table.permute(2, 0, 1, 3).long()

    size, read = f"{num_rows:,} x {num_codes}", codes.nbytes
    blocks = list(row_blocks(num_rows, num_codes, sizes_of(device).numbers_each(4)))

    def in_blocks() -> Tensor:
        return torch.cat([assign_equal_bins(codes[rows], low, high, NUM_BINS) for rows in blocks])

    yield Case("bins: search", size, in_blocks, searched, read + bins.nbytes)
    ours = partial(joint_counts, bins, values, NUM_BINS, NUM_VALUES)
    size, read = f"{size} x {num_factors}", bins.nbytes + values.nbytes
    yield Case("counts: `bincount` of each pair", size, ours, pair_by_pair, read)
    yield Case("counts: product of one-hot tensors", size, ours, by_product, read)

    few = scaled(10_000)
    soft = soft_bins(codes[:few].double(), torch.full_like(codes[:few], -2.0).double(), edges)

    def weights_by_product() -> Tensor:
        return torch.einsum("nkb,nfv->fkbv", soft, one_hot(values[:few], NUM_VALUES).double())

    ours = partial(joint_weights, soft, values[:few], NUM_VALUES)
    size = f"{few:,} x {num_codes} x {num_factors}"
    yield Case("soft counts: product with a one-hot tensor", size, ours, weights_by_product, num_factors * soft.nbytes)


def informativeness(device: str) -> Iterator[Case]:
    num_rows, num_latents, num_bins = scaled(5000), 10, 100
    _, mean, log_variance = posteriors(num_rows, num_latents, device)
    edges = equal_width_edges(*DEFAULT_EDGES, num_bins, device=device)

    def ours() -> Tensor:
        blocks = quantized_blocks(mean, log_variance, DEFAULT_EDGES, num_bins, "exact")
        return torch.stack([block.sum(0) for block in blocks]).sum(0)

    def obvious() -> Tensor:
        below = Normal(mean[..., None], (0.5 * log_variance).exp()[..., None]).cdf(edges)
        ends = below.new_zeros(num_rows, num_latents, 1)
        return torch.cat([ends, below, ends + 1], -1).diff(dim=-1).sum(0)

    size = f"{num_rows:,} x {num_latents} x {num_bins}"
    yield Case("soft bins: differences of `Normal.cdf`", size, ours, obvious, 16 * num_rows * num_latents * num_bins)


def aggregate(device: str) -> Iterator[Case]:
    num_rows, num_queries, num_latents = scaled(20_000), 64, 10
    z, mean, log_variance = posteriors(num_rows, num_latents, device)
    z = z[:num_queries]

    def log_density() -> Tensor:
        return Normal(mean, (0.5 * log_variance).exp()).log_prob(z[:, None])  # (S, N, d)

    def both() -> Tensor:
        each = log_density()
        return torch.cat([each.sum(-1).logsumexp(1)[:, None], each.logsumexp(1)], dim=1)

    def all_but_one() -> Tensor:
        each = log_density()
        return (each.sum(-1, keepdim=True) - each).logsumexp(1)  # loses digits, which ours does not

    def all_pairs() -> Tensor:
        each = log_density()
        marginal = each.logsumexp(1) - math.log(num_rows)
        pairs = [
            (each[..., i] + each[..., j]).logsumexp(1) - math.log(num_rows) - marginal[:, i] - marginal[:, j]
            for i, j in torch.triu_indices(num_latents, num_latents, 1).mT.tolist()
        ]
        return torch.stack(pairs, dim=1)

    def joint_and_marginals() -> Tensor:
        sums = aggregate_log_sums(z, mean, log_variance)
        return torch.cat([sums.joint[:, None], sums.marginal], dim=1)

    def rest() -> Tensor:
        sums = aggregate_log_sums(z, mean, log_variance, leave_one_out=True)
        assert sums.leave_one_out is not None
        return sums.leave_one_out

    def pairs() -> Tensor:
        i, j = torch.triu_indices(num_latents, num_latents, 1)
        return pairwise_information(z, mean, log_variance)[:, i, j]

    size, block = f"{num_queries} x {num_rows:,} x {num_latents}", 8 * num_queries * num_rows * num_latents
    yield Case("aggregate posterior: `Normal.log_prob` at once", size, joint_and_marginals, both, 2 * block)
    yield Case("separability: the joint less each latent", size, rest, all_but_one, 2 * block)
    yield Case("pairs of latents: pair by pair", size, pairs, all_pairs, 2 * block, block / 4 * num_latents)


def similarity(device: str) -> Iterator[Case]:
    num_points, num_channels = scaled(500), 40
    _, mean, log_variance = posteriors(num_points, num_channels, device)

    def ours() -> Tensor:
        return compare_posteriors(mean, log_variance).joint

    def obvious() -> Tensor:
        variance = log_variance.exp()
        total = variance[:, None] + variance  # (F, F, d)
        distance = (mean[:, None] - mean).square() / (4 * total)
        distance = distance + 0.5 * (total / (2 * (variance[:, None] * variance).sqrt())).log()
        coefficients = (-distance).exp()
        return -torch.stack([(row.mT @ row / num_points).log() for row in coefficients]).mean(0)

    size, block = f"{num_points} x {num_points} x {num_channels}", 8 * num_points**2 * num_channels
    yield Case("Bhattacharyya: all coefficients at once", size, ours, obvious, 2 * block, block / 4 * num_channels)


def obvious_manifold(jacobian: Tensor) -> tuple[Tensor, ...]:
    """Spectrum, total correlation and the MPMI of all pairs, with standard errors, without floors."""
    jacobian = jacobian.double()
    gram = jacobian.mT @ jacobian
    lengths = gram.diagonal(dim1=1, dim2=2)
    log_lengths = 0.5 * lengths.log()
    total = log_lengths.sum(1) - 0.5 * torch.logdet(gram)
    cosine = gram / (lengths[:, :, None] * lengths[:, None]).sqrt()
    pairwise = -0.5 * (1 - cosine.square()).log()
    pairwise.diagonal(dim1=1, dim2=2).fill_(0)
    errors = [value.std(0) / len(jacobian) ** 0.5 for value in (log_lengths, total, pairwise)]
    return total.mean(), pairwise.mean(0), log_lengths.mean(0), *errors


def manifold(device: str) -> Iterator[Case]:
    for num_samples, data_dim, latent_dim in ((256, 784, 10), (128, 784, 100), (16, 12288, 64), (8, 784, 256)):
        num_samples = scaled(num_samples, 4)
        generator = torch.Generator().manual_seed(0)
        jacobian = torch.randn(num_samples, data_dim, latent_dim, generator=generator).to(device)

        metrics = manifold_metrics(mean_jacobian=False).to(device)
        metrics.update(jacobian)
        values = metrics.compute()
        expected = obvious_manifold(jacobian)
        torch.testing.assert_close(values["total_correlation"], expected[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(values["pairwise"], expected[1], rtol=1e-6, atol=1e-6)

        flops = 2.0 * num_samples * data_dim * latent_dim**2
        size = f"{num_samples} x {data_dim} x {latent_dim}"
        ours, obvious = partial(metrics.update, jacobian), partial(obvious_manifold, jacobian)
        yield Case("manifold metrics: Gram, `logdet`, MPMI", size, ours, obvious, jacobian.nbytes, flops)


def limits(device: str) -> tuple[float, float]:
    """Bytes and float64 operations of matrix products, a second."""
    side = 2048 if torch.device(device).type == "cuda" else 768
    square = torch.randn(side, side, dtype=torch.float64, device=device)
    numbers = torch.zeros(2**27 if torch.device(device).type == "cuda" else 2**23, dtype=torch.float64, device=device)
    works: dict[str, Work] = {"copy": numbers.clone, "product": partial(torch.matmul, square, square)}
    times = least_seconds(works, device)
    return 2 * numbers.nbytes / times["copy"], 2 * side**3 / times["product"]


def tables(device: str = "cpu") -> Iterator[str]:
    """One table of all families."""
    bandwidth, rate = limits(device)
    rows = []
    for family in (counts, informativeness, aggregate, similarity, manifold):
        for case in family(device):
            found = case.ours()
            if isinstance(found, Tensor):
                torch.testing.assert_close(found, case.obvious(), rtol=1e-6, atol=1e-6)
            times = least_seconds({"ours": case.ours, "obvious": case.obvious}, device)
            least = case.num_bytes / bandwidth + case.flops / rate
            rows.append(
                [
                    case.name,
                    case.size,
                    f"{1e3 * times['ours']:.2f}",
                    f"{times['obvious'] / times['ours']:.2f}",
                    f"{100 * least / times['ours']:.0f} %",
                ]
            )
    yield markdown(
        f"The obvious form in PyTorch over ours: above 1, ours is faster. Limits: {bandwidth / 2**30:.0f} GiB/s and "
        f"{rate / 1e12:.2f} TFLOP/s in float64",
        ["formula, and its obvious form", "size", "ours, ms", "ratio", "share of the limits"],
        rows,
    )


if __name__ == "__main__":
    for table in tables():
        print(table)
