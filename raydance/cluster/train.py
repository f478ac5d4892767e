"""Ray Train runs the loop, Ray Data feeds it: the same tasks as `LocalRunner`, on a cluster.

Ray streams chunks whose content `raydance.batches` fixes, so losses are those of the plain loop.
Several epochs are one stream: data tasks read and augment the next epoch while this one trains, and
no epoch pays for the start of an execution.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import ray
import ray.data
import ray.train
import torch
from ray.data import ActorPoolStrategy
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from torch.nn.parallel import DistributedDataParallel

from raydance import training
from raydance.artifacts import Run
from raydance.batches import Batches
from raydance.chunks import BatchSpec, Chunk
from raydance.cluster.failures import StopAtMistakes, cause_of
from raydance.cluster.follow import Follow
from raydance.cluster.session import starts_nodes
from raydance.cluster.tasks import Apply, ApplyInActor, LoadChunks
from raydance.errors import InputError
from raydance.files import remove_partial
from raydance.systems.base import FitTask

log = logging.getLogger(__name__)

_CHUNKS_PER_STREAM = 256
_DATA_CPUS = 0.5
# Ray waits so long for processors before it counts them again. Its own 60 s are for fixed groups;
# an elastic one would stand still for them whenever it shrinks.
_ELASTIC_START_TIMEOUT = ("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "8")


class RayBatches(Batches):
    """Batches whose training chunks are read and augmented by Ray Data tasks, ahead of the loop."""

    def __init__(self, spec: BatchSpec, *, rank: int, world_size: int, epochs: int) -> None:
        super().__init__(spec, rank=rank, world_size=world_size)
        self.epochs = epochs
        self._stream: Iterator[dict[str, np.ndarray]] | None = None
        self._next_epoch = -1
        self._last_epoch = -1

    def load_epoch(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """Arrays of each chunk, from a stream over this and the following epochs."""
        if self._stream is None or epoch != self._next_epoch or epoch > self._last_epoch:
            self._open(epoch)
        for chunk in self.plan(epoch):
            yield self._take(chunk)
        self._next_epoch = epoch + 1

    def _open(self, epoch: int) -> None:
        chunks: list[Chunk] = []
        last = epoch
        for last in range(epoch, self.epochs):
            chunks += self.plan(last)
            if len(chunks) >= _CHUNKS_PER_STREAM:
                break
        self._last_epoch = last
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.execution_options.verbose_progress = False
        context.enable_progress_bars = False
        key = f"{os.getpid()}-{self.rank}-{self.spec.seed}-{','.join(self.spec.reads)}"
        stream = ray.data.range(len(chunks), override_num_blocks=len(chunks)).map_batches(
            LoadChunks(self.spec, chunks, key), batch_size=None, num_cpus=_DATA_CPUS
        )
        # Split one way only so that an actor runs the stream: its scheduling loop, in a thread of
        # this process, would take Python's lock from every operation of the training, which was
        # then six times slower.
        (split,) = stream.streaming_split(1)
        whole: Any = None  # blocks as they come, which Ray documents but does not type
        blocks = split.iter_batches(batch_size=whole, prefetch_batches=2)
        self._stream = iter(blocks)

    def _take(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """The chunk's rows; Ray may cut or merge blocks, but keeps their order."""
        assert self._stream is not None
        parts: list[dict[str, np.ndarray]] = []
        missing = chunk.num_windows
        while missing > 0:
            block = self._left_over or next(self._stream)
            self._left_over = None
            size = len(next(iter(block.values())))
            if size > missing:
                self._left_over = {name: values[missing:] for name, values in block.items()}
                block = {name: values[:missing] for name, values in block.items()}
                size = missing
            parts.append(block)
            missing -= size
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    _left_over: dict[str, np.ndarray] | None = None

    def close(self) -> None:
        """Stop the stream; Ray Data ends its tasks when nothing holds it."""
        self._stream = None
        self._left_over = None


def _worker(arguments: dict[str, Any]) -> None:
    """What each Ray Train worker runs."""
    task: FitTask = arguments["task"]
    # More threads than the worker's own processors wait for each other at every small operation.
    torch.set_num_threads(max(1, int(arguments["cpus"])))
    place = ray.train.get_context()
    rank, world_size = place.get_world_rank(), place.get_world_size()
    # Not `get_device` alone: it names a GPU that is in sight also to workers that asked for none.
    device = ray.train.torch.get_device() if arguments["use_gpu"] else torch.device("cpu")
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
        return DistributedDataParallel(
            stage, device_ids=[device] if device.type == "cuda" else None
        )

    context = training.Context(
        rank=rank,
        world_size=world_size,
        device=device,
        wrap=wrap,
        sum_over_ranks=sum_over_ranks,
    )
    source: Batches
    left = ray.cluster_resources().get("CPU", 0.0) - world_size * arguments["cpus"]
    if task.spec.wants_motion and left >= _DATA_CPUS:
        epochs = task.train.epochs
        source = RayBatches(task.spec, rank=rank, world_size=world_size, epochs=epochs)
    else:
        # Without motion a few hundred bytes a window: starting a stream would take longer than
        # reading them. And workers that took all processors would wait for a stream for ever.
        source = Batches(task.spec, rank=rank, world_size=world_size)
    result = task.carry_out(source, context)
    # One report, at the end: checkpoints are the run folder's own, and each report is a barrier.
    ray.train.report({"best_loss": result.best_loss, "epochs": result.epochs})


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
        self.least, self.most = (workers, workers) if isinstance(workers, int) else workers
        self.max_failures = max_failures
        self.checkpoint_every_s = checkpoint_every_s
        self.resize_every_s = resize_every_s
        self.report = report
        self.warn = warn
        resources = ray.cluster_resources()
        num_gpus = resources.get("GPU", 0)
        self.use_gpu = num_gpus >= self.least if gpu is None else gpu
        if starts_nodes():  # as many as are asked for; what is there now says nothing
            self.worker_cpus = 1.0
            return
        if self.use_gpu and num_gpus < self.least:
            raise InputError(f"{self.least} workers on GPUs, the cluster has {num_gpus:g}")
        # Data tasks need a processor too: where workers would take them all, they take halves.
        cpus = resources.get("CPU", 1)
        self.worker_cpus = 1.0 if cpus > self.least else 0.5
        if self.least * self.worker_cpus + _DATA_CPUS > cpus:
            raise InputError(
                f"{self.least} workers for {cpus:g} processors: at most "
                f"{max(1, int((cpus - _DATA_CPUS) / 0.5))} leave one for reading data"
            )

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
        Batches(task.spec, world_size=self.most)
        run.checkpoints(task.stage, task.fingerprint).load()
        storage = (run.path / "ray").resolve()
        shutil.rmtree(storage, ignore_errors=True)  # of a driver that was killed
        # A name of its own: Ray would otherwise take up the state of an earlier attempt.
        name = f"{task.stage}-{task.fingerprint}-{time.time_ns()}"
        each = {"CPU": self.worker_cpus} | ({"GPU": 1} if self.use_gpu else {})
        is_elastic = self.least < self.most
        # Ray types these by its older interface, which knows neither elastic groups nor callbacks
        # of this kind.
        group: dict[str, Any] = {"num_workers": self.most}
        if is_elastic:
            group = {
                "num_workers": (self.least, self.most),
                "elastic_resize_monitor_interval_s": self.resize_every_s,
            }
        callbacks: list[Any] = [StopAtMistakes()]
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"task": task, "cpus": self.worker_cpus, "use_gpu": self.use_gpu},
            scaling_config=ScalingConfig(**group, use_gpu=self.use_gpu, resources_per_worker=each),
            run_config=RunConfig(
                name=name,
                storage_path=str(storage),
                failure_config=FailureConfig(max_failures=self.max_failures),
                callbacks=callbacks,
            ),
        )
        need = {name: amount * self.least for name, amount in each.items()}
        with (
            _environment(*_ELASTIC_START_TIMEOUT) if is_elastic else nullcontext(),
            Follow(run.metrics(task.stage), self.report, self.warn, task.stage, need),
        ):
            try:
                trainer.fit()
            except ray.train.TrainingFailedError as error:
                raise cause_of(task.stage, error) from error
            finally:
                # Ray's own state of this attempt; ours is in the run folder, without pickle.
                shutil.rmtree(storage, ignore_errors=True)
                remove_partial(run.path)  # of workers that were killed as they wrote

    def map(
        self, factory: Callable[..., Callable[[Any], Any]], args: tuple, items: Sequence[Any]
    ) -> list[Any]:
        """Apply `factory(*args)`, built once per process, to every item."""
        if not items:
            return []
        ray.data.DataContext.get_current().enable_progress_bars = False
        work = (factory, args, ray.put(list(items)), f"{time.time_ns()}")
        rows = ray.data.range(len(items), override_num_blocks=len(items))
        gpus = int(ray.cluster_resources().get("GPU", 0))
        if gpus:  # a model on a GPU is worth an actor
            pool = ActorPoolStrategy(min_size=1, max_size=min(gpus, len(items)))
            done = rows.map_batches(
                ApplyInActor, fn_constructor_args=work, batch_size=None, num_gpus=1, compute=pool
            )
        else:
            done = rows.map_batches(Apply(*work), batch_size=None)
        return [row["result"][0] for row in done.iter_rows()]


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable of the environment for the length of the block, unless the user has set it."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
