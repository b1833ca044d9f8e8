"""One file for each kind of model: how it becomes a :class:`~torchdisentangle.models.LatentModel`."""
