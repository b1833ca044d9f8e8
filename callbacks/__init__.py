"""Lightning callbacks that evaluate metrics while a model trains, and log curves and figures."""

from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.figures import log_figure
from torchdisentangle.callbacks.manifold import ManifoldEntropyCallback
from torchdisentangle.callbacks.topology import ManifoldTopologyCallback
from torchdisentangle.callbacks.undisturbed import undisturbed

__all__ = ["EvaluationCallback", "ManifoldEntropyCallback", "ManifoldTopologyCallback", "log_figure", "undisturbed"]
