"""What the fuzzer calls: a target for each reader of files or text from outside.

An input of a target is one or more files, in a folder of their own, which `read` is given.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fuzz_seeds as seeds
import fuzz_seeds_text
import fuzz_seeds_tracks
import numpy as np
from starlette.datastructures import UploadFile
from starlette.requests import Request

from raydance.config import load_mapping as load_configuration
from raydance.data import layouts, sources
from raydance.data.file_search import find_files
from raydance.errors import RaydanceError
from raydance.motion import captions
from raydance.motion.clip import Clip
from raydance.motion.export import write_clip
from raydance.motion.formats import c3d, fbx, read_clip
from raydance.motion.formats.numpy_file import NpzReader
from raydance.motion.mapping import load_mapping, map_to_canonical
from raydance.music.audio import read_audio
from raydance.music.dance_corpus import read_beats
from raydance.music.features import music_features
from raydance.serving import reader, uploads
from raydance.serving.form import read_form
from raydance.serving.problems import Problem
from raydance.tracks.export.arrays import write_npz
from raydance.tracks.formats import ReadOptions, iter_tracks
from raydance.tracks.pictures import READERS
from raydance.tracks.track import Track, to_row

Files = tuple[bytes, ...]


class Refused(Exception):
    """An input that was refused as its reader should."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader.

    Attributes:
        files: names of the files that an input consists of, with folders; the first is the one
            that is read.
        seeds: valid inputs to start from.
        read: reads and checks an input, given its first file or else the folder; whatever it
            raises beside `RaydanceError` and `Refused` is a finding.
        is_folder: whether `read` takes the folder.
    """

    files: tuple[str, ...]
    seeds: Callable[[], Iterable[Files]]
    read: Callable[[Path], None]
    is_folder: bool = False


def check_clip(clip: Clip) -> None:
    """What every reader of motion promises."""
    for name in ("positions", "rotations", "offsets"):
        array = getattr(clip, name)
        assert array is None or np.isfinite(array).all(), f"{name} not finite"
        assert array is None or array.dtype == np.float32, f"{name} of {array.dtype}"
    assert np.isfinite(clip.fps) and clip.fps > 0, f"fps {clip.fps}"
    assert all(-1 <= p < i for i, p in enumerate(clip.parents)), "a parent after its child"
    assert len(set(clip.joint_names)) == len(clip.joint_names), "names that occur twice"
    for name in clip.joint_names:
        name.encode()


def read_motion(path: Path) -> None:
    """A motion file, its labels, and the same motion in all formats that are written."""
    labels = {}
    try:
        labels = captions.labels_from_sidecar(path)
    except RaydanceError as error:
        str(error).encode()
    for text in (*labels, *labels.values()):
        text.encode()
    clip = read_clip(path)
    check_clip(clip)
    try:
        map_to_canonical(clip)
    except RaydanceError as error:
        str(error).encode()
    for suffix in (".bvh", ".npz", ".glb") if clip.num_frames < 20 else ():
        write_clip(path.with_name(f"out{suffix}"), clip)


def _natively(module: Any) -> Callable[[Path], None]:
    """Reads what a library in C found, as it is in `path`, in place of its own process."""

    def read(path: Path) -> None:
        with NpzReader(path) as archive:
            found = {key: archive.read(key) for key in archive.keys}
        missing = {"points", "labels", "rate", "unit"} if module is c3d else {"values", "names"}
        if missing - set(found) or not _as_the_library_gives(found):
            raise Refused
        whole = module.read_natively
        module.read_natively = lambda kind, name: found
        try:
            check_clip(module.read(path))
        finally:
            module.read_natively = whole

    return read


_KINDS: Final = dict.fromkeys(("names", "labels", "unit", "up", "stacks"), "U") | {
    "points": "f",
    "values": "f",
    "rate": "f",
    "metres_per_unit": "f",
    "parents": "iu",
    "stack": "iu",
    "is_bone": "b",
}
_NUM_DIMENSIONS: Final = {"points": 3, "values": 3, "rate": 0, "metres_per_unit": 0, "stack": 0}


def _as_the_library_gives(found: Mapping[str, np.ndarray]) -> bool:
    """Whether arrays have the types and shapes that `native_child` makes; values are free."""
    for key, array in found.items():
        if array.dtype.kind not in _KINDS.get(key, "") or not array.dtype.isnative:
            return False
        if array.ndim != _NUM_DIMENSIONS.get(key, 1):
            return False
        if array.dtype.kind == "U" and not _is_text(array):
            return False
    if any(not len(found[key]) for key in ("unit", "up", "stacks") if key in found):
        return False
    if "points" in found:
        points = found["points"]
        return points.shape[2] == 3 and len(found["labels"]) == points.shape[1] and points.size > 0
    needed = {"parents", "is_bone", "rate", "metres_per_unit", "up", "stacks", "stack"}
    if needed - set(found):
        return False
    count = found["values"].shape[1]
    return (
        found["values"].shape[2] == 10
        and len(found["values"]) > 1
        and all(len(found[key]) == count for key in ("names", "parents", "is_bone"))
        and 0 <= int(found["stack"]) < len(found["stacks"])
    )


def _is_text(array: np.ndarray) -> bool:
    """Whether all characters are some, which NumPy does not check."""
    codes = np.ascontiguousarray(array).view("u4")
    return not ((codes > sys.maxunicode) | ((codes >= 0xD800) & (codes < 0xE000))).any()


def read_tracks(path: Path) -> None:
    """Tracks of a file or folder, as rows and written again."""
    options = ReadOptions(frame_size=(640, 480)) if path.is_dir() else ReadOptions()
    for count, track in enumerate(iter_tracks(path, options)):
        if not isinstance(track, Track):
            str(track).encode()
            continue
        assert np.isfinite(track.points).all(), "points not finite"
        assert np.isfinite(track.fps) and track.fps > 0, f"fps {track.fps}"
        texts = (*track.captions, *track.labels, *track.labels.values(), track.video)
        for text in (*texts, track.track_id, track.object_id):
            text.encode()
        assert all(side >= 1 for side in track.frame_size), track.frame_size
        if count < 3:
            row = to_row(track)
            assert np.isfinite(row["points"]).all(), "a row that is not finite"
            if track.visible.size < 10_000:
                write_npz(Path(track.source).with_name("out.npz"), track)
        if count > 50:
            break


def read_music(path: Path) -> None:
    """A song, as samples and as features."""
    samples, rate = read_audio(path, 15_360, max_duration_s=60.0)
    assert np.isfinite(samples).all() and samples.dtype == np.float32
    if len(samples) < 2 * rate:
        assert np.isfinite(music_features(samples, rate, fps=20.0).values).all()


def read_song_beats(path: Path) -> None:
    """The beats of a song."""
    beats_s = read_beats(path)
    assert np.isfinite(beats_s).all() and (np.diff(beats_s) > 0).all()


def _layout(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        layouts.recognise(layouts.Tree([folder]))
        found = layouts.read([folder], name)
        for note in found.notes:
            note.encode()
        _check_jobs(sources.find_jobs([folder], layout=name))

    return read


def _check_jobs(jobs: Iterable[sources.FileJob]) -> None:
    for job in jobs:
        texts = [job.clip_id, job.recording, job.split, *job.labels, *job.labels.values()]
        for row in job.rows:
            texts += [*row.captions, *row.labels, *row.labels.values(), row.clip_id or ""]
            part = captions.on_frames(row, 20.0, 100)
            assert part.start_frame >= 0, part
        for text in texts:
            text.encode()


def read_names(path: Path) -> None:
    """Files of names from outside, empty ones; all layouts look at them."""
    tree = path.parent / "tree"
    try:
        for line in path.read_bytes().split(b"\n")[:40]:
            parts = [part[:100] for part in line.split(b"/")[:6] if part not in (b"", b".", b"..")]
            if parts and b"\0" not in line:
                place = os.path.join(os.fsencode(tree), *parts)
                if not os.path.exists(place):
                    try:
                        os.makedirs(os.path.dirname(place), exist_ok=True)
                        open(place, "xb").close()
                    except OSError:
                        continue
        if not tree.exists():
            raise Refused
        for found in find_files([tree]):
            found.name.encode()
        layouts.recognise(layouts.Tree([tree]))
        for name in (None, *layouts.LAYOUTS):
            try:
                _check_jobs(sources.find_jobs([tree], layout=name))
            except RaydanceError as error:
                str(error).encode("utf-8", "surrogateescape")
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def read_captions(path: Path) -> None:
    """A caption file, applied to a clip."""
    clip = seeds.short_clip()
    for row in captions.read_captions(path):
        for text in (*row.captions, row.clip_id or ""):
            text.encode()
        try:
            captions.apply_row(captions.on_frames(row, clip.fps, clip.num_frames) and clip, row)
        except RaydanceError as error:
            str(error).encode("utf-8", "surrogateescape")


def read_yaml(path: Path) -> None:
    """A mapping of joints, words for labels, and a configuration."""
    num_read = 0
    for load in (load_mapping, captions.load_label_names, load_configuration):
        try:
            found = load(path)
            num_read += 1
            if load is load_mapping:
                map_to_canonical(seeds.short_clip(), found)  # type: ignore[arg-type]
        except RaydanceError as error:
            str(error).encode()
    if not num_read:
        raise Refused


def read_upload(path: Path) -> None:
    """A multipart form and the options in it."""
    content = path.read_bytes()
    kind, _, body = content.partition(b"\n")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def answer() -> None:
        headers = [(b"content-type", kind)]
        request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
        form = await read_form(request, ("file", "skeleton"), ("model", "fps", "units", "up"))
        try:
            uploads._options(form)
            service = uploads.Uploads(reader.Limits())
            for name in ("file", "skeleton"):
                sent = service._sent(form, name, (".bvh", ".asf"))
                if sent is not None:
                    assert isinstance(sent[0], UploadFile)
                    stem = uploads.safe_stem(sent[0].filename or "")
                    assert stem and "/" not in stem and not stem.startswith("."), stem
        finally:
            await form.close()

    try:
        asyncio.run(answer())
    except Problem as problem:
        json.dumps(problem.detail)
        raise Refused from None


def read_picture(path: Path) -> None:
    """A picture as tasks take it: as a mask, an image and frames."""
    try:
        found = {kind: read(path) for kind, read in READERS.items()}
    except RaydanceError:
        raise Refused from None
    assert found["mask"].dtype == bool and found["mask"].ndim == 2
    assert found["image"].dtype == np.uint8 and found["image"].shape[2] == 3
    assert found["overlay"].ndim == 4


def _motion(suffix: str, *beside: str) -> Target:
    names = tuple(f"case{name}" for name in (suffix, *beside))
    make = seeds.MOTION["".join((suffix, *beside))]
    return Target(files=names, seeds=make, read=read_motion)


def _tracks(kind: str, *files: str, is_folder: bool = False) -> Target:
    make = fuzz_seeds_tracks.TRACKS[kind]
    return Target(files=files, seeds=make, read=read_tracks, is_folder=is_folder)


def _set(name: str) -> Target:
    files = fuzz_seeds_text.SET_FILES[name]
    make = fuzz_seeds_text.of_set(name)
    return Target(files=files, seeds=make, read=_layout(name), is_folder=True)


TARGETS: Final[Mapping[str, Target]] = {
    "bvh": _motion(".bvh"),
    "amc": _motion(".amc", ".asf"),
    "npy": _motion(".npy"),
    "npz": _motion(".npz"),
    "pkl": _motion(".pkl"),
    "glb": _motion(".glb"),
    "gltf": _motion(".gltf"),
    "c3d": _motion(".c3d"),
    "fbx": _motion(".fbx"),
    "sidecar": _motion(".npy", ".json"),
    "c3d-arrays": Target(files=("case.npz",), seeds=seeds.c3d_arrays, read=_natively(c3d)),
    "fbx-arrays": Target(files=("case.npz",), seeds=seeds.fbx_arrays, read=_natively(fbx)),
    "tracks-npz": _tracks("npz", "case.npz", "case.json"),
    "tracks-pt": _tracks("pt", "case.pt"),
    "tracks-pkl": _tracks("pkl", "case.pkl"),
    "tracks-json": _tracks("json", "case.json"),
    "vid-sentence": _tracks("vid_sentence", "tracks.npz", "tracks.jsonl"),
    "mevis": _tracks("mevis", "mask_dict.json", "meta_expressions.json", is_folder=True),
    "openpose": _tracks(
        "openpose", "a_0_keypoints.json", "a_1_keypoints.json", "a_2_keypoints.json", is_folder=True
    ),
    "lasot": _tracks(
        "lasot",
        "groundtruth.txt",
        "nlp.txt",
        "full_occlusion.txt",
        "out_of_view.txt",
        "img/1.png",
        is_folder=True,
    ),
    "wav": Target(files=("case.wav",), seeds=fuzz_seeds_text.audio, read=read_music),
    "humanml3d": _set("humanml3d"),
    "aist++": _set("aist++"),
    "finedance": _set("finedance"),
    "babel": _set("babel"),
    "100style": _set("100style"),
    "names": Target(files=("names.txt",), seeds=fuzz_seeds_text.names, read=read_names),
    "captions": Target(
        files=("captions.jsonl",), seeds=fuzz_seeds_text.caption_files, read=read_captions
    ),
    "yaml": Target(files=("case.yaml",), seeds=fuzz_seeds_text.yaml_files, read=read_yaml),
    "beats": Target(files=("case.json",), seeds=fuzz_seeds_text.beats, read=read_song_beats),
    "form": Target(files=("case.form",), seeds=fuzz_seeds_text.forms, read=read_upload),
    "picture": Target(files=("case.png",), seeds=fuzz_seeds_text.pictures, read=read_picture),
}
