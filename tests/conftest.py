"""Fixtures that several test files share."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from raydance.systems.dance_language.config import TRAINED

pytest_plugins = ("browsing", "command_line", "interrupted", "small_task_runs")
"""Helpers with fixtures of their own."""

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Threads of several processes would wait for each other: here, and in what tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
# How long an example takes says more about the machine than about the code.
settings.register_profile("raydance", deadline=None)
settings.load_profile("raydance")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers for each test, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


LONGEST_FIRST = (
    "test_node_faults.py",
    "test_serve.py",
    "test_walkthrough.py",
    "test_killed_drivers.py",
    "test_real_recordings.py",
    "test_faults.py",
    "test_web_tasks.py",
    "test_web.py",
)
"""Files that take longest."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Share tests out over processes, a file at a time, those that use Ray and long ones first.

    Those of `ray_cluster` run in one process, but for the long ones of `tests/cluster`: a second
    cluster, whose workers load torch again, would cost more than it saves. A long file at the end
    would keep one process busy while the others have nothing left to do.
    """
    last = len(LONGEST_FIRST)
    rank = {name: place for place, name in enumerate(LONGEST_FIRST)}

    def shares_cluster(item: pytest.Item) -> bool:
        names = getattr(item, "fixturenames", ())
        return "ray_cluster" in names and item.path.parent == Path(__file__).parent

    def order(item: pytest.Item) -> tuple[bool, int]:
        return not shares_cluster(item), rank.get(item.path.name, last)

    items.sort(key=order)
    for item in items:
        group = "ray_cluster" if shares_cluster(item) else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that lie beside a developer's checkout; skips where they are absent."""
    return _beside_checkout("data", "RAYDANCE_TEST_DATA", "cmu_bvh", "real recordings")


@pytest.fixture(scope="session")
def shared_golden() -> Path:
    """What public references return on stored inputs; skips where they are absent."""
    witness = "metrics_golden.json"
    return _beside_checkout("golden", "RAYDANCE_TEST_GOLDEN", witness, "reference figures")


def _beside_checkout(name: str, variable: str, witness: str, what: str) -> Path:
    folder = Path(os.environ.get(variable, Path(__file__).parents[2] / "shared" / name))
    if not (folder / witness).exists():
        pytest.skip(f"no {what} at {folder} (set {variable})")
    return folder


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One small embedded cluster for all tests marked `ray`; `ray_session` joins it."""
    # Imported first: it sets what Ray reads from the environment when it is imported.
    from raydance.cluster.session import EMBEDDED_ENVIRONMENT

    folder = tempfile.mkdtemp(prefix="rd", dir="/tmp")  # socket paths must stay short
    settings = EMBEDDED_ENVIRONMENT | {
        "RAY_worker_niceness": "0",  # else the tests of other processes go first
        # Workers import what stands in tests, such as a system of theirs.
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    with pytest.MonkeyPatch.context() as whole:
        whole.setenv("RAY_TMPDIR", folder)
        import ray

        with pytest.MonkeyPatch.context() as starting:
            for name, value in settings.items():
                starting.setenv(name, value)
            ray.init(
                address="local",
                num_cpus=3,
                object_store_memory=200 * 2**20,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
        yield
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def short_judge() -> Iterator[None]:
    """The independent judge of tiny runs learns for a moment: nobody reads its verdicts."""
    from raydance.evaluation import motion_classifier

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motion_classifier, "_STEPS", 40)
        yield


@pytest.fixture(scope="module")
def full_judge(short_judge: None) -> Iterator[None]:
    """The independent judge as users have it, for tests of what it says."""
    from raydance.evaluation import motion_classifier

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motion_classifier, "_STEPS", 450)
        yield


TINY = (
    "motion_vae.hidden=32",
    "motion_vae.latent=16",
    "text_encoder.hidden=32",
    "text_encoder.latent=16",
    "contrastive.width=32",
    "contrastive.outputs=16",
    "motion_to_text.hidden=32",
    "clusters.max_k=4",
    "clusters.num_seeds=2",
    *(f"{stage}.train.epochs=2" for stage in TRAINED),
)
"""Changes to the preset `quick` that train in seconds and learn nothing."""


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of each synthetic movement, ingested without Ray; every split has some."""
    from small_dataset import ingest_here

    from raydance.motion import synthetic

    folder = tmp_path_factory.mktemp("tiny")
    captions = folder / "clips" / "captions.jsonl"
    synthetic.write_corpus(folder / "clips", 3)
    rows = [json.loads(line) for line in captions.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["split"] = ("train", "train", ("val", "test")[number // 3 % 2])[number % 3]
    captions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ingest_here([folder / "clips"], [captions], folder / "dataset")


@pytest.fixture(scope="session")
def tiny_run(tiny_dataset: Path) -> Path:
    """A whole run on `tiny_dataset`, trained by the plain loop. Do not change it: copy it."""
    from raydance.systems.base import LocalRunner
    from raydance.systems.dance_language.system import SYSTEM

    out = tiny_dataset.parent / "run"
    config = SYSTEM.resolve("quick", list(TINY))
    return SYSTEM.train(out, tiny_dataset, config, LocalRunner()).path


@pytest.fixture(scope="session")
def wider_run(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose spaces have another width, so that its points fit no other run."""
    from raydance.systems.base import LocalRunner
    from raydance.systems.dance_language.system import SYSTEM

    stages = ("motion_vae.latent", "text_encoder.latent", "contrastive.outputs")
    changes = [*TINY, *(f"{name}=24" for name in stages)]
    config = SYSTEM.resolve("quick", changes)
    out = tmp_path_factory.mktemp("wider") / "run"
    return SYSTEM.train(out, tiny_dataset, config, LocalRunner()).path


@pytest.fixture(scope="session")
def tiny_library(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of six BVH files, captioned by `tiny_run`. Do not change it: copy it."""
    from serving import write_library

    return write_library(tmp_path_factory.mktemp("served"), tiny_run)


@pytest.fixture(scope="session")
def service_url(tiny_run: Path, tiny_library: Path) -> Iterator[str]:
    """The address of a running service of `tiny_run` and `tiny_library`, without Ray; with the
    page where it is built or can be."""
    from serving import plain_service

    from raydance import web
    from raydance.errors import RaydanceError

    try:
        page = str(web.dist())
    except RaydanceError:
        page = None
    with plain_service(tiny_run, tiny_library, page) as address:
        yield address


@pytest.fixture(scope="session")
def take(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BVH file of the procedural dancer."""
    from raydance.motion import synthetic
    from raydance.motion.export import bvh

    path = tmp_path_factory.mktemp("upload") / "my take.bvh"
    bvh.write(path, synthetic.make_clip(synthetic.MOVEMENTS[2], 5))
    return path
