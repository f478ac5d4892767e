"""Files and forms that the HTTP API is sent: read as at home, or refused in words."""

from __future__ import annotations

import asyncio
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from serving import TURN, plain_service, post, problem, write_amc

import raydance
from raydance.client import Client
from raydance.errors import InputError
from raydance.motion.export import npz
from raydance.motion.formats import read_clip
from raydance.serving.reader import Limits, Reader

pytestmark = pytest.mark.slow


def test_an_uploaded_file_is_described_as_at_home(service_url: str, tiny_run: Path, take: Path):
    with take.open("rb") as file:
        answer = post(service_url, "/v1/describe", files={"file": file}, data={"k": "2"}).json()
    expected = raydance.load(tiny_run).describe(read_clip(take), 2)
    assert answer["file"] == "my_take"
    assert len(answer["segments"]) == len(expected)
    for found, known in zip(answer["segments"], expected):
        assert found["start_s"] == known.start_s and found["cluster"] == known.cluster
        assert [c["text"] for c in found["captions"]] == [c.text for c in known.captions]


def test_a_short_clip_is_described_by_holding_its_last_pose(service_url: str, take: Path):
    changes = {"format": "npz", "start_s": "0.2", "end_s": "1.2"}
    part = post(service_url, "/v1/convert", files={"file": take.open("rb")}, data=changes).content
    file = {"file": ("part.npz", part)}
    answer = post(service_url, "/v1/describe", files=file).json()
    assert "last pose was held" in answer["notices"][0]
    whole, window = answer["segments"]
    assert whole["captions"] and window["end_s"] == pytest.approx(1.05, abs=0.1)
    assert whole["confidence"] is None, "calibrated on motion that fills its window"
    found = post(service_url, "/v1/search", files=file).json()
    assert found["hits"] and "last pose was held" in found["notices"][0]
    tiny = post(
        service_url, "/v1/convert", files={"file": take.open("rb")}, data=changes | {"end_s": "0.3"}
    ).content
    problem(post(service_url, "/v1/describe", files={"file": ("part.npz", tiny)}), 422)
    wrong = {"format": "gif", "names": "mixamo"}
    said = problem(
        post(service_url, "/v1/convert", files={"file": take.open("rb")}, data=wrong), 422
    )
    assert "names is for .bvh, .glb" in said


@pytest.mark.parametrize("num_rest", [1, 2])
def test_a_t_pose_before_the_motion_is_left_out(service_url: str, take: Path, num_rest: int):
    """As converters write it: the rest pose of the hierarchy, all angles zero."""
    head, _, rows = take.read_text().partition("Frame Time:")
    time, first, *others = rows.strip().splitlines()
    rest = " ".join([*first.split()[:3], *["0"] * (len(first.split()) - 3)])
    num_frames = len(others) + 1
    assert f"Frames: {num_frames}\n" in head
    head = head.replace(f"Frames: {num_frames}", f"Frames: {num_frames + num_rest}")
    text = "\n".join([f"{head}Frame Time:{time}", *[rest] * num_rest, first, *others, ""])
    sent = {"with": text.encode(), "without": take.read_bytes()}

    def ask(route: str, which: str) -> dict[str, Any]:
        files = {"file": ("take.bvh", sent[which])}
        body: dict[str, Any] = post(service_url, f"/v1/{route}", files=files).json()
        return body

    shown, bare = ask("convert", "with"), ask("convert", "without")
    assert shown["num_frames"] == bare["num_frames"] == num_frames
    assert shown["positions"] == bare["positions"] and shown["notices"] == []
    described, expected = ask("describe", "with"), ask("describe", "without")
    assert [part["captions"] for part in described["segments"]] == [
        part["captions"] for part in expected["segments"]
    ]


def test_a_body_that_cannot_be_is_doubted(service_url: str, take: Path, tmp_path: Path):
    """The file says metres, so the size is not corrected."""
    clip = read_clip(take)
    npz.write(
        tmp_path / "giant.npz",
        replace(clip, positions=2 * clip.positions, rotations=None, offsets=None),
    )
    file = {"file": ("giant.npz", (tmp_path / "giant.npz").read_bytes())}
    said = r"the body is 3\.\d+ m tall, judged by its legs; people are 0\.6 to 2\.6 m"
    for route in ("describe", "search", "embed", "convert"):
        (notice,) = post(service_url, f"/v1/{route}", files=file).json()["notices"]
        assert re.fullmatch(said, notice), (route, notice)
    written = post(service_url, "/v1/convert", files=file, data={"format": "bvh"})
    assert re.match(said, written.headers["X-Raydance-Note"])


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


@pytest.mark.parametrize("length", [1, 5000, 100_000])
@pytest.mark.parametrize("file_name", [None, "value.txt"])
def test_a_field_is_judged_alike_whatever_its_size_and_file_name(
    service_url: str, take: Path, length: int, file_name: str | None
):
    def said(**fields: tuple[str | None, bytes]) -> str:
        parts = {"file": (take.name, take.read_bytes())} | fields
        return problem(post(service_url, "/v1/describe", files=parts), 422)

    value = b"w" * length
    for name in ("k", "fps", "units", "up"):
        assert said(**{name: (file_name, value)}).startswith(name)
    assert said(frames=(file_name, value)).startswith("field 'frames'; allowed: file")
    wrong = "file: a file with its name" if file_name is None else "file: suffix .txt"
    assert said(file=(file_name, value)).startswith(wrong)
    answer = post(
        service_url,
        "/v1/describe",
        files={"file": (take.name, take.read_bytes()), "k": (file_name, b"2")},
    )
    assert len(answer.json()["segments"][0]["captions"]) == 2


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
        np.testing.assert_allclose(
            points.mean(axis=0), system.point_of({"motion": clip}), atol=1e-5
        )
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
    assert "given 2 times" in problem(post(service_url, "/v1/embed", files=three), 422)
    many = [(f"field{number}", (None, b"x")) for number in range(17)]
    assert "Too many fields" in problem(post(service_url, "/v1/embed", files=many), 400)
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
        assert "required" not in form and form["properties"]["upload"]["type"] == "string"


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
        with pytest.raises(InputError, match="kind bones; allowed: clip, .*music"):
            await reader.read(motion, {}, "bones")
        clip = await reader.read(motion, {"skeleton": str(bones)})
        await reader.close()
        return clip, told

    clip, (mismatch, damage) = asyncio.run(read_all())
    np.testing.assert_array_equal(clip.positions, read_clip(motion, skeleton=bones).positions)
    assert mismatch.startswith("05_02.amc: line 8: 'rhumerus' is no bone")
    assert mismatch.endswith("in other.asf")
    assert damage.startswith("broken.asf: line ") and str(tmp_path) not in mismatch + damage


def test_convert_keeps_a_files_rotations(service_url: str, take: Path, tmp_path: Path):
    with take.open("rb") as file:
        answer = post(service_url, "/v1/convert", files={"file": file}, data={"format": "bvh"})
    (tmp_path / "again.bvh").write_bytes(answer.content)
    before, after = read_clip(take), read_clip(tmp_path / "again.bvh")
    assert before.joint_names == after.joint_names
    np.testing.assert_allclose(after.positions, before.positions, atol=1e-3)


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
    assert "'kk'; allowed: file, skeleton, model, fps, units, up, upload, k" in problem(
        unknown, 422
    )
    twice = post(service_url, "/v1/describe", files=file, data={"k": ["2", "3"]})
    assert "k: given 2 times" in problem(twice, 422)


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


def test_a_file_is_read_once_and_named(service_url: str, take: Path, monkeypatch):
    from raydance.serving.reader import Reader

    reads = []
    read = Reader.read

    async def counted(self: Reader, *arguments: object) -> object:
        reads.append(arguments)
        return await read(self, *arguments)

    monkeypatch.setattr(Reader, "read", counted)
    content = take.read_bytes() + b"\n"  # not what another test sent
    sent = {"file": ("once.bvh", content)}
    described = post(service_url, "/v1/describe", files=sent, data={"k": "2"})
    name = described.headers["x-raydance-upload"]
    assert len(name) == 32 and len(reads) == 1
    for path in ("describe", "embed", "convert", "search"):
        by_file = post(service_url, f"/v1/{path}", files=sent)
        by_name = post(service_url, f"/v1/{path}", files={"upload": (None, name)})
        assert by_name.ok and by_name.json() == by_file.json(), path
        assert by_name.headers["x-raydance-upload"] == name
    assert len(reads) == 1
    other = post(service_url, "/v1/convert", files=sent, data={"fps": "30"})
    assert other.headers["x-raydance-upload"] != name and len(reads) == 2
    gone = post(service_url, "/v1/convert", files={"upload": (None, "0" * 32)})
    assert "send the file again" in problem(gone, 404)
    both = post(service_url, "/v1/convert", files={**sent, "upload": (None, name)})
    assert "it was read already" in problem(both, 422)


def test_files_that_were_read_make_room():
    import asyncio

    from raydance.motion import synthetic
    from raydance.serving.problems import NotHere
    from raydance.serving.read_cache import ReadCache

    clip = synthetic.make_clip(synthetic.MOVEMENTS[0], 0)
    size = clip.positions.nbytes

    async def read() -> object:
        return clip

    async def fill() -> None:
        cache = ReadCache(max_bytes=3 * size)
        for number in range(5):
            await cache.get(str(number), read)
        assert cache.find("4") is clip
        with pytest.raises(NotHere):
            cache.find("0")

    asyncio.run(fill())
