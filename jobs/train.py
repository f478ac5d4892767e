"""`raydance train` on a cluster.

ray job submit --working-dir . -- python jobs/train.py dance-language --data DATASET --out RUN

Takes the options of `raydance train`. DATASET and RUN must be URIs, or on storage
that all nodes share.
"""

import sys

from raydance.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
