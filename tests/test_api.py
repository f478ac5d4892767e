"""The HTTP API over a real server in this process: what each route answers, and what it refuses."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from serving import TURN, post, problem

import raydance
from raydance.client import Client, ServiceError
from raydance.errors import InputError
from raydance.library.store import CaptionStore
from raydance.motion import skeleton
from raydance.motion.formats import read_clip

pytestmark = pytest.mark.slow


def test_generated_motion_is_what_the_run_generates(service_url: str, tiny_run: Path):
    body = {"text": TURN, "seed": 3, "num_samples": 2, "clean_feet": False}
    answer = post(service_url, "/v1/generate", body).json()
    expected = raydance.load(tiny_run).generate(TURN, seed=3, num_samples=2)
    assert answer["model"] == "tiny" and answer["seed"] == 3 and answer["notices"] == []
    for sample, motion in zip(answer["samples"], expected, strict=True):
        places = [skeleton.INDEX[name] for name in sample["joints"]]
        np.testing.assert_allclose(sample["positions"], motion[:, places], atol=1e-4)
    assert set(answer["timings_ms"]) == {"text", "motion", "finish", "total"}


def test_seconds_and_frames_are_two_ways_to_say_how_long(service_url: str):
    one = post(service_url, "/v1/generate", {"text": TURN, "seconds": 4.0}).json()
    other = post(service_url, "/v1/generate", {"text": TURN, "frames": 80}).json()
    assert one["samples"] == other["samples"] and one["samples"][0]["num_frames"] == 80
    long = post(service_url, "/v1/generate", {"text": TURN, "seconds": 61})
    assert "seconds: 61; allowed: up to 60" in problem(long, 422)
    both = post(service_url, "/v1/generate", {"text": TURN, "frames": 80, "seconds": 4})
    assert "one of them" in problem(both, 422)


def test_a_long_text_is_read_whole_and_that_is_said(service_url: str):
    steps = ", ".join(f"step {i} turns slowly to the left and bends low" for i in range(40))
    one, other = (
        post(service_url, "/v1/generate", {"text": f"{steps}, {end}", "source": "prior"}).json()
        for end in ("a high jump", "a deep bow to the floor")
    )
    assert any("parts of it" in notice for notice in one["notices"])
    assert one["samples"][0]["positions"] != other["samples"][0]["positions"]


def test_every_answer_to_a_long_text_says_so(service_url: str):
    text = ", ".join(f"step {i} turns slowly to the left and bends low" for i in range(40))
    found = post(service_url, "/v1/search", {"text": text, "limit": 1}).json()
    assert "parts of it" in " ".join(found["notices"]) and len(found["hits"]) == 1
    placed = post(service_url, "/v1/embed", {"texts": ["a turn", text]}).json()
    assert placed["notices"] and all(told.startswith("text 2:") for told in placed["notices"])
    file = post(service_url, "/v1/generate", {"text": text, "format": "npz"})
    assert "parts of it" in file.headers["x-raydance-note"]


def test_feet_slide_less_when_they_are_cleaned(service_url: str):
    body = {"text": "walking with quick steps", "seconds": 6.0, "num_samples": 4}
    samples = post(service_url, "/v1/generate", body).json()["samples"]
    pairs = [(s["skate_before"], s["skate_after"]) for s in samples if s["skate_before"]]
    assert pairs and sum(a for _, a in pairs) < 0.5 * sum(b for b, _ in pairs)


@pytest.mark.parametrize("format", ["bvh", "npz", "glb"])
def test_a_generated_file_holds_the_motion(service_url: str, tmp_path: Path, format: str):
    body = {"text": TURN, "seed": 1, "format": format}
    answer = post(service_url, "/v1/generate", body)
    assert answer.ok and "attachment" in answer.headers["content-disposition"]
    path = tmp_path / f"turn.{format}"
    path.write_bytes(answer.content)
    if format == "glb":
        length = int.from_bytes(answer.content[8:12], "little")
        assert answer.content[:4] == b"glTF" and length == len(answer.content)
        return
    clip = read_clip(path, units=0.01 if format == "bvh" else None)  # too odd a body to detect
    sample = post(service_url, "/v1/generate", body | {"format": "json"}).json()["samples"][0]
    assert clip.num_frames == 50 and clip.fps == pytest.approx(20.0, rel=1e-3)
    hips = clip.positions[:, clip.joint_names.index("pelvis")]
    np.testing.assert_allclose(hips, np.array(sample["positions"])[:, 0], atol=0.02)


def test_a_gif_moves(service_url: str):
    answer = post(service_url, "/v1/generate", {"text": TURN, "format": "gif"})
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.format == "GIF" and getattr(picture, "n_frames", 1) > 20


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"text": ""}, 422, "text: 0 characters; allowed: 1 or more"),
        ({"text": "   "}, 422, "text: '   '; allowed: text that is not blank"),
        ({"text": "x" * 3000}, 422, "text: 3000 characters; allowed: up to 2000"),
        ({"text": 5}, 422, "text: 5; allowed: text"),
        ({"text": "x", "frame": 3}, 422, "frame: unknown; allowed: text"),
        ({"text": "x", "frames": 1}, 422, "frames: 1; allowed: 2 or more"),
        ({"text": "x", "frames": 2.5}, 422, "frames: 2.5; allowed: a whole number"),
        ({"text": "x", "frames": 10**6}, 422, "allowed: 2 to 1200"),
        ({"text": "x", "seconds": 0}, 422, "seconds: 0; allowed: above 0"),
        ({"text": "x", "seconds": 100}, 422, "seconds: 100; allowed: up to 60"),
        ({"text": "x", "seed": -1}, 422, "seed: -1; allowed: 0 or more"),
        ({"text": "x", "num_samples": 99}, 422, "num_samples: 99; allowed: up to 8"),
        ({"text": "x", "source": "clip"}, 422, "source: 'clip'; allowed: flow, prior, cluster, n"),
        ({"text": "x", "format": "exe"}, 422, "format: 'exe'; allowed: json"),
        ({"text": "x", "steering": {"loop": 7}}, 422, "steering.loop: 7; allowed: true or false"),
        ({"text": "x", "model": "other"}, 404, "served: tiny"),
    ],
)
def test_what_cannot_be_generated_is_refused_by_name(
    service_url: str, body: dict[str, Any], status: int, words: str
):
    assert words in problem(post(service_url, "/v1/generate", body), status)


def test_what_is_not_json_is_refused(service_url: str):
    headers = {"content-type": "application/json"}
    problem(post(service_url, "/v1/generate", data=b'{"text": ', headers=headers), 400)
    problem(post(service_url, "/v1/generate", data=b'"\xff\xfe"', headers=headers), 400)
    problem(post(service_url, "/v1/search", data=b"text", headers={"content-type": "text/x"}), 415)


def test_unknown_places_and_methods_are_problems_too(service_url: str):
    problem(requests.get(service_url + "/v1/nothing", timeout=10), 404)
    problem(requests.get(service_url + "/v1/generate", timeout=10), 405)


def test_search_finds_the_librarys_clips_and_shows_them(service_url: str, tiny_library: Path):
    hits = post(service_url, "/v1/search", {"text": TURN, "limit": 3}).json()["hits"]
    known = {row["clip_id"] for row in CaptionStore.open(tiny_library).clips()}
    assert len(hits) == 3 and all(hit["clip_id"] in known for hit in hits)
    assert [hit["score"] for hit in hits] == sorted((h["score"] for h in hits), reverse=True)
    assert all(hit["has_motion"] and "source" not in hit for hit in hits)
    assert all(hit["derived"] == [False] * len(hit["captions"]) for hit in hits)
    motion = requests.get(service_url + hits[0]["motion_url"], timeout=60).json()
    assert motion["num_frames"] == 50 and motion["start_s"] == hits[0]["start_s"]
    picture = requests.get(service_url + hits[0]["thumbnail_url"], timeout=60)
    shown = Image.open(io.BytesIO(picture.content))
    assert shown.format == "PNG" and len(shown.getcolors(1 << 20) or []) > 10


def test_search_by_motion_finds_the_same_motion_first(service_url: str, tiny_library: Path):
    path = next((tiny_library.parent / "files").rglob("*.bvh"))
    with path.open("rb") as file:
        answer = post(service_url, "/v1/search", files={"file": file}, data={"limit": "1"})
    assert answer.json()["hits"][0]["clip_id"] == f"files/takes/{path.stem}"


def test_the_runs_own_library_is_searched_on_request(service_url: str):
    body = {"text": TURN, "limit": 2, "library": False}
    hits = post(service_url, "/v1/search", body).json()["hits"]
    assert all(hit["split"] in ("train", "val", "test") for hit in hits)
    assert requests.get(service_url + hits[0]["motion_url"], timeout=60).ok


def test_a_clip_is_whole_again_from_its_windows(service_url: str, tiny_dataset: Path):
    from raydance.data.dataset import Dataset

    row = max(Dataset.open(tiny_dataset).clips(), key=lambda clip: clip["num_windows"])
    answer = requests.get(f"{service_url}/v1/clips/{row['clip_id']}", timeout=60).json()
    assert answer["num_frames"] == 50 + 20 * (row["num_windows"] - 1)
    motion = np.array(answer["positions"])
    bones = np.linalg.norm(motion[:, 1:] - motion[:, answer["parents"][1:]], axis=-1)
    assert bones.std(axis=0).max() < 1e-3  # rounded to a tenth of a millimetre, not torn
    steps = np.linalg.norm(np.diff(motion, axis=0), axis=-1)
    source = read_clip(row["source"])
    assert steps.max() < 1.2 * np.linalg.norm(np.diff(source.positions, axis=0), axis=-1).max()


def test_a_part_of_a_clip(service_url: str, tiny_dataset: Path):
    from raydance.data.dataset import Dataset

    clip_id = Dataset.open(tiny_dataset).clips()[0]["clip_id"]
    url = f"{service_url}/v1/clips/{clip_id}"
    part = requests.get(url, params={"start_s": "0.5", "end_s": "1.5"}, timeout=60).json()
    assert part["num_frames"] == 20 and part["start_s"] == 0.5
    assert "above start_s" in problem(
        requests.get(url, params={"start_s": "2", "end_s": "1"}, timeout=60), 422
    )
    problem(requests.get(url, params={"start_s": "5000"}, timeout=60), 404)
    problem(requests.get(f"{service_url}/v1/clips/no/such", timeout=60), 404)


@pytest.mark.parametrize("format", ["npz", "bvh", "glb", "gif"])
def test_a_clip_is_given_in_every_format(
    service_url: str, tiny_dataset: Path, tmp_path: Path, format: str
):
    from raydance.data.dataset import Dataset

    clip_id = Dataset.open(tiny_dataset).clips()[0]["clip_id"]
    query = {"start_s": "0.5", "end_s": "1.5"}
    url = f"{service_url}/v1/clips/{clip_id}"
    shown = requests.get(url, params=query, timeout=60).json()
    answer = requests.get(url, params=query | {"format": format}, timeout=60)
    assert f'.{format}"' in answer.headers["content-disposition"]
    path = tmp_path / f"part.{format}"
    path.write_bytes(answer.content)
    if format in ("npz", "bvh"):
        clip = read_clip(path)
        hips = clip.joint_names.index(shown["joints"][0])
        places = np.array(shown["positions"])[:, 0]
        np.testing.assert_allclose(clip.positions[:20, hips], places, atol=0.01)
    elif format == "glb":
        assert answer.content[:4] == b"glTF"
    else:
        assert Image.open(path).n_frames == 20


def test_embeddings_are_those_of_the_run(service_url: str, tiny_run: Path, take: Path):
    answer = post(service_url, "/v1/embed", {"texts": [TURN, "sharp kicks"]}).json()
    system = raydance.load(tiny_run)
    expected = system.encode_text([TURN, "sharp kicks"])["text_projection"]
    np.testing.assert_allclose(answer["vectors"], expected, atol=1e-5)
    assert answer["width"] == system.width and answer["start_s"] is None
    with take.open("rb") as file:
        moved = post(service_url, "/v1/embed", files={"file": file}).json()
    assert len(moved["start_s"]) == len(moved["vectors"]) > 1


def test_interpolation_begins_and_ends_at_the_two_windows(service_url: str, tiny_run: Path):
    system = raydance.load(tiny_run)
    names = system.library.windows["clip_id"]
    body = {"start": {"clip_id": names[0]}, "end": {"clip_id": names[-1]}, "steps": 3}
    raw = body | {"clean_feet": False}
    samples = post(service_url, "/v1/interpolate", raw).json()["samples"]
    assert [sample["share"] for sample in samples] == [0.0, 0.5, 1.0]
    assert all(sample["skate_before"] is None for sample in samples)
    first = system.decode(system.library.latent[:1])[0]
    places = [skeleton.INDEX[name] for name in samples[0]["joints"]]
    np.testing.assert_allclose(samples[0]["positions"], first[:, places], atol=1e-3)
    problem(post(service_url, "/v1/interpolate", body | {"share": 0.5}), 422)
    wrong = body | {"start": {"clip_id": "nobody"}}
    problem(post(service_url, "/v1/interpolate", wrong), 404)


def test_feet_are_held_and_that_is_said(service_url: str, tiny_run: Path):
    (sample,) = post(service_url, "/v1/generate", {"text": TURN, "seed": 1}).json()["samples"]
    before, after = sample["skate_before"], sample["skate_after"]
    assert 0 <= after < before
    file = post(service_url, "/v1/generate", {"text": TURN, "seed": 1, "format": "bvh"})
    assert f"slid {before:.3f} m/s" in file.headers["x-raydance-note"]
    names = raydance.load(tiny_run).library.windows["clip_id"]
    places = {"start": {"clip_id": names[0]}, "end": {"clip_id": names[-1]}}
    (blend,) = post(service_url, "/v1/interpolate", places | {"share": 0.5}).json()["samples"]
    assert 0 <= blend["skate_after"] < blend["skate_before"]


def test_the_map_keeps_near_what_is_near(service_url: str, tiny_run: Path):
    answer = requests.get(f"{service_url}/v1/map", timeout=60).json()
    library = raydance.load(tiny_run).library
    flat = np.array([[point["x"], point["y"]] for point in answer["points"]])
    assert len(flat) == len(library.cluster) and sum(answer["explained"]) <= 1.0 + 1e-6
    centred = library.latent - library.latent.mean(axis=0)
    np.testing.assert_allclose(
        (flat**2).sum() / (centred**2).sum(), sum(answer["explained"]), rtol=1e-3
    )
    few = requests.get(f"{service_url}/v1/map", params={"limit": 5}, timeout=60).json()
    assert len(few["points"]) == 5


def test_models_say_what_is_allowed(service_url: str, tiny_run: Path):
    answer = requests.get(f"{service_url}/v1/models", timeout=60).json()
    (facts,) = answer["models"]
    assert facts["name"] == "tiny" and facts["is_default"] and facts["max_frames"] == 1200
    assert facts["library"] == {"num_windows": facts["library"]["num_windows"], "num_files": 6}
    assert sum(c["num_windows"] for c in facts["clusters"]) == facts["num_windows"]
    assert answer["limits"]["samples"] == 8 and ".bvh" in answer["formats"]["read"]
    assert str(tiny_run) not in json.dumps(answer)


def test_every_format_that_is_listed_can_be_had(service_url: str):
    pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    answer = requests.get(f"{service_url}/v1/models", timeout=60).json()
    listed = answer["formats"]["write"]
    assert listed == ["json", "npz", "bvh", "glb", "gif", "mp4"]
    for format in listed:
        body = {"text": TURN, "frames": 4, "format": format}
        assert post(service_url, "/v1/generate", body).ok, format


def test_without_ffmpeg_mp4_is_not_listed_and_how_to_get_it_is_said(
    service_url: str, take: Path, monkeypatch: pytest.MonkeyPatch
):
    hits = post(service_url, "/v1/search", {"text": TURN, "limit": 1}).json()["hits"]
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    answer = requests.get(f"{service_url}/v1/models", timeout=60).json()
    assert answer["formats"]["write"] == ["json", "npz", "bvh", "glb", "gif"]
    sent = {"files": {"file": (take.name, take.read_bytes())}, "data": {"format": "mp4"}}
    for refused in (
        post(service_url, "/v1/generate", {"text": TURN, "format": "mp4"}),
        post(service_url, "/v1/convert", **sent),
        requests.get(service_url + hits[0]["motion_url"] + "&format=mp4", timeout=60),
    ):
        detail = problem(refused, 422)
        assert "raydance[video]" in detail and "json, npz, bvh, glb, gif" in detail


def test_the_client_asks_everything(service_url: str, take: Path, tmp_path: Path):
    with Client(service_url) as client:
        clip = client.generate(TURN, seconds=3, seed=2)[0]
        assert clip.positions.shape[0] == 60 and clip.captions == (TURN,)
        saved = client.save(TURN, tmp_path / "turn.bvh", seed=2)
        assert read_clip(saved).num_frames == 50
        assert client.describe(take, k=1)[0]["captions"]
        hit = client.search(TURN, k=1, library=False)[0]
        assert client.clip(hit["clip_id"]).num_frames >= 50
        assert client.search(take, k=1)[0]["score"] <= 1.001
        assert client.embed([TURN]).shape == client.embed(["another"]).shape
        with pytest.raises(ServiceError, match="allowed: 2 to 1200") as told:
            client.generate(TURN, frames=5000)
        assert told.value.status == 422
    with pytest.raises(ServiceError, match="not reached"):
        Client("http://127.0.0.1:9", timeout_s=2, tries=2).models()
    with pytest.raises(InputError, match="http://"):
        Client("127.0.0.1:8000")
