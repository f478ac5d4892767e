"""`raydance info`: what a run, a dataset or a motion file holds."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from raydance.commands.options import (
    FpsOption,
    JsonOption,
    LayoutOption,
    MappingOption,
    SkeletonOption,
    UnitsOption,
    UpOption,
    check_up,
    local,
    metres_per_unit,
)
from raydance.commands.output import print_json, print_lines
from raydance.errors import InputError


def info(
    place: Annotated[
        str, typer.Argument(metavar="RUN|DATASET|FILE|FOLDER", help="A path, or a URI.")
    ],
    mapping: MappingOption = None,
    fps: FpsOption = None,
    units: UnitsOption = None,
    up: UpOption = None,
    skeleton: SkeletonOption = None,
    layout: LayoutOption = None,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="How long to read a folder; 0 reads all of it.")
    ] = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Show what a run, dataset, motion file or folder of them holds.

    For a motion file: format, rate, length, the unit and up axis that were found, and which of its
    joints became which of the canonical fifty. For a folder: which public data set it is, how many
    files and hours, rates, skeletons, captions, and what `ingest` would skip.

    \b
    Examples:
      raydance info walk.bvh
      raydance info HumanML3D/
      raydance info odd.bvh --mapping odd.yaml
      raydance info data/mine --json
      raydance info runs/mine
    """
    path = local(place)
    as_text: Callable[[dict[str, Any]], Iterator[str]]
    if (path / "run.json").exists():
        facts, as_text = run_facts(path), _run_text
    elif (path / "manifest.json").exists() or (path / "windows").is_dir():
        facts, as_text = _dataset_facts(path), _dataset_text
    elif path.is_dir():
        from raydance.commands.info_folder import folder_facts, folder_text
        from raydance.motion.mapping import load_mapping

        reading = {
            "units": metres_per_unit(units),
            "up": check_up(up),
            "mapping": load_mapping(mapping) if mapping else None,
        }
        facts, as_text = folder_facts(path, layout, seconds, reading), folder_text
    else:
        given = {
            "fps": fps,
            "units": metres_per_unit(units),
            "up": check_up(up),
            "skeleton": skeleton,
        }
        facts, as_text = _file_facts(path, mapping, given), _file_text
    print_json(facts) if as_json else print_lines(*as_text(facts))


def _file_facts(path: Path, mapping: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    from raydance.motion import body_check
    from raydance.motion.formats import SUFFIXES, read_clip
    from raydance.motion.mapping import load_mapping, map_to_canonical

    reading = {name: value for name, value in given.items() if value is not None}
    clip = read_clip(path, **reading)
    reader = sys.modules[SUFFIXES[path.suffix.lower()](path).__module__]
    scale = None
    if hasattr(reader, "read_with_scale"):  # the other formats fix their unit and axis
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the first reading has told them
            scale = reader.read_with_scale(path, **reading)[1]
    facts: dict[str, Any] = {
        "kind": "file",
        "path": path,
        "format": reader.__name__.rpartition(".")[2],
        "joints": len(clip.joint_names),
        "fps": clip.fps,
        "frames": clip.num_frames,
        "seconds": clip.duration_s,
        "metres_per_unit": scale.metres_per_unit if scale else None,
        "unit": scale.unit if scale else "the format's",
        "up": scale.up if scale else "the format's",
        "doubts": list(scale.doubts) if scale else [],
        "height_m": float(clip.positions[..., 1].max() - clip.positions[..., 1].min()),
        "has_rotations": clip.rotations is not None,
    }
    try:
        mapped = map_to_canonical(clip, load_mapping(mapping) if mapping else None)
    except InputError as error:
        if mapping is not None:
            raise
        return facts | {"mapping": None, "mapping_error": str(error)}
    facts["doubts"] += filter(None, [body_check.left_out(mapped), *body_check.doubts(mapped)])
    return facts | {
        "mapping": {
            "convention": mapped.convention,
            "matched": mapped.matched,
            "unmatched": list(mapped.unmatched_source),
            "missing": list(mapped.missing),
        }
    }


def _file_text(facts: dict[str, Any]) -> Iterator[str]:
    unit = facts["unit"]
    if facts["metres_per_unit"] is not None:
        unit = f"{unit} ({facts['metres_per_unit']:.6g} m)"
    yield f"{facts['path']}: {facts['format']}, {facts['joints']} joints"
    yield f"  {facts['frames']} frames at {facts['fps']:g} fps, {facts['seconds']:.2f} s"
    yield f"  unit {unit}, up axis {facts['up']}, {facts['height_m']:.2f} m from lowest to highest"
    yield f"  {'with' if facts['has_rotations'] else 'without'} joint rotations"
    for doubt in facts["doubts"]:
        yield f"  doubt: {doubt}"
    mapping = facts["mapping"]
    if mapping is None:
        yield f"  cannot be mapped: {facts['mapping_error']}"
        return
    matched = mapping["matched"]
    yield f"mapping ({mapping['convention']}): {len(matched)} of 50 canonical joints"
    width = max(map(len, matched), default=0)
    for joint, source in matched.items():
        yield f"  {joint:<{width}}  {source}"
    yield f"unmatched joints of the file: {', '.join(mapping['unmatched']) or 'none'}"
    yield f"missing canonical joints: {', '.join(mapping['missing']) or 'none'}"


def _dataset_facts(path: Path) -> dict[str, Any]:
    from raydance.data.dataset import Dataset

    dataset = Dataset.open(path)
    manifest = dataset.manifest
    files = manifest["files"]
    clips = dataset.clips()
    return {
        "kind": "dataset",
        "path": path,
        "hash": dataset.manifest_hash,
        "fps": dataset.fps,
        "window": manifest["window"],
        "stride": manifest["stride"],
        "counts": manifest["counts"],
        "files": {
            status: sum(f["status"] == status for f in files)
            for status in ("read", "short", "skipped")
        },
        "clips_with_captions": sum(bool(clip["captions"]) for clip in clips),
        "captions": len({caption for clip in clips for caption in clip["captions"]}),
        "padded": dataset.num_padded,
        "short": [f["file"] for f in files if f["status"] == "short"],
        "parts_without_windows": dataset.parts_without_windows(),
        "skipped": dataset.skipped(),
        "warned": dataset.warned(),
        "versions": manifest["versions"],
    }


_SHOWN = 20


def _dataset_text(facts: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{facts['path']}: dataset {facts['hash']}, windows of {facts['window']} frames at "
        f"{facts['fps']:g} fps, stride {facts['stride']}"
    )
    for split, number in facts["counts"].items():
        yield (
            f"  {split:<5} {number['windows']:>7} windows  {number['clips']:>5} clips  "
            f"{number['recordings']:>5} recordings"
        )
    yield f"captions: {facts['captions']} sentences, {facts['clips_with_captions']} clips have some"
    yield "files: " + ", ".join(f"{number} {status}" for status, number in facts["files"].items())
    if facts["padded"]:
        yield f"  {facts['padded']} windows are of shorter clips and hold their last frame"
    for file in facts["short"][:_SHOWN]:
        yield f"  too short: {file}"
    for clip in facts["parts_without_windows"][:_SHOWN]:
        yield f"  no whole window in the part: {clip}"
    for row in facts["skipped"][:_SHOWN]:
        line = f" line {row['line']}" if row["line"] else ""
        yield f"  skipped: {row['file']}{line}: {row['reason']}"
    for row in facts["warned"][:_SHOWN]:
        yield f"  warning: {row['file']}: {'; '.join(row['notes'])}"
    listed = ("short", "parts_without_windows", "skipped", "warned")
    left_out = sum(max(0, len(facts[kind]) - _SHOWN) for kind in listed)
    if left_out:
        yield f"  and {left_out} more (--json lists all)"


def run_facts(path: Path) -> dict[str, Any]:
    """What a run folder says of itself: configuration, steps, best and last losses, versions.

    Raises:
        ArtifactError: not a run folder, or damaged.
    """
    from raydance.config import to_dict
    from raydance.systems import system_of
    from raydance.training.kept_epoch import checks_of, kept_line
    from raydance.training.run_folder import Run, read_metrics

    run = Run.open(path)
    system = system_of(run.facts["system"])
    usual = dict(_leaves(to_dict(system.resolve("default"))))
    checks = checks_of(run.config)
    steps: dict[str, dict[str, Any]] = {}
    for step in system.steps_of(system.config_of(run)):
        done = run.facts["steps"].get(step)
        facts = {k: v for k, v in (done or {}).items() if k != "fingerprint"}
        steps[step] = {"done": done is not None, **facts}
        if epochs := read_metrics(run.metrics(step)):
            kept = kept_line(epochs, checks[step])
            steps[step] |= {
                "epochs": epochs[-1]["epoch"] + 1,
                "best_epoch": kept["epoch"] + 1 if kept else None,
                "best_validation": kept["validation"]["total"] if kept else None,
                "last_validation": epochs[-1]["validation"]["total"],
                "seconds": sum(line["seconds"] for line in epochs),
            }
    return {
        "kind": "run",
        "path": path,
        "system": run.facts["system"],
        "tasks": list(system.tasks),
        "seed": run.facts["seed"],
        "dataset": run.facts["dataset"],
        "packages": run.facts["packages"],
        "steps": steps,
        "changes": {k: v for k, v in _leaves(run.config) if usual.get(k) != v},
        "config": run.config,
    }


def _leaves(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """`a.b` -> value of every value of a nested configuration."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _run_text(facts: dict[str, Any]) -> Iterator[str]:
    dataset = facts["dataset"]
    yield f"{facts['path']}: {facts['system']}, seed {facts['seed']}"
    yield (
        f"  dataset {dataset['hash']} ({dataset['path']}), windows of {dataset['window']} frames "
        f"at {dataset['fps']:g} fps"
    )
    yield f"  can {', '.join(facts['tasks'])}"
    yield "steps:"
    for step, state in facts["steps"].items():
        words = "done" if state["done"] else "not done"
        if "epochs" in state:
            best = "no epoch kept"
            if state["best_epoch"] is not None:
                loss, epoch = state["best_validation"], state["best_epoch"]
                best = f"best validation loss {loss:.4g} at epoch {epoch}"
            words += f"  {state['epochs']} epochs, {best}, {state['seconds']:.0f} s"
        yield f"  {step:<15} {words}"
        if held_out := state.get("held_out"):
            yield f"  {'':<15} {_agreement(held_out)}"
    yield "configuration, where it is not the default preset's (all of it is in config.json):"
    for key, value in facts["changes"].items():
        yield f"  {key}={json.dumps(value)}"
    if not facts["changes"]:
        yield "  no changes"
    yield "packages: " + ", ".join(f"{name} {v}" for name, v in facts["packages"].items())


def _agreement(held_out: Mapping[str, Any]) -> str:
    """How clusters that started from labels agree with those of validation and test windows."""
    return (
        f"with the labels of {held_out['windows']} validation and test windows: ARI "
        f"{held_out['ari']:.2f} ({held_out['ari_kmeans']:.2f} without labels), "
        f"{held_out['own']:.0%} in the cluster of their name"
    )
