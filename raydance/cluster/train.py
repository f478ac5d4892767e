"""Ray Train runs the loop, Ray Data feeds it: the same tasks as `LocalRunner`, on a cluster."""

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
        workers: DDP workers of each stage; `(least, most)` trains on as many as the cluster has
            room for, and takes up nodes that come and does without those that go.
        max_failures: lost workers tolerated for each stage.
        checkpoint_every_s: seconds of training that a lost worker costs at most, and an epoch.
        resize_every_s: seconds between looks at whether an elastic training should grow.
        report: told the metrics of every epoch, in the driver.
        gpu: a GPU for each worker, or none; by default where the cluster has that many now.
        warn: told one line when the training waits for nodes or changes its number of workers.

    Raises:
        InputError: more workers than the cluster's processors or GPUs allow, where it starts no
            nodes of its own.
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
            InputError: something that the user must mend, as a damaged checkpoint.
            StorageError: there is no room for a file.
            RaydanceError: workers were lost more often than `max_failures`.
        """
        run = Run.open(task.run)
        task = replace(task, checkpoint_every_s=self.checkpoint_every_s)
        # What the user must mend is found here rather than by a worker.
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
        """The group that waits, or a new one."""
        self._clear_unsound(run)
        if self._group is None:
            # Ray's own state; ours is in the run folder, without pickle.
            self._group = WorkerGroup(self.size, (run.path / "ray").resolve(), self.max_failures)
        return self._group

    def _clear_unsound(self, run: Run) -> None:
        """Let go of a group that has lost a worker: each stage may lose `max_failures`."""
        if self._group is not None and not self._group.is_sound():
            self._clear(run)

    def _clear(self, run: Run) -> None:
        """Let go of a group of which workers may have been killed as they wrote."""
        group = self._group
        self.release()
        if group is None or group.has_ended():
            remove_partial(run.path)

    def release(self) -> None:
        """Let go of the workers that wait for the next stage; one may follow all the same."""
        group, self._group = self._group, None
        if group is not None:
            group.close()

    def map(
        self, factory: Callable[..., Callable[[Any], Any]], args: tuple, items: Sequence[Any]
    ) -> list[Any]:
        """Apply `factory(*args)`, built once per process, to every item."""
        if not items:
            return []
        gpus = int(ray.cluster_resources().get("GPU", 0))
        if self._group is not None and not _is_free({"CPU": 1.0} | ({"GPU": 1.0} if gpus else {})):
            self.release()  # workers that wait must not hold what these tasks wait for
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
    """Whether nobody holds so much now, or in a moment: what has just ended is counted late."""
    for _ in range(10):
        there = ray.available_resources()
        if all(there.get(name, 0.0) >= amount for name, amount in wanted.items()):
            return True
        time.sleep(0.2)
    return False


def _size(least: int, most: int, gpu: bool | None, resize_every_s: float) -> GroupSize:
    """What the workers may hold of the cluster.

    Raises:
        InputError: it has not as much as they need, and starts no nodes of its own.
    """
    resources = ray.cluster_resources()
    num_gpus = resources.get("GPU", 0)
    use_gpu = num_gpus >= least if gpu is None else gpu
    cpus = 1.0
    if not starts_nodes():  # else as many as are asked for; what is there now says nothing
        if use_gpu and num_gpus < least:
            raise InputError(f"{least} workers on GPUs, the cluster has {num_gpus:g}")
        # Data tasks need a processor too: where workers would take them all, they take halves.
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
