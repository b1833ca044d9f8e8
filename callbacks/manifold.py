"""Manifold entropic metrics of the decoder, in every validation epoch."""

from __future__ import annotations

from typing import Literal

from typing_extensions import Unpack

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.settings import CallbackSettings
from torchdisentangle.evaluation import ManifoldEvaluation
from torchdisentangle.functional.manifold.probes import DEFAULT_NUM_PROBES


class ManifoldEntropyCallback(EvaluationCallback):
    r"""Logs how disentangled and aligned a decoder is, by its Jacobian (Galperin & Köthe, AISTATS 2025).

    In every validation epoch the callback takes the Jacobians at ``num_samples`` latents and logs, under
    ``<prefix>/manifold/``:

    ======================= ===================================================================== ================
    key                     meaning                                                               ideal
    ======================= ===================================================================== ================
    ``total_entropy``       entropy of the generated distribution, nats                           that of the data
    ``total_correlation``   how far the latents' tangent vectors are from orthogonal, nats        0
    ``mpmi_mean``           mean pairwise mutual information of tangent vectors, nats             0
    ``mpmi_max``            the largest, nats                                                     0
    ``active_latents``      number of latents that move the data noticeably                       few
    ``active_mpmi_mean``    mean pairwise mutual information of the active latents alone, nats    0
    ``effective_dimension`` number of latents that share the spectrum's entropy power             few
    ======================= ===================================================================== ================

    It draws the figures ``spectrum``, ``pairwise``, ``decomposition`` and, for images, ``mean_jacobian``. With a
    partition it also logs ``partition_total_correlation``; ``num_nonfinite``, ``num_dead`` and ``num_saturated`` count
    samples (latents, pairs) that hit a floor, if there are any.

    The exact estimator needs ``d`` Jacobian-vector products for each sample, or one vector-Jacobian product for each
    data dimension if there are fewer of those. The estimator by random probes needs ``num_probes`` vector-Jacobian
    products, however many latents there are. Its values are unbiased (except ``mpmi_max``, which noise makes larger),
    and their standard errors include the noise of the probes. Probes never give the average Jacobian, and they give the
    volume of all latents, and with it ``total_entropy`` and ``total_correlation``, only for a flow or with as many
    probes as latents. What they cannot give is not logged, and a warning says so.

    Several processes share the samples and log the values that one would. Training stays bitwise the same.

    Args:
        num_samples: how many latents.
        estimator: ``"exact"``, ``"probes"``, or ``"auto"``: probes where they take at least 8 times fewer products (64
            times on a GPU) and none of the scalars is lost. A message names the choice.
        num_probes: random probes for each sample, at least 2 and better 8.
        max_seconds: how long an evaluation may take on each process, without figures. The callback measures before the
            first evaluation; if ``num_samples`` do not fit, it takes probes (if ``estimator`` leaves the choice, and no
            scalar is lost) or fewer samples, a power of two. All processes agree, a message names the choice, and it
            stays for the rest of the fit; ``num_samples`` and ``num_probes`` (0: exact) are logged.
        source: ``"prior"``: drawn once and for all from the model's prior, so that curves are smooth; ``"posterior"``:
            from the posteriors of the first ``num_samples`` validation data, with fixed noise; ``"posterior_mean"``:
            their means.
        classes: number of classes over which values are averaged with equal weight; by default those of a conditional
            model. An unconditional model takes them from the validation labels, so needs a posterior source.
        partition: disjoint index sets that cover all latents, such as ``[[0, 1], [2, 3]]``.
        data_std: standard deviation by which the data were divided, a number or one for each data dimension: values
            are then in the data's own unit.
        normalize: report totals in nats per dimension, and Linfoot coefficients in the pairwise figure.
        active_threshold: a latent is active if ``exp(H_i)`` is at least this fraction of the largest.
        active_reference: entropy in nats whose extent takes the place of the largest, such as the first entry of the
            data's :func:`~torchdisentangle.functional.principal_spectrum`: so the latents of a VAE that has collapsed
            altogether are not active.
        standard_errors: log ``<key>_standard_error`` beside the values that are means over samples; those of fewer than
            100 samples are too small, and a warning says so.
        image_shape: shape of data that are flat images, for the figure of averaged Jacobian columns.
        memory_budget: bytes that the evaluation may use for Jacobians and what is needed on the way; ``None``: as
            suits the device.
        compile: have ``torch.compile`` fuse the Jacobian-vector products of the exact estimator, which takes up to a
            minute in the first evaluation; see :func:`~torchdisentangle.functional.decoder_jacobian`.
        seed: of the latents and the probes.
        settings: of :class:`EvaluationCallback`, such as ``every_n_epochs`` and ``input_key``.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model lacks what is needed.

    Example:
        >>> import lightning as L
        >>> callback = ManifoldEntropyCallback(num_samples=256, partition=[[0], [1]])
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    def __init__(
        self,
        num_samples: int = 1024,
        estimator: Literal["auto", "exact", "probes"] = "auto",
        num_probes: int = DEFAULT_NUM_PROBES,
        max_seconds: float | None = None,
        source: Literal["prior", "posterior", "posterior_mean"] = "prior",
        classes: int | None = None,
        partition: list[list[int]] | None = None,
        data_std: float | list[float] | None = None,
        normalize: bool = False,
        active_threshold: float = 0.1,
        active_reference: float | None = None,
        standard_errors: bool = False,
        image_shape: list[int] | None = None,
        memory_budget: int | None = None,
        compile: bool = False,
        seed: int = 0,
        **settings: Unpack[CallbackSettings],
    ) -> None:
        with misconfiguration():
            evaluation = ManifoldEvaluation(
                num_samples,
                estimator,
                num_probes,
                max_seconds,
                source,
                classes,
                partition,
                data_std,
                normalize,
                active_threshold,
                active_reference,
                standard_errors,
                image_shape,
                memory_budget,
                compile,
                seed,
            )
        super().__init__(evaluation, **settings)
