"""Lightning callbacks that evaluate a model while it trains, and log curves and figures."""

from torchdisentangle.callbacks.disentanglement import DisentanglementCallback
from torchdisentangle.callbacks.elbo import ELBODecompositionCallback
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.figures import log_figure
from torchdisentangle.callbacks.informativeness import InformativenessCallback
from torchdisentangle.callbacks.manifold import ManifoldEntropyCallback
from torchdisentangle.callbacks.similarity import RepresentationSimilarityCallback
from torchdisentangle.callbacks.topology import ManifoldTopologyCallback
from torchdisentangle.callbacks.traversal import LatentTraversalCallback
from torchdisentangle.evaluation import undisturbed

__all__ = [
    "DisentanglementCallback",
    "ELBODecompositionCallback",
    "EvaluationCallback",
    "InformativenessCallback",
    "LatentTraversalCallback",
    "ManifoldEntropyCallback",
    "ManifoldTopologyCallback",
    "RepresentationSimilarityCallback",
    "log_figure",
    "undisturbed",
]
