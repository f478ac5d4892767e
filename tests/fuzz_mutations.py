"""How the fuzzer changes inputs: by words, by values of JSON or of arrays, or inside archives.

An input of several files is their contents with a separator between them, of which one is changed.
"""

from __future__ import annotations

import copy
import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import atheris
import numpy as np

Mutator = Callable[[bytes, int, int], bytes]
_SEPARATOR: Final = b"\n%%%%\n"


def joined(files: Sequence[bytes]) -> bytes:
    """Several files as one input."""
    return _SEPARATOR.join(files)


def parted(data: bytes, count: int) -> list[bytes]:
    """The files of an input; fewer than `count` where the last ones are missing."""
    return data.split(_SEPARATOR, count - 1)


def mutator_of(files: Sequence[str]) -> Mutator:
    """How inputs of these files are changed: one of them, as its suffix says, or left out."""

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        parts = parted(data, len(files))
        rng = np.random.default_rng(seed)
        at = int(rng.integers(len(parts)))
        if len(parts) > 1 and rng.random() < 0.02:
            return joined(parts[:-1])
        if len(parts) > 1 and rng.random() < 0.03:
            parts[at] = parts[rng.integers(len(parts))]
        else:
            room = max(16, most - len(data) + len(parts[at]))
            change = MUTATORS.get(Path(files[at]).suffix, mutate_bytes)
            try:
                parts[at] = change(parts[at], room, seed)
            except Exception:  # the change itself does not fit, such as a number into its type
                parts[at] = mutate_bytes(parts[at], room, seed)
        return joined(parts)[:most]

    return mutate


def mutate_bytes(data: bytes, most: int, seed: int) -> bytes:
    """Change bytes anywhere."""
    return bytes(atheris.Mutate(data, min(most, len(data) + 64)))


def mutate_glb(data: bytes, most: int, seed: int) -> bytes:
    """Change the JSON or the numbers of a GLB file and mend its lengths."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.1 or len(data) < 20:
        return bytes(atheris.Mutate(data, most))
    size = int.from_bytes(data[12:16], "little")
    text, numbers = data[20 : 20 + size], data[28 + size :]
    if rng.random() < 0.7:
        text = mutate_json(text, most, seed)
    else:
        numbers = bytes(atheris.Mutate(numbers, len(numbers) + 8))
    return glb(text, numbers)[:most]


def glb(text: bytes, numbers: bytes) -> bytes:
    """A GLB file of two chunks."""
    chunks = [(text, b"JSON"), (numbers, b"BIN\0")]
    body = b"".join(len(data).to_bytes(4, "little") + kind + data for data, kind in chunks)
    return b"glTF" + (2).to_bytes(4, "little") + (12 + len(body)).to_bytes(4, "little") + body


_VALUES = (
    None,
    True,
    -1,
    0,
    1,
    2,
    9,
    5121,
    5123,
    10**9,
    1e308,
    0.5,
    "",
    "VEC3",
    "CUBICSPLINE",
    [],
    {},
    10**400,
    -(10**19),
    1 << 31,
    float("nan"),
    float("inf"),
    "\udcff",
    "\ud83d",
    "a\0b\x1b[2J\n",
    "../../../etc/passwd",
    "/dev/zero",
    "x" * 3000,
    [[[[[]]]]],
    [1, None, "a"],
    "train",
)


def mutate_json(data: bytes, most: int, seed: int) -> bytes:
    """Change, move, repeat or drop values inside JSON: text changed at random is never read."""
    rng = np.random.default_rng(seed)
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return bytes(atheris.Mutate(data, most))
    if rng.random() < 0.1 or not isinstance(whole, (dict, list)):
        return bytes(atheris.Mutate(data, most))
    for _ in range(rng.integers(1, 4)):
        places: list[tuple[Any, Any]] = []
        waiting: list[Any] = [whole]
        while waiting:
            holder = waiting.pop()
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            places += [(holder, key) for key in keys[:500]]
            waiting += [holder[key] for key in keys if isinstance(holder[key], (dict, list))]
        if not places:
            break
        holder, key = places[rng.integers(len(places))]
        action = rng.integers(5)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, list):
            holder.append(json.loads(json.dumps(holder[key])))
        elif action == 1:
            words = [*holder, "\udc80"]
            holder[words[rng.integers(len(words))]] = json.loads(json.dumps(holder[key]))
        elif action == 2:
            other, there = places[rng.integers(len(places))]
            holder[key] = json.loads(json.dumps(other[there]))
        else:
            # A copy: a list that is changed in place would come to hold itself.
            holder[key] = copy.deepcopy(_VALUES[rng.integers(len(_VALUES))])
    return json.dumps(whole).encode()[:most]


def mutate_npz(data: bytes, most: int, seed: int) -> bytes:
    """Change one member and pack them again: bytes changed at random only break checksums."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.1:
        return bytes(atheris.Mutate(data, most))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {m.filename: archive.read(m) for m in archive.infolist()}
    except Exception:
        return bytes(atheris.Mutate(data, most))
    if not members:
        return bytes(atheris.Mutate(data, most))
    names = sorted(members)
    name = names[rng.integers(len(names))]
    action = rng.random()
    if action < 0.1:
        del members[name]
    elif action < 0.2:
        known = ("positions", "fps", "up", "metres_per_unit", "joint_names", "parents", "poses")
        members[f"{known[rng.integers(len(known))]}.npy"] = members.pop(name)
    else:
        room = len(members[name]) + 64
        members[name] = MUTATORS.get(Path(name).suffix, mutate_bytes)(members[name], room, seed)
    stream = io.BytesIO()
    kind = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)[rng.integers(3)]
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", kind) as archive:
        for key, content in members.items():
            archive.writestr(zipfile.ZipInfo(key), content, kind)
    return stream.getvalue()[:most]


def mutate_npy(data: bytes, most: int, seed: int) -> bytes:
    """Change some values, the type or the shape of an array, or its bytes."""
    rng = np.random.default_rng(seed)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:
        return mutate_bytes(data, most, seed)
    action = rng.integers(8)
    if action < 2 or not array.size:
        return mutate_bytes(data, most, seed)
    try:
        array = _changed(array, int(action), rng)
    except (ValueError, SystemError):  # text that is no number or no text, shapes that do not fit
        return mutate_bytes(data, most, seed)
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()[:most]


def _changed(array: np.ndarray, action: int, rng: np.random.Generator) -> np.ndarray:
    if action < 5 and array.dtype.kind in "iuf":
        values = (0, -1, 1, 1e7, 1e30, 1e-30, np.nan, np.inf, -np.inf, 2**31 - 1, rng.normal())
        array = array.copy()
        with np.errstate(all="ignore"):
            value = np.asarray(values[rng.integers(len(values))], "f8").astype(array.dtype)
        if rng.random() < 0.3 and array.ndim:
            array[..., rng.integers(array.shape[-1])] = value
        else:
            array.reshape(-1)[rng.integers(array.size, size=rng.integers(1, 9))] = value
    elif action == 5 and array.ndim:
        axis = int(rng.integers(array.ndim))
        array = array.take(range(rng.integers(array.shape[axis] + 1)), axis)
    elif action == 6:
        kinds = ("f2", "f4", "f8", ">f4", "i1", "i8", "u2", "b", "c8", "U3", "S2")
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = array.astype(kinds[rng.integers(len(kinds))])
    else:
        shapes = (
            array[None],
            array.reshape(-1),
            array.T,
            np.concatenate([np.atleast_1d(array)] * 2),
        )
        array = shapes[rng.integers(len(shapes))]
    return array


def mutate_jsonl(data: bytes, most: int, seed: int) -> bytes:
    """Change a line of JSON, repeat or drop it."""
    rng = np.random.default_rng(seed)
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    action = rng.integers(6)
    if action == 0:
        del lines[at]
    elif action == 1:
        lines.insert(at, lines[rng.integers(len(lines))])
    else:
        lines[at] = mutate_json(lines[at], max(16, most - len(data)), seed)
    return b"\n".join(lines)[:most]


_TABLE_WORDS: Final = (
    b"0 1 -1 0.0 nan inf -inf 1e400 1e-320 99999999999999999999 1_0 0x1p3 \xd9\xa1 # , ; \" ' "
    b"a#b#0.0#1.0 N/A train M000001 000001 \x00 \x1b[2J \x85 \xe2\x80\xa8 \xff \xed\xb3\xbf "
    b"../x /dev/zero FW_START STYLE_NAME & *a !!python/object/apply:os.system [ ] { } : - ? | > "
    b"pelvis left_hip content"
).split(b" ")


def mutate_table(data: bytes, most: int, seed: int) -> bytes:
    """Change, move, repeat or drop cells of tables and words of lists."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.15:
        return mutate_bytes(data, most, seed)
    pieces = re.split(rb"([\s,#:/\[\]{}]+)", data)
    for _ in range(rng.integers(1, 4)):
        if not pieces:
            break
        at, other = rng.integers(len(pieces), size=2)
        action = rng.integers(6)
        if action == 0:
            del pieces[at : at + rng.integers(1, 6)]
        elif action == 1:
            pieces[at:at] = pieces[other : other + rng.integers(1, 20)]
        elif action == 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif action == 3:
            pieces[at] = mutate_bytes(pieces[at], len(pieces[at]) + 8, seed)
        else:
            pieces[at] = _TABLE_WORDS[rng.integers(len(_TABLE_WORDS))]
    return b"".join(pieces)[:most]


_WORDS = (
    "ROOT JOINT End Site { } OFFSET CHANNELS 6 3 1 0 Xposition Zrotation Yrotation MOTION Frames: "
    "Frame Time: .0333 1e400 nan -inf 1e7 -1e-320 1_0 0x1p3 1,5 \u0661 \x1c \x85 99999 root begin "
    "end id 1 name lfemur lfemur_end direction length axis XYZ ZYX dof rx ry rz tx ty tz order "
    ":root :bonedata :hierarchy :units :degrees :radians angle rad deg position "
    "orientation # \n \r \t"
)
WORDS = [word.encode() for word in _WORDS.split(" ")]


def mutate_words(data: bytes, most: int, seed: int) -> bytes:
    """Change, move, repeat or drop a few words or lines: text changed at random is never read."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.15:
        return bytes(atheris.Mutate(data, most))
    separator = b"\n" if rng.random() < 0.3 else b" "
    pieces = data.replace(b"\n", b" \n ").split(b" ") if separator == b" " else data.split(b"\n")
    for _ in range(rng.integers(1, 4)):
        if not pieces:
            break
        at, other = rng.integers(len(pieces), size=2)
        action = rng.integers(8)
        if action == 0:
            del pieces[at : at + rng.integers(1, 8)]
        elif action == 1:
            pieces[at:at] = pieces[other : other + rng.integers(1, 20)]
        elif action == 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif action == 3:
            pieces[at] = bytes(atheris.Mutate(pieces[at], len(pieces[at]) + 8))
        elif action < 7:
            numbers = [i for i, piece in enumerate(pieces) if piece[-1:].isdigit()] or [at]
            value = rng.choice([0.0, 1e7, 180.0, rng.normal(), rng.normal() * 1e6])
            pieces[numbers[rng.integers(len(numbers))]] = f"{value:.6g}".encode()
        else:
            pieces[at] = WORDS[rng.integers(len(WORDS))]
    return separator.join(pieces)[:most]


MUTATORS: Final[Mapping[str, Mutator]] = {
    ".npz": mutate_npz,
    ".pt": mutate_npz,
    ".npy": mutate_npy,
    ".glb": mutate_glb,
    ".gltf": mutate_json,
    ".json": mutate_json,
    ".jsonl": mutate_jsonl,
    ".bvh": mutate_words,
    ".amc": mutate_words,
    ".asf": mutate_words,
    ".fbx": mutate_table,
    ".form": mutate_table,
    ".txt": mutate_table,
    ".csv": mutate_table,
    ".yaml": mutate_table,
}
"""Suffix of a file -> how it is changed; all others as bytes."""
