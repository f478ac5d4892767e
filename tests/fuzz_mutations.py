"""How the fuzzer changes inputs: by words, by values of JSON, or inside archives."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from typing import Any

import atheris
import numpy as np


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
)


def mutate_json(data: bytes, most: int, seed: int) -> bytes:
    """Change, move, repeat or drop values inside JSON: text changed at random is never read."""
    rng = np.random.default_rng(seed)
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return bytes(atheris.Mutate(data, most))
    if rng.random() < 0.1 or not isinstance(whole, dict):
        return bytes(atheris.Mutate(data, most))
    for _ in range(rng.integers(1, 4)):
        places: list[tuple[Any, Any]] = []
        waiting: list[Any] = [whole]
        while waiting:
            holder = waiting.pop()
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            places += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys if isinstance(holder[key], (dict, list))]
        if not places:
            break
        holder, key = places[rng.integers(len(places))]
        action = rng.integers(5)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, list):
            holder.append(json.loads(json.dumps(holder[key])))
        elif action == 2:
            other, there = places[rng.integers(len(places))]
            holder[key] = json.loads(json.dumps(other[there]))
        else:
            holder[key] = _VALUES[rng.integers(len(_VALUES))]
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
        members[name] = bytes(atheris.Mutate(members[name], len(members[name]) + 64))
    stream = io.BytesIO()
    kind = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)[rng.integers(3)]
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", kind) as archive:
        for key, content in members.items():
            archive.writestr(zipfile.ZipInfo(key), content, kind)
    return stream.getvalue()[:most]


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
