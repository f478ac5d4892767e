"""`raydance sweep` on a cluster.

ray job submit --working-dir . -- python jobs/sweep.py NAME --trials N --data DATASET --out DIR

Takes the options of `raydance sweep`. DATASET and DIR must be on storage that all nodes share.
"""

import sys

from raydance.cli import main

if __name__ == "__main__":
    main(["sweep", *sys.argv[1:]])
