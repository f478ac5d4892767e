"""`raydance ablate` on a cluster.

ray job submit --working-dir . -- python jobs/ablate.py all --data DATASET --out DIR --address auto

Takes the options of `raydance ablate`. DATASET and DIR must be on storage that all nodes share.
"""

import sys

from raydance.cli import main

if __name__ == "__main__":
    main(["ablate", *sys.argv[1:]])
