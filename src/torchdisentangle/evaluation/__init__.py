"""Evaluations of a model: what they look at, and how they leave it as it was."""

__all__: list[str] = []
