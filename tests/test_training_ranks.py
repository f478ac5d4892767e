"""Two ranks of DDP equal one process on the joined batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from line_training import QUICK, Memory, line
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from two_ranks import start_two

from raydance.stages.motion_vae import MotionVae, MotionVaeConfig
from raydance.training.loop import Context, fit

VAE = MotionVaeConfig(num_joints=3, num_frames=5, hidden=8, latent=4)


def motion_batch() -> dict[str, Tensor]:
    motion = torch.randn(8, 5, 3, 3, generator=torch.Generator().manual_seed(1))
    mask, length = torch.ones(8, 3, dtype=torch.bool), torch.tensor([5, 3] * 4)
    return {"motion": motion, "joint_mask": mask, "length": length}


def vae() -> MotionVae:
    torch.manual_seed(0)
    return MotionVae(VAE).eval()  # the mean instead of a sample: no noise between the two ways


def worker(rank: int, folder: str) -> None:
    """One of two ranks: trains the line, and takes one gradient of the VAE."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)

    def sum_over_ranks(values: Tensor) -> Tensor:
        dist.all_reduce(values)
        return values

    # Different weights: DDP must start all ranks from those of the first.
    stage = line(seed=rank, noise=0.0)
    seen: list[float] = []
    context = Context(
        rank=rank,
        world_size=2,
        wrap=DistributedDataParallel,
        sum_over_ranks=sum_over_ranks,
        report=lambda metrics: seen.append(metrics["validation"]["total"]),
    )
    config = replace(QUICK, optimizer="sgd", schedule="plateau")
    result = fit(stage, config, Memory(rank=rank, world_size=2), seed=0, context=context)

    model = vae()
    wrapped = DistributedDataParallel(model)
    half = {name: value[4 * rank : 4 * rank + 4] for name, value in motion_batch().items()}
    model.loss(wrapped(half), half, 1.0)["total"].backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    torch.save(
        {"weights": stage.state_dict(), "seen": seen, "best": result.best_loss}
        | {"vae": gradients},
        f"{folder}/rank{rank}.pt",
    )
    dist.destroy_process_group()


def test_two_ranks_equal_one_process_on_the_joined_batch(tmp_path: Path) -> None:
    start_two(worker, str(tmp_path))
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]

    seen: list[float] = []
    alone = line(noise=0.0)
    context = Context(report=lambda metrics: seen.append(metrics["validation"]["total"]))
    fit(
        alone,
        replace(QUICK, optimizer="sgd", schedule="plateau"),
        Memory(),
        seed=0,
        context=context,
    )
    for name, value in alone.state_dict().items():
        assert torch.equal(ranks[0]["weights"][name], ranks[1]["weights"][name])
        torch.testing.assert_close(ranks[0]["weights"][name], value, atol=1e-5, rtol=1e-4)
    assert ranks[0]["seen"] == ranks[1]["seen"] == pytest.approx(seen, rel=1e-4)
    assert ranks[0]["best"] == ranks[1]["best"]

    model, batch = vae(), motion_batch()
    model.loss(model(batch), batch, 1.0)["total"].backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            for rank in ranks:
                torch.testing.assert_close(rank["vae"][name], parameter.grad, atol=1e-6, rtol=1e-4)
