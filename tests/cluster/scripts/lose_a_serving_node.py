"""A node that dies under a running service: prints what was seen as JSON.

python lose_a_serving_node.py RUN

A head and two nodes, with one replica of each part on each; one node dies under load, and another
comes. One client asks again when it should, the other never.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["RAY_AUTH_MODE"] = "disabled"

import raydance.cluster  # noqa: F401, before Ray: it sets what Ray reads when it is imported

# isort: split
import requests
from local_nodes import Nodes
from ray import serve as ray_serve
from serving import free_port, load, wait_for

from raydance.cluster import serve, serving
from raydance.serving.application import Settings
from raydance.serving.runs import Entry

LATE_S = 20.0  # what the lost machine held is never answered

PARTS = ("Ingress", *(kind.__name__ for kind in serve.KINDS))


def main(run: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Nodes() as nodes:

        def replicas(*names: str) -> list[list[int]]:
            """How many each part has on each node."""
            return [[len(nodes.processes(name, f":{part}")) for name in names] for part in PARTS]

        nodes.add("left", "lost")
        entries = [Entry(name="tiny", run=run)]
        application = serving.build(
            entries, Settings(), serving.Scale(replicas=(2, 2), cpus=0.1, replicas_per_node=1)
        )
        serving.start(application, host="127.0.0.1", port=port)
        wait_for(lambda: requests.get(f"{url}/readyz", timeout=60).ok, 120)
        seen: dict[str, Any] = {"before": replicas("left", "lost")}
        with load(url, 1, 6, LATE_S) as steady, load(url, 1, 1, LATE_S) as raw:

            def go_on(count: int) -> None:
                both: list[Counter[int]] = [steady, raw]
                wanted = [sum(statuses.values()) + count for statuses in both]
                wait_for(lambda: all(sum(s.values()) >= w for s, w in zip(both, wanted)), 150)

            go_on(20)
            nodes.kill("lost")
            go_on(40)
            nodes.add("new")
            wait_for(lambda: replicas("left", "new") == [[1, 1]] * len(PARTS), 180)
            go_on(20)
        seen |= {"after": replicas("left", "new"), "steady": steady, "raw": raw}
        ray_serve.shutdown()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()))
