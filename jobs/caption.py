"""`raydance caption` on a cluster.

ray job submit --working-dir . -- python jobs/caption.py LIBRARY --run RUN --out CAPTIONS

Takes the options of `raydance caption`. LIBRARY, RUN and CAPTIONS must be on storage that all nodes
share.
"""

import sys

from raydance.cli import main

if __name__ == "__main__":
    main(["caption", *sys.argv[1:]])
