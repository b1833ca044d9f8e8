"""``python -m torchdisentangle`` is the command ``torchdisentangle``."""

import sys

from torchdisentangle.cli import main

if __name__ == "__main__":
    sys.exit(main())
