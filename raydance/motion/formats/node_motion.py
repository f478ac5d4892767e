"""A tree of nodes that are moved, turned and scaled, to joints: what scene formats share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import rotations as rot
from raydance.motion import skeleton
from raydance.motion.formats import text as tx

MAX_NODES: Final = 4096
_BLOCK_FRAMES: Final = 1024
_UNEVEN: Final = 1e-3  # of a scale


@dataclass(frozen=True, kw_only=True)
class NodeMotion:
    """Local transforms of nodes, a parent before its children.

    Attributes:
        names: N names.
        parents: N indices, -1 for a root.
        translations: `[T, N, 3]`, rotations: `[T, N, 4]` unit quaternions (w, x, y, z), scales:
            `[T, N, 3]`, each float64 and local to the parent. Frame 0 is the rest pose, and no
            frame of the motion.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    translations: np.ndarray
    rotations: np.ndarray
    scales: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Joints:
    """Joints in the frame and unit of the scene.

    Attributes:
        positions: `[T, J, 3]` float32; rotations: `[T, J, 4]` float32, local to the joint above,
            or None where a scale turns or shears; rest: `[J, 3]` positions of the rest pose;
            offsets: `[J, 3]` from the joint above, in its frame.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    positions: np.ndarray
    rotations: np.ndarray | None
    rest: np.ndarray
    offsets: np.ndarray


def order_of(parents: Sequence[int], place: str) -> list[int]:
    """Indices of nodes, each after its parent.

    Raises:
        FormatError: nodes in a circle, or more than any recording has.
    """
    if len(parents) > MAX_NODES:
        raise FormatError(place, f"{len(parents)} nodes; at most {MAX_NODES} are read")
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        children.setdefault(parent, []).append(node)
    order: list[int] = []
    waiting = children.get(-1, [])[::-1]
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += children.get(node, [])[::-1]
    if len(order) != len(parents):
        raise FormatError(place, "nodes are their own ancestors")
    return order


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of joints that differ, none of them empty or too long."""
    out: list[str] = []
    taken: set[str] = set()
    for number, name in enumerate(names):
        name = name[: tx.MAX_NAME - 8] or f"node{number}"
        free, count = name, 1
        while free in taken:
            count += 1
            free = f"{name}_{count}"
        taken.add(free)
        out.append(free)
    return tuple(out)


def joints_of(motion: NodeMotion, kept: Sequence[int], place: str) -> Joints:
    """The joints among the nodes, with the way of the others between them added up.

    Args:
        kept: increasing indices of nodes.

    Raises:
        FormatError: values that are not finite or too large.
    """
    num_frames = len(motion.translations)
    positions = np.empty((num_frames, len(kept), 3), np.float32)
    turns = np.empty((num_frames, len(kept), 4), np.float32)
    parents = skeleton.parents_among(list(kept), motion.parents)
    rest, offsets = np.zeros((len(kept), 3)), np.zeros((len(kept), 3))
    for block, places, rotations in _global(motion):
        places, rotations = places[:, kept], rotations[:, kept]
        if not (np.abs(places) <= tx.MAX_VALUE).all():  # false for NaN, too
            raise FormatError(place, f"a node is further away than {tx.MAX_VALUE:g}")
        positions[block] = places
        above = rotations[:, [max(parent, 0) for parent in parents]]
        above[:, [i for i, parent in enumerate(parents) if parent < 0]] = rot.IDENTITY
        turns[block] = rot.multiply(rot.conjugate(above), rotations)
        if block.start == 0:
            rest = places[0]
            from_above = rest - np.where(
                np.array(parents)[:, None] < 0, 0.0, rest[[max(p, 0) for p in parents]]
            )
            offsets = rot.rotate(rot.conjugate(above[0]), from_above)
    return Joints(
        names=unique_names([motion.names[node] for node in kept]),
        parents=parents,
        positions=positions[1:],
        rotations=turns[1:] if _are_even(motion.scales) else None,
        rest=rest,
        offsets=offsets,
    )


def _are_even(scales: np.ndarray) -> bool:
    """Whether scales are the same in all directions and mirror nothing."""
    low, high = scales.min(axis=-1), scales.max(axis=-1)
    return bool((low > 0).all() and (high - low <= _UNEVEN * high).all())


def _global(motion: NodeMotion) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Blocks of frames with positions `[B, N, 3]` and global rotations `[B, N, 4]`."""
    num_frames, num_nodes = motion.translations.shape[:2]
    for start in range(0, num_frames, _BLOCK_FRAMES):
        block = slice(start, start + _BLOCK_FRAMES)
        local, moved = motion.rotations[block], motion.translations[block]
        stretch = rot.to_matrix(local) * motion.scales[block][..., None, :]
        places = np.empty_like(moved)
        rotations = np.empty_like(local)
        matrices = np.empty_like(stretch)
        for node in range(num_nodes):
            parent = motion.parents[node]
            if parent < 0:
                places[:, node] = moved[:, node]
                rotations[:, node], matrices[:, node] = local[:, node], stretch[:, node]
                continue
            above = matrices[:, parent]
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
                way = np.einsum("tij,tj->ti", above, moved[:, node])
                places[:, node] = places[:, parent] + way
                matrices[:, node] = above @ stretch[:, node]
            rotations[:, node] = rot.multiply(rotations[:, parent], local[:, node])
        yield block, places, rotations
