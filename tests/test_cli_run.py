"""One small run through the commands: trained, looked at, asked, and searched."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_dataset import ingest_here
from small_recordings import walk, write_captions, write_npz

import raydance
from raydance import cli
from raydance.commands import data as data_command
from raydance.motion import skeleton
from raydance.motion.export import write_clip
from raydance.motion.formats import read_clip
from raydance.motion.synthetic import write_corpus
from raydance.training.run_folder import Run, load_bundle, save_bundle


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """A clip of each movement and a broken file, read without Ray."""
    folder = tmp_path_factory.mktemp("library")
    write_corpus(folder / "corpus", 1)
    (folder / "corpus" / "broken.bvh").write_text("HIERARCHY\n")
    captions = folder / "corpus" / "captions.jsonl"
    lines = [json.loads(line) for line in captions.read_text().splitlines()]
    files = list(dict.fromkeys(r["file"] for r in lines))
    splits = {name: ("val", "test")[i % 2] for i, name in enumerate(files[:6])}
    rows = [
        r
        | {"captions": r["captions"][:1]}
        | ({"split": splits[r["file"]]} if r["file"] in splits else {})
        for r in lines
    ]
    captions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ingest_here([folder / "corpus"], [captions], folder / "dataset")


STAGES = (
    "motion_vae",
    "text_encoder",
    "contrastive",
    "motion_to_text",
    "motion_flow",
    "text_to_motion",
)
SMALL = ["--preset", "quick", "--set", "motion_vae.hidden=16", "--set", "clusters.max_k=3"]
SMALL += [word for stage in STAGES for word in ("--set", f"{stage}.train.epochs=1")]


@pytest.fixture(scope="module")
def run(dataset) -> Path:
    """A run that has seen hardly anything, trained by the command in the plain loop."""
    out = dataset.with_name("run")
    command = ["train", "dance-language", "--data", dataset, "--out", out, "--local", "--quiet"]
    with pytest.raises(SystemExit) as stopped:
        cli.main([*map(str, command), *SMALL])
    assert stopped.value.code == 0
    return out


def test_info_of_a_dataset(call, dataset):
    facts = json.loads(call("info", dataset, "--json")[1])
    assert facts["kind"] == "dataset"
    assert facts["files"]["skipped"] == 1 and facts["skipped"][0]["file"].endswith("broken.bvh")
    assert all(facts["counts"][split]["windows"] > 0 for split in ("train", "val", "test"))
    assert "skipped: " in call("info", dataset)[1]


def test_parts_of_a_file_that_are_too_short_are_counted_and_named(call, tmp_path):
    write_npz(tmp_path / "lib/a.npz", walk(89))
    write_npz(tmp_path / "lib/short.npz", walk(9))
    captions = write_captions(
        tmp_path / "lib/captions.jsonl",
        {"file": "a.npz", "end_frame": 80},
        {"file": "a.npz", "start_frame": 80},
    )
    made = ingest_here([tmp_path / "lib"], [captions], tmp_path / "made")
    facts = json.loads(call("info", made, "--json")[1])
    assert facts["parts_without_windows"] == ["lib/a@80-89"]
    said = call("info", made)[1]
    assert "no whole window in the part: lib/a@80-89" in said and "the part: lib/short" not in said
    counts = {
        **{"windows": 2, "recordings": 2, "read": 1, "files": 2, "seconds": 1.0, "splits": {}},
        **{"padded": 0, "short": 1, "skipped": 0, "dropped_windows": 0, "signals": {}},
    }

    def as_text(parts: int) -> str:
        return "\n".join(
            data_command._as_text(counts | {"parts_without_windows": parts}, "made", [])
        )

    said = as_text(1)
    assert "1 parts of other files hold no whole window" in said and "`raydance info made`" in said
    assert "parts" not in as_text(0)
    worst = {"file": "a.npz", "offset_s": -0.5, "tempo_ratio": 1.05, "apart_s": 0.72}
    counts["signals"] = {
        "music": {
            **{"clips": 9, "without": 3, "checked": 8, "in_step": 6, "out_of_step": 2},
            "worst": [worst],
        }
    }
    assert "music: 6 of 8 clips that could be checked are in step with it; 1 could" in as_text(0)
    assert "could not be checked; 3 are without it" in as_text(0)
    told = "out of step: a.npz: motion 0.50 s early, tempo x 1.050, up to 0.72 s apart\n  1 more"
    assert told in as_text(0)
    counts["camera"] = {"tracks": 1, "videos": 1, "of_videos": 5}
    assert "camera motion taken out of 1 tracks, in 1 of 5 videos; 1 tracks stay" in as_text(0)
    counts["camera"] = {"tracks": 0, "videos": 0, "of_videos": 5}
    assert "taken out of no track: no video has three objects" in as_text(0)
    rows = [{"file": "a.npz", "notes": ["out of step with its music: 0.50 s early"]}]
    said = "\n".join(data_command._as_text(counts | {"parts_without_windows": 0}, "made", rows))
    assert "warnings" not in said
    rows.append({"file": "b.npz", "notes": ["read without labels: odd"]})
    said = "\n".join(data_command._as_text(counts | {"parts_without_windows": 0}, "made", rows))
    assert "1 files read with other warnings; `raydance info made` lists them. The first: b" in said


def test_a_stage_that_does_not_exist(refused, dataset, tmp_path):
    line = refused(
        *("train", "dance-language", "--data", dataset, "--out", tmp_path, "--stage", "vae")
    )
    assert "motion_vae" in line


@pytest.mark.parametrize("workers", ["0", "two", "1:2:3", ":4", "4:", "0:2", "4:2", "-1", "1.5"])
def test_numbers_of_workers_that_make_no_sense(refused, dataset, tmp_path, workers):
    line = refused(
        *("train", "dance-language", "--data", dataset, "--out", tmp_path, "--workers", workers)
    )
    assert f"--workers {workers}" in line


def test_numbers_of_workers():
    from raydance.config import parse_range

    assert parse_range("--workers", "3") == (3, 3)
    assert parse_range("--workers", "1:4") == (1, 4)


def test_info_of_a_run(call, run):
    facts = json.loads(call("info", run, "--json")[1])
    assert facts["system"] == "dance-language" and facts["seed"] == 0
    assert all(step["done"] for step in facts["steps"].values())
    assert facts["steps"]["contrastive"]["epochs"] == 1
    assert facts["changes"]["motion_vae.hidden"] == 16
    assert "motion_vae.hidden=16" in call("info", run)[1]


def test_info_names_the_epoch_whose_weights_were_kept(call, run, tmp_path):
    copy = Run.open(shutil.copytree(run, tmp_path / "run"))
    metrics = copy.metrics("text_encoder")
    (line,) = [json.loads(row) for row in metrics.read_text().splitlines()]
    line.pop("checked", None)
    rows = [
        line | {"epoch": i, "epochs": 12, "validation": {"total": total}}
        for i, total in enumerate([9.0, 1.0, *[8.0] * 7, 4.0, 7.0, 5.0])
    ]
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "12 epochs, best validation loss 4 at epoch 10, " in call("info", copy.path)[1]
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    facts = json.loads(call("info", copy.path, "--json")[1])["steps"]["text_encoder"]
    assert facts["best_epoch"] is None and facts["epochs"] == 3
    assert "3 epochs, no epoch kept, " in call("info", copy.path)[1]


def test_training_again_does_nothing(call, run, dataset):
    before = {p: p.stat().st_mtime_ns for p in (run / "stages").iterdir()}
    code, out, err = call(
        *("train", "dance-language", "--data", dataset, "--out", run, "--local", *SMALL)
    )
    assert code == 0 and str(run) in out
    assert err.count("done before") == len(json.loads(call("info", run, "--json")[1])["steps"])
    assert before == {p: p.stat().st_mtime_ns for p in (run / "stages").iterdir()}


def test_another_dataset_is_refused(refused, run, dataset):
    manifest = dataset / "manifest.json"
    kept = manifest.read_text()
    manifest.write_text(kept.replace('"stride": 20', '"stride": 25'))
    try:
        line = refused("train", "dance-language", "--data", dataset, "--out", run, "--local")
    finally:
        manifest.write_text(kept)
    assert "another dataset" in line


def test_describe(call, run, npz):
    code, out, _ = call("describe", npz, "--run", run, "-k", 2, "--json")
    found = json.loads(out)
    assert code == 0 and found["facts"]["seconds"] == 3.0
    assert found["rows"][0]["end_s"] == 3.0
    assert all(len(part["captions"]) == 2 for part in found["rows"])
    best = found["rows"][0]["captions"][0]["text"]
    assert best in call("describe", npz, "--run", run, "-k", 1)[1]


def test_generate_writes_every_format(call, run, tmp_path):
    clips, notes = {}, {}
    for suffix in (".npz", ".bvh", ".glb", ".gif"):
        path = tmp_path / "new" / f"turn{suffix}"
        code, notes[suffix], err = call(
            *("generate", "a slow turn", "--run", run, "--out", path, "--frames", 12, "--seed", 4),
            "--raw",
        )
        assert code == 0, err
        if suffix in (".npz", ".bvh"):
            clips[suffix] = read_clip(path, units=1.0 if suffix == ".npz" else 0.01, up="y")
    assert path.read_bytes().startswith(b"GIF89a")
    assert clips[".npz"].joint_names == skeleton.JOINTS and clips[".npz"].fps == 20.0
    assert clips[".npz"].positions.shape == (12, 50, 3)
    expected = raydance.load(run).generate("a slow turn", frames=12, seed=4)[0]
    assert np.allclose(clips[".npz"].positions, expected, atol=1e-6)
    # BVH bones cannot stretch, those of an untrained network do: the command says how far it is.
    names = clips[".bvh"].joint_names
    written = clips[".bvh"].positions[:, [names.index(joint) for joint in skeleton.JOINTS]]
    apart_cm = np.linalg.norm(written - expected, axis=-1).mean() * 100
    assert f"joints are {apart_cm:.1f} cm on average" in notes[".bvh"]
    glb, bvh = (
        [line for line in notes[suffix].splitlines() if "joints are" in line]
        for suffix in (".glb", ".bvh")
    )
    assert glb and glb == bvh  # one fit for both
    files = ["turn.bvh", "turn.gif", "turn.glb", "turn.npz"]
    assert sorted(p.name for p in path.parent.iterdir()) == files


def test_words_and_names_that_are_not_utf8_are_taken(call, run, tmp_path):
    """Arguments in another encoding than the terminal's."""
    words = "a slow \udcfc turn"
    for suffix in (".npz", ".gif", ".glb"):
        path = tmp_path / f"h\udcedp{suffix}"
        frames = 60 if suffix == ".npz" else 8
        code, said, err = call("generate", words, "--run", run, "--out", path, "--frames", frames)
        assert (code, err) == (0, "") and path.stat().st_size > 1000
        assert f"h\\xedp{suffix}: {frames} frames" in said
    code, said, _ = call("describe", tmp_path / "h\udcedp.npz", "--run", run)
    assert code == 0 and "h\\xedp.npz: 3.0 s" in said
    assert call("search", words, "--run", run)[0] == 0


def test_generate_holds_standing_feet_unless_told_not_to(call, run, tmp_path):
    common = ("generate", "walking with quick steps", "--run", run, "--frames", 120, "--json")
    found = {}
    for way in ("--clean-feet", "--raw"):
        code, said, err = call(*common, "--out", tmp_path / f"{way}.npz", way)
        assert code == 0, err
        found[way] = json.loads(said)["facts"]["feet"]
    assert found["--raw"] == []
    (feet,) = found["--clean-feet"]
    assert feet["note"] or feet["skate_after_m_s"] < feet["skate_before_m_s"]
    one, other = (read_clip(tmp_path / f"{way}.npz").positions for way in found)
    assert feet["note"] or np.abs(one - other).max() > 1e-3


def test_convert_says_what_it_wrote(call, npz, tmp_path):
    clip = read_clip(npz)
    out = tmp_path / "new" / "a.bvh"
    code, said, err = call("convert", npz, "--out", out, "--out-unit", "m", "--out-up", "z")
    assert (code, err) == (0, "")
    assert f"{clip.num_frames} frames at {clip.fps:g} fps" in said
    assert "rotations fitted to bones of fixed length" in said
    again = read_clip(out, units=1.0, up="z")
    columns = [again.joint_names.index(name) for name in clip.joint_names]
    assert np.abs(again.positions[:, columns] - clip.positions).max() < 0.01
    back = tmp_path / "back.npz"
    code, said, err = call("convert", out, "--units", 1, "--up", "z", "--out", back, "--json")
    assert (code, err) == (0, "")
    assert json.loads(said)["residual"] is None
    np.testing.assert_allclose(read_clip(back).positions, again.positions, atol=1e-6)


def test_generate_refuses_and_writes_nothing(refused, run, tmp_path):
    out = tmp_path / "a.npz"
    assert "empty" in refused("generate", " ", "--run", run, "--out", out)
    assert "prior" in refused("generate", "a turn", "--run", run, "--out", out, "--source", "luck")
    assert "9000" in refused("generate", "a turn", "--run", run, "--out", out, "--frames", 9000)
    assert not out.exists()


def test_search_by_words_and_by_motion(call, run, dataset, tmp_path):
    hits = json.loads(call("search", "a slow turn", "--run", run, "-k", 3, "--json")[1])["rows"]
    assert len({hit["clip_id"] for hit in hits}) == 3
    assert hits[0]["score"] >= hits[1]["score"] >= hits[2]["score"]
    for hit in hits:  # of each the very window that was found: the mean of several lies elsewhere
        clip = read_clip(dataset.with_name("corpus") / f"{hit['clip_id'].split('/')[-1]}.npz")
        begin, end = (round(hit[side] * clip.fps) for side in ("start_s", "end_s"))
        part = dataclasses.replace(clip, positions=clip.positions[begin:end])
        write_clip(tmp_path / "part.npz", part)
        code, out, _ = call("search", "--motion", tmp_path / "part.npz", "--run", run, "-k", 1)
        assert code == 0 and hit["clip_id"] in out


def test_words_that_nobody_wrote_are_marked_among_the_hits(call, run, tmp_path):
    copy = Run.open(shutil.copytree(run, tmp_path / "run"))
    search = ("search", "a slow turn", "--run", copy.path, "-k", 2)
    hits = json.loads(call(*search, "--json")[1])["rows"]
    assert [hit["derived"] for hit in hits] == [[False] * len(hit["captions"]) for hit in hits]
    tensors, facts = load_bundle(copy.bundle("captions"))
    text = hits[0]["captions"][0]
    facts["derived"] = [facts["texts"].index(text)]
    save_bundle(copy.bundle("captions"), tensors, facts)
    for hit in json.loads(call(*search, "--json")[1])["rows"]:
        assert hit["derived"] == [caption == text for caption in hit["captions"]]
    _, first, *_ = call(*search)[1].splitlines()  # after how the sentence was understood
    assert first.endswith(f"{text} (derived)")


def test_a_run_that_is_not_finished(refused, run, npz):
    record = run / "run.json"
    kept = record.read_text()
    facts = json.loads(kept)
    del facts["steps"]["library"]
    record.write_text(json.dumps(facts))
    try:
        assert "not finished" in refused("describe", npz, "--run", run)
        record.write_text(json.dumps(facts | {"system": "ballet"}))
        assert "dance-language" in refused("describe", npz, "--run", run)
        record.write_text(kept[:-20])
        assert "damaged" in refused("info", run)
    finally:
        record.write_text(kept)
