"""Mutual information of Gaussian posteriors with factors, without bins."""

from __future__ import annotations

from torch import Tensor

from torchdisentangle.functional.elbo.aggregate import AggregateLogSums


def posterior_mutual_information(sums: AggregateLogSums) -> Tensor:
    r"""Mutual information of every latent with every factor, from queries of the aggregate posterior.

    .. math:: I(z_k; y_f) = \frac1S \sum_s \log \frac{q(z_{sk} \,|\, y_f = y_{sf})}{q(z_{sk})}, \quad
              z_s \sim q(z \,|\, x_s)

    with both densities exact mixtures over rows. Any frequencies of factor values are allowed. Both logarithms are of
    the same latents, so the standard error, at most about :math:`S^{-1/2}` nats, is small where there is little
    information. Differentiable.

    Args:
        sums: log-sums over rows with ``matched`` factors, from
            :func:`~torchdisentangle.functional.elbo.aggregate.aggregate_log_sums`.

    Returns:
        ``(d, F)`` in nats, at least 0.

    Raises:
        ValueError: if the log-sums are without factors.

    Reference:
        Chen et al., *Isolating sources of disentanglement in variational autoencoders*, NeurIPS 2018.

    Example:
        >>> import torch
        >>> from torchdisentangle.functional.elbo.aggregate import aggregate_log_sums
        >>> mean, factor = torch.tensor([[-9.0], [9.0]]), torch.tensor([[0], [1]])
        >>> sums = aggregate_log_sums(mean, mean, torch.zeros(2, 1), factors=factor, query_factors=factor)
        >>> posterior_mutual_information(sums)
        tensor([[0.6931]], dtype=torch.float64)
    """
    if sums.matched is None or sums.matched_weight is None:
        raise ValueError("the log-sums must be over matched factors")
    of_value = sums.matched - sums.matched_weight[..., None]
    of_all = sums.marginal - sums.weight
    return (of_value - of_all[:, None]).mean(0).mT.clamp(min=0)
