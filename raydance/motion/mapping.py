"""Any skeleton onto the canonical 50 joints, by names.

The convention of the whole skeleton is found first (`joint_conventions.CONVENTIONS`, the one that
explains most body joints), because single names are ambiguous. Gaps are filled by names that have
one meaning in all conventions, and skeletons of no known convention fall back to a table of common
words. A user's own mapping replaces all of this: nothing is guessed beside it.

Nothing is invented for joints that a source lacks: they are zeros with `joint_mask` False. The
one exception are joints that a convention defines as the midpoint of two others (COCO has no
pelvis, neck or head joint: mid hips, mid shoulders, mid ears).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from raydance.config import read_small_yaml
from raydance.errors import InputError
from raydance.motion import skeleton
from raydance.motion.clip import Clip
from raydance.motion.joint_conventions import CONVENTIONS, unambiguous
from raydance.motion.joint_names import GENERIC, GENERIC_SPINE, Convention, spread
from raydance.motion.joint_spelling import side_of_first_letter, spellings

REQUIRED: Final = ("pelvis", "left_hip", "right_hip")
"""Without these a window has neither a place nor a heading."""

MIN_BODY_JOINTS: Final = 12
MIN_EXTENT_M: Final = 0.01
"""The smallest puppet's largest extent."""
_BODY: Final = frozenset(skeleton.JOINTS[: skeleton.NUM_BODY_JOINTS])
_SPINE: Final = ("spine1", "spine2", "spine3")
_MAX_MAPPING_BYTES: Final = 1 << 20
_WORDS: Final = Convention(name="words", joints=GENERIC, spine=" ".join(GENERIC_SPINE))

Sources = dict[str, tuple[int, ...]]
"""Canonical joint -> the source joints whose mean it is (almost always one)."""


@dataclass(frozen=True, kw_only=True)
class MappedMotion:
    """A clip's motion on the canonical skeleton.

    Attributes:
        positions: `[T, 50, 3]` float32, metres, y up, global; zeros where `joint_mask` is False.
        joint_mask: `[50]` bool, which canonical joints the source has.
        matched: canonical joint -> source name (`left_hip + right_hip`: their midpoint).
        unmatched_source: the source's joints that have no place, in its order.
        missing: canonical joints that the source lacks.
        convention: the naming convention that was found, `words` or `given`.
    """

    positions: np.ndarray
    joint_mask: np.ndarray
    matched: dict[str, str]
    unmatched_source: tuple[str, ...]
    missing: tuple[str, ...]
    convention: str

    @property
    def num_body_joints(self) -> int:
        return sum(joint in _BODY for joint in self.matched)


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
        matched={
            joint: " + ".join(clip.joint_names[i] for i in sources[joint])
            for joint in skeleton.JOINTS
            if joint in sources
        },
        unmatched_source=tuple(n for i, n in enumerate(clip.joint_names) if i not in used),
        missing=tuple(joint for joint in skeleton.JOINTS if joint not in sources),
        convention=convention,
    )


def match_names(names: Sequence[str]) -> tuple[str, Sources]:
    """The convention that a skeleton follows and the joints that it gives.

    Best is the convention that explains most body joints, then the most of the skeleton's names,
    then the earlier in the table; names are tried with and without the prefixes that they share.
    Gaps are filled by names that mean the same joint in all conventions. If that leaves out much
    of a body, common words alone decide.
    """
    name, sources = _match_names(tuple(names))
    return name, dict(sources)


@lru_cache(maxsize=256)  # the files of a library have few skeletons
def _match_names(names: tuple[str, ...]) -> tuple[str, Sources]:
    best, best_sources, best_score = "", Sources(), (-1, -1)
    for by_name in spellings(names):
        name, sources, score = _match_spelling(by_name)
        if score > best_score:
            best, best_sources, best_score = name, sources, score
        if best_score[0] == len(_BODY):
            break
    return best, best_sources


def _match_spelling(by_name: Mapping[str, int]) -> tuple[str, Sources, tuple[int, int]]:
    """Convention, joints, and the numbers of body joints and of known names."""
    best, score = CONVENTIONS[0], (-1, -1)
    sources = Sources()
    for convention in CONVENTIONS:
        found = _match_convention(convention, by_name)
        found_score = (_num_body(found), len(convention.known_names & by_name.keys()))
        if found_score > score:
            best, sources, score = convention, found, found_score
    name = best.name
    if score[0] < len(_BODY):
        completed = _complete(sources, by_name, best.known_names)
        if len(completed) > len(sources):
            name, sources = f"{name}, common words", completed
        words = _match_words(by_name)
        # Words have several meanings: they must say clearly more than the convention.
        is_better = _num_body(words) >= _num_body(sources) + 2
        if is_better or (_lacking(sources) and not _lacking(words)):
            name, sources = "words", words
    return name, sources, (_num_body(sources), score[1])


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


def _match_convention(convention: Convention, by_name: Mapping[str, int]) -> Sources:
    sources = Sources()
    for joint, names in convention.alternatives.items():
        found = next((by_name[name] for name in names if name in by_name), None)
        if found is not None:
            sources[joint] = (found,)
    for joint, pair in convention.midpoints.items():
        if joint not in sources and all(name in by_name for name in pair):
            sources[joint] = tuple(by_name[name] for name in pair)
    spine = [by_name[name] for name in convention.spine.split() if name in by_name]
    return sources | {joint: (index,) for joint, index in spread(spine).items()}


def _complete(sources: Sources, by_name: Mapping[str, int], known: frozenset[str]) -> Sources:
    """`sources` and what the names of other conventions, or common words, add to them.

    Args:
        known: names of the skeleton's own convention; they have their meaning already.
    """
    used = {index for indices in sources.values() for index in indices}
    free = {n: i for n, i in by_name.items() if i not in used and n not in known}
    free = {side_of_first_letter(n): i for n, i in free.items()} | free
    added = Sources()
    for joint, names in unambiguous().items():
        found = next((free[name] for name in names if name in free), None)
        if joint not in sources and found is not None:
            added[joint] = (found,)
    completed = sources | added
    _add_by_neighbours(completed, free)
    given = {completed[joint][0] for joint in _SPINE if joint in completed}
    spine = [
        by_name[word] for word in GENERIC_SPINE if word in free or by_name.get(word, -1) in given
    ]
    if len(given) < min(3, len(spine)) and given <= set(spine):
        completed |= {joint: (index,) for joint, index in spread(spine).items()}
    return completed


def _match_words(by_name: Mapping[str, int]) -> Sources:
    """Joints by common words alone."""
    names = {side_of_first_letter(n): i for n, i in by_name.items()} | dict(by_name)
    sources = _match_convention(_WORDS, names)
    _add_by_neighbours(sources, names)
    return sources


def _add_by_neighbours(sources: Sources, names: Mapping[str, int]) -> None:
    """Add the words of two meanings, shoulder and foot, by what stands beside them."""
    for side in ("left", "right"):
        shoulder, foot = names.get(f"{side}_shoulder"), names.get(f"{side}_foot")
        if shoulder is not None:  # beside an arm it is the collar, without one it is the shoulder
            role = "collar" if f"{side}_shoulder" in sources else "shoulder"
            sources.setdefault(f"{side}_{role}", (shoulder,))
        if foot is not None:  # beside an ankle it is the forefoot, without one it is the ankle
            role = "foot" if f"{side}_ankle" in sources else "ankle"
            sources.setdefault(f"{side}_{role}", (foot,))


def _num_body(sources: Sources) -> int:
    return sum(joint in _BODY for joint in sources)


def _lacking(sources: Sources) -> str:
    """What a usable skeleton still lacks, in words; empty if nothing."""
    required = [joint for joint in REQUIRED if joint not in sources]
    num_body = _num_body(sources)
    lacks = []
    if required:
        lacks.append("no " + ", no ".join(required))
    if num_body < MIN_BODY_JOINTS:
        lacks.append(f"{num_body} body joints, at least {MIN_BODY_JOINTS} are needed")
    return "; ".join(lacks)


def _check_enough(clip: Clip, convention: str, sources: Sources) -> None:
    lacks = _lacking(sources)
    if not lacks:
        return
    missing = [j for j in skeleton.JOINTS if j in _BODY and j not in sources]
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
