"""A node that dies while a library is captioned: prints what was seen as JSON.

python lose_a_captioning_node.py LIBRARY RUN OUT

OUT/disturbed is captioned by an actor on each of two nodes, one of which dies, and is then asked
for again; OUT/calm is captioned undisturbed by the node that is left.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_health_check_period_ms"] = "500"  # a dead node is noticed in 2.5 s, not in 15

import raydance.cluster  # noqa: F401, before Ray: it sets what Ray reads when it is imported

# isort: split
import ray.data
from local_nodes import Nodes

from raydance.cluster.caption import caption
from raydance.library import units
from raydance.library.store import CaptionStore


def main(library: Path, run: Path, out: Path) -> None:
    units._GROUP_FILES = 4  # many units, so that the death falls between the first and the last
    ray.data.DataContext.get_current().wait_for_min_actors_s = 60  # both begin together
    seen: dict[str, Any] = {}
    with Nodes() as nodes:
        nodes.add("stays", "dies")

        def kill(state: Mapping[str, Any]) -> None:
            if "actors" in seen or state["files"] < state["of"] // 4:
                return
            names = ("stays", "dies")
            seen["actors"] = [len(nodes.processes(name, "_ReadAndDescribe")) for name in names]
            nodes.kill("dies")
            seen["done"] = CaptionStore.open(out / "disturbed").counts()["files"]

        seen["counts"] = caption([library], run, out / "disturbed", actors=(2, 2), progress=kill)
        seen["again"] = caption([library], run, out / "disturbed", actors=(1, 1))
        caption([library], run, out / "calm", actors=(1, 1), threads=1)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
