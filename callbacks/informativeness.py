"""Informativeness and separability of an encoder's latents, in every validation epoch."""

from __future__ import annotations

from typing_extensions import Unpack

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.settings import CallbackSettings
from torchdisentangle.evaluation import InformativenessEvaluation


class InformativenessCallback(EvaluationCallback):
    r"""Logs what each latent of an encoder tells about the data, and what it alone tells (Do & Tran, ICLR 2020).

    In every validation epoch the callback encodes all validation data and logs, under ``<prefix>/informativeness/``, in
    nats:

    ======================= ================================================================== =========================
    key                     meaning                                                            ideal
    ======================= ================================================================== =========================
    ``total``               sum of :math:`I(x; z_i)` over latents, in bins                     high
    ``informative_latents`` number of latents with :math:`I(x; z_i)` above the threshold       the number of factors
    ``information``         :math:`I(x; z)` of all latents together                            high
    ``information_ceiling`` ``log N``, the most that the rows kept can show
    ``sep_mean``            mean of :math:`I(z_i; z_{\neq i})`                                 0
    ``wsepin``              what each latent alone tells, weighted by informativeness          high
    ``windin``              the same quantity in other terms, for factorised encoders          equal to ``wsepin``
    ``sepin_at_k``          what the ``top_k`` most informative latents alone tell, mean       high
    ``pairwise_mean``       mean :math:`I(z_i; z_j)` of pairs of latents                       0
    ``pairwise_max``        the largest                                                        0
    ``misjed_at_k``         mean MISJED of the ``top_k`` most informative latents, normalised  low
    ======================= ================================================================== =========================

    It draws the figures ``ranking`` (informativeness as bars, split into SEPIN and SEP), ``pairwise`` and ``misjed``.
    If posteriors were left out, ``num_nonfinite`` counts them. With three latents or fewer, ``sepin_at_k`` covers
    all of them. If the information comes within 5 % of its ceiling, the callback warns once in a run: separability then
    reflects the number of rows and little else.

    Latents are taken in units of the prior. The callback keeps the posteriors of at most ``max_rows`` data, the same
    for any number of processes. It encodes the data once, and computes about ``4 * num_queries * max_rows *
    latent_dim`` exponentials.

    Args:
        num_queries: how many latents are drawn to estimate separability.
        top_k: how many of the most informative latents ``sepin_at_k`` and MISJED are of.
        threshold: in nats; a latent that tells more is informative.
        max_rows: how many posteriors to keep at most.
        edges: where the bins of informativeness and MISJED begin and end.
        num_bins: how many there are.
        standard_errors: log ``<key>_standard_error`` beside ``information`` and ``wsepin``.
        seed: of the choice of rows and latents.
        settings: of :class:`EvaluationCallback`, such as ``every_n_epochs`` and ``input_key``.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model has no posterior.

    Example:
        >>> import lightning as L
        >>> callback = InformativenessCallback(num_queries=512, threshold=0.05)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    def __init__(
        self,
        num_queries: int = 1024,
        top_k: int = 3,
        threshold: float = 0.1,
        max_rows: int = 2**15,
        edges: tuple[float, float] = (-4.0, 4.0),
        num_bins: int = 100,
        standard_errors: bool = False,
        seed: int = 0,
        **settings: Unpack[CallbackSettings],
    ) -> None:
        with misconfiguration():
            evaluation = InformativenessEvaluation(
                num_queries, top_k, threshold, max_rows, edges, num_bins, standard_errors, seed
            )
        super().__init__(evaluation, **settings)
