"""What each latent tells that no other latent tells."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.elbo.gaussian import gaussian_log_density
from torchdisentangle.functional.informativeness.separation import (
    LatentInformation,
    latent_information,
    mean_of_top,
    separability,
    weighted_influence,
)
from torchdisentangle.plots import plot_informativeness
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics.base import MetricSettings
from torchdisentangle.statistics.classes import finite_population_error, standard_error
from torchdisentangle.statistics.posterior import PosteriorStatistic
from torchdisentangle.statistics.readout import readout


class Separability(PosteriorStatistic):
    r"""Separability of latents: what each tells about the data that the others do not tell.

    .. math:: \mathrm{SEP}_i = I(z_i; z_{\neq i}), \quad
              \mathrm{SEPIN}_i = I(x; z_i \mid z_{\neq i}), \quad
              \mathrm{INDIN}_i = I(x; z_i) - \mathrm{SEP}_i

    SEP is best at 0. SEPIN is high for a latent that is informative and separated; WSEPIN weighs it by
    :math:`\rho_i = I(x; z_i) / \sum_j I(x; z_j)` and lies between 0 and the largest :math:`I(x; z_i)`. For diagonal
    Gaussian posteriors SEPIN and INDIN (and so WSEPIN and WINDIN) are the same quantity, which the values show to
    rounding. All zeros if every latent is dead.

    Estimated by sampling, in log-space and without floors. Unbiased for the kept rows, whose :math:`\log N` bounds all
    information: once :math:`I(x; z)` comes near it, any latent can be missed without loss and SEPIN falls to 0, so
    many informative latents need many rows. The cost is ``S N d``, also for all sets of all latents but one.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, and ``index``;
    ``compute`` returns a dictionary, in nats: ``information`` :math:`I(x; z)`, ``informativeness`` :math:`I(x; z_i)`,
    ``sep``, ``sepin``, ``indin`` (``(d,)`` each), ``wsep``, ``wsepin``, ``windin``, and with ``top_k`` the means of the
    ``k`` most informative latents, ``sepin_at_k`` and ``indin_at_k``.

    Args:
        num_queries: how many latents are drawn, ``S``; standard errors fall with its square root. The authors took
            10,000.
        top_k: ``k``.
        max_rows: how many posteriors to keep at most.
        seed: decides which are kept, and the noise of the latents.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for numbers that are not positive.

    Reference:
        Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.

    Example:
        >>> import torch
        >>> means = torch.cartesian_prod(torch.tensor([-9.0, 9.0]), torch.tensor([-9.0, 9.0]))
        >>> separability = Separability()
        >>> separability.update(means, torch.zeros(4, 2))
        >>> separability.compute()["sepin"]  # one bit each
        tensor([0.6931, 0.6931], dtype=torch.float64)
    """

    higher_is_better: bool | None = None

    def __init__(
        self,
        num_queries: int = 1024,
        top_k: int | None = None,
        max_rows: int = 2**15,
        seed: int = 0,
        **settings: Unpack[MetricSettings],
    ) -> None:
        if num_queries < 1 or (top_k is not None and top_k < 1):
            raise ValueError(f"num_queries and top_k must be at least 1, got {num_queries} and {top_k}")
        super().__init__(max_rows, seed, **settings)
        self.num_queries = num_queries
        self.top_k = top_k

    def compute(self) -> dict[str, Tensor]:
        """The scores by name."""
        information = self._of_queries(self.num_queries).mean()
        scores = separability(information)
        named = {"information": information.joint, "informativeness": information.single, **scores._asdict()}
        if self.top_k is not None:
            for name in ("sepin", "indin"):
                named[f"{name}_at_k"] = mean_of_top(named[name], information.single, self.top_k)
        return named

    @readout
    def standard_error(self) -> dict[str, Tensor]:
        """Standard errors of the scores over queries, by the same names; infinite for a single query.

        Shares and the choice of the ``k`` latents are those of the means: weighted scores are linearised. Rows are
        drawn without replacement: once all of them are queried, only the noise of their latents is left, which second
        latents of at most 128 rows tell from what differs between rows.
        """
        values = self._influences(self._of_queries(self.num_queries))
        count = torch.tensor(len(values["information"]), device=values["information"].device)
        errors = {name: standard_error(value.var(0, correction=0), count) for name, value in values.items()}
        again = self._posterior().num_again(self.num_queries, int(self.num_rows))
        if again < 2:
            return errors
        fraction = len(values["information"]) / int(self.num_rows)
        repeated = self._influences(self._of_queries(again, again=True))
        within = {name: (value[:again] - repeated[name]).var(0) / (2 * count) for name, value in values.items()}
        return {name: finite_population_error(error.square(), within[name], fraction) for name, error in errors.items()}

    @readout
    def ceiling(self) -> Tensor:
        r"""Largest information that the rows kept can show, :math:`\log N` nats.

        Where ``information`` comes near it, more rows are needed: SEPIN falls to 0 whatever the latents tell.
        """
        return self._ceiling()

    def plot(self, val: dict[str, Tensor] | None = None, ax: Axes | None = None) -> Plot:
        """Informativeness as bars, split into what a latent alone tells and what it shares."""
        value = self.compute() if val is None else val
        return plot_informativeness(value["informativeness"], value["sep"], ax=ax)

    def _influences(self, of_queries: LatentInformation) -> dict[str, Tensor]:
        """What each query adds to the scores, by their names, ``(S, ...)``."""
        scores = {
            "sep": of_queries.shared,
            "sepin": of_queries.joint[:, None] - of_queries.rest,
            "indin": of_queries.single - of_queries.shared,
        }
        values = {"information": of_queries.joint, "informativeness": of_queries.single, **scores}
        values |= {f"w{name}": weighted_influence(of_queries.single, score) for name, score in scores.items()}
        if self.top_k is not None:
            for name in ("sepin", "indin"):
                values[f"{name}_at_k"] = mean_of_top(scores[name], of_queries.single.mean(0), self.top_k)
        return values

    def _of_queries(self, num: int, again: bool = False) -> LatentInformation:
        """Information in latents at each query; or at second latents of the same rows."""
        posterior = self._posterior()
        sums = posterior.log_sums(num, leave_one_out=True, again=again)
        return latent_information(gaussian_log_density(*posterior.queries(num, again)), sums)
