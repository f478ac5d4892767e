"""The run folder: everything needed to describe, search and generate, without the training data.

    RUN/
      run.json                format, system, seed, dataset hash, package versions, steps done
      config.json             the resolved configuration
      stages/NAME.safetensors weights (or fitted arrays) and the facts that belong to them
      metrics/NAME.jsonl      one line per epoch
      columns/NAME/*.parquet  what a stage adds to the windows of the dataset
      checkpoints/            of a stage in training; gone when it is done
      tensorboard/            the same metrics as event files

No pickle anywhere. Files are written aside and renamed, so a file that exists is whole; each bundle
carries a checksum of its content.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from raydance.errors import ArtifactError
from raydance.files import check_record, read_json, remove_partial, replacing, write_json, writing

FORMAT = "raydance-run"
FORMAT_VERSION = 1
_PACKAGES = ("raydance", "torch", "ray", "numpy", "pyarrow", "transformers", "scikit-learn")


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_bundle(path: Path, tensors: Mapping[str, Tensor], data: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able facts as one safetensors file with a checksum, atomically.

    Raises:
        StorageError: the disk is full; an earlier file of that name is unchanged.
    """
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(data, sort_keys=True)
    metadata = {"data": text, "sha256": _digest(flat, text)}
    with replacing(path) as temporary:
        # Not `save_file`: it tells a full disk by words alone, without the error's number.
        temporary.write_bytes(save(flat, metadata=metadata))


def load_bundle(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_bundle` wrote.

    Raises:
        ArtifactError: missing, cut short, changed or not a bundle of raydance.
    """
    return _read_bundle(path, "delete it and train again, which makes it anew")


def _read_bundle(path: Path, hint: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing") from None
    except (SafetensorError, OSError) as error:
        raise ArtifactError(
            f"{path}: damaged or not a safetensors file ({error}); {hint}"
        ) from None
    if "data" not in metadata or "sha256" not in metadata:
        raise ArtifactError(f"{path}: a safetensors file, but not one that raydance wrote")
    if _digest(tensors, metadata["data"]) != metadata["sha256"]:
        raise ArtifactError(f"{path}: damaged, the checksum does not match; {hint}")
    return tensors, json.loads(metadata["data"])


class Checkpoints:
    """The checkpoint of one stage in training: a single bundle, replaced atomically.

    Args:
        fingerprint: of configuration and data; a checkpoint with another fingerprint is ignored.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint.

        Raises:
            StorageError: the disk is full; the previous checkpoint is unchanged.
        """
        save_bundle(self.path, tensors, {"state": state, "fingerprint": self.fingerprint})

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The checkpoint to resume from, or None.

        Raises:
            ArtifactError: there is one, but damaged.
        """
        if not self.path.exists():
            return None
        tensors, data = _read_bundle(self.path, "delete it to train this stage from its start")
        return (tensors, data["state"]) if data["fingerprint"] == self.fingerprint else None

    def clear(self) -> None:
        """Remove the checkpoint; the stage is done."""
        self.path.unlink(missing_ok=True)


class Run:
    """A run folder, opened or newly made. Cheap to build; holds paths and small facts only."""

    def __init__(self, path: Path, facts: dict[str, Any], config: dict[str, Any]) -> None:
        self.path = path
        self.facts = facts
        self.config = config

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        system: str,
        config: dict[str, Any],
        dataset: dict[str, Any],
        others: Mapping[str, dict[str, Any]] | None = None,
    ) -> Run:
        """Make a run folder, or open an existing one with this configuration.

        Finished steps are kept; the engine compares their fingerprints with this configuration.

        Args:
            dataset: path, hash and grid of the main dataset.
            others: the same of further datasets, by role.

        Raises:
            ArtifactError: the folder holds something else, another system or another dataset.
        """
        path = Path(path)
        facts: dict[str, Any] = {"steps": {}}
        if (path / "run.json").exists():
            old = cls.open(path)
            if old.facts["system"] != system:
                raise ArtifactError(
                    f"{path}: holds a run of {old.facts['system']}, not of {system}"
                )
            if old.facts["dataset"]["hash"] != dataset["hash"]:
                raise ArtifactError(
                    f"{path}: was trained on another dataset ({old.facts['dataset']['path']}); "
                    "choose another --out"
                )
            facts = old.facts
        elif path.exists() and not path.is_dir():
            raise ArtifactError(f"{path}: not a folder; choose another --out")
        elif path.exists() and any(path.iterdir()):
            raise ArtifactError(
                f"{path}: not empty and not a run of raydance; choose another --out"
            )
        path.mkdir(parents=True, exist_ok=True)
        remove_partial(path)  # of a process that was killed
        facts |= {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "system": system,
            "seed": config.get("seed", 0),
            "dataset": dataset,
            "datasets": dict(others or {}),
            "packages": package_versions(),
        }
        run = cls(path, facts, config)
        write_json(path / "config.json", config)
        run.save_facts()
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run folder.

        Raises:
            ArtifactError: not a run folder, damaged, or of a newer format.
        """
        path = Path(path)
        if not (path / "run.json").exists():
            raise ArtifactError(f"{path}: not a run folder (no run.json)")
        facts = read_json(path / "run.json", "the run's record")
        check_record(path, facts, FORMAT, FORMAT_VERSION, what="a run", numbered="run format")
        lacking = sorted({"steps", "system", "seed", "dataset"} - facts.keys())
        if lacking:
            raise ArtifactError(f"{path}: the run's record lacks {', '.join(lacking)}")
        return cls(path, facts, read_json(path / "config.json", "the run's configuration"))

    @property
    def datasets(self) -> dict[str, dict[str, Any]]:
        """Path, hash and grid of every dataset by role; `data` is the main one."""
        return {"data": self.facts["dataset"], **self.facts.get("datasets", {})}

    def save_facts(self) -> None:
        """Write `run.json`."""
        write_json(self.path / "run.json", self.facts)

    def bundle(self, name: str) -> Path:
        """File of the weights or arrays of a step."""
        return self.path / "stages" / f"{name}.safetensors"

    def metrics(self, name: str) -> Path:
        """File of the per-epoch metrics of a stage."""
        return self.path / "metrics" / f"{name}.jsonl"

    def columns(self, name: str) -> Path:
        """Folder of the columns that a step adds to windows, one file per shard."""
        return self.path / "columns" / name

    def checkpoints(self, name: str, fingerprint: str) -> Checkpoints:
        """The checkpoint of a stage in training."""
        return Checkpoints(self.path / "checkpoints" / f"{name}.safetensors", fingerprint)

    def is_done(self, step: str, fingerprint: str) -> bool:
        """Whether a step was finished with this configuration, data and upstream steps."""
        return self.facts["steps"].get(step, {}).get("fingerprint") == fingerprint

    def mark_done(self, step: str, fingerprint: str, facts: Mapping[str, Any]) -> None:
        """Record a finished step."""
        self.facts["steps"][step] = {"fingerprint": fingerprint, **facts}
        self.save_facts()


def package_versions() -> dict[str, str]:
    """Versions of the packages that the results of a run depend on."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


_FLUSH_S = 10.0  # flushing waits for the disk


class MetricsLog:
    """Per-epoch metrics as JSON lines and TensorBoard events.

    Args:
        resume_epoch: lines from this epoch on are dropped first, because a resumed run repeats
            them.
    """

    def __init__(self, run: Run, name: str, resume_epoch: int) -> None:
        # Not its `SummaryWriter`: on a full disk the thread behind it dies and its queue then
        # blocks the training for ever.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self.path = run.metrics(name)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_metrics(self.path) if line["epoch"] < resume_epoch]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._folder = run.path / "tensorboard" / name
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._events = EventsWriter(str(self._folder / "events"))
            restart = SessionLog(status=SessionLog.START)
            self._events.write_event(
                Event(wall_time=time.time(), step=resume_epoch, session_log=restart)
            )
        self._flushed = time.monotonic()

    def write(self, metrics: dict[str, Any]) -> None:
        """Append one epoch.

        Raises:
            StorageError: there is no room for it.
        """
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        with writing(self._folder):
            for part in ("train", "validation"):
                for name, value in metrics[part].items():
                    summary = scalar(f"{name}/{part}", value)
                    self._events.write_event(
                        Event(wall_time=time.time(), step=metrics["epoch"], summary=summary)
                    )
            if time.monotonic() - self._flushed > _FLUSH_S:
                self._events.flush()
                self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush the event file."""
        with writing(self._folder):
            self._events.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Lines of a metrics file; a last line cut off by a kill is left out."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
