"""The embedded corpus: a procedural dancer, so that everything runs without a download.

Not from any paper, and no substitute for recordings: every clip says so (`source`, and
`labels["origin"]`, are `synthetic`). Eighteen movements cover the three qualities that
Dance-Language names: fluid and circular, sharp and angular, grounded and shifting. They vary in
tempo, size, side, phase, body proportions, posture, place and facing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.files import replacing, write_json
from raydance.motion import rotations as quat
from raydance.motion import synthetic_fluid as fluid
from raydance.motion import synthetic_grounded as grounded
from raydance.motion import synthetic_sharp as sharp
from raydance.motion.clip import Clip
from raydance.motion.skeleton import JOINTS, MIRROR, PARENTS
from raydance.motion.synthetic_body import Body, PoseTrack, make_body
from raydance.motion.synthetic_captions import captions
from raydance.motion.synthetic_ease import Beat
from raydance.motion.synthetic_solve import solve


@dataclass(frozen=True)
class Movement:
    """A named movement.

    Attributes:
        name, quality: labels of its clips.
        build: writes the pose track.
        cycle_s: seconds per cycle at medium tempo.
        sides: the values of `labels["side"]` that its clips take.
        lead: what `left` and `right` mean: the `arm` or `leg` that moves, or the way of a `turn`.
    """

    name: str
    quality: str
    build: Callable[[Beat], PoseTrack]
    cycle_s: float
    sides: tuple[str, ...]
    lead: str = ""


_ANY: Final = ("left", "right", "both")
_ONE: Final = ("left", "right")
_BOTH: Final = ("both",)

MOVEMENTS: Final = (
    Movement("arm_circle", "fluid", fluid.arm_circle, 2.2, _ANY, "arm"),
    Movement("body_wave", "fluid", fluid.body_wave, 2.4, _BOTH),
    Movement("hip_circle", "fluid", fluid.hip_circle, 2.0, _BOTH),
    Movement("spiral_turn", "fluid", fluid.spiral_turn, 3.2, _ONE, "turn"),
    Movement("waltz_sway", "fluid", fluid.waltz_sway, 3.0, _BOTH),
    Movement("side_reach", "fluid", fluid.side_reach, 3.0, _ANY, "arm"),
    Movement("punch", "sharp", sharp.punch, 1.3, _ANY, "arm"),
    Movement("high_kick", "sharp", sharp.high_kick, 2.0, _ONE, "leg"),
    Movement("robot_arms", "sharp", sharp.robot_arms, 0.8, _ANY, "arm"),
    Movement("head_snap", "sharp", sharp.head_snap, 0.9, _BOTH),
    Movement("lunge", "sharp", sharp.lunge, 2.2, _ONE, "leg"),
    Movement("jump", "sharp", sharp.jump, 1.9, _BOTH),
    Movement("squat", "grounded", grounded.squat, 3.0, _BOTH),
    Movement("weight_shift", "grounded", grounded.weight_shift, 3.0, _BOTH),
    Movement("walk", "grounded", grounded.walk, 1.3, _BOTH),
    Movement("stomp", "grounded", grounded.stomp, 1.7, _ANY, "leg"),
    Movement("crouch_rise", "grounded", grounded.crouch_rise, 3.6, _BOTH),
    Movement("low_sweep", "grounded", grounded.low_sweep, 2.8, _ONE, "leg"),
)

_TEMPO: Final = {"slow": 1.4, "medium": 1.0, "fast": 0.72}
_SIZE: Final = {"small": 0.75, "medium": 1.0, "large": 1.22}


def make_clip(movement: Movement, index: int, seed: int = 0, fps: float = 20.0) -> Clip:
    """The clip number `index` of a movement; the same arguments always give the same clip.

    Returns:
        A clip of 4 to 6 seconds on the canonical skeleton with positions, rotations, offsets,
        two or three captions and the labels movement, quality, side, tempo, size and origin.
    """
    # The name's checksum, not its place in the table: a new movement leaves the others' clips be.
    rng = np.random.default_rng([seed, zlib.crc32(movement.name.encode()), index])
    side = movement.sides[index % len(movement.sides)]
    tempo = tuple(_TEMPO)[(index // len(movement.sides)) % len(_TEMPO)]
    size = str(rng.choice(tuple(_SIZE)))
    cycle_s = movement.cycle_s * _TEMPO[tempo] * rng.uniform(0.93, 1.07)
    num_frames = int(rng.uniform(4.0, 6.0) * fps)
    times_s = np.arange(num_frames) / fps
    beat = Beat(
        phase=rng.uniform(0, 1) + _unsteady(times_s, rng) / cycle_s,
        cycle_s=cycle_s,
        size=_SIZE[size] * rng.uniform(0.94, 1.06),
        both=side == "both",
        rng=rng,
        width=rng.uniform(0.115, 0.16),
    )
    pose = movement.build(beat)
    add_posture(pose, rng)
    _add_habits(pose, times_s, rng)
    add_noise(pose, times_s, rng)
    body = make_body(rng)
    local, root = solve(pose, body)
    quats = quat.from_matrix(local)
    if side == "right" or (side == "both" and rng.uniform() < 0.5):
        quats = quats[:, MIRROR] * (1, 1, -1, -1)
        root = root * (-1, 1, 1)
    heading = quat.from_euler(rng.uniform(0, 360, size=1), "y", degrees=True)
    quats[:, 0] = quat.multiply(heading, quats[:, 0])
    quats = quat.continuous(quats)
    root = quat.rotate(heading, root) + (rng.uniform(-1, 1), 0, rng.uniform(-1, 1))
    positions = place_body(quats, root, body)
    return Clip(
        clip_id=f"synthetic/{movement.name}_{index:04d}",
        source="synthetic",
        fps=fps,
        joint_names=JOINTS,
        parents=PARENTS,
        positions=positions.astype(np.float32),
        rotations=quats.astype(np.float32),
        offsets=body.offsets.astype(np.float32),
        captions=captions(movement.name, side, tempo, size, rng),
        labels={
            "movement": movement.name,
            "quality": movement.quality,
            "side": side,
            "tempo": tempo,
            "size": size,
            "origin": "synthetic",
        },
    )


def place_body(quats: np.ndarray, root: np.ndarray, body: Body) -> np.ndarray:
    """Positions `[T, 50, 3]` in metres of a body on the floor.

    Args:
        quats: `[T, 50, 4]` local rotations.
        root: `[T, 3]` place of the pelvis, metres.
        body: the dancer's proportions.
    """
    translations = np.broadcast_to(body.offsets, (len(root), *body.offsets.shape)).copy()
    translations[:, 0] = root
    positions = quat.forward_kinematics(quats, translations, PARENTS)
    # Where a joint limit pushed a foot below the floor, the whole body goes up.
    positions[..., 1] += np.maximum(-positions[..., 1].min(axis=1), 0)[:, None]
    return positions


def make_corpus(
    num_clips_per_movement: int = 24, seed: int = 0, fps: float = 20.0
) -> Iterator[Clip]:
    """All movements' clips, one movement after another.

    Raises:
        InputError: a count or frame rate out of range.
    """
    if num_clips_per_movement < 1:
        raise InputError(f"{num_clips_per_movement} clips per movement: at least 1 is needed")
    if not 10 <= fps <= 240:
        raise InputError(f"{fps} frames per second: allowed are 10 to 240")
    for movement in MOVEMENTS:
        for index in range(num_clips_per_movement):
            yield make_clip(movement, index, seed, fps)


def write_corpus(
    folder: str | Path, num_clips_per_movement: int = 24, seed: int = 0, fps: float = 20.0
) -> int:
    """Write the corpus as a library that `ingest` reads like any user's.

    Per clip `<movement>_<index>.npz` (positions `[T, 50, 3]` metres, joint_names, parents, fps)
    and labels in `<movement>_<index>.json`; all captions in `captions.jsonl`.

    Returns:
        The number of clips.

    Raises:
        StorageError: no room.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for clip in make_corpus(num_clips_per_movement, seed, fps):
        stem = clip.clip_id.split("/")[-1]
        with replacing(folder / f"{stem}.npz") as temporary:
            np.savez(
                temporary,
                positions=clip.positions,
                joint_names=np.array(clip.joint_names),
                parents=np.array(clip.parents),
                fps=np.array(clip.fps),
            )
        write_json(folder / f"{stem}.json", dict(clip.labels))
        entry = {"file": f"{stem}.npz", "clip": clip.clip_id, "captions": list(clip.captions)}
        lines.append(json.dumps(entry))
    # Last and whole: a library with captions is complete.
    with replacing(folder / "captions.jsonl") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def _unsteady(times_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Seconds that run a little faster and slower, never backwards."""
    depth, rate = rng.uniform(0, 0.1), rng.uniform(0.1, 0.35)
    wobble = np.sin(2 * np.pi * (rate * times_s + rng.uniform(0, 1)))
    return times_s + depth * wobble / (2 * np.pi * rate)


def add_posture(pose: PoseTrack, rng: np.random.Generator) -> None:
    """How this dancer stands and holds the arms."""
    pose.spine[:, :, 0] += rng.normal(0, 2.2)
    pose.spine[:, :, 1:] += rng.normal(0, 0.7, size=2)
    pose.head[:, 0] += rng.normal(0, 4)
    pose.arm += rng.normal(0, 0.08, size=(2, 3))
    pose.elbow += rng.normal(0, 7, size=2)
    pose.twist += rng.normal(0, 5, size=2)
    pose.curl += rng.uniform(-3, 6)
    pose.pelvis[:, 1] -= 0.06 * rng.uniform() ** 2


def _add_habits(pose: PoseTrack, times_s: np.ndarray, rng: np.random.Generator) -> None:
    """Up to three small movements on the side, at their own pace, as no two dancers are alike."""
    for habit in rng.permutation(6)[: rng.integers(0, 4)]:
        beat = np.sin(2 * np.pi * (times_s * rng.uniform(0.4, 1.4) + rng.uniform(0, 1)))
        amount = rng.uniform(0.4, 1.0) * beat
        if habit == 0:  # bounces in the knees
            pose.pelvis[:, 1] += 0.03 * (amount - 1)
        elif habit == 1:  # sways
            pose.pelvis[:, 0] += 0.03 * amount
            pose.spine[:, :, 2] += (2.2 * amount)[:, None]
        elif habit == 2:  # turns the shoulders
            pose.spine[:, :, 1] += (3 * amount)[:, None]
        elif habit == 3:  # nods
            pose.head[:, 0] += 8 * amount
        elif habit == 4:  # swings both arms
            pose.arm[:, 0, 2] += 0.12 * amount
            pose.arm[:, 1, 2] -= 0.12 * amount
        else:  # opens and closes the elbows
            pose.elbow += (10 * (amount + 1))[:, None]


def add_noise(pose: PoseTrack, times_s: np.ndarray, rng: np.random.Generator) -> None:
    """Slow drift of every part but the feet: no body is ever quite still."""

    def drift(num: int) -> np.ndarray:
        rates_hz = rng.uniform(0.15, 0.9, size=(3, num))
        shifts = rng.uniform(0, 1, size=(3, num))
        return np.sin(2 * np.pi * (times_s[:, None, None] * rates_hz + shifts)).sum(axis=1) / 2

    num_frames = len(times_s)
    pose.pelvis += 0.004 * drift(3)
    pose.turn += 0.9 * drift(3)
    pose.spine += 0.7 * drift(3)[:, None]
    pose.head += 1.6 * drift(3)
    pose.arm += 0.018 * drift(6).reshape(num_frames, 2, 3)
    pose.elbow += 1.8 * drift(2)
    pose.wrist += 3.0 * drift(2)
    pose.curl += 2.0 * drift(2)
