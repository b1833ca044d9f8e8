"""Executes a study, to be killed: ``python driver.py FOLDER ENGINE ADDRESS``."""

import sys

from torchdisentangle.study import Study

if __name__ == "__main__":
    from runs import train  # beside this file: workers have to look for it where this process does

    configurations = [{"seed": seed, "seconds": 1} for seed in range(6)]
    Study(sys.argv[1], train, configurations).execute(2, sys.argv[2], address=sys.argv[3] or None)
