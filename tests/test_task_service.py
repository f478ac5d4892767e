"""The service of runs that declare tasks, over HTTP: JSON, files, limits, mistakes, keys."""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from serving import running

from raydance.client import Client
from raydance.motion import synthetic
from raydance.motion.export import bvh
from raydance.music.audio import read_audio, write_wav
from raydance.serving.access_control import digest
from raydance.serving.application import Settings
from raydance.serving.runs import Entry
from raydance.serving.task_app import create_task_app
from raydance.tracks.formats import read_tracks


@pytest.fixture(scope="module")
def folder(task_runs: Path) -> Path:
    return task_runs


@pytest.fixture(scope="module")
def address(folder: Path):  # type: ignore[no-untyped-def]
    entries = [Entry(name=name, run=str(folder / name)) for name in ("dance", "tracks")]
    with running(create_task_app(entries, Settings())) as found:
        yield found


def test_models_say_what_can_be_asked(address: str) -> None:
    found = requests.get(f"{address}/v1/models", timeout=30).json()
    by_name = {model["name"]: model for model in found["models"]}
    assert by_name["dance"]["system"] == "everything2motion"
    (generate,) = by_name["dance"]["tasks"]
    assert generate["inputs"]["music"]["kind"] == "music"
    assert generate["inputs"]["music"]["learned"] and generate["inputs"]["text"]["learned"]
    assert generate["options"]["properties"]["seconds"]["description"]
    assert [task["name"] for task in by_name["tracks"]["tasks"]] == [
        "generate",
        "search",
        "classify",
    ]
    assert "bvh" in generate["formats"] and ".wav" in found["files"]["music"]


def test_a_sentence_as_json_and_as_a_file(address: str) -> None:
    body = {"text": "turns slowly", "options": {"seconds": 2, "samples": 2}}
    answer = requests.post(f"{address}/v1/tasks/generate", json=body, timeout=60)
    found = answer.json()
    assert answer.ok and found["model"] == "dance" and len(found["samples"]) == 2
    positions = np.array(found["samples"][0]["positions"])
    assert positions.shape == (40, len(found["joints"]), 3)
    again = requests.post(
        f"{address}/v1/tasks/generate", json=body | {"format": "bvh", "sample": 1}, timeout=60
    )
    assert again.ok and again.text.startswith("HIERARCHY")


def test_an_uploaded_song_and_motion(address: str, folder: Path, tmp_path: Path) -> None:
    song = next((folder / "dances").glob("*.wav"))
    take = tmp_path / "take.bvh"
    bvh.write(take, synthetic.make_clip(synthetic.MOVEMENTS[2], 5))
    answer = requests.post(
        f"{address}/v1/tasks/generate",
        data={"options": json.dumps({"seconds": 3})},
        files={"music": (song.name, song.read_bytes()), "motion": ("t.bvh", take.read_bytes())},
        timeout=60,
    )
    found = answer.json()
    assert answer.ok, found
    assert len(found["samples"][0]["positions"]) == 60 and len(found["beats_s"]) > 2


def test_a_dance_to_a_song_is_a_job(address: str, folder: Path, tmp_path: Path) -> None:
    song = next((folder / "dances").glob("*.wav"))
    with Client(address) as client:
        job = client.start_with_file(
            "tasks/generate", "music", song, options='{"seconds": 3}', format="bvh"
        )
        assert job.save(tmp_path / "dance.bvh").read_text().startswith("HIERARCHY")
        assert job.state()["state"] == "done"
        answer = client.task("generate", {"seconds": 3}, music=song, text="turns slowly")
        assert isinstance(answer, dict) and len(answer["samples"][0]["positions"]) == 60
        saved = client.task("generate", {"seconds": 2}, path=tmp_path / "x.npz", text="a turn")
        assert isinstance(saved, Path) and np.load(saved)["positions"].shape[0] == 40
    page = requests.get(f"{address}/docs", timeout=30)
    assert "/v1/tasks/{name}" in page.text


def test_files_of_a_task_are_changed_as_wanted(address: str) -> None:
    url = f"{address}/v1/tasks/generate"
    changes = {"start_s": 0.5, "end_s": 1.5, "fps": 60, "names": "mixamo", "in_place": True}
    body = {"text": "turns slowly", "options": {"seconds": 2}, "format": "bvh", "file": changes}
    answer = requests.post(url, json=body, timeout=60)
    assert answer.ok and "mixamorig:Hips" in answer.text and "Frames: 61" in answer.text
    assert float(answer.headers["X-Raydance-Residual-Cm"]) < 3
    texts = body | {"options": '{"seconds": 2}', "file": json.dumps(changes)}
    form = {name: (None, str(text)) for name, text in texts.items()}
    assert requests.post(url, files=form, timeout=60).content == answer.content
    for wrong, told in (
        ({"file": {"fps": 0}}, "file.fps: 0"),
        ({"file": {"speed": 2}}, "file.speed"),
        ({"file": changes, "format": "gif"}, "names is for .bvh, .glb"),
        ({"file": {"loop": True}, "model": "tracks", "format": "svg"}, "makes no motion"),
    ):
        answer = requests.post(url, json=body | wrong, timeout=60)
        assert answer.status_code == 422 and told in answer.json()["detail"], answer.text
    answer = requests.post(url, files=form | {"file": (None, '{"fps": 0}')}, timeout=60)
    assert answer.status_code == 422 and "file.fps: 0" in answer.json()["detail"], answer.text


def test_a_film_of_a_dance_has_the_sound_of_its_part(address: str, folder: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    song = next((folder / "dances").glob("*.wav"))
    form = {"options": '{"seconds": 3}', "format": "mp4", "file": '{"start_s": 1, "end_s": 2.5}'}
    answer = requests.post(
        f"{address}/v1/tasks/generate",
        data=form,
        files={"music": (song.name, song.read_bytes())},
        timeout=120,
    )
    assert answer.ok, answer.text
    heard = np.frombuffer(decoded(ffmpeg.get_ffmpeg_exe(), answer.content), np.float32)
    samples, _ = read_audio(song, 8000)
    assert len(heard) == pytest.approx(1.55 * 8000, abs=800)
    likeness = [
        np.corrcoef(heard[:9000], samples[at : at + 9000])[0, 1] for at in range(7000, 9000)
    ]
    assert max(likeness) > 0.9 and abs(7000 + int(np.argmax(likeness)) - 8000) < 400


def decoded(ffmpeg: str, film: bytes) -> bytes:
    """The sound of a film: one channel of float32 at 8 kHz."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(film)
        file.flush()
        command = [ffmpeg, "-loglevel", "error", "-i", file.name, "-vn", "-f", "f32le"]
        ran = subprocess.run([*command, "-ac", "1", "-ar", "8000", "-"], capture_output=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_tracks_from_a_box_a_mask_and_an_example(address: str, folder: Path) -> None:
    url = f"{address}/v1/tasks/generate"
    body = {"model": "tracks", "text": "a ball rolls", "box": [10, 10, 60, 60]}
    found = requests.post(url, json=body, timeout=60).json()
    assert np.array(found["samples"][0]["points"]).shape == (30, 36, 2)
    picture = io.BytesIO()
    Image.fromarray(np.uint8(np.eye(80) * 255)).save(picture, format="PNG")
    answer = requests.post(
        url,
        data={"model": "tracks", "text": "it falls", "format": "svg"},
        files={"mask": ("m.png", picture.getvalue())},
        timeout=60,
    )
    assert answer.ok and b"<svg" in answer.content
    example = folder / "scenes" / "s03.npz"
    answer = requests.post(
        f"{address}/v1/tasks/search",
        data={"model": "tracks", "options": '{"k": 2}'},
        files={"tracks": ("x.npz", example.read_bytes())},
        timeout=60,
    )
    assert answer.ok and answer.json()["rows"][0]["score"] > 0.99


def test_what_a_search_finds_is_shown(address: str, folder: Path) -> None:
    body = {"model": "tracks", "text": "a ball rolls", "options": {"k": 1}}
    (row,) = requests.post(f"{address}/v1/tasks/search", json=body, timeout=60).json()["rows"]
    clip = f"{address}/v1/clips/{row['id']}"
    found = requests.get(clip, params={"model": "tracks"}, timeout=30).json()
    assert found["kind"] == "tracks" and found["facts"]["captions"] == [row["captions"]]
    scenes = [read_tracks(path).tracks[0] for path in sorted((folder / "scenes").glob("*.npz"))]
    away = [np.abs(np.array(found["samples"][0]["points"]) - s.points).max() for s in scenes]
    nearest = scenes[int(np.argmin(away))]
    assert min(away) < 0.01 and nearest.fps == pytest.approx(found["fps"])
    assert [*nearest.frame_size] == found["frame_size"]
    for model, name, told in (
        ("tracks", "nobody", "no track 'nobody'"),
        ("dance", row["id"], "no library"),
    ):
        answer = requests.get(f"{address}/v1/clips/{name}", params={"model": model}, timeout=30)
        assert answer.status_code == 404 and told in answer.json()["detail"], answer.text


def test_mistakes_are_problems(address: str, tmp_path: Path) -> None:
    url = f"{address}/v1/tasks/generate"
    silence = tmp_path / "noise.wav"
    write_wav(silence, np.zeros(100, np.float32), 8000)
    for answer, status, told in (
        (requests.post(url, json={}, timeout=30), 422, "Give a sentence or music"),
        (requests.post(url, json={"text": "x", "options": {"frames": 1}}, timeout=30), 422, "no o"),
        (requests.post(url, json={"text": "x", "model": "no"}, timeout=30), 404, "not served"),
        (requests.post(f"{address}/v1/tasks/fly", json={}, timeout=30), 404, "it can: generate"),
        (requests.post(url, json={"text": "x", "format": "exe"}, timeout=30), 422, "format"),
        (requests.post(url, json={"text": 3}, timeout=30), 422, "text"),
        (requests.post(url, data=b"{", timeout=30), 415, "content type"),
        (requests.post(url, files={"music": ("a.exe", b"x")}, timeout=30), 422, "suffix .exe"),
        (requests.post(url, files={"music": ("a.wav", b"x" * 99)}, timeout=30), 422, "a.wav"),
        (requests.post(url, files={"other": ("a.wav", b"x")}, timeout=30), 422, "field 'other'"),
        (
            requests.post(
                url, json={"text": "x", "options": {"seconds": 600, "samples": 16}}, timeout=30
            ),
            422,
            "allowed: 4000000",
        ),
    ):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert told in answer.json()["detail"], answer.text
        assert "/tmp" not in answer.text


def test_a_key_is_asked_for(folder: Path, address: str) -> None:
    settings = Settings(key_digests=[digest("a-long-enough-key")])
    app = create_task_app([Entry(name="dance", run=str(folder / "dance"))], settings)
    with running(app) as guarded:
        assert requests.get(f"{guarded}/v1/models", timeout=30).status_code == 401
        headers = {"X-API-Key": "a-long-enough-key"}
        assert requests.get(f"{guarded}/v1/models", headers=headers, timeout=60).ok
