"""Fuzz the readers of motion files, guided by which lines of raydance an input reaches.

    python -m venv fuzz && fuzz/bin/pip install atheris numpy scipy pyyaml pillow pygltflib
    PYTHONPATH=. fuzz/bin/python tests/fuzz_readers.py SECONDS [FORMAT] [FOLDER]

FORMAT is bvh, amc, npy, npz, pkl, glb or gltf; all of them, one after the other, where it is
absent. FOLDER holds further files to start from; they are only read. What is found is named at the
end and kept as files in `fuzz-findings/`; the exit code is then 1.

A finding is an error that is not the user's to mend, a clip that is not as `Clip` promises, a clip
that a writer fails on, more than 5 seconds, more than 1 GiB, or anything executed from a file.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["raydance", "pickletools", "zipfile"]):
    import numpy as np

    from raydance.errors import RaydanceError
    from raydance.motion import synthetic
    from raydance.motion.clip import Clip
    from raydance.motion.export import write_clip
    from raydance.motion.formats import read_clip
    from raydance.motion.mapping import map_to_canonical

from fuzz_mutations import glb, mutate_glb, mutate_json, mutate_npz, mutate_words

FORMATS = ("bvh", "amc", "npy", "npz", "pkl", "glb", "gltf")
MOST_SECONDS = 5.0
MOST_MIB = 1200  # the program itself takes a part of it
MOST_BYTES = 1 << 16
FINDINGS = Path("fuzz-findings")
_SEPARATOR = b"\n%%%%\n"  # between an ASF and its AMC file
_EXECUTES = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "os.remove")

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
1
root 9.3 17.8 -17.3 -2.0 -7.2 -1.6
lfemur 1 2 3
rfemur 3.5
2
root 9.3 17.8 -17.2 -2.0 -7.2 -1.6
lfemur 1 2 4
rfemur 3.6
"""


def seeds(format: str, folder: Path | None) -> Iterator[bytes]:
    """Valid files to start from."""
    rng = np.random.default_rng(0)
    clip = synthetic.make_clip(synthetic.MOVEMENTS[0], 0)
    short = Clip(
        clip_id="seed",
        source="seed",
        fps=20.0,
        joint_names=clip.joint_names,
        parents=clip.parents,
        positions=clip.positions[:3],
        rotations=None if clip.rotations is None else clip.rotations[:3],
        offsets=clip.offsets,
    )
    if format == "amc":
        yield _ASF + _SEPARATOR + _AMC
    elif format in ("bvh", "npz"):
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / f"seed.{format}"
            write_clip(path, short)
            yield path.read_bytes()
    if format == "npz":
        yield _npz(poses=rng.normal(size=(2, 156)), trans=np.zeros((2, 3)), mocap_framerate=60.0)
        yield _npz(joints=short.positions[:, :22].astype("f2"), fps=np.int64(30), up=np.array("z"))
        names = np.array([f"j{i}" for i in range(3)])
        yield _npz(motion=np.ones((2, 3, 3)), fps=25.0, joint_names=names, parents=[-1, 0, 1])
    elif format == "npy":
        shapes = ((3, 22, 3), (3, 263), (3, 21, 3), (3, 251), (3, 315), (3, 319))
        for array in (rng.normal(size=shape).astype("f4") for shape in shapes):
            stream = io.BytesIO()
            np.save(stream, array)
            yield stream.getvalue()
    elif format in ("gltf", "glb"):
        numbers = np.array([0, 1, *np.eye(4)[3], *np.eye(4)[0]], "<f4").tobytes()
        for way in ("LINEAR", "STEP"):
            scene = _scene(numbers, way)
            if format == "glb":
                scene["buffers"] = [{}]
            text = json.dumps(scene).encode()
            yield glb(text, numbers) if format == "glb" else text
    elif format == "pkl":
        import pickle

        poses = {"smpl_poses": np.zeros((2, 72)), "smpl_trans": np.zeros((2, 3))}
        points = {"keypoints3d": np.ones((2, 17, 3)), "keypoints3d_optim": np.zeros((2, 17, 3))}
        for content in (poses | {"smpl_scaling": np.array([93.0])}, points):
            for protocol in (0, 2, 4, 5):
                yield pickle.dumps(content, protocol)
    if folder is not None:
        for path in sorted(folder.rglob(f"*.{format}"))[:20]:
            content = path.read_bytes()
            if format == "amc":
                bodies = sorted(path.parent.glob("*.asf"))[:1]
                content = b"".join(p.read_bytes() for p in bodies) + _SEPARATOR + content
            if format in ("bvh", "amc"):  # some frames only: text may end anywhere
                yield content[:MOST_BYTES]
            elif len(content) <= MOST_BYTES:
                yield content


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


def _npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def check(clip: Clip) -> None:
    """What every reader promises."""
    for name in ("positions", "rotations", "offsets"):
        array = getattr(clip, name)
        assert array is None or np.isfinite(array).all(), f"{name} not finite"
        assert array is None or array.dtype == np.float32, f"{name} of {array.dtype}"
    assert np.isfinite(clip.fps) and clip.fps > 0, f"fps {clip.fps}"
    assert all(-1 <= p < i for i, p in enumerate(clip.parents)), "a parent after its child"
    assert len(set(clip.joint_names)) == len(clip.joint_names), "names that occur twice"


class Target:
    """Reads one input as a file of a format, and keeps what went wrong.

    Args:
        format: the suffix.
        folder: where the input is written, on memory if possible.
    """

    def __init__(self, format: str, folder: Path) -> None:
        self.path = folder / f"case.{format}"
        self.format = format
        self.found: dict[str, int] = {}
        self.count = self.num_read = 0
        self._data = b""
        sys.addaudithook(self._on_event)
        self._is_reading = False

    def _on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._is_reading and event.startswith(_EXECUTES):
            self._keep(f"executed {event} {str(arguments)[:80]}")

    def __call__(self, data: bytes) -> None:
        """One execution."""
        self.count += 1
        self._data = data
        started = time.monotonic()
        if self.format == "amc":
            skeleton, _, data = data.partition(_SEPARATOR)
            self.path.with_suffix(".asf").write_bytes(skeleton)
        self.path.write_bytes(data)
        try:
            self._is_reading = True
            clip = read_clip(self.path)
            self._is_reading = False
            self.num_read += 1
            check(clip)
            try:
                map_to_canonical(clip)
            except RaydanceError:
                pass
            for suffix in (".bvh", ".npz", ".glb") if clip.num_frames < 20 else ():
                write_clip(self.path.with_name(f"out{suffix}"), clip)
        except RaydanceError as error:
            str(error).encode()  # it must be possible to print it
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            last = next((f for f in frames[::-1] if "raydance" in f.filename), frames[-1])
            place = f"{Path(last.filename).name}:{last.lineno}"
            self._keep(f"{type(error).__name__} at {place}: {str(error)[:120]}")
        finally:
            self._is_reading = False
        seconds = time.monotonic() - started
        if seconds > MOST_SECONDS:
            self._keep(f"{int(seconds)} s")

    def _keep(self, what: str) -> None:
        key = ":".join(what.split(":")[:2])[:60]
        if key not in self.found:
            FINDINGS.mkdir(exist_ok=True)
            number = len(list(FINDINGS.iterdir()))
            path = FINDINGS / f"{self.format}-{number}.{self.format}"
            path.write_bytes(self._data)
            print(f"FINDING {path}: {what}", flush=True)
        self.found[key] = self.found.get(key, 0) + 1


def fuzz(format: str, seconds: int, folder: Path | None) -> None:
    """Fuzz one format in this process, which libFuzzer ends."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="fuzz", dir=memory if memory.is_dir() else None))
    corpus = place / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(format, folder)):
        (corpus / f"seed{number}").write_bytes(seed)
    target = Target(format, place)

    def one(data: bytes) -> None:
        target(data)
        if time.monotonic() > end:  # libFuzzer leaves by exit(): nothing may come after it
            print(
                f"{format}: {target.count} executions in {seconds} s, {target.num_read} read, "
                f"{len(target.found)} kinds of finding",
                flush=True,
            )
            os._exit(1 if target.found else 0)

    options = [
        sys.argv[0],
        str(corpus),
        f"-max_len={MOST_BYTES}",
        f"-timeout={int(2 * MOST_SECONDS)}",
        f"-rss_limit_mb={MOST_MIB}",
        f"-artifact_prefix={FINDINGS}/{format}-",
        "-len_control=0",
        "-verbosity=0",
    ]
    custom: dict[str, Callable[..., bytes]] = {}
    if format == "npz":
        custom["custom_mutator"] = mutate_npz
    elif format == "glb":
        custom["custom_mutator"] = mutate_glb
    elif format == "gltf":
        custom["custom_mutator"] = mutate_json
    elif format in ("bvh", "amc"):
        custom["custom_mutator"] = mutate_words
    FINDINGS.mkdir(exist_ok=True)
    atheris.Setup(options, one, **custom)
    end = time.monotonic() + seconds
    atheris.Fuzz()


def main() -> int:
    """Each format in a process of its own: libFuzzer ends the process that it runs in."""
    seconds = int(sys.argv[1])
    folder = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    if len(sys.argv) > 2 and sys.argv[2] != "all":
        fuzz(sys.argv[2], seconds, folder)
    commands = [
        [sys.executable, __file__, str(seconds), format, *map(str, filter(None, [folder]))]
        for format in FORMATS
    ]
    return max(subprocess.run(command).returncode for command in commands)


if __name__ == "__main__":
    sys.exit(main())
