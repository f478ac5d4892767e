"""`raydance ingest` on a cluster.

ray job submit --working-dir . -- python jobs/ingest.py SOURCE... --out DATASET

Takes the options of `raydance ingest`. SOURCE and DATASET must be URIs, or on
storage that all nodes share.
"""

import sys

from raydance.cli import main

if __name__ == "__main__":
    main(["ingest", *sys.argv[1:]])
