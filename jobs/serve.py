"""`raydance serve` on a cluster.

ray job submit --working-dir . -- python jobs/serve.py RUN... [--library CAPTIONS]

Takes the options of `raydance serve`, and serves as long as the job runs; stopping the job ends the
service. For a service that outlives its job, use `serve deploy deploy/serve.yaml`.

The built page is not sent along, because git ignores it. So the job offers the API alone, and says
so, unless the head has npm; `serve deploy` and the RayService take the page that is in the image.
"""

import sys

from raydance.cli import main

if __name__ == "__main__":
    main(["serve", *sys.argv[1:]])
