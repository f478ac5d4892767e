"""Sides and difficulty read off the words of a caption."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydance.text import words

EXCHANGED = {
    "left": "right",
    "leftward": "rightward",
    "leftwards": "rightwards",
    "lefthanded": "righthanded",
    "clockwise": "counterclockwise",
}
EXCHANGED |= {new: old for old, new in EXCHANGED.items()}


def mirrored(text: str) -> str:
    return re.sub(r"[a-z]+", lambda match: EXCHANGED.get(match[0], match[0]), text)


@pytest.mark.parametrize(
    ("text", "arms", "legs", "direction"),
    [
        ("A person raises the left arm.", 1, 0, 0),
        ("a person raises the RIGHT arm", -1, 0, 0),
        ("kicks with the left leg", 0, 1, 0),
        ("turns to the left", 0, 0, 1),
        ("spins clockwise", 0, 0, -1),
        ("spins counter-clockwise", 0, 0, 1),
        ("spins anti clockwise", 0, 0, 1),
        ("steps rightwards", 0, 0, -1),
        ("a left-handed throw", 1, 0, 0),
        ("throws right handed", -1, 0, 0),
        ("raises the left arm and the right leg", 1, -1, 0),
        ("lifts the left and right arms", 0, 0, 0),
        ("lifts the left arm, then the left arm, then the right arm", 1 / 3, 0, 0),
        ("bends the right supporting knee", 0, -1, 0),
        ("turns left, arms high", 0, 0, 1),  # the comma ends what the side can name
        ("goes right away", 0, 0, 0),
        ("stands upright", 0, 0, 0),
        ("swings both arms", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_side_vector_by_hand(text, arms, legs, direction):
    vector = words.side_vector(text)
    assert vector.dtype == np.float32
    assert vector == pytest.approx([arms, legs, direction])


VOCABULARY = [
    *EXCHANGED,
    "arm",
    "knee",
    "hand",
    "and",
    "then",
    "away",
    "turns",
    "upper",
    "the",
    ",",
]


@given(st.lists(st.sampled_from(VOCABULARY), max_size=12))
def test_mirrored_sentences_have_exactly_the_negated_vector(sentence):
    text = " ".join(sentence)
    np.testing.assert_array_equal(words.side_vector(mirrored(text)), -words.side_vector(text))


@given(st.text(max_size=80))
def test_any_text_has_values_in_range(text):
    assert np.abs(words.side_vector(text)).max() <= 1
    assert 0 <= words.difficulty(text) <= 1


def test_difficulty_by_hand():
    """4 of 20 words; of the content words raises, left, arm none is abstract."""
    assert words.difficulty("raises the left arm") == pytest.approx(0.5 * 4 / 20)
    # 2 of 20 words; of melancholy, jump one is abstract.
    assert words.difficulty("melancholy jump") == pytest.approx(0.5 * 2 / 20 + 0.5 * 0.5)
    assert words.difficulty("!?") == 0.0
    assert words.difficulty("yearning " * 50) == 1.0


def test_difficulty_orders_concrete_before_abstract():
    ordered = [
        "jump",
        "a person raises the left arm and steps to the right",
        "fluid circular arms that drift around the body",
        "an inner storm slowly dissolving into serene acceptance, as memory yields to silence",
    ]
    values = [words.difficulty(text) for text in ordered]
    assert values == sorted(values) and values[-1] - values[0] > 0.5


@pytest.mark.parametrize("word", ["jumping", "hopped", "raises", "lunges", "marched", "twisting"])
def test_inflected_actions_are_concrete(word):
    assert words.difficulty(word) == pytest.approx(0.5 / 20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A dog walks from left to right", (1, 0, 0)),
        ("a car drives from the right side of the road to the left", (-1, 0, 0)),
        ("it goes from the left hand to the far right", (1, 0, 0)),
        ("a plane flies to the right", (0, 1, 1)),
        ("the bird moves  leftwards", (0, -1, -1)),
        ("the fox turned left", (0, -1, -1)),
        ("a white car on the right", (0, 0, 1)),
        ("a zebra runs to its left", (0, -1, -1)),
        ("a whale dives", (0, 0, 0)),
    ],
)
def test_a_path_vector_tells_ways_from_places(text: str, expected: tuple[float, ...]) -> None:
    assert words.path_vector(text).tolist() == list(expected)
    swapped = text.replace("left", "?").replace("right", "left").replace("?", "right")
    assert words.path_vector(swapped).tolist() == [-value for value in expected]
