"""Runs the tasks of `LocalRunner` on a cluster: Ray Train trains, Ray Data reads and infers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy

from raydance.cluster.group import GroupSize, WorkerGroup
from raydance.cluster.session import starts_nodes
from raydance.cluster.stream import DATA_CPUS
from raydance.cluster.tasks import Apply, ApplyInActor
from raydance.cluster.training_monitor import TrainingMonitor
from raydance.errors import InputError
from raydance.files import remove_partial
from raydance.systems.base import FitTask
from raydance.training.batches import Batches
from raydance.training.run_folder import Run

log = logging.getLogger(__name__)


class RayRunner:
    """Trains with Ray Train and infers with Ray Data.

    Args:
        workers: DDP workers of each stage; `(least, most)` is elastic: it uses as many as the
            cluster has room for, and adapts when nodes join or leave.
        max_failures: number of lost workers that is tolerated for each stage.
        checkpoint_every_s: seconds between checkpoints; a lost worker costs this and one epoch.
        resize_every_s: seconds between checks whether an elastic training should grow.
        report: called in the driver with the metrics of every epoch.
        gpu: whether each worker gets a GPU; by default if the cluster has enough now.
        warn: called with one line when training waits for nodes or changes its number of workers.

    Raises:
        InputError: the cluster has too few processors or GPUs, and no autoscaler.
    """

    def __init__(
        self,
        workers: int | tuple[int, int] = 1,
        *,
        max_failures: int = 3,
        checkpoint_every_s: float = 10.0,
        resize_every_s: float = 30.0,
        report: Callable[[dict[str, Any]], None] = lambda metrics: None,
        gpu: bool | None = None,
        warn: Callable[[str], None] = log.warning,
    ) -> None:
        least, most = (workers, workers) if isinstance(workers, int) else workers
        self.size = _size(least, most, gpu, resize_every_s)
        self.max_failures = max_failures
        self.checkpoint_every_s = checkpoint_every_s
        self.report = report
        self.warn = warn
        self._group: WorkerGroup | None = None

    def fit(self, task: FitTask) -> None:
        """Train a stage on the DDP workers.

        Raises:
            InputError: a mistake of the user, or a damaged checkpoint.
            StorageError: the disk is full.
            RaydanceError: more workers were lost than `max_failures`.
        """
        run = Run.open(task.run)
        task = replace(task, checkpoint_every_s=self.checkpoint_every_s)
        # Find mistakes of the user here rather than in a worker.
        for spec in task.specs:
            Batches(spec, world_size=self.size.most)
        run.checkpoints(task.stage, task.fingerprint).load()
        need = {name: amount * self.size.least for name, amount in self.size.each.items()}
        with TrainingMonitor(run.metrics(task.stage), self.report, self.warn, task.stage, need):
            try:
                self._sound_group(run).carry_out(task)
            except BaseException:
                self._clear(run)
                raise
        self._clear_unsound(run)

    def _sound_group(self, run: Run) -> WorkerGroup:
        """The idle group if it is sound, otherwise a new one."""
        self._clear_unsound(run)
        if self._group is None:
            # The folder holds Ray's own state; ours is in the run folder, without pickle.
            self._group = WorkerGroup(self.size, (run.path / "ray").resolve(), self.max_failures)
        return self._group

    def _clear_unsound(self, run: Run) -> None:
        """Stop a group that has lost a worker, so that each stage may lose `max_failures`."""
        if self._group is not None and not self._group.is_sound():
            self._clear(run)

    def _clear(self, run: Run) -> None:
        """Stop the group and remove the partial files that killed workers may have left."""
        group = self._group
        self.release()
        if group is None or group.has_ended():
            remove_partial(run.path)

    def release(self) -> None:
        """Stop the idle workers; a later `fit` starts new ones."""
        group, self._group = self._group, None
        if group is not None:
            group.close()

    def map(
        self, factory: Callable[..., Callable[[Any], Any]], args: tuple, items: Sequence[Any]
    ) -> list[Any]:
        """Apply `factory(*args)`, built once per process, to every item; results in any order."""
        if not items:
            return []
        gpus = int(ray.cluster_resources().get("GPU", 0))
        if self._group is not None and not _is_free({"CPU": 1.0} | ({"GPU": 1.0} if gpus else {})):
            self.release()  # idle workers must not hold the resources that these tasks need
        ray.data.DataContext.get_current().enable_progress_bars = False
        work = (factory, args, ray.put(list(items)), f"{time.time_ns()}")
        rows = ray.data.range(len(items), override_num_blocks=len(items))
        if gpus:  # a model on a GPU is worth an actor
            pool = ActorPoolStrategy(min_size=1, max_size=min(gpus, len(items)))
            done = rows.map_batches(
                ApplyInActor, fn_constructor_args=work, batch_size=None, num_gpus=1, compute=pool
            )
        else:
            done = rows.map_batches(Apply(*work), batch_size=None)
        return [row["result"][0] for row in done.iter_rows()]


def _is_free(wanted: Mapping[str, float]) -> bool:
    """Whether these resources are free within 2 s; Ray frees those of ended processes late."""
    for _ in range(10):
        there = ray.available_resources()
        if all(there.get(name, 0.0) >= amount for name, amount in wanted.items()):
            return True
        time.sleep(0.2)
    return False


def _size(least: int, most: int, gpu: bool | None, resize_every_s: float) -> GroupSize:
    """Resources of the workers.

    Raises:
        InputError: the cluster has too few resources, and no autoscaler.
    """
    resources = ray.cluster_resources()
    num_gpus = resources.get("GPU", 0)
    use_gpu = num_gpus >= least if gpu is None else gpu
    cpus = 1.0
    if not starts_nodes():  # an autoscaler adds what is requested
        if use_gpu and num_gpus < least:
            raise InputError(f"{least} workers on GPUs, the cluster has {num_gpus:g}")
        # Data tasks need a processor too: if workers would take all, each takes a half.
        there = resources.get("CPU", 1)
        cpus = 1.0 if there > least else 0.5
        if least * cpus + DATA_CPUS > there:
            raise InputError(
                f"{least} workers for {there:g} processors: at most "
                f"{max(1, int((there - DATA_CPUS) / 0.5))} leave one for reading data"
            )
    return GroupSize(
        least=least, most=most, resize_every_s=resize_every_s, cpus=cpus, use_gpu=use_gpu
    )
