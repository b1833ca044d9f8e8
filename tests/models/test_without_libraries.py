"""A model of a library that is not installed: the error says what to install."""

import sys

import pytest
from torch import nn

from torchdisentangle.models import as_latent_model


@pytest.mark.parametrize(
    ("library", "install"),
    [
        ("zuko", r"torchdisentangle\[flows\]"),
        ("normflows", r"torchdisentangle\[flows\]"),
        ("nflows", "pip install nflows"),
    ],
)
def test_the_error_names_what_to_install(library: str, install: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # importing it raises a ModuleNotFoundError
    flow = type("Flow", (nn.Module,), {"__module__": f"{library}.flows"})
    with pytest.raises(ImportError, match=f"a model of {library} needs that library: .*{install}"):
        as_latent_model(flow())
