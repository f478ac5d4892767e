"""How joint names are made comparable: case, separators, rig prefixes and sides.

A name is cut into words (`mixamorig:LeftUpLeg` -> `left`, `up`, `leg`). Its side goes to the front
and everything else is joined. Prefixes and suffixes of known rigs are removed from single names;
those that a whole skeleton shares, whatever they are, only where all names are seen together
(`spellings`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

_WORD: Final = re.compile(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_SIDE_OF: Final = {
    "l": "left",
    "left": "left",
    "左": "left",
    "r": "right",
    "right": "right",
    "右": "right",
}
_MIXAMO: Final = re.compile(r"^mixamorig\d*(?=.)", re.IGNORECASE)
_RIG_WORDS: Final = {"bip", "character", "ctrl", "def", "skel", "rig", "b"}
_NUMBERED_RIGS: Final = {"bip", "character"}
_END: Final = re.compile(r"_end\d*_*$")
_MAX_PREFIX_WORDS: Final = 5
_MIN_SHARED: Final = 6
_MAX_SPELLINGS: Final = 8
_MIN_SUFFIX_SHARE: Final = 0.6


def normalise(name: str) -> str:
    """A name without rig prefix, case and separators, its side in front: `left_upleg`.

    `mixamorig:LeftUpLeg`, `UpLeg_L`, `L_UpLeg` and `LUpLeg` all become `left_upleg`; a number
    loses its zeros (`spine_01` -> `spine1`). A lower-case `lfemur` is left as it is, for a first
    letter alone does not say a side (`lowerback`).
    """
    return _join(_without_rig_words(_words(name)))


def spellings(names: Sequence[str]) -> Iterator[dict[str, int]]:
    """The ways to read a skeleton's names: normalised name -> index of the joint.

    First as they stand; then without each prefix that several joints share (`Actor01_`,
    `CC_Base_`, `J_Bip_`), the commonest first. Suffixes that most names share (`_JNT`), and numbers
    that count the joints of the whole skeleton, are always removed. Of two joints with the same
    name the one that is spelled shortest is meant, and of these the first.
    """
    words = [_words(name) for name in names]
    if _are_counted(words):
        words = [some[:-1] if len(some) > 1 and some[-1].isdigit() else some for some in words]
    while suffix := _shared_suffix(names, words):
        words = [_without_last(some, suffix) for some in words]
    yield _index(names, [_without_rig_words(some) for some in words])
    for prefix in _shared_prefixes(words):
        size = len(prefix)
        yield _index(
            names,
            [
                some[size:] if len(some) > size and _lower(some[:size]) == prefix else some
                for some in words
            ],
        )


def side_of_first_letter(name: str) -> str:
    """`lknee` -> `left_knee`, for the generic table only; other names unchanged."""
    if name[:1] in ("l", "r") and "_" not in name:
        return ("left_" if name[0] == "l" else "right_") + name[1:]
    return name


def _words(name: str) -> list[str]:
    """The words of a name, after its namespace."""
    text = unicodedata.normalize("NFKC", name).rsplit(":", 1)[-1].rsplit("|", 1)[-1]
    words = _WORD.findall(_MIXAMO.sub("", text))
    # A side written without a gap, before or after: `leftupleg`, `armleft`, `左足`.
    if words:
        words[:1] = _cut_side(words[0], first=True)
        words[-1:] = _cut_side(words[-1], first=False)
    return words


def _cut_side(word: str, first: bool) -> list[str]:
    lower = word.lower()
    for side in ("left", "right", "左", "右"):
        if first and lower.startswith(side) and lower != side:
            return [word[: len(side)], word[len(side) :]]
        if not first and lower.endswith(side) and lower != side:
            return [word[: -len(side)], word[-len(side) :]]
    return [word]


def _without_rig_words(words: list[str]) -> list[str]:
    """`words` without the prefix of a known rig, unless nothing else is left."""
    rest = words
    if len(rest) > 1 and rest[0].lower() in _RIG_WORDS:
        is_numbered = rest[0].lower() in _NUMBERED_RIGS and rest[1].isdigit()
        rest = rest[2:] if is_numbered else rest[1:]
    return rest or words


def _join(words: Sequence[str], keeps_zeros: bool = False) -> str:
    parts = [word.lower() for word in words]
    if len(parts) > 1 and parts[0] == "c":  # the middle, in rigs that have L, R and C, or M
        parts = parts[1:]
    if len(parts) > 1 and parts[-1] in ("m", "center", "centre"):
        parts = parts[:-1]
    side = ""
    places = [0, len(parts) - 1, *range(1, len(parts) - 1)] if len(parts) > 1 else []
    for place in places:
        if parts[place] not in _SIDE_OF:
            continue
        rest = parts[:place] + parts[place + 1 :]
        # Xsens' `L5` and `L3` are vertebrae, not joints of the left side.
        if not all(part.isdigit() for part in rest):
            side, parts = _SIDE_OF[parts[place]] + "_", rest
            break
    if not keeps_zeros:
        parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in parts]
    return side + "".join(parts)


def _index(names: Sequence[str], words: Sequence[Sequence[str]]) -> dict[str, int]:
    """Joined names -> index of the joint that bears them; of several the one of shortest name."""
    exact = [_join(some, keeps_zeros=True) for some in words]
    taken = set(exact)
    out: dict[str, int] = {}
    # Of MakeHuman's `UpLeg_L` and its helper `__UpLeg_L` the plain one is the joint.
    for i in sorted(range(len(words)), key=lambda i: len(names[i])):
        some = words[i]
        short = _join(some)
        # Biped's Finger01 is the second joint of Finger0, and Finger1 is another finger.
        out.setdefault(exact[i] if short != exact[i] and short in taken else short, i)
    return _with_sides_of_pairs(out)


def _with_sides_of_pairs(index: dict[str, int]) -> dict[str, int]:
    """`lfemur` and `rfemur` are the two sides of a bone where both are there."""
    out: dict[str, int] = {}
    for name, i in index.items():
        is_one_of_two = (
            len(name) > 3
            and "_" not in name
            and (
                (name[0] == "l" and f"r{name[1:]}" in index)
                or (name[0] == "r" and f"l{name[1:]}" in index)
            )
        )
        out.setdefault(side_of_first_letter(name) if is_one_of_two else name, i)
    return out


def _are_counted(words: Sequence[Sequence[str]]) -> bool:
    """Whether most names end in a number and hardly two in the same one: `Head_07`, `Arm_L_08`."""
    lasts = [some[-1] for some in words if len(some) > 1 and some[-1].isdigit()]
    is_common = len(lasts) >= max(_MIN_SHARED, _MIN_SUFFIX_SHARE * len(words))
    return is_common and len(set(lasts)) > 0.9 * len(lasts)


def _shared_suffix(names: Sequence[str], words: Sequence[Sequence[str]]) -> str:
    """The last word, in lower case, of most names; end sites are not asked. Empty if none."""
    lasts = [
        some[-1].lower()
        for name, some in zip(names, words)
        if len(some) > 1 and not _END.search(name)
    ]
    counts = Counter(last for last in lasts if not last.isdigit() and last not in _SIDE_OF)
    if not counts:
        return ""
    word, count = counts.most_common(1)[0]
    return word if count >= max(_MIN_SHARED, _MIN_SUFFIX_SHARE * len(lasts)) else ""


def _without_last(words: list[str], suffix: str) -> list[str]:
    return words[:-1] if len(words) > 1 and words[-1].lower() == suffix else words


def _shared_prefixes(words: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for some in words:
        for size in range(1, min(_MAX_PREFIX_WORDS, len(some) - 1) + 1):
            if some[size - 1].lower() in _SIDE_OF:
                break
            counts[_lower(some[:size])] += 1
    shared = [(count, len(prefix), prefix) for prefix, count in counts.items()]
    shared = [entry for entry in shared if entry[0] >= _MIN_SHARED]
    # Of prefixes that are equally common the longest is the whole.
    shared.sort(key=lambda entry: (-entry[0], -entry[1]))
    return [prefix for _, _, prefix in shared[:_MAX_SPELLINGS]]


def _lower(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)
