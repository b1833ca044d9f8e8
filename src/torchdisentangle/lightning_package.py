"""Which of Lightning's two packages the user works with, ``lightning`` or ``pytorch_lightning``.

The two hold copies of the same code, and the trainer of each accepts modules and data modules of its own alone. Those
of this library are of ``pytorch_lightning`` if that was imported before this library and ``lightning`` was not, else of
``lightning``. The package itself is imported by those who need it.
"""

import sys

_OLD_ALONE = "pytorch_lightning" in sys.modules and "lightning" not in sys.modules

LIGHTNING = "pytorch_lightning" if _OLD_ALONE else "lightning"
