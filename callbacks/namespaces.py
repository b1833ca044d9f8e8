"""A base class of callbacks that both of Lightning's packages accept, ``lightning`` and ``pytorch_lightning``.

The two hold copies of the same code. Their trainers call the hooks of any callback, but the command line of each
accepts subclasses of its own ``Callback`` only. A class that inherits from both is one of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lightning as L

if TYPE_CHECKING:
    from lightning import Callback
else:
    try:
        from pytorch_lightning import Callback as OtherCallback
    except ImportError:  # a version of lightning that does not bring it along
        Callback = L.Callback
    else:

        class Callback(L.Callback, OtherCallback):
            """A callback of both packages."""


__all__ = ["Callback"]
