"""Which images of a data set with known factors to look at, so that each factor moves while the others stay."""

from __future__ import annotations

import torch
from torch import Tensor

from torchdisentangle.datasets.factors import FactorDataset


def intervention_factors(
    dataset: FactorDataset, num_rows: int, values: int = 4, generator: torch.Generator | None = None
) -> Tensor:
    """Factors in blocks: in each, one factor takes several different values and all others stay as they are.

    The blocks are of the factors in turn, and their settings are independent and uniform. So every row is uniform over
    the grid, and in many rows there are also many that share a value of one factor and differ in the others at random:
    what the beta-VAE, FactorVAE and Relevance-Factor-VAE scores and IRS need.

    Args:
        dataset: whose factors they are.
        num_rows: how many.
        values: of the moved factor in a block; a factor that has fewer takes all of them.
        generator: source of the random numbers; by default PyTorch's global one.

    Returns:
        Factors of shape :math:`(N, K)`; their images come from :meth:`FactorDataset.render`.

    Raises:
        ValueError: if there are fewer than two values in a block, or no factor has two values.

    Example:
        >>> from torchdisentangle.datasets.sprites import Sprites
        >>> factors = intervention_factors(Sprites(image_size=16), 8, generator=torch.Generator().manual_seed(0))
        >>> (factors != factors.roll(1, 0))[1:3].sum(1), (factors != factors.roll(1, 0))[4:7].sum(1)
        (tensor([1, 1]), tensor([1, 1, 1]))
    """
    moving = [k for k, size in enumerate(dataset.factor_sizes) if size > 1]
    if values < 2 or not moving:
        raise ValueError(f"at least two values must alternate, got {values} of factors of sizes {dataset.factor_sizes}")
    blocks, length = [], 0
    settings = dataset.sample_factors(-(-num_rows // 2), generator)
    for block, setting in enumerate(settings):
        if length >= num_rows:
            break
        k = moving[block % len(moving)]
        taken = torch.randperm(dataset.factor_sizes[k], generator=generator, device=settings.device)[:values]
        rows = setting.repeat(len(taken), 1)
        rows[:, k] = taken
        blocks.append(rows)
        length += len(rows)
    return torch.cat(blocks)[:num_rows]
