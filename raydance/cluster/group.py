"""A group of Ray Train workers that carries out several training tasks in turn.

Starting a group takes about twenty seconds of two processors, mostly for loading torch and Ray: as
long as training a short stage. So the workers stay alive between stages and wait at a `TaskQueue`.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.exceptions import RayActorError, RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.collective import broadcast_from_rank_zero
from ray.train.torch import TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch.nn.parallel import DistributedDataParallel

from raydance.cluster.failures import StopAtMistakes, cause_of
from raydance.cluster.stream import STREAM_CPUS, RayBatches
from raydance.cluster.task_queue import CLOSED, TaskQueue
from raydance.errors import RaydanceError
from raydance.nn.blocks import constant_buffers
from raydance.systems.base import FitTask, Source, mixed
from raydance.training import loop as training
from raydance.training.batches import Batches

log = logging.getLogger(__name__)

# How long Ray waits for processors before it counts them again. The default of 60 s suits groups
# of fixed size; an elastic group would stop for that long whenever it shrinks.
_ELASTIC_START_TIMEOUT = ("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "8")
# Well below the 60 s after which Ray warns about ranks that wait for each other.
_PATIENCE_S = 20.0
_LEAVE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class GroupSize:
    """Number of workers, and the resources of each.

    Attributes:
        least, most: number of workers; if they differ, the group is elastic.
        resize_every_s: seconds between checks whether an elastic group should grow.
        cpus: logical processors of each worker.
        use_gpu: whether each worker gets a GPU.
    """

    least: int
    most: int
    resize_every_s: float
    cpus: float
    use_gpu: bool

    @property
    def is_elastic(self) -> bool:
        """Whether the number of workers follows the size of the cluster."""
        return self.least < self.most

    @property
    def each(self) -> dict[str, float]:
        """Ray resources of one worker."""
        return {"CPU": self.cpus} | ({"GPU": 1.0} if self.use_gpu else {})


class WorkerGroup:
    """Workers that live until `close`, or until they have failed more than `max_failures` times.

    Args:
        storage: a folder for Ray's own state, used by this group only and removed at the end.
        max_failures: number of lost workers that is tolerated.
    """

    def __init__(self, size: GroupSize, storage: Path, max_failures: int) -> None:
        shutil.rmtree(storage, ignore_errors=True)  # left by a killed driver
        self.storage = storage
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._queue: Any = (
            ray.remote(TaskQueue).options(num_cpus=0, scheduling_strategy=here).remote()
        )
        self._is_busy = False
        # `Any`: Ray's annotations predate elastic groups and these callbacks.
        number: dict[str, Any] = {"num_workers": size.most}
        if size.is_elastic:
            number = {
                "num_workers": (size.least, size.most),
                "elastic_resize_monitor_interval_s": size.resize_every_s,
            }
        callbacks: list[Any] = [StopAtMistakes()]
        trainer = TorchTrainer(
            _work,
            train_loop_config={"queue": self._queue, "cpus": size.cpus, "use_gpu": size.use_gpu},
            scaling_config=ScalingConfig(
                **number, use_gpu=size.use_gpu, resources_per_worker=size.each
            ),
            run_config=RunConfig(
                # A unique name: otherwise Ray would restore the state of an earlier group.
                name=f"workers-{time.time_ns()}",
                storage_path=str(storage),
                failure_config=FailureConfig(max_failures=max_failures),
                callbacks=callbacks,
            ),
        )
        self._end: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._live, args=(trainer, size.is_elastic), daemon=True
        )
        self._thread.start()

    def _live(self, trainer: TorchTrainer, is_elastic: bool) -> None:
        """Run the group; called in a thread, ends with the group."""
        try:
            # Read when the group starts; it has no effect on the driver.
            with _environment(*_ELASTIC_START_TIMEOUT) if is_elastic else nullcontext():
                trainer.fit()
        except BaseException as error:  # also when the driver leaves Ray; `_fail` reports it
            self._end.set_exception(error)
        else:
            self._end.set_result(None)

    def carry_out(self, task: FitTask) -> None:
        """Carry out a task on the workers, and return when it is done.

        Raises:
            InputError: a mistake of the user, or a damaged checkpoint.
            StorageError: the disk is full.
            RaydanceError: more workers were lost than `max_failures`.
        """
        self._is_busy = True
        try:
            number = ray.get(self._queue.add.remote([ray.put(task)]))
            done = self._queue.wait_for.remote(number)
            while not ray.wait([done], timeout=0.5)[0]:
                if self._end.done():
                    self._fail(task.stage)
            ray.get(done)
        except RayActorError as error:
            raise _lost(task.stage, "the process that hands out its tasks") from error
        self._is_busy = False

    def _fail(self, stage: str) -> None:
        try:
            self._end.result()
        except ray.train.TrainingFailedError as error:
            raise cause_of(stage, error) from error
        except RayError as error:
            raise _lost(stage, "the process that looks after its workers") from error
        raise _lost(stage, "its workers")

    def is_sound(self) -> bool:
        """Whether the group is alive and has never been restarted or resized."""
        with suppress(RayError):
            return not self._end.done() and int(ray.get(self._queue.num_starts.remote())) <= 1
        return False

    def close(self) -> None:
        """Stop the workers: idle ones at once, training ones after their epoch."""
        with suppress(RayError):
            ray.get(self._queue.close.remote(), timeout=_LEAVE_S)
        if not self._is_busy:
            self._thread.join(_LEAVE_S)
        shutil.rmtree(self.storage, ignore_errors=True)

    def has_ended(self) -> bool:
        """Whether all workers have ended."""
        return self._end.done()


def _lost(stage: str, what: str) -> RaydanceError:
    return RaydanceError(
        f"training {stage} failed: lost {what}; the same command goes on from the last checkpoint"
    )


class _Cancelled(Exception):
    """The driver has cancelled the training."""


def _work(arguments: dict[str, Any]) -> None:
    """Main function of a Ray Train worker: carry out tasks until the queue is closed."""
    queue = arguments["queue"]
    # More threads than processors would slow down every small operation.
    torch.set_num_threads(max(1, int(arguments["cpus"])))
    context = _context(arguments["use_gpu"], queue)
    if context.rank == 0:
        ray.get(queue.start.remote())
    number = 0
    while True:
        news = _next_number(queue, number, context)
        if news == CLOSED:
            return
        if news == number:
            continue
        number = news
        task: FitTask = ray.get(ray.get(queue.take.remote(number))[0])
        # Counted for each task: nodes may join or leave while a group is idle.
        left = ray.cluster_resources().get("CPU", 0.0) - context.world_size * arguments["cpus"]
        try:
            task.carry_out(_batches(task, context, left), context)
        except _Cancelled:
            return
        if context.rank == 0:
            ray.get(queue.finish.remote(number))


def _next_number(queue: Any, number: int, context: training.Context) -> int:
    """Number of the next task; the same on all ranks."""
    news = number
    if context.rank == 0:
        news = ray.get(queue.next_number.remote(number, _PATIENCE_S))
    return news if context.world_size == 1 else broadcast_from_rank_zero(news)


def _context(use_gpu: bool, queue: Any) -> training.Context:
    place = ray.train.get_context()
    world_size = place.get_world_size()
    # `get_device` would return a visible GPU even to workers that requested none.
    device = ray.train.torch.get_device() if use_gpu else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)

    def sum_over_ranks(values: torch.Tensor) -> torch.Tensor:
        if world_size == 1:
            return values
        on_device = values.to(device)
        torch.distributed.all_reduce(on_device)
        return on_device.cpu()

    def wrap(stage: torch.nn.Module) -> torch.nn.Module:
        if world_size == 1:
            return stage
        # DDP broadcasts every buffer of rank 0 before each step. Constant buffers are equal on all
        # ranks and large (the motion basis, the sets of given frames), so they are excluded.
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(
            stage, constant_buffers(stage)
        )
        return DistributedDataParallel(
            stage, device_ids=[device] if device.type == "cuda" else None
        )

    rank = place.get_world_rank()

    def report(metrics: dict[str, Any]) -> None:
        # Rank 0 asks for all ranks: otherwise some could leave while others wait for them.
        leaves = rank == 0 and not ray.get(queue.is_open.remote())
        if sum_over_ranks(torch.tensor(float(leaves))) > 0:
            raise _Cancelled

    return training.Context(
        rank=rank,
        world_size=world_size,
        device=device,
        wrap=wrap,
        sum_over_ranks=sum_over_ranks,
        report=report,
    )


def _batches(task: FitTask, context: training.Context, cpus_left: float) -> Source:
    """Batches of a task; through Ray Data where rows are large and a processor is left for it."""
    place: dict[str, int] = {"rank": context.rank, "world_size": context.world_size}
    parts: list[Batches] = []
    for spec in task.specs:
        if spec.wants_rows and cpus_left >= STREAM_CPUS:
            parts.append(RayBatches(spec, task.train, **place))
            cpus_left -= STREAM_CPUS
        else:
            # Without motion a window has a few hundred bytes, and starting a stream would take
            # longer than reading them. Without a free processor a stream would never start.
            parts.append(Batches(spec, **place))
    return mixed(parts)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for the duration of the block, unless the user has set it."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
