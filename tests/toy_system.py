"""A toy system of motion and names, all of it but its line in `SYSTEMS`: here the last line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.data.chunks import BatchSpec
from raydance.data.dataset import Dataset
from raydance.data.schema import Column
from raydance.evaluation.measure import Measure
from raydance.motion import mapping, windows
from raydance.stages.base import Batch, Stage, TrainConfig
from raydance.systems import SYSTEMS, search, tasks
from raydance.systems.base import load_stage
from raydance.systems.engine import System
from raydance.systems.step import Step, StepContext
from raydance.training.run_folder import Run, load_bundle, save_bundle


@dataclass(frozen=True, kw_only=True)
class NamerConfig:
    train: TrainConfig = TrainConfig(lr=0.02, batch_size=8, epochs=8)


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    seed: int = 0
    namer: NamerConfig = NamerConfig()


def frames_of(motion: np.ndarray) -> np.ndarray:
    """Speed and height of 20 joints `[N, T, 40]` of motion `[N, T, 50, 3]`."""
    speed = np.linalg.norm(np.diff(motion, axis=1, append=motion[:, -1:]), axis=-1)
    return np.concatenate([20.0 * speed[..., :20], motion[..., :20, 1]], axis=2, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class ToyRows:
    names: list[str]
    reads: ClassVar = ("motion", "length", "labels")
    gives: ClassVar = ("frames", "length", "name")
    augments: ClassVar = False

    def plain(self, rows: Mapping[str, Any], *, mirrored: bool = False) -> dict[str, np.ndarray]:
        known = [json.loads(text)["movement"] for text in rows["labels"]]
        names = np.array([self.names.index(name) for name in known])
        return {"frames": frames_of(rows["motion"]), "length": rows["length"], "name": names}


class Namer(Stage):
    name = "namer"
    reads = ToyRows.gives
    adds = (Column(name="point", dtype="float32", dims=("Z",)),)

    def __init__(self, num_names: int) -> None:
        super().__init__()
        self.frames = nn.Sequential(nn.Linear(40, 32), nn.SiLU(), nn.Linear(32, 16))
        self.names = nn.Embedding(num_names, 16)

    def infer(self, batch: Batch) -> dict[str, Tensor]:
        there_BT = torch.arange(batch["frames"].shape[1]) < batch["length"][:, None]
        sum_BZ = (self.frames(batch["frames"]) * there_BT[..., None]).sum(dim=1)
        return {"point": F.normalize(sum_BZ, dim=1)}

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        return {"scores": 10.0 * self.infer(batch)["point"] @ F.normalize(self.names.weight).T}

    def loss(self, output: Mapping[str, Tensor], batch: Batch, progress: float) -> dict[str, Any]:
        return {"total": F.cross_entropy(output["scores"], batch["name"])}


def names_of(run: Run) -> list[str]:
    return load_bundle(run.bundle("names"))[1]["names"]


def build_stage(run: Run, name: str) -> Namer:
    return Namer(len(names_of(run)))


def find_names(context: StepContext) -> None:
    names = {json.loads(clip["labels"])["movement"] for clip in context.dataset.clips()}
    save_bundle(context.run.bundle("names"), {}, {"names": sorted(names)})


def train_namer(context: StepContext) -> None:
    rows, place = ToyRows(names=names_of(context.run)), str(context.dataset.path)
    spec = BatchSpec(dataset=place, reads=Namer.reads, transform=rows, batch_size=8)
    context.fit("namer", build_stage, context.config.namer.train, spec)
    context.infer("namer", build_stage, spec)


class Toy:
    def __init__(self, path: Path) -> None:
        self.names, self.fps = names_of(run := Run.open(path)), run.facts["dataset"]["fps"]
        self.stage: Any = load_stage(run, "namer", build_stage)
        self.points_NZ = F.normalize(self.stage.names.weight, dim=1).numpy()
        kinds: Any = ("motion", "text")
        given = {kind: tasks.Input(kind=kind, help="", is_optional=True) for kind in kinds}
        common: Any = {"output": "table", "Options": tasks.TaskOptions, "answer": self.answer}
        self.tasks = {"search": tasks.Task(name="search", help="Names", inputs=given, **common)}

    def answer(self, requests: Sequence[tasks.TaskRequest]) -> list[tasks.TableAnswer]:
        scores = [(self.points_NZ @ self.point_of(one.inputs)).tolist() for one in requests]
        ranked = [sorted(zip(row, self.names), reverse=True) for row in scores]
        return [tasks.TableAnswer(rows=[{"score": s, "name": n} for s, n in r]) for r in ranked]

    def point_of(self, inputs: Mapping[str, Any]) -> np.ndarray:
        if "text" in inputs:
            return self.points_NZ[self.names.index(inputs["text"])]
        clip = mapping.map_to_canonical(inputs["motion"])
        frames = frames_of(windows.resample(clip.positions, inputs["motion"].fps, self.fps)[None])
        batch = {"frames": torch.from_numpy(frames), "length": torch.tensor([frames.shape[1]])}
        return self.stage.infer(batch)["point"][0].numpy()


def measures_of(toy: Toy, datasets: Mapping[str, Dataset], split: str) -> list[Measure]:
    rows = ToyRows(names=toy.names)
    read = [rows.plain(datasets["data"].read_shard(s)) for s in datasets["data"].shards(split)]
    batch = {k: torch.from_numpy(np.concatenate([one[k] for one in read])) for k in read[0]}
    right = toy.stage(batch)["scores"].argmax(dim=1) == batch["name"]
    share, chance = 100.0 * float(right.float().mean()), 100.0 / len(toy.names)
    return [Measure(group="names", name="named right", value=share, chance=chance)]


def figures(run: Run) -> dict[str, float]:
    return search.validation_figures(SYSTEM, run, {"right": "named right"})


RIGHT = search.Objective(name="right", title="right, %", direction="maximize", measure=figures)
RATE: Any = {"namer.train.lr": search.Range(1e-3, 0.1, log=True)}
SPACE: Any = {"name": "rate", "meaning": "", "shared_steps": ("names",), "steps": ("namer",)}
SEARCH = search.Search(spaces={"rate": search.Space(parameters=RATE, goals=(RIGHT,), **SPACE)})
STEPS = (
    Step(name="names", run=find_names, depends_on=lambda context: None),
    Step(name="namer", run=train_namer, needs=("names",), depends_on=lambda c: repr(c.config)),
)
DECLARED: Any = {"measures": f"{__name__}:measures_of", "search": f"{__name__}:SEARCH"}
DECLARED |= {"trained": ("namer",), "tasks": ("search",), "title": "Toy"}
SYSTEM = System(name="toy", Config=ToyConfig, steps=STEPS, loader=f"{__name__}:Toy", **DECLARED)
SYSTEMS["toy"] = __name__
