"""Unsupervised disentanglement ranking (UDR): which of several models has the latents that the others find, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from torchdisentangle.functional.similarity.ranking import (
    absolute_correlations,
    chance_correlation,
    column_ranks,
    informative_latents,
    relation_score,
)
from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.similarity.fingerprint import Fingerprint
from torchdisentangle.similarity.run_pairs import RunPairs

RankingMethod = Literal["lasso", "spearman"]


class RunRanking(NamedTuple):
    """How far the latents of each model are those of the others.

    Args:
        names: of the models, ``P`` of them.
        udr: the score of each model, ``(P,)``.
        pairs: score of every model (column) with every other (row), ``(P, P)``; NaN on the diagonal.
        num_informative: number of informative latents of each model, ``(P,)`` integers.
        num_points: data points at which the models were compared.
    """

    names: list[str]
    udr: Tensor
    pairs: Tensor
    num_informative: Tensor
    num_points: int

    def order(self) -> list[str]:
        """Names of the models, the best first."""
        return [self.names[i] for i in self.udr.argsort(descending=True, stable=True)]


def unsupervised_disentanglement_ranking(
    fingerprints: Mapping[str, Fingerprint],
    method: RankingMethod = "lasso",
    *,
    strength: float = 0.1,
    threshold: float = 0.01,
    significance: float | None = None,
    runs_at_once: int | None = None,
) -> RunRanking:
    r"""Unsupervised disentanglement ranking (UDR): are a model's latents those of other models, up to order and signs?

    .. math:: \mathrm{UDR}_j = \operatorname{median}_{i \ne j} \;
              \frac12 \left[ \frac{1}{d_j} \sum_b \frac{(\max_a R_{ab})^2}{\sum_a R_{ab}}
              + \frac{1}{d_i} \sum_a \frac{(\max_b R_{ab})^2}{\sum_b R_{ab}} \right]

    over informative latents ``a`` of model ``i`` and ``b`` of model ``j``, those whose mean KL divergence from a
    standard normal prior exceeds a threshold. Entangled solutions differ from seed to seed, disentangled ones do not;
    so models that agree with the others are likely to be disentangled. No labels are needed. As published, the models
    that are compared differ in their seed alone (UDR) or are all models of a sweep (there called A2A).

    Ideal is 1 for ``"spearman"`` and ``1 - strength`` for ``"lasso"``, which takes this much off every weight; worst is
    0. It is a score of agreement, not of truth: a model with a single informative latent that others find scores best
    of all. Rank correlations that are 0 but for few points lower the score: equal models with ten independent latents
    score 0.82 at 1,000 points, with 32 latents 0.56; so compare models of the same width, or give a ``significance``,
    with which both score 1. It takes off weak relations that are no chance, too: those below 0.11 at 1,000 points and
    ten latents each.

    Args:
        fingerprints: of at least two models, by name; compared at the data points that all of them have.
        method: ``"lasso"``: absolute weights of a lasso from all latents of model ``i`` to each latent of model ``j``;
            ``"spearman"``: absolute rank correlations.
        strength: of the lasso's penalty, of standardised means.
        threshold: nats of KL divergence that an informative latent exceeds.
        significance: rank correlations count as 0 unless they exceed what the largest of all pairs of latents exceeds
            by chance with this probability, such as 0.05; see
            :func:`~torchdisentangle.functional.chance_correlation`. Not published; by default all of them count.
        runs_at_once: how many runs to hold at a time, of which the scores do not depend; by default as many as a CPU
            has memory for. With :class:`~torchdisentangle.similarity.FingerprintFiles` no more are in memory.

    Returns:
        The scores of the models.

    Raises:
        ValueError: if there are fewer than two fingerprints, they are not of the same data points, or a setting is
            wrong.
        ImportError: if the lasso needs scikit-learn and it is missing.

    Reference:
        Duan et al., *Unsupervised model selection for variational disentangled representation learning*, ICLR 2020.

    Example:
        >>> means = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
        >>> log_variance, index = torch.full((500, 2), -4.0), torch.arange(500)
        >>> runs = {"a": means, "b": -3 * means.flip(1), "mixed": means @ torch.tensor([[1.0, -1.0], [1.0, 1.0]])}
        >>> ranking = unsupervised_disentanglement_ranking(
        ...     {name: Fingerprint(mean, log_variance, index) for name, mean in runs.items()}
        ... )
        >>> ranking.order()[-1], ranking.pairs[0, 1].round(decimals=2)
        ('mixed', tensor(0.9000, dtype=torch.float64))
    """
    if method not in get_args(RankingMethod):
        raise ValueError(f"method must be 'lasso' or 'spearman', got {method!r}")
    if significance is not None and (method != "spearman" or not 0 < significance < 1):
        raise ValueError(f"significance must be in (0, 1), with method='spearman', got {significance} with {method!r}")
    if strength <= 0 or threshold < 0:
        raise ValueError(f"strength must be positive and threshold not negative, got {strength} and {threshold}")
    check_runs(fingerprints)

    def prepare(run: Fingerprint) -> tuple[Tensor]:
        means = informative_means(run, threshold)
        return (column_ranks(means) if method == "spearman" else means,)

    def score(source: Tensor, target: Tensor) -> Tensor | float:
        if not source.shape[1] or not target.shape[1]:
            return 0.0  # a model that knows nothing agrees with none
        if method == "lasso":
            return relation_score(lasso_weights(source, target, strength))
        relations = absolute_correlations(source, target)
        if significance is not None:
            by_chance = chance_correlation(len(source), relations.numel(), significance)
            relations = relations.where(relations > by_chance, 0.0)
        return relation_score(relations)

    runs = RunPairs(fingerprints, prepare, runs_at_once)
    pairs = torch.full((len(fingerprints), len(fingerprints)), torch.nan, dtype=torch.float64)
    num_informative = torch.zeros(len(fingerprints), dtype=torch.int64)
    for i, j, (one,), (other,) in runs:
        if i == j:
            num_informative[i] = one.shape[1]
        else:
            pairs[i, j] = score(one, other)
            pairs[j, i] = pairs[i, j] if method == "spearman" else score(other, one)
    return RunRanking(runs.names, pairs.nanquantile(0.5, dim=0), pairs, num_informative, runs.num_points)


def check_runs(fingerprints: Mapping[str, Fingerprint]) -> None:
    """Refuse fewer than two runs."""
    if len(fingerprints) < 2:
        raise ValueError(f"at least two fingerprints are needed, got {len(fingerprints)}")


def informative_means(run: Fingerprint, threshold: float) -> Tensor:
    """Posterior means of the latents whose KL divergence exceeds a threshold, ``(F, d')``."""
    return run.mean[:, informative_latents(run.mean, run.log_variance, threshold)]


def lasso_weights(source: Tensor, target: Tensor, strength: float = 0.1) -> Tensor:
    r"""Absolute weights of a lasso from all latents of one model to each latent of another.

    .. math:: \arg\min_w \; \frac{1}{2N} \| t_b - s w \|^2 + \alpha \| w \|_1

    of standardised latents.

    Args:
        source: posterior means of one model, ``(N, d_a)``.
        target: of the other at the same points, ``(N, d_b)``.
        strength: :math:`\alpha`.

    Returns:
        ``(d_a, d_b)``, in float64; 0 for a constant latent.

    Raises:
        ImportError: if scikit-learn is missing.

    Example:
        >>> latents = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> lasso_weights(latents, latents, strength=0.25)
        tensor([[0.7500, 0.0000],
                [0.0000, 0.7500]], dtype=torch.float64)
    """
    try:
        from sklearn.linear_model import Lasso
    except ImportError as error:
        raise ImportError("a lasso needs scikit-learn: pip install 'torchdisentangle[supervised]'") from error
    correction = ((len(source)) / (len(source) - 1)) ** 0.5  # so that the mean square is 1
    x, y = (correction * standardize(means.double().cpu()).numpy() for means in (source, target))
    fitted = Lasso(alpha=strength, fit_intercept=False, precompute=True).fit(x, y)
    return torch.as_tensor(fitted.coef_).reshape(y.shape[1], x.shape[1]).mT.abs()
