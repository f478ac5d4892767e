"""Captioning without a cluster: segments, units, the store, subtitles, threads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from caption_folders import FACTS, commit

import raydance
from raydance.data.ingest import Settings
from raydance.errors import ArtifactError, InputError
from raydance.files import replacing
from raydance.library import subtitles, units
from raydance.library.describer import CLIP_SCHEMA, Describer, cluster_confidence, window_schema
from raydance.library.segments import merge_windows
from raydance.library.store import CaptionStore, run_identity
from raydance.motion import synthetic
from raydance.motion.captions import read_captions
from raydance.motion.formats import read_clip


def cut_points(labels: list[int], starts: list[float]) -> list[tuple[int, int, float, float]]:
    ends = [start + 2.5 for start in starts]
    return [(s.first, s.end, s.start_s, s.end_s) for s in merge_windows(labels, starts, ends)]


def test_borders_lie_between_the_middles_of_the_windows():
    # Middles at 1.25, 2.25, 3.25, 4.25 s.
    found = cut_points([1, 1, 2, 2], [0.0, 1.0, 2.0, 3.0])
    assert found == [(0, 2, 0.0, 2.75), (2, 4, 2.75, 5.5)]


def test_one_window_between_two_alike_is_a_slip():
    assert cut_points([1, 2, 1], [0.0, 1.0, 2.0]) == [(0, 3, 0.0, 4.5)]
    assert len(cut_points([1, 2, 3], [0.0, 1.0, 2.0])) == 3


def test_a_gap_ends_a_segment_even_of_the_same_words():
    found = cut_points([1, 1], [0.0, 10.0])
    assert found == [(0, 1, 0.0, 2.5), (1, 2, 10.0, 12.5)]


def test_no_windows_no_segments():
    assert merge_windows([], [], []) == []


def test_cluster_confidence_by_hand():
    centroids = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]], np.float32)
    latents = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0]], np.float32)
    np.testing.assert_allclose(cluster_confidence(centroids, latents), [1.0, 0.0, 2 / 3], atol=1e-6)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of the procedural dancer, a file that is broken and one that is short."""
    folder = tmp_path_factory.mktemp("captioning") / "library"
    folder.mkdir()
    for number, movement in enumerate(synthetic.MOVEMENTS[:6]):
        write_clip(folder / f"clip_{number}.npz", movement, 0)
    whole = (folder / "clip_0.npz").read_bytes()
    (folder / "broken.npz").write_bytes(whole[: len(whole) // 2])
    write_clip(folder / "short.npz", synthetic.MOVEMENTS[0], 0, frames=9)
    return folder


def write_clip(path: Path, movement: Any, number: int, frames: int | None = None) -> None:
    clip = synthetic.make_clip(movement, number)
    np.savez(
        path,
        positions=clip.positions[:frames],
        joint_names=np.array(clip.joint_names),
        parents=np.array(clip.parents),
        fps=clip.fps,
    )


def test_a_dataset_is_captioned_by_itself(library: Path, tiny_dataset: Path):
    with pytest.raises(InputError, match="a dataset is captioned by itself"):
        units.find_items([library, tiny_dataset])


def read_all(library: Path) -> list[units.Unit]:
    dataset, items = units.find_items([library])
    assert dataset is None
    groups = units.group_items(items, lambda item: False)
    return [unit for group in groups for unit in units.read_units(group, Settings(), None, "s")]


def test_units_hold_every_file_once_and_survive_the_journey(library: Path):
    found = read_all(library)
    files = [file for unit in found for file in unit.files]
    assert sorted(f["status"] for f in files) == ["read"] * 6 + ["short", "skipped"]
    assert all(f["reason"] for f in files if f["status"] != "read")
    for unit in found:
        row = unit.to_row()
        again = units.Unit.from_row(row["facts"], row["motion"], row["joint_mask"])
        np.testing.assert_array_equal(again.motion, unit.motion)
        np.testing.assert_array_equal(again.joint_mask, unit.joint_mask)
        assert again.files == unit.files and again.clips == unit.clips
        assert [tuple(w) for w in again.windows] == unit.windows
    assert [u.name for u in read_all(library)] == [u.name for u in found]


def test_a_changed_file_has_another_version(library: Path, tmp_path: Path):
    copy = tmp_path / "library"
    shutil.copytree(library, copy)
    before = {item.name: item.version for item in units.find_items([copy])[1]}
    write_clip(copy / "clip_0.npz", synthetic.MOVEMENTS[7], 1)
    after = {item.name: item.version for item in units.find_items([copy])[1]}
    assert {name for name in before if before[name] != after[name]} == {"library/clip_0"}


def test_what_cannot_be_read_is_an_item_too(library: Path, tmp_path: Path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/there").symlink_to(library)
    (tmp_path / "lib/gone").symlink_to("nowhere")
    _, items = units.find_items([tmp_path / "lib"])
    assert items[-1].name == f"{tmp_path}/lib/gone" and items[-1].version
    *_, last = units.read_units(items[-1:], units.settings_of(20, 50, 20, {}), None, "")
    assert (last.files[0]["status"], last.files[0]["windows"]) == ("skipped", 0)
    assert "leads nowhere" in last.files[0]["reason"]
    names = {item.name.removeprefix("lib/there/") for item in items[:-1]}
    assert names == {item.name.partition("/")[2] for item in units.find_items([library])[1]}


def test_windows_are_described_as_the_run_describes_a_clip(library: Path, tiny_run: Path):
    system = raydance.load(tiny_run)
    (unit,) = read_all(library)
    windows, clips = Describer(system, k=3)(unit)
    assert windows.schema == window_schema(system.width) and clips.schema == CLIP_SCHEMA
    rows = windows.to_pylist()
    for name in ("clip_0", "clip_3"):
        expected = system.describe(read_clip(library / f"{name}.npz"), k=3)
        (clip,) = [c for c in clips.to_pylist() if c["clip_id"] == f"library/{name}"]
        assert clip["captions"] == [c.text for c in expected[0].captions]
        mine = [row for row in rows if row["clip_id"] == clip["clip_id"]]
        assert len(mine) == len(expected) - 1 == clip["num_windows"]
        for row, part in zip(mine, expected[1:]):
            assert row["captions"] == [c.text for c in part.captions]
            assert row["scores"] == pytest.approx([c.score for c in part.captions], abs=1e-5)
            assert row["cluster"] == part.cluster and 0 <= row["cluster_confidence"] <= 1
            assert row["start_s"] == pytest.approx(part.start_s)
        assert clip["segments"][0]["start_s"] == 0.0
        for one, other in zip(clip["segments"], clip["segments"][1:]):
            assert one["end_s"] == other["start_s"]


def test_a_short_clip_of_a_library_is_padded(tiny_run: Path, tmp_path: Path):
    folder = tmp_path / "library"
    folder.mkdir()
    write_clip(folder / "padded.npz", synthetic.MOVEMENTS[0], 0, frames=20)
    write_clip(folder / "whole.npz", synthetic.MOVEMENTS[0], 0, frames=50)
    system = raydance.load(tiny_run)
    (unit,) = read_all(folder)
    assert [(f["status"], f.get("padded", 0)) for f in unit.files] == [("read", 1), ("read", 0)]
    assert [end for _, _, end in unit.windows] == [1.0, 2.5]
    for table in Describer(system, k=3)(unit):
        short, whole = table.to_pylist()
        assert short["captions"] and short["confidence"] is None
        assert 0.0 <= whole["confidence"] <= 1.0
    expected = system.describe(read_clip(folder / "padded.npz"), k=3)[0]
    assert short["captions"] == [c.text for c in expected.captions]


# The store


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)


def test_only_a_committed_unit_counts(tmp_path: Path, points: np.ndarray):
    store = CaptionStore.create(tmp_path / "c", FACTS)
    name = commit(store, 1, {"a": "1", "b": "1"}, points[:2])
    assert store.counts()["windows"] == 2
    (store.path / "units" / f"{name}.json").unlink()  # as if killed before the commit
    store.refresh()
    assert store.counts()["windows"] == 0 and not store.is_committed(name)


def test_the_newest_session_counts_and_the_old_unit_goes(tmp_path: Path, points: np.ndarray):
    store = CaptionStore.create(tmp_path / "c", FACTS)
    first = commit(store, store.next_session, {"a": "1", "b": "1"}, points[:2])
    second = commit(store, store.next_session, {"a": "2"}, points[2:3])
    assert store.live["a"][0] == second and store.live["b"][0] == first
    assert sorted(row["clip_id"] for row in store.clips()) == ["a", "b"]
    commit(store, store.next_session, {"b": "2"}, points[3:])
    store.sweep_up()
    assert not store.is_committed(first) and store.is_committed(second)
    assert store.counts()["windows"] == 2


def test_a_file_that_went_is_found_no_more(tmp_path: Path, points: np.ndarray):
    store = CaptionStore.create(tmp_path / "c", FACTS)
    commit(store, store.next_session, {"a": "1", "b": "1"}, points[:2])
    store.forget(["a"], store.next_session)
    store.refresh()
    assert [row["clip_id"] for row in store.clips()] == ["b"]
    assert store.counts()["files"] == 1
    commit(store, store.next_session, {"a": "1"}, points[2:3])  # it came back
    store.sweep_up()
    assert sorted(row["clip_id"] for row in store.clips()) == ["a", "b"]


@pytest.mark.parametrize("change", [{"k": 5}, {"run": {"path": "y", "identity": "other"}}])
def test_other_settings_need_another_folder(tmp_path: Path, change: dict[str, Any]):
    CaptionStore.create(tmp_path / "c", FACTS)
    with pytest.raises(InputError, match="choose another --out"):
        CaptionStore.create(tmp_path / "c", FACTS | change)


def test_foreign_folders_are_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        CaptionStore.create(tmp_path, FACTS)
    with pytest.raises(ArtifactError, match="not captions"):
        CaptionStore.open(tmp_path)


@pytest.mark.parametrize("text", ["{", "{}", '{"unit": "../../x", "session": 1}', "[]"])
def test_a_damaged_record_is_named(tmp_path: Path, points: np.ndarray, text: str):
    store = CaptionStore.create(tmp_path / "c", FACTS)
    name = commit(store, 1, {"a": "1"}, points[:1])
    (store.path / "units" / f"{name}.json").write_text(text)
    store.refresh()
    with pytest.raises(ArtifactError, match=name):
        store.counts()


def test_a_record_that_is_being_written_is_not_read(tmp_path: Path, points: np.ndarray):
    """Readers do not lock, and a killed writer leaves the file."""
    store = CaptionStore.create(tmp_path / "c", FACTS)
    name = commit(store, 1, {"a": "1"}, points[:1])
    before = store.counts()
    with replacing(store.path / "units" / f"{name[::-1]}.json"):
        assert len(list((store.path / "units").glob("*.json"))) == 2
        store.refresh()
        assert store.counts() == before


def test_two_writers_are_refused(tmp_path: Path):
    store = CaptionStore.create(tmp_path / "c", FACTS)
    with store.locked(), pytest.raises(InputError, match="another process writes to it"):
        with CaptionStore.open(tmp_path / "c").locked():
            pass


def test_a_run_is_known_by_its_weights(tiny_run: Path, tmp_path: Path):
    shutil.copytree(tiny_run, tmp_path / "run")
    assert run_identity(tmp_path / "run") == run_identity(tiny_run)
    path = tmp_path / "run" / "stages" / "motion_vae.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert run_identity(tmp_path / "run") != run_identity(tiny_run)


# Files for other tools

CLIP = {
    "clip_id": "lib/a: b",
    "source": "/data/lib/a.bvh",
    "fps": 120.0,
    "start_frame": 240,
    "segments": [
        {
            "start_s": 0.0,
            "end_s": 2.75,
            "captions": ["a walk & <turn>", "steps"],
            "derived": [False, True],
        },
        {"start_s": 2.75, "end_s": 3661.5, "captions": ["two\nlines"], "derived": [True]},
    ],
}


def test_captions_jsonl_is_what_ingest_reads(tmp_path: Path):
    assert subtitles.write_captions_jsonl(tmp_path / "c.jsonl", [CLIP]) == 2
    with pytest.warns(UserWarning, match="2 of 3 captions are marked as derived"):
        first, second = read_captions(tmp_path / "c.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    assert [row["derived"] for row in rows] == [[False, True], [True]]
    assert (first.start_frame, first.end_frame, first.fps) == (240, 570, 120.0)
    assert first.captions == ("a walk & <turn>", "steps") and second.start_frame == 570
    assert subtitles.write_captions_jsonl(tmp_path / "d", [CLIP | {"start_frame": None}]) == 0


def test_subtitles_by_hand(tmp_path: Path):
    assert subtitles.as_vtt(CLIP) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.750\na walk &amp; &lt;turn>\n\n"
        "00:00:02.750 --> 01:01:01.500\ntwo lines (derived)\n"
    )
    assert subtitles.as_srt(CLIP).startswith("1\n00:00:00,000 --> 00:00:02,750\na walk & <turn>\n")
    assert subtitles.write_subtitles(tmp_path, "vtt", [CLIP]) == 1
    assert (tmp_path / "lib" / "a_ b.vtt").exists()


def test_subtitles_stay_in_their_folder(tmp_path: Path):
    subtitles.write_subtitles(tmp_path / "s", "srt", [CLIP | {"clip_id": "../../etc/x"}])
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([(True, {"CPU": 8.0})], 8),
        ([(True, {"CPU": 8.0}), (False, {}), (False, {"CPU": 8.0})], 8),
        ([(True, {"memory": 1.0}), (True, {"CPU": 8.0}), (True, {"CPU": 4.0})], 6),
        ([(True, {"memory": 1.0, "CPU": 0.0})], 1),
    ],
    ids=["one", "lost", "head without processors", "none yet"],
)
def test_threads_are_shared_among_nodes_that_can_work(
    monkeypatch: pytest.MonkeyPatch, nodes: list[tuple[bool, dict[str, float]]], expected: int
):
    """Nodes as Ray lists them; those that were lost stay in its list."""
    from raydance.cluster import caption

    listed = [{"Alive": is_alive, "Resources": resources} for is_alive, resources in nodes]
    monkeypatch.setattr(caption.ray, "nodes", lambda: listed)
    assert caption._node_cpus() == expected
