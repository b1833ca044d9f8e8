"""How an attribute of the decoded data changes along paths in latent space."""

from torchdisentangle.functional.attributes.paths import PathScores, monotonicity, path_scores, smoothness

__all__ = ["PathScores", "monotonicity", "path_scores", "smoothness"]
