"""A run behind Serve's proxy and an ingress replica, as on a cluster; for the service's benchmark.

python proxied.py RUN PORT
"""

from __future__ import annotations

import signal
import sys


def main(run: str, port: int) -> None:
    from raydance.cluster.session import ray_session

    with ray_session(num_cpus=8):
        from raydance.cluster import serving
        from raydance.serving.application import Settings
        from raydance.serving.runs import Entry

        application = serving.build([Entry(name="run", run=run)], Settings(), serving.Scale())
        started = serving.start(application, host="127.0.0.1", port=port)
        signal.sigwait({signal.SIGINT})
        serving.stop(started)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main(sys.argv[1], int(sys.argv[2]))
