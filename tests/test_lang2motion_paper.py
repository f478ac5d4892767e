"""Lang2Motion the paper's way: sentences, pictures and drawn trails in a CLIP's space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from browsing import Visit, settle, submit
from PIL import Image
from serving import running
from small_dataset import ingest_here

from raydance import web
from raydance.client import Client
from raydance.data.track_ingest import TrackSettings
from raydance.errors import InputError, RaydanceError
from raydance.evaluation.general import evaluate_system
from raydance.serving.application import Settings
from raydance.serving.runs import Entry
from raydance.serving.task_app import create_task_app
from raydance.systems import load_run
from raydance.systems.base import LocalRunner
from raydance.systems.lang2motion.autoencoder_run import AutoencoderLang2Motion
from raydance.systems.lang2motion.clip_steps import overlay_features
from raydance.systems.lang2motion.system import SYSTEM
from raydance.systems.tasks import TracksAnswer
from raydance.tracks.export import write_track
from raydance.tracks.formats import read_tracks
from raydance.tracks.overlay import draw_overlays
from raydance.tracks.synthetic import make_scenes
from raydance.tracks.track import Track
from raydance.training.run_folder import Run, load_bundle

TINY = (
    "small_clip.width=16", "small_clip.layers=1", "small_clip.image_size=32",
    "small_clip.vocabulary=300", "small_clip.train.epochs=1", "overlays.every=10",
    "overlays.size=32", "small_clip.outputs=16", "track_autoencoder.layers=1",
    "track_autoencoder.feedforward=32", "track_autoencoder.decoder_width=32",
    "track_autoencoder.train.epochs=2", "texts.tokens=8",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("paper")
    (folder / "scenes").mkdir()
    for number, scene in enumerate(make_scenes(32, seed=3)):
        track = scene.track(6)
        track = replace(track, captions=track.captions[:1])
        write_track(folder / "scenes" / f"scene{number:02d}.npz", track)
    dataset = ingest_here([folder / "scenes"], [], folder / "dataset", TrackSettings())
    config = SYSTEM.resolve("paper-offline", list(TINY))
    with pytest.warns(UserWarning, match="texts: head=autoencoder does not use"):
        run = SYSTEM.train(folder / "run", dataset, config, LocalRunner())
    assert set(run.facts["steps"]) == set(SYSTEM.steps_of(config))
    tensors, facts = load_bundle(run.bundle("texts"))
    assert not tensors and len(facts["texts"]) > 1, "sentences are read by the CLIP alone"
    return run


@pytest.fixture(scope="module")
def system(run: Run) -> AutoencoderLang2Motion:
    found = load_run(run.path)
    assert isinstance(found, AutoencoderLang2Motion) and found.clip.dim == 16
    return found


@pytest.fixture(scope="module")
def track(run: Run) -> Track:
    return read_tracks(run.path.parent / "scenes" / "scene01.npz").tracks[0]


@pytest.fixture(scope="module")
def files(run: Run, track: Track) -> dict[str, Path]:
    """A picture, its mask, and the track drawn as a GIF."""
    folder = run.path.parent / "pictures"
    folder.mkdir()
    found = {name: folder / f"{name}.png" for name in ("image", "mask")}
    found["overlay"] = folder / "overlay.gif"
    pixels = np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)
    Image.fromarray(pixels).save(found["image"])
    mask = np.zeros((120, 200), np.uint8)
    mask[30:60, 50:90] = 255
    Image.fromarray(mask).save(found["mask"])
    write_track(found["overlay"], track)
    return found


@pytest.fixture(scope="module")
def service_url(run: Run) -> Iterator[str]:
    try:
        page = str(web.dist())
    except RaydanceError:  # it cannot be built here
        page = None
    entries = [Entry(name="paper", run=str(run.path))]
    with running(create_task_app(entries, Settings(page=page))) as url:
        yield url


def ask(system: AutoencoderLang2Motion, name: str, inputs: Any, **options: Any) -> TracksAnswer:
    task = system.tasks[name]
    (answer,) = task.answer([task.request(inputs, options)])
    assert isinstance(answer, TracksAnswer) and np.isfinite(answer.points).all()
    return answer


def test_overlays_change_what_the_encoder_says(
    system: AutoencoderLang2Motion, track: Track
) -> None:
    row, visible = system.row_of(track)
    plain = system.place_tracks(row, visible)
    seen = system.place_tracks(row, visible, with_overlays=True)
    assert plain.shape == (1, 16) and not np.allclose(plain, seen)


def test_tracks_between_two_ends_and_in_another_style(
    system: AutoencoderLang2Motion, track: Track
) -> None:
    ends = {"tracks": track, "text": "a ball bounces"}
    between = ask(system, "interpolate", ends, samples=3)
    assert len(between.points) == 3 and not np.allclose(between.points[0], between.points[2])
    said = ask(system, "generate", {"text": "a ball bounces", "tracks": track})
    np.testing.assert_allclose(between.points[2], said.points[0], atol=1e-3)
    same = ask(system, "transfer", {"tracks": track}, style="slowly", strength=0.0)
    np.testing.assert_allclose(same.points[0], between.points[0], atol=1e-3)


def test_an_image_takes_the_place_of_a_sentence(system: AutoencoderLang2Motion) -> None:
    mask = np.zeros((120, 200), dtype=bool)
    mask[30:60, 50:90] = True
    bright, dark = (np.full((120, 200, 3), level, np.uint8) for level in (255, 0))
    answers = [ask(system, "generate", {"image": one, "mask": mask}) for one in (bright, dark)]
    for answer in answers:
        assert answer.frame_size == (200, 120) and answer.notices
        start = answer.points[0, 0]
        assert (start >= (50, 30)).all() and (start <= (90, 60)).all()
    assert not np.allclose(answers[0].points, answers[1].points), "the picture decides"


def test_drawn_trails_stand_where_the_run_has_learned_them(
    system: AutoencoderLang2Motion, track: Track
) -> None:
    """The frames of an overlay have the features that its track's overlays had in training."""
    row, visible = system.row_of(track)
    learned = overlay_features(system.clip, row, visible, system.config)[0].mean(axis=0)
    fixed = replace(track, points=(row[0] + 1) * 16, visible=visible[0], frame_size=(32, 32))
    frames = np.stack(list(draw_overlays(fixed)))[::10]
    point = system.place_pictures(frames)
    np.testing.assert_allclose(point, learned / np.linalg.norm(learned), atol=0.02)
    wide = np.repeat(frames, 2, axis=2)  # a wide frame is squeezed, and not cut
    np.testing.assert_allclose(system.place_pictures(wide), point, atol=0.02)
    answer = ask(system, "generate", {"overlay": frames, "box": (8, 8, 40, 40)}, seconds=2.0)
    assert answer.points.shape == (1, 30, 36, 2) and answer.frame_size == (256, 256)
    assert not answer.notices and answer.fps == pytest.approx(29 / 2)


def test_one_thing_says_how_it_moves(system: AutoencoderLang2Motion) -> None:
    image, mask = np.zeros((8, 9, 3), np.uint8), np.ones((8, 9), dtype=bool)
    for inputs, told in (
        ({}, "found neither"),
        ({"text": "it falls", "image": image, "mask": mask}, "found text and image"),
        ({"image": image}, "give a mask"),
        ({"image": image, "mask": mask[:5]}, "9 x 5; allowed: 9 x 8"),
        ({"text": " "}, "sentence is empty"),
    ):
        with pytest.raises(InputError, match=told):
            ask(system, "generate", inputs)
    with pytest.raises(InputError, match="no option samples"):
        ask(system, "generate", {"text": "it falls"}, samples=2)


def test_its_tasks_are_commands(
    run: Run, files: dict[str, Path], tmp_path: Path, call: Any
) -> None:
    start = ("task", "generate", "--run", str(run.path), "--out", str(tmp_path / "a.npz"))
    pictured = ("--image", str(files["image"]), "--mask", str(files["mask"]))
    code, printed, _ = call(*start, *pictured)
    assert code == 0 and "trails on black" in printed
    (made,) = read_tracks(tmp_path / "a.npz").tracks
    assert made.frame_size == (200, 120) and made.num_frames == 30
    assert call(*start, "--overlay", str(files["overlay"]))[0] == 0
    assert call("generate", "it falls", *start[2:], "--box", "9,9,80,80")[0] == 0
    code, _, error = call(*start, "--image", str(run.path / "run.json"))
    assert code == 2 and "no readable picture" in error


def test_its_tasks_are_routes(service_url: str, run: Run, files: dict[str, Path]) -> None:
    (model,) = requests.get(f"{service_url}/v1/models", timeout=60).json()["models"]
    tasks = {task["name"]: task for task in model["tasks"]}
    inputs = tasks["generate"]["inputs"]
    assert inputs["image"]["kind"] == "image" and not inputs["text"]["required"]
    example = run.path.parent / "scenes" / "scene02.npz"
    with Client(service_url) as client:
        pictured = {name: files[name] for name in ("image", "mask")}
        for name, options, given in (
            ("generate", {}, pictured),
            ("generate", {"seconds": 2}, {"overlay": files["overlay"], "box": [9, 9, 90, 90]}),
            ("transfer", {"style": "slowly", "strength": 2}, {"tracks": example}),
            ("interpolate", {"samples": 3}, {"tracks": example, "text": "it falls"}),
        ):
            answer = client.task(name, options, **given)
            assert isinstance(answer, dict) and len(answer["samples"]) == options.get("samples", 1)
    for name, content, told in (
        ("image.png", b"no picture", "no readable picture"),
        ("image.tiff", b"", "suffix .tiff; allowed: .png, .jpg"),
    ):
        answer = requests.post(
            f"{service_url}/v1/tasks/generate", files={"image": (name, content)}, timeout=60
        )
        assert answer.status_code == 422 and told in answer.json()["detail"], answer.text


@pytest.mark.slow
def test_its_page_takes_pictures_and_shows_what_other_tasks_make(
    visit: Visit, files: dict[str, Path]
) -> None:
    page = visit()
    page.click("#panel-generate details summary")
    for name in ("image", "mask"):
        page.set_input_files(f"#generate-{name}", files[name])
    page.click("#generate")
    (take,) = settle(page)["takes"]
    assert take["note"] == "like image.png" and "trails on black" in page.inner_text("#notices")
    submit(page, "it falls")
    assert "found text and image" in page.inner_text("#problem")
    page.click("#tab-interpolate")
    page.fill("#interpolate-text", "it falls")
    page.click("#interpolate-shown")
    takes = settle(page)["takes"]
    assert [take["label"] for take in takes] == [f"Sample {number}" for number in range(1, 6)]
    assert page.inner_text("#problem") == ""


def test_its_figures_have_their_names(run: Run) -> None:
    names = {m["name"] for m in evaluate_system(SYSTEM, run.path)["measures"]}
    assert "text to track, R@10" in names
