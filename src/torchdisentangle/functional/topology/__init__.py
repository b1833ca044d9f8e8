"""Topology of point clouds and of conditional submanifolds."""

from torchdisentangle.functional.topology.coclustering import CoClustering, block_score, co_cluster
from torchdisentangle.functional.topology.living_times import geometry_score, relative_living_times
from torchdisentangle.functional.topology.rtd import cross_barcode, representation_topology_divergence
from torchdisentangle.functional.topology.submanifold import conditional_latents
from torchdisentangle.functional.topology.witness import witness_holes

__all__ = [
    "CoClustering",
    "block_score",
    "co_cluster",
    "conditional_latents",
    "cross_barcode",
    "geometry_score",
    "relative_living_times",
    "representation_topology_divergence",
    "witness_holes",
]
