"""The command line: help, exit codes, one line for a mistake, and a run through every command."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from serving import free_port

import raydance
from raydance import cli
from raydance.dataset import finish
from raydance.errors import FormatError, InputError, RaydanceError
from raydance.ingest import Settings, write_group
from raydance.motion import skeleton
from raydance.motion.captions import _ALLOWED as CAPTION_KEYS
from raydance.motion.captions import read_captions
from raydance.motion.formats import read_clip
from raydance.motion.mapping import load_mapping
from raydance.motion.synthetic import MOVEMENTS, make_clip, write_corpus
from raydance.sources import find_jobs, group_jobs

NAMES = [command.__name__ for command in cli.COMMANDS]


@pytest.fixture
def call(capsys):
    """Runs a command as the shell would: `(exit code, standard output, standard error)`."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, out, err

    return run


@pytest.fixture
def refused(call):
    """Runs a command that must be refused in one line, without a traceback; returns the line."""

    def run(*arguments: object, code: int = 2) -> str:
        found, out, err = call(*arguments)
        assert found == code, err
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("raydance: ")
        return line

    return run


@pytest.fixture(scope="module")
def npz(tmp_path_factory) -> Path:
    """Three seconds of the procedural dancer, with the thumbs left out."""
    path = tmp_path_factory.mktemp("motion") / "dancer.npz"
    clip = make_clip(MOVEMENTS[1], 0)
    mask = np.array(["thumb" not in name for name in clip.joint_names])
    np.savez(
        path,
        positions=clip.positions[:60] * 100,
        joint_names=np.array(clip.joint_names),
        parents=np.array(clip.parents),
        joint_mask=mask,
        fps=20.0,
    )
    return path


BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Tail
  {
    OFFSET 0 -90 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -10 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.05
0 100 0 0 0 0 0 0 0
0 100 0 0 0 0 0 0 0
"""


# Help


def test_help_names_every_command(call):
    code, out, _ = call("--help")
    assert code == 0
    listed = re.findall(r"^  (\w+)  ", out.split("Commands:")[1], re.MULTILINE)
    assert listed == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_help_of_every_command_has_an_example(call, name):
    code, out, err = call(name, "--help")
    assert (code, err) == (0, "")
    examples = out.split("Example")[1].split("Arguments:")[0]
    assert f"    raydance {name} " in examples


def understand(line: str) -> None:
    """Parse a command line without running it; raises for what the command does not know."""
    words = shlex.split(line)
    group = typer.main.get_command(cli.app)
    with group.make_context("raydance", words) as context:
        name, command, rest = group.resolve_command(context, words)
        command.make_context(name, rest)


def test_every_example_is_understood():
    for command in cli.COMMANDS:
        text = (command.__doc__ or "").replace("\\\n", " ")
        for line in re.findall(r"^ +raydance (.+)$", text, re.MULTILINE):
            understand(line.split(" > ")[0])


def test_version(call):
    assert call("--version") == (0, f"raydance {raydance.__version__}\n", "")


def test_importing_the_commands_is_light():
    check = (
        "import sys, raydance.cli\n"
        "heavy = {'torch', 'ray', 'numpy', 'scipy', 'transformers', 'pyarrow', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# Mistakes


def test_mistakes_in_the_options(refused):
    assert "--data" in refused("train", "dance-language")
    assert "raydance train --help" in refused("train", "dance-language")
    assert "frobnicate" in refused("frobnicate")
    assert "--frob" in refused("info", "--frob")
    assert "--window" in refused("ingest", "x", "--out", "y", "--window", "seven")


def test_files_that_are_not_there(refused, tmp_path):
    for name in ("describe", "info"):
        run = ["--run", tmp_path] if name == "describe" else []
        assert "no such file" in refused(name, tmp_path / "walk.bvh", *run)
    assert "no such file" in refused("ingest", tmp_path / "none", "--out", tmp_path / "d")
    assert ".bvh" in refused("info", tmp_path / "walk.c3d")


def test_folders_that_are_not_ours(refused, tmp_path, npz):
    (tmp_path / "notes.txt").write_text("mine")
    for arguments in (
        ["info", tmp_path],
        ["describe", npz, "--run", tmp_path],
        ["search", "a turn", "--run", tmp_path],
        ["generate", "a turn", "--run", tmp_path, "--out", tmp_path / "a.gif"],
        ["train", "dance-language", "--data", tmp_path, "--out", tmp_path / "run"],
    ):
        assert str(tmp_path) in refused(*arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt"]


def test_configurations_that_do_not_exist(refused, tmp_path):
    def line(*more: object) -> str:
        return refused("train", "dance-language", "--data", tmp_path, "--out", tmp_path, *more)

    assert "default, paper, quick" in line("--preset", "huge")
    assert "motion_vae.hiden" in line("--set", "motion_vae.hiden=3")
    assert "a.b=value" in line("--set", "seed")
    assert "seed" in line("--set", "seed=early")
    assert "none.yaml" in line("--config", tmp_path / "none.yaml")
    assert "dance-language" in refused("train", "ballet", "--data", tmp_path, "--out", tmp_path)


def test_values_out_of_range(refused, npz, tmp_path):
    assert "-k 0" in refused("describe", npz, "--run", tmp_path, "-k", 0)
    assert "furlong" in refused("info", npz, "--units", "furlong")
    assert "x, y, z" in refused("info", npz, "--up", "w")
    generate = ("generate", "a turn", "--run", tmp_path, "--out")
    assert ".npz, .bvh, .glb, .gif, .mp4" in refused(*generate, tmp_path / "a.fbx")
    assert "unit is for .bvh" in refused(*generate, tmp_path / "a.glb", "--unit", "m")
    assert "limits is for .npz" in refused(*generate, tmp_path / "a.gif", "--no-limits")
    convert = ("convert", npz, "--out", tmp_path / "a.bvh")
    assert "allowed: m, cm" in refused(*convert, "--out-unit", "feet")
    assert "allowed: y, z" in refused(*convert, "--out-up", "x")
    assert "not both" in refused("search", "a turn", "--motion", npz, "--run", tmp_path)
    assert "sentence" in refused("search", "--run", tmp_path)


def test_serve_refuses_what_has_no_nodes(refused, monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    for flags in (["--replicas-per-node", 1], ["--replicas", 2], ["--batch", 1]):
        line = refused("serve", "runs/none", "--no-ray", *flags)
        assert "--replicas-per-node" in line and "--no-ray has none" in line
    for number in (0, 101, "one"):
        assert "--replicas-per-node" in refused("serve", "runs/none", "--replicas-per-node", number)
    more = ("--replicas", "2:4", "--replicas-per-node")
    assert "--replicas needs 2 of each part; give --address" in refused("serve", "x", *more, 1)
    elsewhere = ("serve", "runs/none", "--port", free_port(), *more)  # the run is looked for next
    assert "not a finished run" in refused(*elsewhere, 2)
    assert "not a finished run" in refused(*elsewhere, 1, "--address", "auto")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert "not a finished run" in refused(*elsewhere, 1)


def test_a_line_of_a_broken_file_is_named(refused, tmp_path):
    path = tmp_path / "walk.bvh"
    path.write_text(BVH.replace("0 100 0 0 0 0 0 0 0\n", "0 100 0\n"))
    assert re.search(r"walk\.bvh line \d+: ", refused("info", path))


# Errors of every kind


class RemoteError(InputError):
    """Looks like Ray's wrapper: an instance of what it wraps, with the traceback as its text."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("Traceback (most recent call last):\n  File ...")
        self.cause = cause


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (FormatError("a.bvh", "66 values", 41), 2, "a.bvh line 41: 66 values"),
        (InputError("two\n  lines"), 2, "two lines"),
        (RaydanceError("a worker was lost"), 1, "a worker was lost"),
        (RemoteError(InputError("no windows")), 2, "no windows"),
        (chained(RuntimeError("task failed"), InputError("no windows")), 2, "no windows"),
        (chained(RaydanceError("outer"), InputError("inner")), 1, "outer"),
        (OSError(errno.EACCES, "Permission denied", "/x"), 2, "/x: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 1, "/x: No space left on device"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_errors_become_a_line_and_a_code(refused, monkeypatch, npz, error, code, line):
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("raydance.motion.formats.read_clip", fail)
    assert refused("info", npz, code=code) == f"raydance: {line}"


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch, npz):
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("raydance.motion.formats.read_clip", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["info", str(npz)])


def test_debug_shows_the_traceback(call, monkeypatch, tmp_path):
    monkeypatch.setenv("RAYDANCE_DEBUG", "1")
    code, _, err = call("info", tmp_path / "walk.bvh")
    assert code == 2
    assert "Traceback" in err and err.splitlines()[-1].startswith("raydance: ")


def test_a_reader_that_leaves_is_no_error(npz):
    command = [sys.executable, "-m", "raydance", "info", str(npz)]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert "Traceback" not in done.stderr and "Error" not in done.stderr


# What a file holds


def test_info_of_an_array_file(call, npz):
    code, out, err = call("info", npz, "--json")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert (facts["kind"], facts["format"]) == ("file", "arrays")
    assert (facts["frames"], facts["fps"], facts["seconds"]) == (60, 20.0, 3.0)
    assert (facts["unit"], facts["up"]) == ("cm", "y")
    thumbs = [name for name in skeleton.JOINTS if "thumb" in name]
    assert facts["mapping"]["missing"] == thumbs
    assert facts["mapping"]["matched"]["left_knee"] == "left_knee"
    assert call("info", npz)[1].count("\n") > 46  # a line for each joint that was matched


def test_info_obeys_what_is_given(call, npz):
    facts = json.loads(call("info", npz, "--fps", 60, "--units", 0.01, "--json")[1])
    assert (facts["fps"], facts["seconds"], facts["unit"]) == (60.0, 1.0, "given")


def test_info_says_why_a_skeleton_cannot_be_mapped(call, tmp_path):
    path = tmp_path / "tail.bvh"
    path.write_text(BVH)
    facts = json.loads(call("info", path, "--json")[1])
    assert facts["format"] == "bvh" and facts["mapping"] is None
    code, out, _ = call("info", path)
    assert code == 0 and "cannot be mapped" in out and "no left_hip" in out


def test_a_mapping_file_decides_alone(call, refused, npz, tmp_path):
    mapping = tmp_path / "mine.yaml"
    chosen = [j for j in skeleton.JOINTS[:22] if j != "left_hip"]
    mapping.write_text("".join(f"{j}: {j}\n" for j in chosen) + "left_hip: right_hip\n")
    facts = json.loads(call("info", npz, "--mapping", mapping, "--json")[1])
    assert facts["mapping"]["convention"] == "given"
    assert facts["mapping"]["matched"]["left_hip"] == "right_hip"
    assert len(facts["mapping"]["missing"]) == 28
    mapping.write_text("left_hipp: left_hip\n")
    assert "did you mean left_hip?" in refused("info", npz, "--mapping", mapping)


# One small run through the commands


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """A clip of each movement and a broken file, read without Ray."""
    folder = tmp_path_factory.mktemp("library")
    write_corpus(folder / "corpus", 1)
    (folder / "corpus" / "broken.bvh").write_text("HIERARCHY\n")
    captions = folder / "corpus" / "captions.jsonl"
    lines = [json.loads(line) for line in captions.read_text().splitlines()]
    splits = {
        name: ("val", "test")[i % 2] for i, name in enumerate({r["file"] for r in lines}) if i < 6
    }
    rows = [
        r
        | {"captions": r["captions"][:1]}
        | ({"split": splits[r["file"]]} if r["file"] in splits else {})
        for r in lines
    ]
    captions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    jobs = find_jobs([folder / "corpus"], [captions])
    out, settings = folder / "dataset", Settings()
    found = [
        row
        for number, group in enumerate(group_jobs(jobs, 2))
        for row in write_group(number, group, settings, out)
    ]
    finish(
        out,
        shards=[shard for row in found for shard in row["shards"]],
        clips=[clip for row in found for clip in row["clips"]],
        files=[row["record"] for row in found],
        settings={"fps": 20.0, "window": 50, "stride": 20, "seed": 0},
        versions={},
    )
    return out


STAGES = ("motion_vae", "text_encoder", "contrastive", "motion_to_text", "text_to_motion")
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
    assert code == 0 and found["seconds"] == 3.0
    assert found["segments"][0]["end_s"] == 3.0
    assert all(len(part["captions"]) == 2 for part in found["segments"])
    best = found["segments"][0]["captions"][0]["text"]
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
    assert notes[".glb"].splitlines()[1] == notes[".bvh"].splitlines()[1]  # one fit for both
    files = ["turn.bvh", "turn.gif", "turn.glb", "turn.npz"]
    assert sorted(p.name for p in path.parent.iterdir()) == files


def test_generate_holds_standing_feet_unless_told_not_to(call, run, tmp_path):
    common = ("generate", "walking with quick steps", "--run", run, "--frames", 120, "--json")
    found = {}
    for way in ("--clean-feet", "--raw"):
        code, said, err = call(*common, "--out", tmp_path / f"{way}.npz", way)
        assert code == 0, err
        found[way] = json.loads(said)["feet"]
    assert found["--raw"] is None
    feet = found["--clean-feet"]
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


def test_search_by_words_and_by_motion(call, run, dataset):
    hits = json.loads(call("search", "a slow turn", "--run", run, "-k", 3, "--json")[1])
    assert len({hit["clip_id"] for hit in hits}) == 3
    assert hits[0]["score"] >= hits[1]["score"] >= hits[2]["score"]
    clip = dataset.with_name("corpus") / f"{hits[0]['clip_id'].split('/')[-1]}.npz"
    code, out, _ = call("search", "--motion", clip, "--run", run, "-k", 1)
    assert code == 0 and hits[0]["clip_id"] in out


def test_serve_hands_its_scale_on(refused, run, monkeypatch):
    from raydance.cluster import serving, session

    def build(entries: object, settings: object, **scale: object) -> None:
        raise RaydanceError(f"asked for {scale}")

    monkeypatch.setattr(session, "ray_session", lambda *args, **more: contextlib.nullcontext())
    monkeypatch.setattr(serving, "build", build)
    command = ("serve", run, "--address", "auto", "--no-page", "--quiet")
    flags = ("--replicas", "2:8", "--replicas-per-node", 1, "--batch", 4)
    wanted = {"replicas": (2, 8), "replicas_per_node": 1, "batch": 4}
    assert str(wanted) in refused(*command, *flags, code=1)
    assert "'replicas_per_node': None" in refused(*command, code=1)


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


# The README


README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def code_of(language: str) -> list[str]:
    """The README's blocks of code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_readme_names_every_command_and_no_other():
    table = README.split("## Commands")[1].split("## Python")[0]
    named = re.findall(r"^\| `(\w+)", table, re.MULTILINE)
    assert named == NAMES


def test_the_readme_commands_are_understood():
    lines = "".join(code_of("sh")).replace("\\\n", " ").splitlines()
    commands = [line.split("#")[0] for line in lines if line.startswith("raydance ")]
    assert len(commands) >= 8
    for line in commands:
        understand(line.removeprefix("raydance "))


def test_the_readme_captions_and_mapping_are_read(tmp_path):
    (captions,) = code_of("json")
    (tmp_path / "captions.jsonl").write_text(captions)
    rows = read_captions(tmp_path / "captions.jsonl")
    assert [row.end_frame for row in rows] == [None, 480]
    table = README.split("### Captions")[1].split("### Your own")[0]
    documented = {
        key
        for cell in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", cell)
    }
    assert documented == set(CAPTION_KEYS)
    (mapping,) = code_of("yaml")
    (tmp_path / "mapping.yaml").write_text(mapping)
    assert load_mapping(tmp_path / "mapping.yaml")["head"] == ("L_Ear", "R_Ear")


def test_the_readme_links_exist():
    root = Path(__file__).parents[1]
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links and all((root / link).exists() for link in links)
