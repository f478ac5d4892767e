"""Train one stage, the motion VAE, from a dataset to weights: no Ray, no run folder.

python docs/examples/train_a_stage.py DATASET WEIGHTS.safetensors [EPOCHS]
"""

import sys
from pathlib import Path

import torch

from raydance.data.chunks import BatchSpec
from raydance.data.dataset import Dataset
from raydance.motion.normalise import Sums, fit_statistics, to_features
from raydance.motion.rows import MotionRows
from raydance.stages.base import TrainConfig
from raydance.stages.motion_vae import MotionVae, MotionVaeConfig
from raydance.training.batches import Batches
from raydance.training.loop import Context, FitResult, fit
from raydance.training.run_folder import save_bundle


def train(dataset: Path, weights: Path, epochs: int = 10) -> FitResult:
    """Train the motion VAE; `weights` then holds its best epoch by validation loss."""
    data = Dataset.open(dataset)
    sums = []  # of eq. 1: mean and standard deviation over all training windows
    for shard in data.shards("train"):
        rows = data.read_shard(shard, columns=["motion", "joint_mask"])
        sums.append(Sums.of(to_features(rows["motion"], rows["joint_mask"]), rows["joint_mask"]))

    config = MotionVaeConfig(
        num_frames=data.frames,
        hidden=64,
        latent=32,
        train=TrainConfig(epochs=epochs, batch_size=32, lr=1e-3, schedule="onecycle", patience=0),
    )
    torch.manual_seed(0)
    stage = MotionVae(config)
    spec = BatchSpec(
        dataset=str(dataset),
        reads=stage.reads,  # the batch columns that this stage needs
        transform=MotionRows(statistics=fit_statistics(sums)),
        batch_size=config.train.batch_size,
    )
    context = Context(report=lambda epoch: print(epoch["epoch"], epoch["validation"]["total"]))
    result = fit(stage, config.train, Batches(spec), seed=0, context=context)
    save_bundle(weights, stage.state_dict(), {"best_loss": result.best_loss})
    return result


if __name__ == "__main__":
    print(train(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])))
