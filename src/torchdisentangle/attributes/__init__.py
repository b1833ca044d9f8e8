"""Attributes along latents: how something measured on decoded data changes while one latent moves.

All take ``update(attributes)``: values of attributes at equally spaced steps of latents, ``(N, K, *)``. They share one
state, sums over paths. :class:`~torchdisentangle.evaluation.AttributeEvaluation` makes the paths of a model, given a
function from data to attributes.

Reference: Watcharasupat, *Controllable Music: Supervised Learning of Disentangled Representations for Music
Generation*, 2021.
"""

from torchdisentangle.attributes.paths import AttributeMonotonicity, AttributeRange, AttributeSmoothness

__all__ = ["AttributeMonotonicity", "AttributeRange", "AttributeSmoothness"]
