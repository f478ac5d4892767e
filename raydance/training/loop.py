"""The training loop: batches in, reports out, exact resume. It knows no Ray and no equations.

A run that is killed and started again continues from its last checkpoint and ends with the weights
of an uninterrupted one: all noise (dropout, sampled latents, augmentation, order) is a function of
(seed, stage, epoch, rank), and a checkpoint holds the network, the optimiser, the schedule and the
state of early stopping.
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from raydance.errors import RaydanceError
from raydance.stages.base import Batch, Stage, TrainConfig


class BatchSource(Protocol):
    """Source of batches; the same seed gives the same batches on every machine."""

    steps_per_epoch: int
    windows_per_epoch: int

    def train(self, epoch: int) -> Iterator[Batch]:
        """This rank's training batches of one epoch, in order."""

    def validation(self) -> Iterator[Batch]:
        """This rank's validation batches: no augmentation, no shuffling."""

    def close(self) -> None:
        """Stop streaming in the background."""


@dataclass
class Context:
    """The process that the loop runs in: alone by default, one of several under DDP.

    Attributes:
        wrap: wraps the stage for training: in DDP, or not at all.
        sum_over_ranks: sums a tensor of metrics over all ranks.
        report: called with the metrics of each epoch, on every rank.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    wrap: Callable[[Stage], nn.Module] = lambda stage: stage
    sum_over_ranks: Callable[[Tensor], Tensor] = lambda tensor: tensor
    report: Callable[[dict[str, Any]], None] = lambda metrics: None


class CheckpointStore(Protocol):
    """Storage of checkpoints; saving is atomic."""

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None: ...

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None: ...


@dataclass
class EarlyStop:
    """Best validation loss so far, its epoch, and the number of checks since."""

    best: float = float("inf")
    best_epoch: int = -1
    since: int = 0


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Result of a finished training."""

    epochs: int
    best_epoch: int
    best_loss: float
    stopped_early: bool
    seconds: float
    warnings: tuple[str, ...]


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from any values, the same on every machine and in every process."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def fit(
    stage: Stage,
    config: TrainConfig,
    source: BatchSource,
    *,
    seed: int,
    context: Context | None = None,
    checkpoints: CheckpointStore | None = None,
    checkpoint_every_s: float = 10.0,
) -> FitResult:
    """Train `stage` in place; it ends with the weights of its best validation loss.

    Validation uses the loss weights of the end of training (`progress=1`), so that losses of
    different epochs are comparable. It has no effect before `stage.judged_from()`, except in the
    last epoch.

    Raises:
        ArtifactError: the checkpoint is damaged.
        StorageError: the disk is full.
        RaydanceError: the ranks do not see the same checkpoint.
    """
    context = context or Context()
    num_windows = source.windows_per_epoch * context.world_size
    config = replace(config, epochs=config.epochs_of(num_windows))
    stage.to(context.device)
    trainable = [p for p in stage.parameters() if p.requires_grad]
    model = context.wrap(stage)
    optimizer = _optimizer(config, trainable)
    scheduler = _scheduler(config, optimizer, source.steps_per_epoch)
    amp = config.mixed_precision and context.device.type == "cuda"
    scaler = torch.amp.GradScaler(context.device.type, enabled=amp)
    stop = EarlyStop()
    best = copy.deepcopy(stage.state_dict())
    first_epoch, warned, spent = 0, [], 0.0

    if checkpoints is not None and (found := checkpoints.load()) is not None:
        tensors, state = found
        stage.load_state_dict(_part(tensors, "model."))
        best = {k: v.to(context.device) for k, v in _part(tensors, "best.").items()}
        _load_optimizer(optimizer, _part(tensors, "optimizer."), state["optimizer"])
        steps_done = (state["epoch"] + 1) * source.steps_per_epoch
        _load_scheduler(scheduler, state["scheduler"], steps_done)
        if amp and state["scaler"]:
            scaler.load_state_dict(state["scaler"])
        stop = EarlyStop(**state["stop"])
        first_epoch, warned, spent = state["epoch"] + 1, state["warnings"], state["seconds"]

    _agree(first_epoch, context)
    started = last_saved = time.monotonic()
    epoch, stopped = first_epoch - 1, _should_stop(config, stop)
    try:
        for epoch in range(first_epoch, config.epochs) if not stopped else ():
            torch.manual_seed(derive_seed(seed, stage.name, epoch, context.rank))
            epoch_started = time.monotonic()
            progress = epoch / max(1, config.epochs - 1)
            train_metrics = _train_epoch(
                model, stage, config, source.train(epoch), optimizer, scheduler, scaler, progress
            )
            train_seconds = time.monotonic() - epoch_started
            train_metrics = _mean_over_ranks(train_metrics, context)
            metrics = validate(stage, source.validation(), context)
            is_last = epoch + 1 == config.epochs
            is_judged = is_last or progress >= stage.judged_from()
            if config.schedule == "plateau":
                if is_judged:
                    scheduler.step(metrics["total"])
            elif config.schedule != "onecycle":
                scheduler.step()
            is_checked = is_judged and (is_last or (epoch + 1) % config.check_every == 0)
            if is_checked:
                if metrics["total"] < stop.best:
                    stop = EarlyStop(best=metrics["total"], best_epoch=epoch)
                    best = copy.deepcopy(stage.state_dict())
                else:
                    stop.since += 1
            told = stage.warnings(metrics) if is_judged else []
            if not math.isfinite(metrics["total"]):
                told = [*told, f"the validation loss is not finite ({metrics['total']})"]
            new = [w for w in told if w.split("(")[0] not in str(warned)]
            warned = [*warned, *new]
            stopped = _should_stop(config, stop)
            done = stopped or is_last
            # Before the checkpoint: what a resumed run does not repeat has been reported.
            context.report(
                {
                    "stage": stage.name,
                    "epoch": epoch,
                    "epochs": config.epochs,
                    "workers": context.world_size,
                    "train": train_metrics,
                    "validation": metrics,
                    "checked": is_checked,
                    "lr": optimizer.param_groups[0]["lr"],
                    "windows_per_s": num_windows / max(train_seconds, 1e-9),
                    "seconds": time.monotonic() - epoch_started,
                    "warnings": new,
                }
            )
            if checkpoints is not None and context.rank == 0:
                if done or time.monotonic() - last_saved > checkpoint_every_s:
                    tensors, state = _snapshot(stage, best, optimizer)
                    state |= {
                        "epoch": epoch,
                        "scheduler": scheduler.state_dict(),
                        "scaler": scaler.state_dict() if amp else None,
                        "stop": asdict(stop),
                        "warnings": warned,
                        "seconds": spent + time.monotonic() - started,
                    }
                    checkpoints.save(tensors, state)
                    last_saved = time.monotonic()
            if stopped:
                break
    finally:
        source.close()
    stage.load_state_dict(best)
    return FitResult(
        epochs=epoch + 1,
        best_epoch=stop.best_epoch,
        best_loss=stop.best,
        stopped_early=stopped,
        seconds=spent + time.monotonic() - started,
        warnings=tuple(warned),
    )


def _agree(first_epoch: int, context: Context) -> None:
    """Check that all ranks resume from the same epoch."""
    total = float(context.sum_over_ranks(torch.tensor([float(first_epoch)])))
    if total != first_epoch * context.world_size:
        raise RaydanceError(
            f"rank {context.rank} begins at epoch {first_epoch + 1}, other workers elsewhere: "
            "the run folder must be on storage that all nodes share"
        )


def _train_epoch(
    model: nn.Module,
    stage: Stage,
    config: TrainConfig,
    batches: Iterator[Batch],
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    scaler: torch.amp.GradScaler,
    progress: float,
) -> dict[str, float]:
    model.train()
    device = next(stage.parameters()).device
    sums: dict[str, Tensor] = {}
    count = 0
    for batch in batches:
        batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        size = len(next(iter(batch.values())))
        with torch.autocast(device.type, dtype=torch.float16, enabled=scaler.is_enabled()):
            output = model(batch, progress)
        # Losses in float32: half precision loses the small differences of velocities.
        terms = stage.loss({k: v.float() for k, v in output.items()}, batch, progress)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(terms["total"]).backward()
        for parameter in stage.held_back(progress):
            parameter.grad = None
        if config.clip_norm > 0.0:
            scaler.unscale_(optimizer)  # clip true gradients, not scaled ones
            torch.nn.utils.clip_grad_norm_(stage.parameters(), config.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        if config.schedule == "onecycle":
            scheduler.step()
        count += size
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.detach() * size
    return {name: float(value) / max(count, 1) for name, value in sums.items()}


def _mean_over_ranks(metrics: dict[str, float], context: Context) -> dict[str, float]:
    """Mean over ranks, all of which have the same number of windows."""
    if context.world_size == 1:
        return metrics
    totals = context.sum_over_ranks(torch.tensor(list(metrics.values()), dtype=torch.float64))
    return {name: float(total) / context.world_size for name, total in zip(metrics, totals)}


@torch.no_grad()
def validate(stage: Stage, batches: Iterator[Batch], context: Context) -> dict[str, float]:
    """Mean of each loss term over the validation windows of all ranks."""
    stage.eval()
    names: list[str] = []
    sums = torch.zeros(0)
    count = 0
    for batch in batches:
        batch = {name: value.to(context.device) for name, value in batch.items()}
        terms = stage.loss(stage(batch, 1.0), batch, 1.0)
        names = list(terms)
        size = len(next(iter(batch.values())))
        values = torch.stack([terms[name].detach().float() for name in names]).cpu() * size
        sums = values if count == 0 else sums + values
        count += size
    assert names, "the validation split is empty"
    totals = context.sum_over_ranks(torch.cat([sums, torch.tensor([float(count)])]))
    return {name: float(value / totals[-1]) for name, value in zip(names, totals)}


def _should_stop(config: TrainConfig, stop: EarlyStop) -> bool:
    return config.patience > 0 and stop.since >= config.patience


def _optimizer(config: TrainConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
    # Fused: a third of the time of a step goes into the plain one where layers are small.
    return torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay, fused=True)


def _scheduler(config: TrainConfig, optimizer: torch.optim.Optimizer, steps: int) -> Any:
    schedules = torch.optim.lr_scheduler
    if config.schedule == "onecycle":
        return schedules.OneCycleLR(optimizer, config.lr, total_steps=config.epochs * steps + 1)
    if config.schedule == "restarts":
        return schedules.CosineAnnealingWarmRestarts(optimizer, T_0=config.period)
    if config.schedule == "step":
        return schedules.StepLR(optimizer, config.period, config.factor)
    if config.schedule == "plateau":
        return schedules.ReduceLROnPlateau(optimizer, factor=config.factor, patience=config.period)
    return schedules.ConstantLR(optimizer, factor=1.0)


def _load_scheduler(scheduler: Any, state: dict[str, Any], steps_done: int) -> None:
    """Restore a schedule, also with another number of workers and so of steps per epoch."""
    if "total_steps" in state and state["total_steps"] != scheduler.total_steps:
        fresh = scheduler.state_dict()
        kept = {name: fresh[name] for name in ("total_steps", "_schedule_phases")}
        state = state | kept | {"last_epoch": steps_done}
    scheduler.load_state_dict(state)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _snapshot(
    stage: Stage, best: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = {f"model.{k}": v for k, v in stage.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in best.items()}
    state = optimizer.state_dict()
    for index, slots in state["state"].items():
        for slot, value in slots.items():
            if value is not None:
                tensors[f"optimizer.{index}.{slot}"] = torch.as_tensor(value)
    return tensors, {"optimizer": state["param_groups"]}


def _load_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, slot = key.split(".", 1)
        state.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({"state": state, "param_groups": groups})
