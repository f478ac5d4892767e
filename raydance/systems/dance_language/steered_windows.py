"""Motion that keeps to wanted frames, paths and other clips, and motion longer than a window.

Both are made window by window. A window's first frames are the last of the one before, in the place
where that ended; keyframes, paths and a loop are further equations of the same kind
(`constraints`). Each window is sampled twice, once led onto its equations and once only told of
them: where a sentence does not go with what is wanted, the first gives up the words. The shared
space says which keeps them better, and what is still off is settled in the frames beside.

Dimensions: S samples, T frames, L frames of a window, J joints, K coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from raydance.data.index import scores
from raydance.errors import InputError
from raydance.motion import normalise, skeleton
from raydance.motion.basis import Basis
from raydance.motion.windows import heading, rotate_y
from raydance.systems.constraints import Equations, Wanted, close_loop, missing, settle
from raydance.systems.dance_language.steered_body import regrown, scale_of, sizes
from raydance.systems.dance_language.steered_motion import Steered
from raydance.systems.dance_language.steering_targets import (
    FLOOR,
    Targets,
    canonical,
    check,
    check_stretch,
)
from raydance.systems.steering import Sentence, Steering

if TYPE_CHECKING:
    from raydance.systems.dance_language.run import DanceLanguage

OVERLAP: Final = 10
"""Frames that a window takes over from the one before."""
_ROOM: Final = 15
_LATEST: Final = 0.9
_IMPOSSIBLE_M: Final = 0.10
_CONTINUITY: Final = 2.0
"""How much more exactly than keyframes the frames before are kept to; otherwise acceleration jumps
at the seam."""
_FARTHEST_M: Final = 0.4
"""How far a window that is only told may be from what is wanted, at any joint."""
_CLEARLY: Final = 0.1
"""How much nearer to the words it must be, in the shared space."""


def steer(
    system: DanceLanguage,
    sentences: Sequence[Sentence],
    steering: Steering,
    frames: int,
    num_samples: int,
    noise: Callable[[int], np.ndarray],
    *,
    steps: int,
    guidance: float,
) -> Steered:
    """Make motion window by window.

    Args:
        sentences: in the order of time; the first begins at 0 s.
        noise: `[S, K]` for the window of that number.

    Raises:
        InputError: something is wanted that contradicts itself or that no motion can do.
    """
    check(system, steering, sentences, frames)
    begun = _lead_in(system, steering, num_samples)
    facing = 0.0 if begun is None else float(heading(begun[0, -1], system.joint_mask))
    world = Targets(system, steering, frames, facing)
    lead = 0 if begun is None else begun.shape[1]
    joints = world.target.shape[1]
    motion = np.zeros((num_samples, 0, joints, 3)) if begun is None else begun
    settled = np.zeros((num_samples, lead + frames, joints))
    settings = {"steps": steps, "guidance": guidance, "strength": steering.strength}
    basis = system.world_basis
    edited = None if steering.edit is None else canonical(system, steering.edit)[0]
    number = 0
    while motion.shape[1] < lead + frames:
        start = max(0, motion.shape[1] - OVERLAP)
        given = motion.shape[1] - start
        place = _Place.origin(num_samples)
        if given:
            place = _Place.at(motion[:, start], system.joint_mask)
        scale = scale_of(motion, start, OVERLAP, system.joint_mask)
        wanted = _window_wanted(
            world, motion, start, lead, system.window, place, steering.loop, scale
        )
        done = motion.shape[1]
        length = _end(world, steering.loop, sentences, done, start, lead) - start
        now_s = (done - lead + 0.5) / system.fps
        words = [s for s in sentences if s.begins_s <= now_s][-1].words
        edited_K = None if edited is None else _edited_window(system, edited, start - lead)
        made, off = _sample_window(system, words, basis, wanted, noise(number), settings, edited_K)
        made = regrown(made, given, scale)
        motion = np.concatenate([motion, place.out(made)[:, given:length]], axis=1)
        here = settled[:, start : start + length]
        np.maximum(here, off[:, :length], out=here)
        number += 1
    if steering.loop:  # a loop of several windows ends in another one than it begins in
        motion = close_loop(motion, frames - 1)
    check_stretch(world, motion[:, lead:])
    return Steered(
        motion=motion,
        settled_m=settled[:, lead:],
        world=world,
        is_loop=steering.loop,
    )


def _end(
    world: Targets, loop: bool, sentences: Sequence[Sentence], done: int, start: int, lead: int
) -> int:
    """Frame that a window ends before: where a sentence begins, or early enough that the next one
    has room before what is wanted of it."""
    end = min(start + world.system.window, lead + world.frames)
    begins = [lead + round(sentence.begins_s * world.fps) for sentence in sentences]
    end = min([end, *(frame for frame in begins if done < frame < end)])
    is_wanted = np.concatenate([np.zeros(lead, dtype=bool), world.weight.any(axis=(1, 2))])
    is_wanted[-2:] |= loop
    comes = np.flatnonzero(is_wanted[end:])
    if len(comes) and not is_wanted[end - 1]:
        end = min(end, max(done + 1, end + int(comes[0]) - _ROOM))
    return end


def world_basis(
    basis: Basis, statistics: normalise.Statistics, kind: normalise.Representation
) -> tuple[np.ndarray, np.ndarray]:
    """The basis in metres: components `[K, T, J, 3]` and mean `[T, J, 3]`.

    Joints that the data lack are zero in both. `from_features` puts them at the pelvis, where they
    would move with it and look like joints that nobody gave a position.
    """
    known = np.any(basis.components, axis=(0, 1, 3))[:, None]
    scaled = np.asarray(statistics.std) * basis.components
    mean = normalise.from_features(statistics.invert(basis.mean)[None].copy(), kind)[0]
    components = normalise.from_features(scaled, kind)
    return np.where(known, components, 0.0), np.where(known, mean, 0.0)


@dataclass(frozen=True)
class _Place:
    """Where a window begins in the motion: `shift` `[S, 3]` and heading `angle` `[S]`."""

    shift: np.ndarray
    angle: np.ndarray

    @classmethod
    def at(cls, frame: np.ndarray, mask: np.ndarray) -> _Place:
        """Of a window that begins with this frame `[S, J, 3]`."""
        return cls(frame[:, 0] * FLOOR, heading(frame, mask))

    @classmethod
    def origin(cls, num_samples: int) -> _Place:
        """Of a motion's first window."""
        return cls(np.zeros((num_samples, 3)), np.zeros(num_samples))

    def into(self, motion: np.ndarray) -> np.ndarray:
        """Motion `[S, T, J, 3]` as the window sees it."""
        return rotate_y(motion - self.shift[:, None, None], -self.angle[:, None])

    def out(self, window: np.ndarray) -> np.ndarray:
        """A window `[S, T, J, 3]` in its place."""
        return rotate_y(window, self.angle[:, None]) + self.shift[:, None, None]


def _lead_in(system: DanceLanguage, steering: Steering, num_samples: int) -> np.ndarray | None:
    """The last frames of the clip that is gone on from, `[S, t, J, 3]`."""
    if steering.after is None:
        return None
    motion, mask = canonical(system, steering.after, keeps_end=True)
    lacking = system.joint_mask & ~mask
    if lacking.any():
        names = ", ".join(skeleton.JOINTS[j] for j in np.flatnonzero(lacking)[:4])
        raise InputError(
            f"{steering.after.clip_id}: lacks joints of the run's data ({names}); a motion can go "
            "on only from one that has them all"
        )
    last = motion[-OVERLAP:] * system.joint_mask[:, None]
    return np.repeat(last[None], num_samples, axis=0)


def _window_wanted(
    world: Targets,
    motion: np.ndarray,
    start: int,
    lead: int,
    window: int,
    place: _Place,
    loop: bool,
    scale_S: np.ndarray,
) -> Wanted:
    """What is wanted of the window that begins at frame `start` of `motion`.

    Args:
        scale_S: by how much the frames before are made larger, `scale_of`.
    """
    samples, given = len(motion), motion.shape[1] - start
    joints = world.target.shape[1]
    target = np.zeros((samples, window, joints, 3))
    weight = np.zeros((window, joints, 3))
    is_relative = np.zeros(window, dtype=bool)
    first, last = start - lead, min(start - lead + window, world.frames)
    rows = np.arange(max(first, 0), last)
    here = rows - first
    in_world = np.repeat(world.target[rows][None], samples, axis=0)
    target[:, here] = place.into(in_world)
    weight[here] = world.weight[rows]
    is_relative[here] = world.is_relative[rows]
    if given:
        target[:, :given] = place.into(motion[:, start:]) * scale_S[:, None, None, None]
        weight[:given] = _CONTINUITY * world.system.joint_mask[:, None]
        is_relative[:given] = False
        # What is wanted holds at the size that the frames will have.
        target[:, given:] /= sizes(window, given, scale_S)[:, given:, None, None]
    end = 0
    if loop and last == world.frames:
        if not given:
            end = last - first - 1
        else:
            _close(motion, place, target, weight, is_relative, last - first - 1, world)
            ends = slice(last - first - 2, last - first)
            target[:, ends] /= sizes(window, given, scale_S)[:, ends, None, None]
    return Wanted(target=target, weight=weight, is_relative=is_relative, loop=end)


def _close(
    motion: np.ndarray,
    place: _Place,
    target: np.ndarray,
    weight: np.ndarray,
    is_relative: np.ndarray,
    end: int,
    world: Targets,
) -> None:
    """Lead the last two frames of a long loop to its first pose and velocity."""
    pose = motion[:, :2] - motion[:, :2, :1] * FLOOR
    poses = [pose[:, 0], 2.0 * pose[:, 0] - pose[:, 1]]
    for back, wanted in enumerate(poses):
        target[:, end - back] = rotate_y(wanted, -place.angle)
        weight[end - back] = world.system.joint_mask[:, None]
        is_relative[end - back] = True


def _edited_window(system: DanceLanguage, clip: np.ndarray, start: int) -> np.ndarray:
    """Coefficients `[K]` of the clip from a frame on; at its end it stands still."""
    rows = np.minimum(np.arange(max(start, 0), max(start, 0) + system.window), len(clip) - 1)
    window = clip[rows]
    mask = np.asarray(window.any(axis=(0, 2)))
    window = rotate_y(window - window[:1, :1] * FLOOR, -heading(window[:1], mask))
    window = np.where(mask[:, None], window, 0.0)
    return system.encode_motion(window[None].astype(np.float32), mask[None])["coefficients"][0]


def _sample_window(
    system: DanceLanguage,
    words: Mapping[str, np.ndarray],
    basis: tuple[np.ndarray, np.ndarray],
    wanted: Wanted,
    noise_SK: np.ndarray,
    settings: Mapping[str, Any],
    edited_K: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """One window `[S, L, J, 3]` that has what is wanted, and how far it was off, `[S, L, J]` m.

    Raises:
        InputError: no motion of the basis can have what is wanted.
    """
    flow = system.motion_flow
    assert flow is not None
    equations = Equations(*basis, wanted)
    short = equations.shortfall_m()
    if short > _IMPOSSIBLE_M:
        raise InputError(
            f"what is wanted contradicts itself or is beyond a body: the nearest motion is off by "
            f"{100 * short:.0f} cm"
        )
    is_wanted = bool(len(equations.rows_MK))
    start, guidance, change = 0.0, settings["guidance"], 1.0
    if edited_K is not None:
        start = min(1.0 - settings["strength"], _LATEST)
        # Guidance changes much even late in sampling, so small strengths also interpolate.
        change = min(1.0, 2.0 * settings["strength"])

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(system.device)

    text_SD = tensor(np.repeat(np.asarray(words["text_embedding"])[None], len(noise_SK), axis=0))
    ways = []
    # The flow has learned to see poses and the root's path, not paths of other joints.
    both = is_wanted and _is_seen(wanted)
    for is_led in (True, False) if both else (is_wanted,):
        found = flow.sample(
            tensor(noise_SK),
            text_SD,
            steps=settings["steps"],
            guidance=guidance,
            wanted_BX=tensor(equations.seen()) if is_wanted else None,
            changed_K=None if edited_K is None else tensor(edited_K),
            start=start,
            correct=equations.correction(system.device) if is_led else None,
        )
        coefficients = found.cpu().numpy()
        if edited_K is not None:
            coefficients = edited_K + change * (coefficients - edited_K)
        window = system.to_metres(system.basis.decode(coefficients)).astype(np.float64)
        off_STJ = np.linalg.norm(missing(window, wanted), axis=-1)
        settled = settle(window, wanted, parents=skeleton.PARENTS) if is_wanted else window
        ways.append((settled, off_STJ))
    if len(ways) == 1:
        return ways[0]
    led, told = (_likeness(system, words, window) for window, _ in ways)
    near = off_STJ.max(axis=(1, 2)) <= _FARTHEST_M
    chosen = (near & (told > led + _CLEARLY)).astype(int)
    rows = np.arange(len(chosen))
    windows, off = (np.stack(parts)[chosen, rows] for parts in zip(*ways))
    return windows, off


def _is_seen(wanted: Wanted) -> bool:
    is_lone = wanted.weight.any(axis=2) & ~wanted.weight[:, :1].any(axis=2)
    return not is_lone.any()


def _likeness(
    system: DanceLanguage, words: Mapping[str, np.ndarray], windows: np.ndarray
) -> np.ndarray:
    """How near each window is to the words in the shared space, `[S]`."""
    mask = np.repeat(system.joint_mask[None], len(windows), axis=0)
    shown = (windows * system.joint_mask[:, None]).astype(np.float32)
    point = system.encode_motion(shown, mask)["motion_embedding"]
    return scores(np.asarray(words["text_projection"])[None], point, system.metric)[0]
