"""Lang2Motion from files to tracks: training, generation, search, names, the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_dataset import ingest_here

from raydance.data.track_ingest import TrackSettings
from raydance.errors import InputError
from raydance.evaluation.general import evaluate_system
from raydance.systems import load_run
from raydance.systems.base import LocalRunner
from raydance.systems.lang2motion.search import MEASURED
from raydance.systems.lang2motion.system import SYSTEM
from raydance.tracks.export import write_track
from raydance.tracks.formats import read_tracks
from raydance.tracks.rows import flipped, grid_side_of
from raydance.tracks.synthetic import make_scenes
from raydance.training.run_folder import Run

TINY = (
    "track_text_space.width=32",
    "track_text_space.train.epochs=3",
    "track_path.width=32",
    "track_path.train.epochs=3",
    "track_flow.width=32",
    "track_flow.num_blocks=1",
    "track_flow.num_components=12",
    "track_flow.train.epochs=3",
    "texts.tokens=16",
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for number, scene in enumerate(make_scenes(48, seed=3)):
        track = scene.track(6)
        track = replace(track, captions=track.captions[:2])  # encoding takes longest
        write_track(folder / f"scene{number:03d}.npz", track)
    return folder


@pytest.fixture(scope="module")
def run(scenes: Path) -> Run:
    dataset = ingest_here([scenes], [], scenes.parent / "l2m" / "dataset", TrackSettings())
    config = SYSTEM.resolve("quick", list(TINY))
    return SYSTEM.train(dataset.parent / "run", dataset, config, LocalRunner())


def test_tracks_are_made_where_the_object_starts(run: Run) -> None:
    system = load_run(run.path)
    generate = system.tasks["generate"]
    box = (20.0, 40.0, 80.0, 100.0)
    inputs = {"text": "a red ball rolls to the right", "box": box}
    request = generate.request(inputs, {"samples": 3, "seconds": 2.0, "width": 320, "height": 240})
    (answer,) = generate.answer([request])
    assert answer.points.shape == (3, 30, 36, 2) and answer.frame_size == (320, 240)
    start = answer.points[:, 0]
    assert (start >= (20, 40)).all() and (start <= (80, 100)).all()
    assert not np.array_equal(answer.points[0], answer.points[1])
    assert answer.fps == pytest.approx(29 / 2)
    (again,) = generate.answer([request])
    assert np.array_equal(answer.points, again.points)
    (expected,) = generate.answer([generate.request(inputs, {"kind": "expected"})])
    assert len(expected.points) == 1


def test_tracks_pass_through_places_and_go_on(run: Run, scenes: Path) -> None:
    generate = load_run(run.path).tasks["generate"]
    options = {"samples": 2, "seconds": 3.0, "through": [[1.5, 200.0, 60.0], [3.0, 128.0, 128.0]]}
    (answer,) = generate.answer([generate.request({"text": "a ball flies up"}, options)])
    centre = answer.points.mean(axis=2)
    np.testing.assert_allclose(centre[:, [14, 29]], [[(200, 60), (128, 128)]] * 2, atol=12)
    track = read_tracks(scenes / "scene003.npz").tracks[0]
    inputs = {"text": "it goes on", "tracks": track}
    (answer,) = generate.answer([generate.request(inputs, {"go_on": 10})])
    assert answer.facts["missed_px"] == pytest.approx(
        float(np.abs(answer.points[0, :10] - track.points[:10]).max()), abs=1e-3
    )
    plain, _ = generate.answer([generate.request(inputs, {}), generate.request(inputs, {})])
    far = np.abs(plain.points[0, :10] - track.points[:10]).mean()
    assert np.abs(answer.points[0, :10] - track.points[:10]).mean() < max(0.5 * far, 2.0)
    for options, told in (
        ({"through": [[9.0, 1.0, 1.0]]}, "through: 9 s"),
        ({"through": [[1.0, 900.0, 1.0]]}, "inside the frame"),
        ({"through": [[1.0, 9.0, 1.0]], "kind": "expected"}, "drawn samples"),
        ({"kind": "alternatives", "samples": 2, "seed": 1}, "samples: for drawn samples"),
        ({"go_on": 3}, "give tracks to go on from"),
    ):
        with pytest.raises(InputError, match=told):
            generate.answer([generate.request({"text": "a ball"}, options)])


def test_a_mask_or_an_example_gives_the_start(run: Run, scenes: Path) -> None:
    generate = load_run(run.path).tasks["generate"]
    mask = np.zeros((120, 200), dtype=bool)
    mask[30:60, 50:90] = True
    (answer,) = generate.answer([generate.request({"text": "it falls", "mask": mask}, {})])
    assert answer.frame_size == (200, 120)
    assert (answer.points[0, 0] >= (50, 30)).all() and (answer.points[0, 0] <= (90, 60)).all()
    track = read_tracks(scenes / "scene000.npz").tracks[0]
    (answer,) = generate.answer([generate.request({"text": "it falls", "tracks": track}, {})])
    np.testing.assert_allclose(answer.points[0, 0], track.points[0], atol=0.05)


def test_search_finds_an_example_itself(run: Run, scenes: Path) -> None:
    search = load_run(run.path).tasks["search"]
    track = read_tracks(scenes / "scene007.npz").tracks[0]
    (answer,) = search.answer([search.request({"tracks": track}, {"k": 3})])
    assert answer.rows[0]["id"] == track.track_id and answer.rows[0]["score"] > 0.999
    (answer,) = search.answer([search.request({"text": "a ball bounces"}, {"k": 4})])
    assert len(answer.rows) == 4
    scores = [row["score"] for row in answer.rows]
    assert scores == sorted(scores, reverse=True)


def test_names_are_compared_without_training_on_them(run: Run, scenes: Path) -> None:
    classify = load_run(run.path).tasks["classify"]
    track = read_tracks(scenes / "scene001.npz").tracks[0]
    options = {"labels": ["rolls", "falls", "swings"], "prompt": "a ball {}"}
    (answer,) = classify.answer([classify.request({"tracks": track}, options)])
    assert {row["label"] for row in answer.rows} == {"rolls", "falls", "swings"}


def test_mistakes_are_told_by_name(run: Run) -> None:
    tasks = load_run(run.path).tasks
    text = {"text": "a ball rolls"}
    for name, inputs, options, told in (
        ("generate", text | {"box": (0, 0, 500, 10)}, {}, "inside the frame of 256 x 256"),
        ("generate", text | {"mask": np.zeros((9, 9), bool)}, {}, "mask is empty"),
        ("generate", text | {"box": (0, 0, 9, 9), "mask": np.ones((9, 9), bool)}, {}, "give one"),
        ("search", {}, {}, "Give a sentence or tracks"),
        ("generate", {"text": "  "}, {}, "sentence is empty"),
    ):
        with pytest.raises(InputError, match=told):
            tasks[name].answer([tasks[name].request(inputs, options)])
    with pytest.raises(InputError, match="text is missing"):
        tasks["generate"].request({}, {})


def test_a_dataset_of_motion_is_refused(tiny_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds motion; lang2motion needs tracks"):
        SYSTEM.train(tmp_path / "run", tiny_dataset, SYSTEM.resolve("quick"), LocalRunner())


def test_figures_stand_beside_their_baselines(run: Run) -> None:
    figures = evaluate_system(SYSTEM, run.path)
    by_name = {m["name"]: m for m in figures["measures"]}
    assert set(MEASURED.values()) <= set(by_name)  # what sweeps and ablations look for
    for name in ("text to track, R@10", "ADE of the expected path", "ADE of the best of ten draws"):
        assert by_name[name]["baseline"] is not None
    best, one = by_name["ADE of the best of ten draws"], by_name["ADE of the expected path"]
    assert 0.0 < best["value"] < 128.0 and 0.0 < one["value"] < 128.0


def test_a_report_shows_figures_losses_and_samples(run: Run, tmp_path: Path, call: Any) -> None:
    code, _, _ = call("report", str(run.path), "--out", str(tmp_path), "--sentence", "it <rolls>")
    page = (tmp_path / "index.html").read_text()
    assert code == 0 and "it &lt;rolls&gt;" in page
    for told in (
        "ADE of the best of ten draws",
        "Track text space",
        "samples/generate_0.gif",
        "captions",
    ):
        assert told in page, told
    assert (tmp_path / "figures" / "losses_track_flow.svg").is_file()


def test_the_command_line_draws_and_finds(run: Run, tmp_path: Path, call: Any) -> None:
    out = tmp_path / "ball.svg"
    arguments = ("a ball rolls left", "--run", str(run.path), "--box", "20,20,60,60")
    code, printed, _ = call("generate", *arguments, "--out", str(out), "--option", "samples=2")
    assert code == 0 and (tmp_path / "ball-2.svg").is_file() and "<svg" in out.read_text()
    code, printed, _ = call("search", "a ball falls", "--run", str(run.path), "-k", "2", "--json")
    assert code == 0 and len(json.loads(printed)["rows"]) == 2
    mask = tmp_path / "mask.png"
    Image.fromarray(np.uint8(np.eye(64) * 255)).save(mask)
    code, _, _ = call(
        *("task", "generate", "--run", str(run.path), "--text", "it spins"),
        *("--mask", str(mask), "--out", str(tmp_path / "a.gif")),
    )
    assert code == 0 and (tmp_path / "a.gif").stat().st_size > 1000
    code, _, told = call("generate", "x", "--run", str(run.path), "--out", str(tmp_path / "a.bvh"))
    assert code == 2 and "tracks are written to" in told
    code, _, told = call("task", "dance", "--run", str(run.path), "--text", "x")
    assert code == 2 and "it can: generate, search, classify" in told


def test_a_flip_keeps_the_grid_in_order() -> None:
    side = np.linspace(-0.5, 0.5, 3)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(1, 1, 9, 2).repeat(4, axis=1)
    tracks = (grid + np.linspace(0, 0.3, 4)[None, :, None, None] * [1.0, 0.0]).astype(np.float32)
    assert grid_side_of(tracks) == 3
    visible = np.ones((1, 4, 9), dtype=bool)
    visible[:, :, 0] = False
    swapped, seen = flipped(tracks, visible, 3)
    np.testing.assert_allclose(swapped[:, 0], tracks[:, 0], atol=1e-6)  # the same grid at first
    assert (swapped[0, -1, :, 0] < swapped[0, 0, :, 0]).all()  # and then to the other side
    assert not seen[0, 0, 2] and seen[0, 0, 0]
    random = np.random.default_rng(0).normal(size=(5, 4, 9, 2)).astype(np.float32)
    assert grid_side_of(random) == 0
