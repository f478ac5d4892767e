"""What the words of a caption say by themselves: its sides, its path, and how abstract it is.

Sentence encoders hardly tell left from right (with MiniLM "raises the left arm" and "raises the
right arm" have a cosine of .98), so the sides are read off the words and given to the networks
apart. The curriculum of Dance-Language (section III.C) goes from concrete to abstract sentences;
the paper does not say how they are told apart, so a plain measure on the words does.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

SIDE_NAMES: Final = ("arms", "legs", "direction")
"""What the three values of a side vector are about."""

SIDES: Final[dict[str, int]] = {
    **dict.fromkeys(("left", "leftward", "leftwards", "lefthand", "lefthanded"), 1),
    **dict.fromkeys(("right", "rightward", "rightwards", "righthand", "righthanded"), -1),
}
TURNS: Final[dict[str, int]] = {  # seen from above: a left turn is counterclockwise
    **dict.fromkeys(("counterclockwise", "anticlockwise"), 1),
    "clockwise": -1,
}
ARM_WORDS: Final = frozenset(
    "arm arms hand hands elbow elbows wrist wrists forearm forearms fist fists palm palms "
    "finger fingers fingertip fingertips thumb thumbs shoulder shoulders handed handedly "
    "punch punches jab jabs hook hooks uppercut uppercuts".split()
)
LEG_WORDS: Final = frozenset(
    "leg legs foot feet knee knees ankle ankles heel heels toe toes thigh thighs calf calves "
    "shin shins hip hips footed legged kick kicks".split()
)
# Words that may stand between a side and the limb that it names: "left and right upper arms".
_BETWEEN: Final = frozenset(
    "and or then upper lower front back rear inner outer bent straight stretched outstretched "
    "extended raised lifted free supporting standing whole entire own".split()
)
# "right away" is no side. Both words are treated alike so that mirroring stays exact.
_NOT_A_SIDE_BEFORE: Final = frozenset("away now angle angles angled after before".split())
_CONCRETE: Final = frozenset(
    "head neck chest torso trunk waist back spine body pelvis side sides "
    "up down forward forwards backward backwards sideways upward upwards downward downwards over "
    "under above below overhead front behind across high low floor ground circle "
    "walk run jog jump hop leap step turn spin twirl kick punch raise lift lower bend reach swing "
    "stretch stand sit squat kneel crawl crouch lean roll wave clap throw catch pick balance "
    "twist rotate stomp march skip lunge climb push pull hold fold cross tap shake nod bow "
    "stop start slide swing".split()
)
_STOP: Final = frozenset(
    "a an the and or then with while as of in on at to from by for into onto out off is are was "
    "be being its it his her their they he she this that these those someone person human man "
    "woman dancer figure one two both each again some very".split()
)
_WORD = re.compile(r"[a-z]+")
_CLAUSE = re.compile(r"[.,;:!?()]+")
_BEFORE_SIDE = r"(?:the |its |his |her |their )?"
_OF_SIDE = r"(?: side| hand| end| part)?(?: of the \w+)?"
_ACROSS = {
    first: re.compile(rf"\b{first}{_OF_SIDE} to (?:the )?(?:\w+ )?{second}")
    for first, second in (("left", "right"), ("right", "left"))
}
_TOWARDS = {
    side: re.compile(rf"\bto(?:wards?)? {_BEFORE_SIDE}{side}|\b{side}wards?\b|\bturn\w* {side}\b")
    for side in ("left", "right")
}
LONG_CAPTION: Final = 20
"""A caption of this many words or more counts as fully long in `difficulty`."""


def side_vector(text: str) -> np.ndarray:
    """What a sentence says of left and right: `[3]` float32, each in [-1, 1], left positive.

    For arms, legs, and direction (turns, and sides that name no limb) it is the difference of the
    mentions of left and right over their sum; 0 where no side, or both alike, is named. A side
    word belongs to a limb that directly follows it in the clause ("left arm", "left-hand",
    "left and right upper arms"); (counter)clockwise is direction.

    Exchanging the words left and right (and clockwise and counterclockwise) gives exactly the
    negated vector. Not understood: sides named after the limb ("the arm on the left") count as
    direction, and "left" as a verb counts as a side.
    """
    lefts, rights = np.zeros(3), np.zeros(3)
    joined = re.sub(r"\b(counter|anti)[\s-]+clockwise\b", r"\1clockwise", text.lower())
    for clause in _CLAUSE.split(joined):
        words = _WORD.findall(clause)
        for i, word in enumerate(words):
            if word in TURNS:
                sign, about = TURNS[word], 2
            elif word in SIDES and not _NOT_A_SIDE_BEFORE.intersection(words[i + 1 : i + 2]):
                sign, about = SIDES[word], _limb_after(word, words[i + 1 :])
            else:
                continue
            (lefts if sign > 0 else rights)[about] += 1
    total = lefts + rights
    return ((lefts - rights) / np.where(total > 0, total, 1)).astype(np.float32)


def path_vector(text: str) -> np.ndarray:
    """What a sentence says of left and right in the frame: `[3]` in [-1, 1], right positive.

    `across`: from one side to the other ("from left to right" is 1); `towards`: to a side ("runs to
    the left", "rightwards"), where the sentence does not name both ends of the way; `mentioned`:
    the right side, and not the left, is named at all ("the car on the right").

    Exchanging the words left and right gives exactly the negated vector.
    """
    lower = " ".join(text.lower().split())
    leads = {first: bool(pattern.search(lower)) for first, pattern in _ACROSS.items()}
    goes = {side: bool(pattern.search(lower)) for side, pattern in _TOWARDS.items()}
    towards = {"right": goes["right"] and not leads["left"]}
    towards["left"] = goes["left"] and not leads["right"]
    named = {side: side in lower for side in ("left", "right")}
    values = (
        leads["left"] - leads["right"],
        towards["right"] - towards["left"],
        named["right"] - named["left"],
    )
    return np.array(values, dtype=np.float32)


def difficulty(text: str) -> float:
    """How abstract a caption is, in [0, 1]: 0 short and concrete, 1 long and abstract.

    The mean of two parts: the number of words, as a share of `LONG_CAPTION`, and the share of
    content words that name no limb, side, direction or basic action.
    """
    words = _WORD.findall(text.lower())
    if not words:
        return 0.0
    content = [word for word in words if word not in _STOP]
    abstract = sum(not _is_concrete(word) for word in content) / max(1, len(content))
    return 0.5 * min(1.0, len(words) / LONG_CAPTION) + 0.5 * abstract


def _limb_after(side: str, following: list[str]) -> int:
    if side.endswith(("hand", "handed")):
        return 0
    for word in following:
        if word in ARM_WORDS:
            return 0
        if word in LEG_WORDS:
            return 1
        if word not in _BETWEEN and word not in SIDES:
            break
    return 2


def _is_concrete(word: str) -> bool:
    known = (ARM_WORDS, LEG_WORDS, SIDES, TURNS, _CONCRETE)
    return any(form in group for form in _base_forms(word) for group in known)


def _base_forms(word: str) -> set[str]:
    # Enough English to find jump in jumps, jumped, jumping, and hop in hopping.
    forms = {word}
    for ending in ("s", "es", "ed", "d", "ing"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            stem = word.removesuffix(ending)
            forms |= {stem, stem + "e"}
            if len(stem) > 2 and stem[-1] == stem[-2]:
                forms.add(stem[:-1])
    return forms
