"""Any skeleton onto the canonical 50 joints, by names.

Joints are found by their names (`joint_matching`); a user's own mapping replaces that completely.

Joints that a source lacks are zeros with `joint_mask` False. The only exceptions are joints that a
convention defines as the midpoint of two others (COCO has no
pelvis, neck or head joint: mid hips, mid shoulders, mid ears).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from raydance.config import read_small_yaml
from raydance.errors import InputError
from raydance.motion import skeleton
from raydance.motion.clip import Clip
from raydance.motion.joint_matching import BODY, Sources, lacking, match_names

MIN_EXTENT_M: Final = 0.01
"""The smallest puppet's largest extent."""
_MAX_MAPPING_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class MappedMotion:
    """A clip's motion on the canonical skeleton.

    Attributes:
        positions: `[T, 50, 3]` float32, metres, y up, global; zeros where `joint_mask` is False.
        joint_mask: `[50]` bool, which canonical joints the source has.
        sources: canonical joint -> source joint, or the two whose midpoint it is.
        matched: canonical joint -> source name (`left_hip + right_hip`: their midpoint).
        unmatched_source: joints of the source without a canonical counterpart, in its order.
        missing: canonical joints that the source lacks.
        convention: the naming convention that was found, `words` or `given`.
    """

    positions: np.ndarray
    joint_mask: np.ndarray
    sources: Mapping[str, tuple[int, ...]]
    matched: dict[str, str]
    unmatched_source: tuple[str, ...]
    missing: tuple[str, ...]
    convention: str

    @property
    def num_body_joints(self) -> int:
        return sum(joint in BODY for joint in self.matched)


def map_to_canonical(
    clip: Clip, mapping: Mapping[str, str | Sequence[str]] | None = None
) -> MappedMotion:
    """Move a clip onto the canonical joints.

    Args:
        clip: any skeleton.
        mapping: canonical joint -> source joint (or two, for their midpoint); then only these.

    Raises:
        InputError: a mapping that names joints which do not exist, or a skeleton without pelvis,
            both hips and at least 12 body joints, or with all joints in one place.
    """
    if mapping is not None:
        convention, sources = "given", _sources_of_mapping(clip, mapping)
    else:
        convention, sources = match_names(clip.joint_names)
    _check_enough(clip, convention, sources)

    positions = np.zeros((clip.num_frames, skeleton.NUM_JOINTS, 3), np.float32)
    joint_mask = np.zeros(skeleton.NUM_JOINTS, bool)
    for joint, indices in sources.items():
        column = skeleton.INDEX[joint]
        positions[:, column] = clip.positions[:, list(indices)].mean(axis=1)
        joint_mask[column] = True
    kept = positions[:, joint_mask]
    extent_m = float((kept.max(axis=1) - kept.min(axis=1)).max(initial=0.0))
    if extent_m < MIN_EXTENT_M:
        raise InputError(
            f"{clip.clip_id}: all joints lie within {extent_m:.3g} m in every frame; no body does "
            "(are these positions, and in the right units?)"
        )
    used = {i for indices in sources.values() for i in indices}
    return MappedMotion(
        positions=positions,
        joint_mask=joint_mask,
        sources=sources,
        matched={
            joint: " + ".join(clip.joint_names[i] for i in sources[joint])
            for joint in skeleton.JOINTS
            if joint in sources
        },
        unmatched_source=tuple(n for i, n in enumerate(clip.joint_names) if i not in used),
        missing=tuple(joint for joint in skeleton.JOINTS if joint not in sources),
        convention=convention,
    )


def load_mapping(path: str | Path) -> dict[str, str | tuple[str, ...]]:
    """Read a user's mapping from YAML or JSON: `canonical: source` lines.

    A value is a joint of the source, or a list of two whose midpoint is meant.

    Raises:
        InputError: an unreadable file, an unknown canonical joint or a value of another kind.
    """
    path = Path(path)
    data = read_small_yaml(path, "a mapping", _MAX_MAPPING_BYTES)
    if not isinstance(data, dict) or not data:
        raise InputError(
            f"{path}: found {type(data).__name__}, lines `canonical: source` are needed"
        )
    out: dict[str, str | tuple[str, ...]] = {}
    for joint, source in data.items():
        _check_canonical(joint, f"{path}: ")
        if isinstance(source, str):
            out[joint] = source
        elif _is_pair(source):
            out[joint] = tuple(source)
        else:
            raise InputError(f"{path}: {joint}: found {source!r}; a joint's name or a list of two")
    return out


def _check_enough(clip: Clip, convention: str, sources: Sources) -> None:
    lacks = lacking(sources)
    if not lacks:
        return
    missing = [j for j in skeleton.JOINTS if j in BODY and j not in sources]
    names = ", ".join(clip.joint_names[:40]) + (", ..." if len(clip.joint_names) > 40 else "")
    raise InputError(
        f"{clip.source}: the joints do not make a body ({lacks}). Missing: {', '.join(missing)}. "
        f"The source has: {names}. Nearest convention: {convention}. "
        "Give a mapping file with lines `canonical: source`"
    )


def _sources_of_mapping(clip: Clip, mapping: Mapping[str, str | Sequence[str]]) -> Sources:
    index: dict[str, int] = {}
    for i, name in enumerate(clip.joint_names):
        index.setdefault(name, i)
    sources = Sources()
    for joint, source in mapping.items():
        _check_canonical(joint, "mapping: ")
        if not isinstance(source, str) and not _is_pair(source):
            raise InputError(f"mapping: {joint}: found {source!r}; a joint's name or a list of two")
        names = (source,) if isinstance(source, str) else tuple(source)
        for name in names:
            if name not in index:
                raise InputError(
                    f"mapping: {joint}: {clip.source} has no joint {name!r}"
                    f"{_did_you_mean(name, index)}; it has: {', '.join(index)}"
                )
        sources[joint] = tuple(index[name] for name in names)
    return sources


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(v, str) for v in value)
    )


def _check_canonical(joint: object, where: str) -> None:
    if joint not in skeleton.INDEX:
        raise InputError(
            f"{where}unknown canonical joint {joint!r}"
            f"{_did_you_mean(str(joint), skeleton.INDEX)}; known: {', '.join(skeleton.JOINTS)}"
        )


def _did_you_mean(name: str, known: Mapping[str, int]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
