"""Run folders: whole files or none, every damage found, no pickle."""

from __future__ import annotations

import json
import pickletools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from raydance.errors import ArtifactError
from raydance.files import read_json, replacing, write_json
from raydance.training.run_folder import (
    Checkpoints,
    MetricsLog,
    Run,
    load_bundle,
    package_versions,
    read_metrics,
    save_bundle,
)

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "flags": torch.tensor([True, False]),
    "step": torch.tensor(7),
    "empty": torch.zeros(0, 4),
}
DATA = {"steps": 3, "names": ["a", "ü"], "best": float("inf"), "none": None}
DATASET = {"hash": "abc", "path": "data/one"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "stages" / "one.safetensors"
    save_bundle(path, TENSORS, DATA)
    return path


def make_run(path: Path, **changes: Any) -> Run:
    arguments: dict[str, Any] = {"system": "dance", "config": {"seed": 4}, "dataset": DATASET}
    return Run.create(path, **(arguments | changes))


# Bundles ---------------------------------------------------------------------------------------


def test_a_bundle_comes_back_as_it_was(bundle: Path) -> None:
    tensors, data = load_bundle(bundle)
    assert data == DATA
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and tensors[name].shape == tensor.shape
        assert torch.equal(tensors[name], tensor)


def test_a_bundle_takes_views_and_shared_and_trained_tensors(tmp_path: Path) -> None:
    whole = torch.randn(4, 6, requires_grad=True)
    given = {"turned": whole.T, "part": whole[1:3, ::2], "same": whole}
    save_bundle(tmp_path / "b.safetensors", given, {})
    tensors, _ = load_bundle(tmp_path / "b.safetensors")
    assert all(torch.equal(tensors[name], value) for name, value in given.items())


def test_no_flipped_byte_goes_unnoticed(bundle: Path) -> None:
    whole = bundle.read_bytes()
    unnoticed = []
    for position in range(len(whole)):
        torn = bytearray(whole)
        torn[position] ^= 0x11
        bundle.write_bytes(torn)
        try:
            load_bundle(bundle)
        except ArtifactError as error:
            assert str(bundle) in str(error)
        else:
            unnoticed.append(position)
    assert not unnoticed


@pytest.mark.parametrize("kept", [0, 4, 8, 100, -1])
def test_a_cut_bundle_is_refused(bundle: Path, kept: int) -> None:
    bundle.write_bytes(bundle.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match="damaged or not a safetensors file"):
        load_bundle(bundle)


def test_what_is_not_a_bundle_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    with pytest.raises(ArtifactError, match="not one that raydance wrote"):
        load_bundle(foreign)
    with pytest.raises(ArtifactError, match="missing"):
        load_bundle(tmp_path / "absent.safetensors")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "pickled.safetensors")
    with pytest.raises(ArtifactError, match="damaged or not a safetensors file"):
        load_bundle(tmp_path / "pickled.safetensors")
    with pytest.raises(ArtifactError, match="damaged or not a safetensors file"):
        load_bundle(tmp_path)


def test_a_changed_fact_is_found(bundle: Path) -> None:
    whole = bundle.read_bytes()
    assert whole.count(rb"\"steps\": 3") == 1
    bundle.write_bytes(whole.replace(rb"\"steps\": 3", rb"\"steps\": 4"))
    with pytest.raises(ArtifactError, match="checksum"):
        load_bundle(bundle)


# Whole files or none ---------------------------------------------------------------------------


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError, match="on the way"), replacing(path) as temporary:
        assert temporary.parent == tmp_path  # the same file system: the rename is atomic
        temporary.write_text("half")
        raise RuntimeError("on the way")
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path, "facts") == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["facts.json"]


def test_a_written_file_is_readable_by_others(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "facts.json", {})
    assert (tmp_path / "deep" / "facts.json").stat().st_mode & 0o777 == 0o644


def test_json_that_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="the list is missing"):
        read_json(tmp_path / "absent.json", "the list")
    for content in (b'{"a": ', b"\xff\xff"):
        (tmp_path / "torn.json").write_bytes(content)
        with pytest.raises(ArtifactError, match="the list is damaged"):
            read_json(tmp_path / "torn.json", "the list")


# Checkpoints -----------------------------------------------------------------------------------


def test_a_checkpoint_of_another_configuration_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "one.safetensors"
    mine = Checkpoints(path, "mine")
    assert mine.load() is None
    mine.save({"w": torch.ones(2)}, {"epoch": 3})
    found = mine.load()
    assert (
        found is not None and found[1] == {"epoch": 3} and torch.equal(found[0]["w"], torch.ones(2))
    )
    assert Checkpoints(path, "another").load() is None
    mine.clear()
    mine.clear()
    assert mine.load() is None


def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    Checkpoints(path, "mine").save({"w": torch.ones(2)}, {})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ArtifactError, match=r"one\.safetensors.*delete it"):
        Checkpoints(path, "mine").load()


# Run folders -----------------------------------------------------------------------------------


def test_a_run_is_opened_as_it_was_made(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.mark_done("vae", "f1", {"loss": 0.5})
    again = Run.open(tmp_path / "run")
    assert again.config == {"seed": 4} and again.facts == run.facts
    assert again.facts["seed"] == 4 and again.facts["packages"] == package_versions()
    assert again.is_done("vae", "f1")
    assert not again.is_done("vae", "f2") and not again.is_done("clusters", "f1")


def test_a_run_is_taken_up_with_its_steps_and_the_new_configuration(tmp_path: Path) -> None:
    make_run(tmp_path / "run").mark_done("vae", "f1", {})
    again = make_run(tmp_path / "run", config={"seed": 5})
    assert again.is_done("vae", "f1")
    assert Run.open(tmp_path / "run").config == {"seed": 5}


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    make_run(tmp_path / "run")
    assert Run.open(tmp_path / "run").facts["system"] == "dance"


def test_a_run_is_not_made_over_something_else(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(ArtifactError, match="a run of dance, not of music"):
        make_run(tmp_path / "run", system="music")
    with pytest.raises(ArtifactError, match="another dataset.*data/one.*another --out"):
        make_run(tmp_path / "run", dataset={"hash": "xyz", "path": "data/two"})
    assert (tmp_path / "run" / "run.json").read_bytes() == before

    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    with pytest.raises(ArtifactError, match="not empty"):
        make_run(tmp_path / "letters")
    with pytest.raises(ArtifactError, match="not a folder"):
        make_run(tmp_path / "letters" / "dear.txt")
    assert [p.name for p in (tmp_path / "letters").iterdir()] == ["dear.txt"]


@pytest.mark.parametrize(
    ("record", "part"),
    [
        ("[]", "not a run of raydance"),
        ('{"format": "another"}', "not a run of raydance"),
        ('{"format": "raydance-run", "version": 99}', "run format 99; this version reads 1"),
        ('{"format": "raydance-run", "version": 1}', "the run's record lacks"),
        ('{"format": ', "the run's record is damaged"),
    ],
)
def test_a_folder_that_is_not_a_run_is_refused(tmp_path: Path, record: str, part: str) -> None:
    (tmp_path / "run.json").write_text(record)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ArtifactError, match=part):
        Run.open(tmp_path)


def test_a_run_without_its_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no run.json"):
        Run.open(tmp_path)
    make_run(tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(ArtifactError, match="configuration is missing"):
        Run.open(tmp_path / "run")


# Metrics ---------------------------------------------------------------------------------------


def line(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "train": {"total": 1.0 / (epoch + 1)}, "validation": {"total": 2.0}}


def test_a_resumed_log_repeats_no_epoch_and_drops_a_cut_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    first = MetricsLog(run, "vae", 0)
    for epoch in range(4):
        first.write(line(epoch))
    first.close()
    path = run.metrics("vae")
    path.write_text(path.read_text()[:-9])
    assert read_metrics(path) == [line(0), line(1), line(2)]

    second = MetricsLog(run, "vae", 2)
    second.write(line(2))
    second.write(line(3))
    second.close()
    assert read_metrics(path) == [line(0), line(1), line(2), line(3)]
    assert list((run.path / "tensorboard" / "vae").glob("events.*"))


def test_no_metrics_are_an_empty_list(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "absent.jsonl") == []
    (tmp_path / "empty.jsonl").touch()
    assert read_metrics(tmp_path / "empty.jsonl") == []


def test_nothing_in_a_run_folder_is_a_pickle(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    save_bundle(run.bundle("vae"), TENSORS, DATA)
    run.checkpoints("vae", "f").save(TENSORS, {"epoch": 1})
    metrics = MetricsLog(run, "vae", 0)
    metrics.write(line(0))
    metrics.close()
    files = [p for p in run.path.rglob("*") if p.is_file()]
    assert {p.suffix for p in files if "tfevents" not in p.name} == {
        ".json",
        ".jsonl",
        ".safetensors",
    }
    for path in files:
        content = path.read_bytes()
        assert not content.startswith((b"PK", b"\x80")), f"{path} looks like a pickle"
        with pytest.raises(ValueError):
            list(pickletools.genops(content))
        if path.suffix == ".json":
            json.loads(content)
