"""Which of a skeleton's joints is which canonical one, by their names.

The convention of the whole skeleton is found first (`joint_conventions.CONVENTIONS`, the one that
explains most body joints), because single names are ambiguous. Gaps are filled by names that have
one meaning in all conventions, and skeletons of no known convention fall back to a table of common
words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from raydance.motion import skeleton
from raydance.motion.joint_conventions import CONVENTIONS, unambiguous
from raydance.motion.joint_names import GENERIC, GENERIC_SPINE, Convention, spread
from raydance.motion.joint_spelling import side_of_first_letter, spellings

REQUIRED: Final = ("pelvis", "left_hip", "right_hip")
"""Without these a window has neither a place nor a heading."""

MIN_BODY_JOINTS: Final = 12
BODY: Final = frozenset(skeleton.JOINTS[: skeleton.NUM_BODY_JOINTS])
_SPINE: Final = ("spine1", "spine2", "spine3")
_WORDS: Final = Convention(name="words", joints=GENERIC, spine=" ".join(GENERIC_SPINE))

Sources = dict[str, tuple[int, ...]]
"""Canonical joint -> the source joints whose mean it is (almost always one)."""


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
        if best_score[0] == len(BODY):
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
    if score[0] < len(BODY):
        completed = _complete(sources, by_name, best.known_names)
        if len(completed) > len(sources):
            name, sources = f"{name}, common words", completed
        words = _match_words(by_name)
        # Words have several meanings: they must say clearly more than the convention.
        is_better = _num_body(words) >= _num_body(sources) + 2
        if is_better or (lacking(sources) and not lacking(words)):
            name, sources = "words", words
    return name, sources, (_num_body(sources), score[1])


def lacking(sources: Sources) -> str:
    """What a usable skeleton still lacks, in words; empty if nothing."""
    required = [joint for joint in REQUIRED if joint not in sources]
    num_body = _num_body(sources)
    lacks = []
    if required:
        lacks.append("no " + ", no ".join(required))
    if num_body < MIN_BODY_JOINTS:
        lacks.append(f"{num_body} body joints, at least {MIN_BODY_JOINTS} are needed")
    return "; ".join(lacks)


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
    return sum(joint in BODY for joint in sources)
