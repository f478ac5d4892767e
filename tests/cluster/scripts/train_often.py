"""The command line with a checkpoint after every epoch, so that a kill comes after one."""

import sys

from raydance.cli import main
from raydance.cluster.train import RayRunner

if __name__ == "__main__":
    RayRunner.__init__.__kwdefaults__["checkpoint_every_s"] = 0.0
    main(sys.argv[1:])
