"""Evaluations of a model: which metrics, fed with which rows or latents, read into a report.

An :class:`Evaluation` holds settings. It begins a :class:`Pass`, which lives for one evaluation of one model: it is
given rows until it is done, and finishes with a :class:`Report`. Rows are encoded once for all passes that look at
them. :func:`evaluate` runs evaluations in any code; the callbacks of :mod:`torchdisentangle.callbacks` run them while
a Lightning module trains.
"""

from torchdisentangle.evaluation.attributes import AttributeEvaluation
from torchdisentangle.evaluation.base import Context, Evaluation, Pass
from torchdisentangle.evaluation.disentanglement import DisentanglementEvaluation
from torchdisentangle.evaluation.elbo import ELBOEvaluation
from torchdisentangle.evaluation.evaluate import EVALUATIONS, evaluate
from torchdisentangle.evaluation.group_values import GroupValues
from torchdisentangle.evaluation.informativeness import InformativenessEvaluation
from torchdisentangle.evaluation.manifold import ManifoldEvaluation
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.positions import RowPositions
from torchdisentangle.evaluation.report import Report
from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.evaluation.scores import score
from torchdisentangle.evaluation.session import Session
from torchdisentangle.evaluation.similarity import SimilarityEvaluation
from torchdisentangle.evaluation.topology import TopologyEvaluation
from torchdisentangle.evaluation.traversal import TraversalEvaluation
from torchdisentangle.evaluation.undisturbed import undisturbed

__all__ = [
    "EVALUATIONS",
    "AttributeEvaluation",
    "Context",
    "DisentanglementEvaluation",
    "ELBOEvaluation",
    "Evaluation",
    "GroupValues",
    "InformativenessEvaluation",
    "ManifoldEvaluation",
    "Pass",
    "Place",
    "Report",
    "RowPositions",
    "Rows",
    "Session",
    "SimilarityEvaluation",
    "TopologyEvaluation",
    "TraversalEvaluation",
    "evaluate",
    "score",
    "undisturbed",
]
