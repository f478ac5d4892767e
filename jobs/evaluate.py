"""`raydance evaluate` on a cluster.

ray job submit --working-dir . -- python jobs/evaluate.py RUN --data DATASET --json

Takes the options of `raydance evaluate`.
"""

import sys

from raydance.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
