"""Animations of glTF 2.0 files (.glb, .gltf): joints of a skin, or animated nodes, over time.

The specification has metres, seconds and y up; metres are believed when a body of human size
follows. Keys are read at the rate that most of them keep. Of several animations the longest is
read, with a warning that names the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import rotations as rot
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import text as tx
from raydance.motion.formats.gltf_data import GltfData
from raydance.motion.formats.node_motion import NodeMotion, joints_of, order_of
from raydance.motion.formats.sidecar import facts_beside
from raydance.plain_text import one_line

_PATHS: Final = {"translation": 3, "rotation": 4, "scale": 3}
_INTERPOLATIONS: Final = ("LINEAR", "STEP", "CUBICSPLINE")
_USUAL_FPS: Final = 30.0
_SLOWEST_FPS: Final = 12.0  # fewer keys a second are poses to blend, not recorded frames
_MAX_SECONDS: Final = 1e6

Tracks = dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]]
"""(node, path) -> times `[K]`, values `[K, width]` or `[K, 3, width]`, interpolation."""


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read the longest animation of a glTF file.

    Args:
        path: .glb or .gltf.
        fps: frames per second, if the file's times are wrong.
        units: metres per unit; a side-car's, the file's or the body's where None.
        up: the up axis, if not y.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: not such a file, no animation in it, or values out of bounds.
        InputError: an argument is out of range.
    """
    return read_with_scale(path, fps=fps, units=units, up=up, max_frames=max_frames)[0]


def read_with_scale(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> tuple[Clip, un.Scale]:
    """As `read`, and what was found about the file's unit and up axis."""
    tx.check_fps(fps)
    name = str(path)
    data = GltfData(path)
    nodes = data.top("nodes")
    parents = _parents(data, nodes)
    order = order_of(parents, name)
    tracks = _longest(data, len(nodes))
    times, rate = _frames(tracks, max_frames, name)
    tx.check_size(name, len(times) + 1, len(nodes), max_frames + 1)
    place = {node: at for at, node in enumerate(order)}
    motion = NodeMotion(
        names=tuple(_name(nodes[node]) for node in order),
        parents=tuple(place[parents[node]] if parents[node] >= 0 else -1 for node in order),
        **_transforms(data, nodes, order, tracks, times),
    )
    kept = sorted(place[node] for node in _joints(data, nodes, parents, tracks))
    joints = joints_of(motion, kept, name)
    facts = facts_beside(path)
    scale = un.detect(
        joints.positions,
        parents=joints.parents,
        joint_names=joints.names,
        rest=joints.rest,
        units=facts.get("units") if units is None else units,
        up=up or facts.get("up", "y"),
        declared=1.0,
    )
    scale.warn(name)
    clip = Clip(
        clip_id=Path(path).stem,
        source=name,
        fps=rate if fps is None else float(fps),
        joint_names=joints.names,
        parents=joints.parents,
        positions=scale.vectors(joints.positions),
        rotations=None if joints.rotations is None else scale.rotations(joints.rotations),
        offsets=None if joints.rotations is None else scale.vectors(joints.offsets),
    )
    return clip, scale


def _name(node: Mapping[str, Any]) -> str:
    name = node.get("name")
    return one_line(name) if isinstance(name, str) else ""


def _parents(data: GltfData, nodes: Sequence[Mapping[str, Any]]) -> list[int]:
    parents = [-1] * len(nodes)
    for number, node in enumerate(nodes):
        children = node.get("children", [])
        if not isinstance(children, list):
            raise FormatError(data.name, f"children of node {number}: a list is needed")
        for child in children:
            child = data.checked_index(child, len(nodes), f"children of node {number}")
            if parents[child] >= 0 or child == number:
                raise FormatError(data.name, f"node {child} has several parents")
            parents[child] = number
    return parents


def _longest(data: GltfData, num_nodes: int) -> Tracks:
    """The tracks of the animation that lasts longest."""
    animations = data.top("animations")
    found = [(_tracks(data, animation, num_nodes), animation) for animation in animations]
    found = [(tracks, animation) for tracks, animation in found if tracks]
    if not found:
        raise FormatError(data.name, "no animation of nodes in the file")
    best = max(range(len(found)), key=lambda i: _span(found[i][0])[1] - _span(found[i][0])[0])
    if len(found) > 1:
        names = [_name(animation) or f"animation {i}" for i, (_, animation) in enumerate(found)]
        others = ", ".join(name for i, name in enumerate(names) if i != best)
        warnings.warn(
            f"{data.name}: {len(found)} animations; {names[best]} is read, the longest, and not "
            f"{others[:200]}",
            stacklevel=4,
        )
    return found[best][0]


def _span(tracks: Tracks) -> tuple[float, float]:
    begins, ends = zip(*((times[0], times[-1]) for times, _, _ in tracks.values()))
    return min(begins), max(ends)


def _tracks(data: GltfData, animation: Mapping[str, Any], num_nodes: int) -> Tracks:
    samplers = data.objects(animation, "samplers", "an animation")
    times_of: dict[int, np.ndarray] = {}
    tracks: Tracks = {}
    for channel in data.objects(animation, "channels", "an animation"):
        target = channel.get("target")
        kind = target.get("path") if isinstance(target, dict) else None
        is_of_node = isinstance(target, dict) and "node" in target
        if not isinstance(target, dict) or not is_of_node or not isinstance(kind, str):
            continue  # a target of an extension
        if kind not in _PATHS:
            continue  # weights of morph targets
        node = data.index(target, "node", num_nodes, "a channel")
        sampler = samplers[data.index(channel, "sampler", len(samplers), "a channel")]
        way = sampler.get("interpolation", "LINEAR")
        if way not in _INTERPOLATIONS:
            raise FormatError(data.name, f"interpolation {str(way)[:20]} of a sampler")
        number = data.index(sampler, "input", len(data.top("accessors")), "a sampler")
        if number not in times_of:
            times_of[number] = _times(data, number)
        times = times_of[number]
        values = data.array(sampler.get("output"), _PATHS[kind], "output of a sampler")
        per_key = 3 if way == "CUBICSPLINE" else 1
        if len(values) != per_key * len(times):
            reason = f"a sampler has {len(values)} values for {len(times)} times"
            raise FormatError(data.name, reason)
        if not (np.abs(values) <= tx.MAX_VALUE).all():
            raise FormatError(data.name, f"a sampler's values: finite, up to {tx.MAX_VALUE:g}")
        if kind == "rotation":
            values = values[:, [3, 0, 1, 2]]
        if per_key == 3:
            values = values.reshape(len(times), 3, -1)
        tracks[node, kind] = times, values, way
    return tracks


def _times(data: GltfData, number: Any) -> np.ndarray:
    times = data.array(number, 1, "input of a sampler")[:, 0]
    is_good = np.isfinite(times).all() and (np.diff(times) > 0).all()
    if not is_good or times[0] < 0 or times[-1] > _MAX_SECONDS:
        reason = f"times of a sampler: increasing numbers from 0 to {_MAX_SECONDS:g} are needed"
        raise FormatError(data.name, reason)
    return times


def _frames(tracks: Tracks, max_frames: int, place: str) -> tuple[np.ndarray, float]:
    """Times of frames `[T]` in seconds, and their rate: the one that most keys keep."""
    first, last = _span(tracks)
    longest = max((times for times, _, _ in tracks.values()), key=len)
    rate = _USUAL_FPS
    if len(longest) > 1:
        step = float(np.median(np.diff(longest)))
        found = tx.fps_of_step(step)
        rate = found if _SLOWEST_FPS <= found <= tx.MAX_FPS else _USUAL_FPS
    num_frames = round((last - first) * rate) + 1
    if num_frames > max_frames:
        raise FormatError(place, f"{num_frames} frames; at most {max_frames} are allowed")
    return first + np.arange(num_frames) / rate, rate


def _transforms(
    data: GltfData,
    nodes: Sequence[Mapping[str, Any]],
    order: Sequence[int],
    tracks: Tracks,
    times: np.ndarray,
) -> dict[str, np.ndarray]:
    """Translations, rotations and scales `[T + 1, N, ...]`; the first row is the rest pose."""
    num_frames = len(times) + 1
    out = {f"{kind}s": np.empty((num_frames, len(order), n)) for kind, n in _PATHS.items()}
    for at, node in enumerate(order):
        rest = _rest(data, nodes[node], f"node {node}")
        for kind in _PATHS:
            array = out[f"{kind}s"]
            array[:, at] = rest[kind]
            if (node, kind) in tracks:
                array[1:, at] = _sample(*tracks[node, kind], times, kind == "rotation")
    return out


def _rest(data: GltfData, node: Mapping[str, Any], place: str) -> dict[str, np.ndarray]:
    if "matrix" in node:
        usual = tuple(np.eye(4).reshape(-1))
        matrix = data.numbers(node, "matrix", usual, place).reshape(4, 4).T
        scale = np.linalg.norm(matrix[:3, :3], axis=0)
        if np.linalg.det(matrix[:3, :3]) < 0:
            scale[0] = -scale[0]
        turn = matrix[:3, :3] / np.where(scale == 0, 1.0, scale)
        rotation = rot.from_matrix(turn) if (scale != 0).all() else rot.IDENTITY
        return {"translation": matrix[:3, 3], "rotation": rotation, "scale": scale}
    rotation = data.numbers(node, "rotation", (0.0, 0.0, 0.0, 1.0), place)
    return {
        "translation": data.numbers(node, "translation", (0.0, 0.0, 0.0), place),
        "rotation": rot.normalise(rotation[[3, 0, 1, 2]]),
        "scale": data.numbers(node, "scale", (1.0, 1.0, 1.0), place),
    }


def _sample(
    keys: np.ndarray, values: np.ndarray, way: str, times: np.ndarray, is_rotation: bool
) -> np.ndarray:
    """Values `[T, width]` at some times (specification, section 3.11 and appendix C)."""
    after = np.clip(np.searchsorted(keys, times, side="right"), 1, max(len(keys) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(keys) - 1)
    span = np.where(after > before, keys[after] - keys[before], 1.0)
    share = np.clip((times - keys[before]) / span, 0.0, 1.0)[:, None]
    if way == "STEP":
        found = values[np.where(share[:, 0] >= 1.0, after, before)]
    elif way == "LINEAR":
        first, second = values[before], values[after]
        found = _slerp(first, second, share) if is_rotation else first + share * (second - first)
    else:
        found = _spline(values[before], values[after], share, span[:, None])
    return rot.normalise(found) if is_rotation else found


def _slerp(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    first, second = rot.normalise(first), rot.normalise(second)
    cosine = np.einsum("ti,ti->t", first, second)[:, None]
    second = np.where(cosine < 0, -second, second)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    is_small = angle < 1e-4
    sine = np.where(is_small, 1.0, np.sin(angle))
    weights = np.sin((1.0 - share) * angle) / sine, np.sin(share * angle) / sine
    linear = first + share * (second - first)
    return np.where(is_small, linear, weights[0] * first + weights[1] * second)


def _spline(
    first: np.ndarray, second: np.ndarray, share: np.ndarray, span: np.ndarray
) -> np.ndarray:
    """A cubic Hermite curve between keys `[T, 3, width]` of in-tangent, value and out-tangent."""
    square, cube = share**2, share**3
    return (
        (2 * cube - 3 * square + 1) * first[:, 1]
        + (cube - 2 * square + share) * span * first[:, 2]
        + (3 * square - 2 * cube) * second[:, 1]
        + (cube - square) * span * second[:, 0]
    )


def _joints(
    data: GltfData, nodes: Sequence[Mapping[str, Any]], parents: Sequence[int], tracks: Tracks
) -> set[int]:
    """The nodes that are joints: those of the largest skin, else what moves and hangs from that."""
    largest: set[int] = set()
    for skin in data.top("skins"):
        found = skin.get("joints", [])
        if not isinstance(found, list):
            raise FormatError(data.name, "joints of a skin: a list is needed")
        joints = {data.checked_index(joint, len(nodes), "joints of a skin") for joint in found}
        largest = max(largest, joints, key=len)
    moving = {node for node, kind in tracks if kind != "scale"}
    if largest & moving:
        return largest
    if not moving:
        raise FormatError(data.name, "no node moves or turns")
    return moving | {node for node, parent in enumerate(parents) if parent in moving}
