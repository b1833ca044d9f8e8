"""Disentanglement through manifold topology (Zhou et al.), and the Geometry Score (Khrulkov & Oseledets)."""

from torchdisentangle.topology.embedding import RandomConvEmbedding
from torchdisentangle.topology.geometry import GeometryScore
from torchdisentangle.topology.score import ManifoldTopologyScore, SupervisedManifoldTopologyScore

__all__ = ["GeometryScore", "ManifoldTopologyScore", "RandomConvEmbedding", "SupervisedManifoldTopologyScore"]
