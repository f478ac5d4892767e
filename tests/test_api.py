"""The HTTP API over a real server in this process: what is answered, and what is refused."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from serving import plain_service, wait_for, write_amc

import raydance
from raydance.captioning.store import CaptionStore
from raydance.client import Client, ServiceError
from raydance.errors import InputError
from raydance.motion import skeleton, synthetic
from raydance.motion.export import bvh
from raydance.motion.formats import read_clip
from raydance.serving.guard import read_keys
from raydance.serving.reader import Limits, Reader

pytestmark = pytest.mark.slow
TURN = "a dancer turns slowly"


def post(url: str, path: str, body: Any = None, **request: Any) -> requests.Response:
    """A request with a JSON body, or with whatever `request` says."""
    if body is not None:
        request["json"] = body
    return requests.post(url + path, timeout=60, **request)


def problem(answer: requests.Response, status: int) -> str:
    """The detail of an error, after its shape was checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status and body["title"] and body["type"] == "about:blank"
    detail: str = body["detail"]
    return detail


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BVH file of the procedural dancer."""
    path = tmp_path_factory.mktemp("upload") / "my take.bvh"
    bvh.write(path, synthetic.make_clip(synthetic.MOVEMENTS[2], 5))
    return path


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
    both = post(service_url, "/v1/generate", {"text": TURN, "frames": 80, "seconds": 4})
    assert "one of them" in problem(both, 422)


def test_a_long_text_is_read_whole_and_that_is_said(service_url: str):
    steps = ", ".join(f"step {i} turns slowly to the left and bends low" for i in range(40))
    one, other = (
        post(service_url, "/v1/generate", {"text": f"{steps}, {end}"}).json()
        for end in ("a high jump", "a deep bow to the floor")
    )
    assert "parts of it" in one["notices"][0]
    assert one["samples"][0]["positions"] != other["samples"][0]["positions"]


def test_every_answer_to_a_long_text_says_so(service_url: str):
    text = ", ".join(f"step {i} turns slowly to the left and bends low" for i in range(40))
    found = post(service_url, "/v1/search", {"text": text, "k": 1}).json()
    assert "parts of it" in found["notices"][0] and len(found["hits"]) == 1
    placed = post(service_url, "/v1/embed", {"texts": ["a turn", text]}).json()
    assert placed["notices"][0].startswith("text 2:") and len(placed["notices"]) == 1
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


def test_a_file_holds_one_sample(service_url: str):
    body = {"text": TURN, "num_samples": 2, "format": "bvh"}
    assert "holds one" in problem(post(service_url, "/v1/generate", body), 422)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"text": ""}, 422, "body.text"),
        ({"text": "   "}, 422, "body.text"),
        ({"text": "x" * 3000}, 422, "2000"),
        ({}, 422, "body.text"),
        ({"text": "x", "frame": 3}, 422, "body.frame"),
        ({"text": "x", "frames": 1}, 422, "body.frames"),
        ({"text": "x", "frames": 10**6}, 422, "allowed: 2 to 1200"),
        ({"text": "x", "seed": -1}, 422, "body.seed"),
        ({"text": "x", "num_samples": 99}, 422, "body.num_samples"),
        ({"text": "x", "source": "clip"}, 422, "body.source"),
        ({"text": "x", "format": "exe"}, 422, "body.format"),
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


def test_an_uploaded_file_is_described_as_at_home(service_url: str, tiny_run: Path, take: Path):
    with take.open("rb") as file:
        answer = post(service_url, "/v1/describe", files={"file": file}, data={"k": "2"}).json()
    expected = raydance.load(tiny_run).describe(read_clip(take), 2)
    assert answer["file"] == "my_take"
    assert len(answer["segments"]) == len(expected)
    for found, known in zip(answer["segments"], expected):
        assert found["start_s"] == known.start_s and found["cluster"] == known.cluster
        assert [c["text"] for c in found["captions"]] == [c.text for c in known.captions]


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("walk.bvh", b"HIERARCHY\nROOT Hips", 422, "line 2"),
        ("walk.bvh", b"", 422, "walk.bvh"),
        ("walk.exe", b"MZ", 422, "allowed: .bvh"),
        ("../../etc/passwd", b"x", 422, "suffix"),
        ("walk.npz", b"PK\x03\x04 nonsense", 422, "walk.npz"),
        ("walk.pkl", b"cos\nsystem\n(S'true'\ntR.", 422, "walk.pkl"),
        ("walk.npy", b"\x93NUMPY\x01\x00", 422, "walk.npy"),
    ],
)
def test_files_that_are_no_motion_are_refused(
    service_url: str, name: str, content: bytes, status: int, words: str
):
    answer = post(service_url, "/v1/describe", files={"file": (name, content)})
    detail = problem(answer, status)
    assert words in detail and "/tmp" not in detail


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"k": "0"}, "k: '0'"),
        ({"k": "many"}, "k: 'many'"),
        ({"fps": "-3"}, "fps"),
        ({"fps": "nan"}, "fps"),
        ({"units": "ell"}, "units: 'ell'; allowed: m"),
        ({"up": "w"}, "up: 'w'; allowed: x"),
    ],
)
def test_fields_of_a_form_are_checked(
    service_url: str, take: Path, fields: dict[str, str], words: str
):
    with take.open("rb") as file:
        answer = post(service_url, "/v1/describe", files={"file": file}, data=fields)
    assert words in problem(answer, 422)


def test_a_form_without_a_file_is_refused(service_url: str):
    assert "file" in problem(post(service_url, "/v1/describe", files={"other": b"x"}), 422)
    problem(post(service_url, "/v1/describe", data={"k": "2"}), 415)


def test_a_skeleton_is_sent_with_its_motion(service_url: str, tiny_run: Path, tmp_path: Path):
    motion, bones = write_amc(tmp_path)
    clip, system = read_clip(motion, skeleton=bones), raydance.load(tiny_run)
    with Client(service_url) as client:
        segments = client.describe(motion, k=2, skeleton=bones)
        expected = system.describe(clip, 2)
        assert len(segments) == len(expected) > 1
        for found, known in zip(segments, expected):
            assert [c["text"] for c in found["captions"]] == [c.text for c in known.captions]
        points = client.embed(motion, skeleton=bones)
        np.testing.assert_allclose(points.mean(axis=0), system.point_of(clip), atol=1e-5)
        best = client.search(motion, k=1, skeleton=bones)[0]
        assert best == client.search(motion, k=1, skeleton=str(bones))[0]
        with pytest.raises(InputError, match="belongs to an .amc file"):
            client.search(TURN, skeleton=bones)
        with pytest.raises(InputError, match="belongs to an .amc file"):
            client.embed([TURN], skeleton=bones)
        with pytest.raises(InputError, match=r"none\.asf: No such file"):
            client.describe(motion, skeleton=tmp_path / "none.asf")
    sent = {"file": (motion.name, motion.read_bytes())}
    sent["skeleton"] = ("../../x/05.ASF", bones.read_bytes())
    answer = post(service_url, "/v1/convert", files=sent, data={"format": "bvh"})
    (tmp_path / "again.bvh").write_bytes(answer.content)
    again = read_clip(tmp_path / "again.bvh")
    columns = [again.joint_names.index(name) for name in clip.joint_names]
    np.testing.assert_allclose(again.positions[:, columns], clip.positions, atol=1e-3)


@pytest.mark.parametrize(
    ("file", "skeleton", "words"),
    [
        ("05_02.amc", None, "skeleton: a .amc file needs its .asf file; send it"),
        ("05_02.amc", ("", b""), "skeleton: a .amc file needs its .asf file"),
        ("05_02.amc", (None, b"text"), "skeleton: a file with its name is needed; allowed: .asf"),
        ("05_02.amc", ("05.bvh", b":units"), "skeleton: suffix .bvh; allowed: .asf"),
        ("05_02.amc", ("../05.asf", b":units\n:nonsense"), "05.asf"),
        ("take.bvh", ("05.asf", b":units"), "skeleton: a .bvh file needs none"),
        ("05.asf", ("05.asf", b":units"), "file: suffix .asf; allowed: .bvh, .amc"),
    ],
)
def test_skeletons_that_are_missing_or_of_no_use_are_refused(
    service_url: str, file: str, skeleton: tuple[str | None, bytes] | None, words: str
):
    parts: dict[str, Any] = {"file": (file, b"1\nroot 0 0 0 0 0 0\n")}
    if skeleton is not None:
        parts["skeleton"] = skeleton
    for path in ("describe", "search", "embed", "convert"):
        detail = problem(post(service_url, f"/v1/{path}", files=parts), 422)
        assert words in detail and "/tmp" not in detail and "raydance-upload" not in detail


def test_a_skeleton_is_sent_once_and_is_bounded(service_url: str, tiny_run: Path, tmp_path: Path):
    motion, bones = write_amc(tmp_path)
    twice = [("skeleton", (bones.name, bones.read_bytes()))] * 2
    assert "given 2 times" in problem(post(service_url, "/v1/embed", files=twice), 422)
    three = [("file", (motion.name, motion.read_bytes())), *twice]
    assert "files" in problem(post(service_url, "/v1/embed", files=three), 400)
    with plain_service(tiny_run, None, limits=Limits(upload_bytes=20_000)) as url:
        sent = {"file": ("a.amc", b"1\n"), "skeleton": ("a.asf", b"#" * 30_000)}
        detail = problem(post(url, "/v1/embed", files=sent), 413)
        assert detail == "skeleton: 30000 bytes; allowed: 20000"


def test_every_form_says_that_it_takes_a_skeleton(service_url: str):
    document = requests.get(f"{service_url}/v1/openapi.json", timeout=60).json()
    for path in ("describe", "search", "embed", "convert"):
        body = document["paths"][f"/v1/{path}"]["post"]["requestBody"]["content"]
        form = body["multipart/form-data"]["schema"]
        assert form["properties"]["skeleton"]["format"] == "binary", path
        assert form["required"] == ["file"]


def test_the_process_that_reads_takes_a_skeleton_and_tells_no_folder(tmp_path: Path):
    motion, bones = write_amc(tmp_path)
    other, broken = tmp_path / "other.asf", tmp_path / "broken.asf"
    other.write_text(bones.read_text().replace("rhumerus", "rupperarm"))
    broken.write_text(bones.read_text().replace("length 7", "length seven"))

    async def read_all() -> tuple[Any, list[str]]:
        reader, told = Reader(Limits()), []
        for wrong in (other, broken):
            with pytest.raises(InputError) as error:
                await reader.read(motion, {"skeleton": str(wrong)})
            told.append(str(error.value))
        clip = await reader.read(motion, {"skeleton": str(bones)})
        await reader.close()
        return clip, told

    clip, (mismatch, damage) = asyncio.run(read_all())
    np.testing.assert_array_equal(clip.positions, read_clip(motion, skeleton=bones).positions)
    assert mismatch.startswith("05_02.amc: line 8: 'rhumerus' is no bone")
    assert mismatch.endswith("in other.asf")
    assert damage.startswith("broken.asf: line ") and str(tmp_path) not in mismatch + damage


def test_search_finds_the_librarys_clips_and_shows_them(service_url: str, tiny_library: Path):
    hits = post(service_url, "/v1/search", {"text": TURN, "k": 3}).json()["hits"]
    known = {row["clip_id"] for row in CaptionStore.open(tiny_library).clips()}
    assert len(hits) == 3 and all(hit["clip_id"] in known for hit in hits)
    assert [hit["score"] for hit in hits] == sorted((h["score"] for h in hits), reverse=True)
    assert all(hit["has_motion"] and "source" not in hit for hit in hits)
    motion = requests.get(service_url + hits[0]["motion_url"], timeout=60).json()
    assert motion["num_frames"] == 50 and motion["start_s"] == hits[0]["start_s"]
    picture = requests.get(service_url + hits[0]["thumbnail_url"], timeout=60)
    shown = Image.open(io.BytesIO(picture.content))
    assert shown.format == "PNG" and len(shown.getcolors(1 << 20) or []) > 10


def test_search_by_motion_finds_the_same_motion_first(service_url: str, tiny_library: Path):
    path = next((tiny_library.parent / "files").rglob("*.bvh"))
    with path.open("rb") as file:
        answer = post(service_url, "/v1/search", files={"file": file}, data={"k": "1"})
    assert answer.json()["hits"][0]["clip_id"] == f"files/takes/{path.stem}"


def test_the_runs_own_library_is_searched_on_request(service_url: str):
    body = {"text": TURN, "k": 2, "library": False}
    hits = post(service_url, "/v1/search", body).json()["hits"]
    assert all(hit["split"] in ("train", "val", "test") for hit in hits)
    assert requests.get(service_url + hits[0]["motion_url"], timeout=60).ok


def test_a_clip_is_whole_again_from_its_windows(service_url: str, tiny_dataset: Path):
    from raydance.dataset import Dataset

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
    from raydance.dataset import Dataset

    clip_id = Dataset.open(tiny_dataset).clips()[0]["clip_id"]
    url = f"{service_url}/v1/clips/{clip_id}"
    part = requests.get(url, params={"start_s": "0.5", "end_s": "1.5"}, timeout=60).json()
    assert part["num_frames"] == 20 and part["start_s"] == 0.5
    assert "above start_s" in problem(
        requests.get(url, params={"start_s": "2", "end_s": "1"}, timeout=60), 422
    )
    problem(requests.get(url, params={"start_s": "5000"}, timeout=60), 404)
    problem(requests.get(f"{service_url}/v1/clips/no/such", timeout=60), 404)


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
    samples = post(service_url, "/v1/interpolate", body).json()["samples"]
    assert [sample["share"] for sample in samples] == [0.0, 0.5, 1.0]
    first = system.decode(system.library.latent[:1])[0]
    places = [skeleton.INDEX[name] for name in samples[0]["joints"]]
    np.testing.assert_allclose(samples[0]["positions"], first[:, places], atol=1e-3)
    problem(post(service_url, "/v1/interpolate", body | {"share": 0.5}), 422)
    wrong = body | {"start": {"clip_id": "nobody"}}
    problem(post(service_url, "/v1/interpolate", wrong), 404)


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


def test_convert_keeps_a_files_rotations(service_url: str, take: Path, tmp_path: Path):
    with take.open("rb") as file:
        answer = post(service_url, "/v1/convert", files={"file": file}, data={"format": "bvh"})
    (tmp_path / "again.bvh").write_bytes(answer.content)
    before, after = read_clip(take), read_clip(tmp_path / "again.bvh")
    assert before.joint_names == after.joint_names
    np.testing.assert_allclose(after.positions, before.positions, atol=1e-3)


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
    hits = post(service_url, "/v1/search", {"text": TURN, "k": 1}).json()["hits"]
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


def test_figures_for_prometheus(service_url: str):
    requests.get(f"{service_url}/v1/models", timeout=60)
    text = requests.get(f"{service_url}/metrics", timeout=60).text
    assert 'route="/v1/models",status="200"' in text.replace('replica="",', "")
    assert "raydance_http_request_seconds_bucket" in text


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


def test_keys_open_the_api_and_nothing_else_does(tiny_run: Path, tmp_path: Path):
    key = "a-key-that-is-long-enough"
    (tmp_path / "keys.txt").write_text(f"# for tests\n{key}\n", encoding="utf-8")
    digests = read_keys(tmp_path / "keys.txt")
    assert key.encode() not in b"".join(digests)
    with plain_service(tiny_run, None, key_digests=digests) as url:
        assert requests.get(f"{url}/healthz", timeout=10).ok
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": f"Basic {key}"}):
            problem(requests.get(f"{url}/v1/models", headers=headers, timeout=10), 401)
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            assert requests.get(f"{url}/v1/models", headers=headers, timeout=10).ok
        assert Client(url, key=key).models()[0]["library"] is None
    (tmp_path / "short.txt").write_text("abc\n", encoding="utf-8")
    with pytest.raises(InputError, match="shorter than 16"):
        read_keys(tmp_path / "short.txt")


def test_pages_elsewhere_may_not_read_answers(service_url: str):
    headers = {"Origin": "http://elsewhere.example"}
    answer = requests.get(f"{service_url}/v1/models", headers=headers, timeout=10)
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_limits_hold(tiny_run: Path, take: Path):
    limits = Limits(upload_bytes=20_000, frames=40, joints=10, parse_seconds=10.0)
    with plain_service(tiny_run, None, limits=limits) as url:
        big = post(url, "/v1/convert", files={"file": ("a.bvh", b"x" * 200_000)})
        assert "larger" in problem(big, 413) or "bytes" in problem(big, 413)

        def pieces() -> Any:  # no length is told beforehand
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bvh"\r\n\r\n'
            for _ in range(50):
                yield b"x" * 10_000

        headers = {"content-type": "multipart/form-data; boundary=b"}
        problem(requests.post(f"{url}/v1/convert", data=pieces(), headers=headers, timeout=20), 413)
        assert requests.get(f"{url}/healthz", timeout=10).ok
        content = io.BytesIO()
        np.save(content, np.zeros((60, 22, 3), np.float32))
        long = post(url, "/v1/convert", files={"file": ("a.npy", content.getvalue())})
        assert "frames" in problem(long, 422)
        rows = np.zeros((10, 22, 3), np.float32)
        content = io.BytesIO()
        np.save(content, rows)
        many = post(url, "/v1/convert", files={"file": ("a.npy", content.getvalue())})
        assert "joints" in problem(many, 422)


def test_a_file_that_takes_too_long_is_given_up(tiny_run: Path, take: Path):
    limits = Limits(parse_seconds=0.001)
    with plain_service(tiny_run, None, limits=limits) as url:
        with take.open("rb") as file:
            answer = post(url, "/v1/convert", files={"file": file})
        assert "longer than 0.001 s" in problem(answer, 422)
        assert requests.get(f"{url}/healthz", timeout=10).ok


def test_a_body_that_does_not_come_keeps_nobody_out(tiny_run: Path):
    with plain_service(tiny_run, None, most_requests=3, body_s=1.0) as url:
        host, port = url.removeprefix("http://").split(":")
        slow = [socket.create_connection((host, int(port))) for _ in range(3)]
        for one in slow:
            one.sendall(
                b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000\r\n\r\n{"
            )
        time.sleep(0.3)
        assert "again" in problem(requests.get(f"{url}/v1/models", timeout=10), 503)
        wait_for(lambda: requests.get(f"{url}/v1/models", timeout=10).ok, 10)
        assert slow[0].recv(100).startswith(b"HTTP/1.1 408")
        for one in slow:
            one.close()


def test_readiness_is_found_once_and_costs_nothing_after(tiny_run: Path):
    with plain_service(tiny_run, None) as url:
        started = time.monotonic()
        for _ in range(50):
            assert requests.get(f"{url}/readyz", timeout=10).ok
        assert time.monotonic() - started < 10


def test_a_fault_of_ours_is_told_as_such_and_counted(tiny_run: Path, monkeypatch: Any):
    from raydance.serving import parts

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    with plain_service(tiny_run, None) as url:
        monkeypatch.setattr(parts.Retriever, "map", broken)
        answer = requests.get(f"{url}/v1/map", timeout=10)
        assert "secret" not in problem(answer, 500)
        assert answer.headers["x-content-type-options"] == "nosniff"
        text = requests.get(f"{url}/metrics", timeout=10).text
        assert 'route="/v1/map",status="500"' in text


def test_too_many_at_once_are_told_to_come_back(tiny_run: Path):
    with plain_service(tiny_run, None, most_requests=2) as url:
        answers: list[requests.Response] = []

        def ask() -> None:
            answers.append(post(url, "/v1/generate", {"text": TURN, "seconds": 60}))

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        busy = [answer for answer in answers if answer.status_code == 503]
        assert busy and any(answer.ok for answer in answers)
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert busy[0].headers["retry-after"] == "1" and "again" in problem(busy[0], 503)
        assert post(url, "/v1/generate", {"text": TURN}).ok  # and it is well again


FORM = {"content-type": "multipart/form-data; boundary=b"}


def part(name: str, content: bytes, more: str = "") -> bytes:
    """A field of a form whose boundary is `b`, the last one."""
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n--b"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ({"content-type": "multipart/form-data; boundary=b; charset=undefined"}, 415),
        ({"content-type": "multipart/form-data; boundary=b; charset=punycode"}, 415),
        ({"content-type": "multipart/form-data"}, 400),
        ({"content-type": "multipart/form-data; boundary=other"}, 400),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "Multipart/Form-Data; boundary=b; charset=UTF-8"}, 422),
    ],
)
def test_how_a_form_comes_is_checked(service_url: str, headers: dict[str, str], status: int):
    body = part("file", b"x", '; filename="a.\\ud800"') + b"--\r\n"
    problem(post(service_url, "/v1/convert", data=body, headers=headers), status)


def test_fields_that_are_unknown_or_there_twice_are_refused(service_url: str, take: Path):
    file = {"file": ("a.bvh", take.read_bytes())}
    unknown = post(service_url, "/v1/describe", files=file, data={"kk": "2"})
    assert "'kk'; allowed: file, skeleton, model, fps, units, up, k" in problem(unknown, 422)
    twice = post(service_url, "/v1/describe", files=file, data={"k": ["2", "3"]})
    assert "k: given 2 times" in problem(twice, 422)


def test_json_is_bounded_and_so_are_the_mistakes_told(service_url: str):
    headers = {"content-type": "application/json"}

    def pieces() -> Any:  # no length is told beforehand
        for _ in range(40):
            yield b" " * 100_000

    for body in (b" " * 2_000_000, pieces()):
        assert "larger than 1048576" in problem(
            post(service_url, "/v1/generate", data=body, headers=headers), 413
        )
    many = post(service_url, "/v1/generate", {"text": "x"} | {f"k{i}": 1 for i in range(9000)})
    assert "and 8980 more" in problem(many, 422) and len(many.content) < 5000
    for body in (b"[" * 100_000, b'{"text": "x", "seed": ' + b"9" * 6000 + b"}"):
        problem(post(service_url, "/v1/generate", data=body, headers=headers), 400)
    halves = b'{"text": "x", "\\ud800": 1, "model": "\\udfff"}'
    problem(post(service_url, "/v1/generate", data=halves, headers=headers), 422)


def test_names_of_joints_that_no_one_can_write_are_refused(service_url: str):
    for names, words in ((["\ud800", "b"], "no character"), (["n" * 9000, "b"], "9000 char")):
        content = io.BytesIO()
        np.savez(content, positions=np.zeros((2, 2, 3)), fps=20.0, joint_names=np.array(names))
        answer = post(service_url, "/v1/convert", files={"file": ("a.npz", content.getvalue())})
        assert words in problem(answer, 422)


def test_a_files_name_stays_out_of_headers_and_paths(service_url: str, take: Path):
    content = take.read_bytes()
    for name, stem in (('a\\".bvh', "a"), ("../../b.bvh", "b"), ("\r\nX-Evil: 1.bvh", "X-Evil_1")):
        body = part("file", content, f'; filename="{name}"') + b"\r\n"
        body = body[:-2] + part("format", b"bvh")[3:] + b"--\r\n"
        answer = post(service_url, "/v1/convert", data=body, headers=FORM)
        assert "x-evil" not in answer.headers
        if "X-Evil" in name:  # the name ends where the line does
            problem(answer, 422)
        else:
            assert answer.headers["content-disposition"] == f'attachment; filename="{stem}.bvh"'


def test_invented_methods_make_no_figures_of_their_own(service_url: str):
    answer = requests.request("PROPFIND", f"{service_url}/v1/models", timeout=10)
    problem(answer, 405)
    assert answer.headers["allow"] == "GET"
    assert "PROPFIND" not in requests.get(f"{service_url}/metrics", timeout=10).text
    problem(requests.get(f"{service_url}/v1/models/", allow_redirects=False, timeout=10), 404)
