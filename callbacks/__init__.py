"""Lightning callbacks that evaluate metrics while a model trains, and log curves and figures."""

from torchdisentangle.callbacks.elbo import ELBODecompositionCallback
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.figures import log_figure
from torchdisentangle.callbacks.manifold import ManifoldEntropyCallback
from torchdisentangle.callbacks.undisturbed import undisturbed

__all__ = ["ELBODecompositionCallback", "EvaluationCallback", "ManifoldEntropyCallback", "log_figure", "undisturbed"]
