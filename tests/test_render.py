"""Pictures: the right frames, times and sizes, both sides' colours, absent joints, no leftovers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raydance.errors import InputError
from raydance.motion.render import render_frame, render_gif, strip
from raydance.motion.skeleton import INDEX, JOINTS, NUM_JOINTS
from raydance.motion.synthetic import MOVEMENTS, make_clip

BLUE, ORANGE, INK = (28, 110, 200), (226, 106, 40), (46, 52, 64)


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    movement = next(m for m in MOVEMENTS if m.name == "walk")
    return make_clip(movement, 0).positions[:50]


def count(picture: Image.Image, colour: tuple[int, int, int], slack: int = 40) -> int:
    pixels = np.asarray(picture.convert("RGB"), dtype=int)
    return int((np.abs(pixels - colour).max(axis=-1) < slack).sum())


def test_gif_has_every_frame_the_true_duration_and_no_leftover(
    tmp_path: Path, walk: np.ndarray
) -> None:
    path = tmp_path / "walk.gif"
    render_gif(path, [walk, walk[:30]], fps=20, titles=["real", "generated"], size=(160, 140))
    assert [p.name for p in tmp_path.iterdir()] == ["walk.gif"]
    with Image.open(path) as gif:
        assert gif.n_frames == 50 and gif.size == (320, 140) and gif.info["loop"] == 0
        total_ms = 0
        for i in range(gif.n_frames):
            gif.seek(i)
            total_ms += gif.info["duration"]
        assert total_ms == 2500
        assert count(gif, BLUE) > 40 and count(gif, ORANGE) > 40 and count(gif, INK) > 40


def test_fast_recordings_keep_their_speed(tmp_path: Path, walk: np.ndarray) -> None:
    render_gif(tmp_path / "a.gif", np.repeat(walk[:24], 5, axis=0), fps=120, size=(60, 60))
    with Image.open(tmp_path / "a.gif") as gif:
        durations = []
        for i in range(gif.n_frames):
            gif.seek(i)
            durations.append(gif.info["duration"])
    assert sum(durations) == 1000 and min(durations) >= 20


def test_frames_differ_and_a_shorter_motion_keeps_its_last(walk: np.ndarray) -> None:
    first, later, end, after = (
        np.asarray(render_frame(walk[:20], i, size=(120, 120))) for i in (0, 8, 19, 49)
    )
    assert (first != later).any() and (end == after).all()


def test_sides_have_their_colours_on_their_sides() -> None:
    """A dancer who faces the viewer shows the left (blue) on the right of the picture."""
    motion = make_clip(MOVEMENTS[0], 2).positions[:1].astype(float)
    across = motion[0, INDEX["left_hip"]] - motion[0, INDEX["right_hip"]]
    angle = np.arctan2(across[2], across[0])
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    pixels = np.asarray(render_frame(motion @ turn.T), dtype=int)
    places = [
        np.nonzero(np.abs(pixels - colour).max(axis=-1) < 30)[1].mean() for colour in (BLUE, ORANGE)
    ]
    assert places[0] > places[1] + 10


def test_absent_joints_are_bridged_and_never_read(walk: np.ndarray) -> None:
    mask = np.array(["spine" not in n and "left_elbow" not in n for n in JOINTS])
    holey = walk.copy()
    holey[:, ~mask] = np.nan
    picture = render_frame(holey, 0, joint_mask=mask)
    assert count(picture, BLUE) > 100
    body_only = np.arange(NUM_JOINTS) < 22
    legs = np.array(["hip" in n or "knee" in n or "ankle" in n for n in JOINTS])
    panels = render_frame([walk, walk], 0, joint_mask=[body_only, legs], size=(100, 120))
    assert panels.size == (200, 120)
    # No pelvis, no head: nothing in the middle's colour is left of the second figure.
    assert count(panels.crop((100, 20, 200, 120)), INK) == 0


def test_strip_shows_poses_side_by_side(walk: np.ndarray) -> None:
    picture = strip(walk, 5, title="a walk", size=(80, 120))
    assert picture.size == (400, 120)
    for i in range(5):
        panel = picture.crop((80 * i, 0, 80 * i + 80, 120))
        assert count(panel, BLUE) > 10 and count(panel, ORANGE) > 10


def test_everything_stays_in_the_picture() -> None:
    """Nothing but floor and paper touches the border, wherever the dancer goes."""
    for movement in MOVEMENTS:
        motion = make_clip(movement, 4).positions
        pixels = np.asarray(render_frame(motion, 25, size=(120, 120)), dtype=int)
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert border.min() > 200, movement.name


@pytest.mark.parametrize(
    ("motions", "options", "words"),
    [
        (np.zeros((5, 22, 3)), {}, "50, 3"),
        ([], {}, "at least one motion"),
        (np.full((5, NUM_JOINTS, 3), np.nan), {}, "not finite"),
        (np.zeros((5, NUM_JOINTS, 3)), {"titles": ["a", "b"]}, "2 titles"),
        (np.zeros((5, NUM_JOINTS, 3)), {"joint_mask": np.zeros(NUM_JOINTS, bool)}, "at least one"),
    ],
)
def test_refuses_what_it_cannot_draw(motions, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        render_frame(motions, **options)


def test_two_panels_of_fifty_frames_are_quick(tmp_path: Path, walk: np.ndarray) -> None:
    start = time.process_time()
    render_gif(tmp_path / "a.gif", [walk, walk], fps=20, titles=["a", "b"])
    assert time.process_time() - start < 6.0  # about 1 s where nothing else runs
