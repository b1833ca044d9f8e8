"""Data with known factors or a known generating process."""

from torchdisentangle.datasets.digits import handwritten_digits
from torchdisentangle.datasets.two_moons import two_moons

__all__ = ["handwritten_digits", "two_moons"]
