"""Captioning a library through Ray: exactly once, whatever is killed, added or changed."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from caption_folders import caption_actors, state_of, windows_of, write_clip

import raydance
from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.library.finder import Finder
from raydance.library.store import CaptionStore
from raydance.motion import synthetic
from raydance.motion.formats import read_clip
from raydance.training.run_folder import load_bundle, save_bundle

pytestmark = pytest.mark.ray


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    for number, movement in enumerate(synthetic.MOVEMENTS[:5]):
        write_clip(folder / f"clip_{number}.npz", movement, 0)
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 no zip")
    return folder


def test_a_library_is_captioned_once_and_followed(
    ray_cluster: None, library: Path, tiny_run: Path, tmp_path: Path
) -> None:
    from raydance.cluster.caption import caption

    out = tmp_path / "captions"
    told: list[dict] = []
    counts = caption([library], tiny_run, out, actors=(1, 2), progress=told.append)
    assert (counts["files"], counts["read"], counts["skipped"]) == (6, 5, 1)
    assert counts["done"] == 6 and told[-1]["files"] == told[-1]["of"] == 6
    (line,) = (out / "skipped.jsonl").read_text().splitlines()
    assert json.loads(line)["file"].endswith("broken.npz") and json.loads(line)["reason"]
    system = raydance.load(tiny_run)
    expected = system.describe(read_clip(library / "clip_2.npz"), k=3)[0]
    (clip,) = [c for c in CaptionStore.open(out).clips() if c["clip_id"] == "library/clip_2"]
    assert clip["captions"] == [c.text for c in expected.captions]
    assert set(windows_of(out).values()) == {1} and windows_of(out).total() == counts["windows"]

    before = state_of(out)
    again = caption([library], tiny_run, out)
    assert again["done"] == 0 and again["kept"] == 6 and state_of(out) == before

    write_clip(library / "new.npz", synthetic.MOVEMENTS[8], 0)
    write_clip(library / "clip_1.npz", synthetic.MOVEMENTS[9], 0)
    (library / "clip_4.npz").unlink()
    changed = caption([library], tiny_run, out)
    assert changed["done"] == 2 and changed["gone"] == 1 and changed["files"] == 6
    clips = {c["clip_id"]: c for c in CaptionStore.open(out).clips()}
    assert sorted(clips) == [
        f"library/{n}" for n in ("clip_0", "clip_1", "clip_2", "clip_3", "new")
    ]
    assert set(windows_of(out).values()) == {1}
    now = system.describe(read_clip(library / "clip_1.npz"), k=3)[0]
    assert clips["library/clip_1"]["captions"] == [c.text for c in now.captions]

    hit = Finder(CaptionStore.open(out)).search(
        system.point_of({"motion": read_clip(library / "new.npz")}), 1
    )
    assert hit[0].clip_id == "library/new" and hit[0].source.endswith("new.npz")


def test_a_dataset_is_a_library(
    ray_cluster: None, tiny_dataset: Path, tiny_run: Path, tmp_path: Path
) -> None:
    from raydance.cluster.caption import caption

    counts = caption([tiny_dataset], tiny_run, tmp_path / "captions")
    dataset = Dataset.open(tiny_dataset)
    expected = sum(
        s.num_windows for split in ("train", "val", "test") for s in dataset.shards(split)
    )
    assert counts["windows"] == expected == windows_of(tmp_path / "captions").total()
    clips = list(CaptionStore.open(tmp_path / "captions").clips())
    assert len({c["clip_id"] for c in clips}) == len(clips)
    assert {c["clip_id"] for c in clips} == {
        c["clip_id"] for c in dataset.clips() if c["num_windows"]
    }


def test_another_run_needs_another_folder(
    ray_cluster: None, library: Path, tiny_library: Path, tiny_run: Path, tmp_path: Path
) -> None:
    from raydance.cluster.caption import caption

    other, out = tmp_path / "run", tmp_path / "captions"
    shutil.copytree(tiny_run, other)
    shutil.copytree(tiny_library, out)
    path = other / "stages" / "clusters.safetensors"
    tensors, facts = load_bundle(path)
    save_bundle(path, tensors | {"centroids": tensors["centroids"] + 0.01}, facts)
    with pytest.raises(InputError, match="by another run .*choose another --out"):
        caption([library], other, out, k=2)
    with pytest.raises(InputError, match="made with k 2, now 3"):
        caption([library], tiny_run, out, k=3)


def test_a_killed_actor_is_replaced_and_nothing_is_lost(
    ray_cluster: None, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raydance.cluster.caption import caption
    from raydance.library import units

    monkeypatch.setattr(units, "_GROUP_FILES", 4)
    library, out = tmp_path / "library", tmp_path / "captions"
    synthetic.write_corpus(library, 5)
    killed: list[int] = []

    def kill_one(state: Mapping[str, Any]) -> None:
        if not killed and state["files"] >= 8:
            killed.extend(caption_actors(os.getpid())[:1])
            os.kill(killed[0], signal.SIGKILL)

    counts = caption([library], tiny_run, out, actors=(1, 1), progress=kill_one)
    assert killed and counts["read"] == counts["files"] == len(list(library.rglob("*.npz")))
    found = windows_of(out)
    assert set(found.values()) == {1} and found.total() == counts["windows"]
