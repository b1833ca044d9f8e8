"""Random numbers that belong to a row, for the statistics; see :mod:`torchdisentangle.functional.hashing`."""

from torchdisentangle.functional.hashing import hash_index, hashed_normal

__all__ = ["hash_index", "hashed_normal"]
