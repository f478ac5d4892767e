"""Valid inputs from which the fuzzer starts, all made here."""

from __future__ import annotations

import base64
import functools
import io
import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import public_sets
import scene_files
import small_tracks
from fuzz_mutations import glb
from PIL import Image

from raydance.motion import synthetic
from raydance.motion.clip import Clip
from raydance.motion.export import write_clip

Files = tuple[bytes, ...]
Seeds = Iterator[Files]

_ASF = b"""# a body
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name lfemur
    direction 0.34 -0.93 0
    length 7.2
    axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
  end
  begin
    id 2
    name rfemur
    direction -0.34 -0.93 0
    length 7.2
    axis 0 0 -20 XYZ
    dof rx
  end
:hierarchy
  begin
    root lfemur rfemur
  end
"""
_AMC = b""":FULLY-SPECIFIED
:DEGREES
:SAMPLES-PER-SECOND 60
1
root 9.3 17.8 -17.3 -2.0 -7.2 -1.6
lfemur 1 2 3
rfemur 3.5
2
root 9.3 17.8 -17.2 -2.0 -7.2 -1.6
lfemur 1 2 4
rfemur 3.6
"""


@functools.cache
def short_clip(num_joints: int = 50) -> Clip:
    """Three frames of the procedural dancer."""
    clip = synthetic.make_clip(synthetic.MOVEMENTS[0], 0)
    assert clip.rotations is not None and clip.offsets is not None
    return Clip(
        clip_id="seed",
        source="seed",
        fps=20.0,
        joint_names=clip.joint_names[:num_joints],
        parents=clip.parents[:num_joints],
        positions=clip.positions[:3, :num_joints],
        rotations=clip.rotations[:3, :num_joints],
        offsets=clip.offsets[:num_joints],
    )


def written(suffix: str) -> bytes:
    """The short clip in a format that is written."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"seed{suffix}"
        write_clip(path, short_clip())
        return path.read_bytes()


def npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _bvh() -> Seeds:
    yield (written(".bvh"),)


def _amc() -> Seeds:
    yield _AMC, _ASF


def _npy() -> Seeds:
    rng = np.random.default_rng(0)
    for shape in ((3, 22, 3), (3, 263), (3, 21, 3), (3, 251), (3, 315), (3, 319), (3, 50, 3)):
        yield (npy(rng.normal(size=shape).astype("f4")),)


def _npz() -> Seeds:
    rng = np.random.default_rng(0)
    yield (written(".npz"),)
    yield (npz(poses=rng.normal(size=(2, 156)), trans=np.zeros((2, 3)), mocap_framerate=60.0),)
    places = short_clip().positions[:, :22].astype("f2")
    yield (npz(joints=places, fps=np.int64(30), up=np.array("z")),)
    names = np.array([f"j{i}" for i in range(3)])
    yield (npz(motion=np.ones((2, 3, 3)), fps=25.0, joint_names=names, parents=[-1, 0, 1]),)


def _pkl() -> Seeds:
    poses = {"smpl_poses": np.zeros((2, 72)), "smpl_trans": np.zeros((2, 3))}
    points = {"keypoints3d": np.ones((2, 17, 3)), "keypoints3d_optim": np.zeros((2, 17, 3))}
    for content in (poses | {"smpl_scaling": np.array([93.0])}, points):
        for protocol in (0, 2, 4, 5):
            yield (pickle.dumps(content, protocol),)


def _scenes(suffix: str) -> Seeds:
    numbers = np.array([0, 1, *np.eye(4)[3], *np.eye(4)[0]], "<f4").tobytes()
    for way in ("LINEAR", "STEP"):
        scene = _scene(numbers, way)
        if suffix == ".glb":
            scene["buffers"] = [{}]
        text = json.dumps(scene).encode()
        yield (glb(text, numbers) if suffix == ".glb" else text,)


def _scene(numbers: bytes, way: str) -> dict[str, object]:
    """A glTF scene of two nodes, the first one turned."""
    sampler = {"input": 0, "output": 1, "interpolation": way}
    channel = {"sampler": 0, "target": {"node": 0, "path": "rotation"}}
    return {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": "data:x;base64," + base64.b64encode(numbers).decode()}],
        "bufferViews": [
            {"buffer": 0, "byteLength": 8},
            {"buffer": 0, "byteOffset": 8, "byteLength": 32, "byteStride": 16},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
            {"bufferView": 1, "componentType": 5126, "count": 2, "type": "VEC4"},
        ],
        "nodes": [{"children": [1], "matrix": np.eye(4).ravel().tolist()}, {"scale": [1, 1, 1]}],
        "skins": [{"joints": [0, 1]}],
        "animations": [{"samplers": [sampler], "channels": [channel]}],
    }


def _markers() -> dict[str, np.ndarray]:
    """Markers of the Plug-in Gait set around the short clip's joints, millimetres, z up."""
    clip = short_clip()
    near = {"LASI": "left_hip", "RASI": "right_hip", "LPSI": "left_hip", "RPSI": "right_hip"}
    near |= {"LKNE": "left_knee", "RKNE": "right_knee", "LANK": "left_ankle"}
    near |= {"RANK": "right_ankle", "C7": "neck", "LSHO": "left_shoulder", "LFHD": "head"}
    places = {
        marker: 1000 * clip.positions[:, clip.joint_names.index(joint)][:, [0, 2, 1]]
        for marker, joint in near.items()
    }
    places["LANK"] = places["LANK"].copy()
    places["LANK"][1] = np.nan
    return places


def _c3d() -> Seeds:
    with tempfile.TemporaryDirectory() as place:
        for number, unit in enumerate(("mm", "m")):
            path = scene_files.write_c3d(Path(place) / f"{number}.c3d", _markers(), unit=unit)
            yield (path.read_bytes(),)


def _fbx() -> Seeds:
    with tempfile.TemporaryDirectory() as place:
        for stacks in (1, 2):
            path = Path(place) / f"{stacks}.fbx"
            yield (scene_files.write_fbx(path, short_clip(22), stacks=stacks).read_bytes(),)


def c3d_arrays() -> Seeds:
    markers = _markers()
    points = np.stack(list(markers.values()), axis=1)
    facts = {"rate": np.float64(100), "unit": np.array(["mm"], "U200")}
    yield (npz(points=points, labels=np.array(list(markers), "U200"), **facts),)
    few = {"labels": np.array(["a", "a"], "U200"), **facts}
    yield (npz(points=points[:, :2], **few),)


def fbx_arrays() -> Seeds:
    clip = short_clip(22)
    assert clip.rotations is not None and clip.offsets is not None
    values = np.ones((4, 22, 10))
    values[0, :, :3], values[0, :, 3:7] = clip.offsets, [1, 0, 0, 0]
    values[1:, :, :3] = clip.offsets
    values[1:, 0, :3] = clip.positions[:, 0]
    values[1:, :, 3:7] = clip.rotations
    yield (
        npz(
            names=np.array(clip.joint_names, "U200"),
            parents=np.array(clip.parents),
            is_bone=np.ones(22, bool),
            values=values,
            rate=np.float64(30.0),
            metres_per_unit=np.float64(0.01),
            up=np.array(["y"], "U200"),
            stacks=np.array(["take"], "U200"),
            stack=np.int64(0),
        ),
    )


def _sidecar() -> Seeds:
    clip = short_clip(22)
    facts = {
        "joint_names": list(clip.joint_names),
        "parents": list(clip.parents),
        "fps": 30,
        "metres_per_unit": 0.01,
        "up": "z",
        "style": "old",
        "content": 3,
    }
    yield npy(clip.positions), json.dumps(facts).encode()


MOTION: Final[Mapping[str, Callable[[], Seeds]]] = {
    ".bvh": _bvh,
    ".amc.asf": _amc,
    ".npy": _npy,
    ".npz": _npz,
    ".pkl": _pkl,
    ".glb": lambda: _scenes(".glb"),
    ".gltf": lambda: _scenes(".gltf"),
    ".c3d": _c3d,
    ".fbx": _fbx,
    ".npy.json": _sidecar,
}


def _tracks_npz() -> Seeds:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (4, 5, 2)).astype("f4")
    seen = rng.random((4, 5)) < 0.8
    size = {"frame_size": [64, 48], "fps": 25, "captions": ["a dog runs"]}
    beside = json.dumps(size).encode()
    yield npz(pred_tracks=points[None], pred_visibility=seen[None, ..., None]), beside
    yield npz(tracks=points, occluded=~seen, fps=np.float64(24), size=np.array([64, 48])), beside
    facts = {"format": "raydance.track", "version": 1, "track_id": "a", "start_frame": 3, **size}
    yield npz(points=points, visible=seen, facts=np.array(json.dumps(facts))), b"{}"
    joints = rng.normal(0, 0.5, (5, 15, 2)).astype("f4")
    yield npz(points=joints, lengths=[2, 3], labels=np.array(["a", "b"])), b"{}"


def _pt() -> Seeds:
    """A .pt file of two tensors, packed as torch does."""
    import torch

    for content in (
        {"pred_tracks": torch.rand(1, 3, 4, 2), "pred_visibility": torch.ones(1, 3, 4, 1).bool()},
        (torch.rand(3, 4, 2).double(), torch.ones(3, 4)),
    ):
        content = (
            {**content, "size": torch.tensor([64, 48])} if isinstance(content, dict) else content
        )
        stream = io.BytesIO()
        torch.save(content, stream)
        # Without compression and checksums of its own, as the fuzzer packs members again.
        with zipfile.ZipFile(stream) as archive:
            members = {m.filename: archive.read(m) for m in archive.infolist()}
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in members.items():
                archive.writestr(zipfile.ZipInfo(name), data)
        yield (out.getvalue(),)


def _tapvid() -> Seeds:
    points = np.random.default_rng(0).random((4, 3, 2)).astype("f4")
    video = {"points": points, "occluded": points[..., 0] > 0.8}
    picture = io.BytesIO()
    Image.new("RGB", (16, 12)).save(picture, "JPEG")
    with_pixels = {**video, "video": np.zeros((3, 12, 16, 3), np.uint8)}
    with_pictures = {**video, "video": [picture.getvalue()] * 3}
    for content in ({"a": with_pixels}, [with_pictures], video):
        for protocol in (0, 2, 4):
            yield (pickle.dumps(content, protocol),)


def _tracks_json() -> Seeds:
    points = np.random.default_rng(0).uniform(0, 40, (3, 4, 2)).round(1).tolist()
    own = {"format": "raydance.track", "version": 1, "track_id": "a", "fps": 25, "labels": {"a": 1}}
    own |= {"frame_size": [64, 48], "points": points, "visible": [[True] * 4] * 3}
    for content in (small_tracks.coco(), small_tracks.kinetics(), own):
        yield (json.dumps(content).encode(),)


def _from_folder(write: Callable[[Path], Any], *files: str) -> Seeds:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "seed"
        if write is not small_tracks.write_openpose:
            folder.mkdir()
        write(folder)
        yield tuple((folder / file).read_bytes() for file in files)


def _lasot() -> Seeds:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48)).save(picture, "PNG")
    boxes = b"0,0,10,10\n2,0,10,10\n0,0,0,0\n6,0,10,10\n"
    yield boxes, b"a cat that walks\n", b"0,1,0,0", b"0,0,1,0", picture.getvalue()


def _openpose_names() -> tuple[str, ...]:
    return tuple(f"walk_{frame:012d}_keypoints.json" for frame in range(3))


TRACKS: Final[Mapping[str, Callable[[], Seeds]]] = {
    "npz": _tracks_npz,
    "pt": _pt,
    "pkl": _tapvid,
    "json": _tracks_json,
    "vid_sentence": lambda: _from_folder(
        small_tracks.write_vid_sentence, "tracks.npz", "tracks.jsonl"
    ),
    "mevis": lambda: _from_folder(
        small_tracks.write_mevis, "mask_dict.json", "meta_expressions.json"
    ),
    "openpose": lambda: _from_folder(small_tracks.write_openpose, *_openpose_names()),
    "lasot": _lasot,
}


def audio() -> Seeds:
    """A quarter of a second in each format; libsndfile knows them by their content."""
    import soundfile

    samples = (0.3 * np.sin(np.arange(4000) / 9)).astype("f4")
    kinds = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("FLAC", "PCM_16")]
    kinds += [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16")]
    for format, subtype in kinds:
        stream = io.BytesIO()
        soundfile.write(stream, samples, 16_000, format=format, subtype=subtype)
        yield (stream.getvalue(),)


SET_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "humanml3d": (
        "new_joints/000001.npy",
        "texts/000001.txt",
        "train.txt",
        "val.txt",
        "test.txt",
        "train_val.txt",
    ),
    "aist++": (
        f"motions/{public_sets.AIST_NAMES[0]}.pkl",
        "splits/crossmodal_train.txt",
        "splits/crossmodal_val.txt",
        "splits/crossmodal_test.txt",
        "ignore_list.txt",
    ),
    "finedance": ("motion/001.npy", "label_json/001.json"),
    "babel": (
        "babel_v1.0_release/train.json",
        "babel_v1.0_release/val.json",
        "amass/smplx/CMU/86/86_08_stageii.npz",
    ),
    "100style": ("Aeroplane/Aeroplane_FW.bvh", "Frame_Cuts.csv", "Dataset_List.csv"),
}
"""Layout -> the files that are changed. Motion is not read here, so that its file may be empty."""

_WRITERS: Final = {
    "humanml3d": public_sets.guo,
    "aist++": public_sets.aistpp,
    "finedance": public_sets.finedance,
    "babel": public_sets.babel,
    "100style": public_sets.style100,
}
_EMPTY: Final = (".pkl", ".bvh", ".npz")


def of_set(name: str) -> Callable[[], Seeds]:
    """Seeds for the files of a public data set."""

    def make() -> Seeds:
        with tempfile.TemporaryDirectory() as place:
            folder = _WRITERS[name](Path(place) / "set")
            yield tuple(
                b"" if Path(file).suffix in _EMPTY else _read(folder / file)
                for file in SET_FILES[name]
            )

    return make


def _read(path: Path) -> bytes:
    content = path.read_bytes() if path.exists() else b"{}"
    return content[:4096] if path.suffix == ".npy" else content


def names() -> Seeds:
    yield (b"set/walk1_subject5.bvh\nset/walk1_subject2.bvh\nset/a b.json\nset/M000001.npy\n",)
    yield (b"data/dataset-1_bow_normal_001.bvh\ndata/dataset-1_bow_normal_001.json\n",)
    yield (b"Aeroplane/Aeroplane_FW.bvh\nOldMan_TR1.bvh\nx/Frame_Cuts.csv\nh\xf6pfen.bvh\n",)
    yield (b"CMU/86/86_08_stageii.npz\nCMU/86/86_08_poses.npz\nCMU/86/shape.npz\n",)
    yield (b"motions/gBR_sBM_cAll_d04_mBR0_ch01.pkl\nmusic/mBR0.wav\nmotion/001.npy\n",)


def caption_files() -> Seeds:
    rows = [
        {"file": "a.bvh", "captions": ["a person walks", "someone walks"]},
        {
            "file": "b/c.amc",
            "captions": ["turns left"],
            "start_frame": 0,
            "end_frame": 2,
            "fps": 120,
            "skeleton": "b/c.asf",
            "clip": "c#1",
            "split": "train",
            "metres_per_unit": 0.01,
            "derived": [True],
            "confidence": 0.5,
        },
    ]
    yield ("\n".join(map(json.dumps, rows)).encode() + b"\n",)


def yaml_files() -> Seeds:
    yield (b"pelvis: pelvis\nleft_hip: [left_hip, left_knee]\nhead: head\n",)
    yield (b"content: {0: bow, 1: bye}\nstyle: [old, tired]\n",)
    yield (b'{"seed": 1, "vae": {"hidden": 64, "rate": 1e-3, "names": [a, "b"]}}',)


def beats() -> Seeds:
    yield (json.dumps({"song": "a.wav", "bpm": 120.0, "beats_s": [0.5, 1.0, 1.5]}).encode(),)


def forms() -> Seeds:
    kind = b"multipart/form-data; boundary=xyz\n"
    file = b'Content-Disposition: form-data; name="file"; filename="walk.bvh"\r\n\r\nHIERARCHY\r\n'
    text = b'Content-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    parts = [file, *(text % pair for pair in ((b"fps", b"30"), (b"units", b"cm"), (b"up", b"z")))]
    yield (kind + b"".join(b"--xyz\r\n" + part for part in parts) + b"--xyz--\r\n",)
    yield (kind + b"--xyz\r\n" + file.replace(b"file", b"skeleton", 1) + b"--xyz--\r\n",)


def pictures() -> Seeds:
    for format in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        stream = io.BytesIO()
        Image.new("L", (9, 7), 200).save(stream, format)
        yield (stream.getvalue(),)
