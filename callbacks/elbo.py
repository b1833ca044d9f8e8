"""The KL divergence of the encoder taken apart, in every validation epoch."""

from __future__ import annotations

from typing_extensions import Unpack

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.settings import CallbackSettings
from torchdisentangle.evaluation import ELBOEvaluation


class ELBODecompositionCallback(EvaluationCallback):
    r"""Logs how an encoder spends its KL divergence, and how dependent its latents are. Needs no factors.

    .. math:: \mathbb{E}_x \mathrm{KL}(q(z \mid x) \,\|\, p(z)) = I(x; z) + \mathrm{TC} + \mathrm{DWKL}

    In every validation epoch the callback encodes all validation data and logs, under ``<prefix>/elbo/``:

    ==================================== =========================================================== ===========
    key                                  meaning                                                     ideal
    ==================================== =========================================================== ===========
    ``kl``                               KL divergence from the prior, nats
    ``mutual_information``               between data points and latents, nats
    ``mutual_information_ceiling``       ``log N``, the most that the rows kept can show
    ``total_correlation``                how far the latents are from independent, nats              0
    ``dimension_wise_kl``                how far each latent is from its prior, nats                 0
    ``active_units``                     number of latents whose posterior mean depends on the data
    ``gaussian_total_correlation``       of the posterior means' covariance, nats                    0
    ``gaussian_wasserstein_correlation`` of the posterior means' covariance, normalised              0
    ``code_mutual_information``          mean over pairs of binned posterior means, nats             0
    ==================================== =========================================================== ===========

    It draws the figures ``decomposition``, ``latent_kl`` and ``code_pairs``. The three terms below ``kl`` add up
    to it; they are computed with the aggregate posterior, without minibatch approximations. ``num_nonfinite`` counts
    rows that were left out, if there are any. If the mutual information comes within 5 % of its ceiling, a warning says
    so once in a run: then it and the total correlation say how many rows there are, and little else.

    The terms cost ``num_queries * N * d`` exponentials, divided among the processes: seconds for 20,000 rows. Several
    processes log the values that one would, and training stays bitwise the same.

    Args:
        num_queries: latents whose density is taken; standard errors fall with its square root.
        max_rows: how many posteriors to keep at most; if there are more rows, the aggregate posterior is made from a
            uniform sample of them.
        active_threshold: a latent is active if its posterior mean varies by more than this.
        num_bins: bins of ``code_mutual_information``, quantiles of the prior. It is left out where its table of
            ``(num_bins * d) ** 2`` counts would take more than 128 MiB.
        standard_errors: log ``<key>_standard_error`` beside the three terms.
        seed: of the choice of rows and latents.
        settings: of :class:`EvaluationCallback`, such as ``every_n_epochs`` and ``input_key``.

    Raises:
        MisconfigurationException: for wrong settings; before training if the model has no encoder, or a prior that is
            not Gaussian or differs between classes; at the first batch if the encoder gives no variance.

    Example:
        >>> import lightning as L
        >>> callback = ELBODecompositionCallback(num_queries=256, figures=5)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    def __init__(
        self,
        num_queries: int = 1024,
        max_rows: int = 2**15,
        active_threshold: float = 1e-2,
        num_bins: int = 20,
        standard_errors: bool = False,
        seed: int = 0,
        **settings: Unpack[CallbackSettings],
    ) -> None:
        with misconfiguration():
            evaluation = ELBOEvaluation(num_queries, max_rows, active_threshold, num_bins, standard_errors, seed)
        super().__init__(evaluation, **settings)
