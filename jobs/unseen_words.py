"""`raydance unseen` on a cluster.

ray job submit --working-dir . -- python jobs/unseen_words.py SYSTEM --data DATASET --out DIR

Takes the options of `raydance unseen`. DATASET and DIR must be on storage that all nodes share.
"""

import sys

from raydance.cli import main

if __name__ == "__main__":
    main(["unseen", *sys.argv[1:]])
