"""Songs, public data sets, captions and forms from which the fuzzer starts, all made here."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import public_sets
from fuzz_seeds import Seeds
from PIL import Image


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
    for format in ("PNG", "JPEG", "GIF", "BMP", "WEBP"):
        stream = io.BytesIO()
        Image.new("L", (9, 7), 200).save(stream, format)
        yield (stream.getvalue(),)
