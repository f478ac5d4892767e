"""Reports the progress of a remote training to the driver: epochs, workers, missing nodes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray

from raydance.training.run_folder import read_metrics


class TrainingMonitor:
    """Watches, in a thread, the metrics file that rank 0 writes and the resources of the cluster.

    Args:
        path: the metrics file of the stage.
        report: called with the metrics of each new epoch.
        warn: called with one line when the number of workers changes or nodes are missing.
        stage: name of the stage, for messages.
        need: Ray resources that the training needs to make progress.
    """

    def __init__(
        self,
        path: Path,
        report: Callable[[dict[str, Any]], None],
        warn: Callable[[str], None],
        stage: str,
        need: Mapping[str, float],
    ) -> None:
        self.path, self.report, self.warn = path, report, warn
        self.stage, self.need = stage, need
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> TrainingMonitor:
        self._seen = -1
        self._workers = 0
        self._is_short = False
        self._started = time.time()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._tell()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self._tell()
            self._look_for_nodes()

    def _tell(self) -> None:
        # Until its first epoch the file may still hold the lines of an earlier training.
        if not self.path.exists() or self.path.stat().st_mtime < self._started:
            return
        for metrics in read_metrics(self.path):
            if metrics["epoch"] > self._seen:
                self._seen = metrics["epoch"]
                workers = metrics["workers"]
                if self._workers not in (0, workers):
                    self.warn(
                        f"{self.stage}: {_count(workers, 'worker')} from epoch "
                        f"{metrics['epoch'] + 1} on, {self._workers} before"
                    )
                self._workers = workers
                self.report(metrics)

    def _look_for_nodes(self) -> None:
        found = ray.cluster_resources()
        lacking = [name for name, amount in self.need.items() if found.get(name, 0.0) < amount]
        if lacking and not self._is_short:
            name = lacking[0]
            self.warn(
                f"{self.stage}: waits, {_count(self.need[name], name)} needed and "
                f"{found.get(name, 0.0):g} in the cluster; goes on when a node joins, or stop it "
                "and give the same command with fewer --workers"
            )
        self._is_short = bool(lacking)


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"
