"""Dances of the procedural dancer to the synthesiser's songs, in time with their beats.

Not from any paper. The dancer is that of the embedded corpus: a dance is a chain of its movements,
whose clock slows at every beat, so that the body is slowest there. The style of the music decides
which movements, how hard they stop and how the body bounces; the tempo, how many beats a movement
takes; intensity, how large it is; in a break the dancer almost stands still.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion import rotations as rot
from raydance.motion.clip import Clip
from raydance.motion.skeleton import JOINTS, PARENTS
from raydance.motion.synthetic import MOVEMENTS, Movement, add_noise, add_posture, place_body
from raydance.motion.synthetic_body import REST_OFFSETS, Body, PoseTrack, make_body
from raydance.motion.synthetic_ease import Beat
from raydance.motion.synthetic_solve import solve
from raydance.music.dance_captions import captions, tempo_word
from raydance.music.dance_styles import ATTACK_S, DANCES
from raydance.music.pose_tracks import join, mirrored, placed
from raydance.music.synthesis import Song

_MOVEMENT: Final[Mapping[str, Movement]] = {m.name: m for m in MOVEMENTS}
_JOIN_BEATS: Final = 2
_FAST_BPM: Final = 125.0
"""From here on, knees bend on every other beat."""
_PHRASE_BARS: Final = (2, 4)


def make_dance(song: Song, seed: int = 0, *, fps: float = 20.0, name: str = "dance") -> Clip:
    """A dance to a song, as long as the song; the same arguments always give the same dance.

    Args:
        song: of `make_song`.
        seed: of the dancer and of all choices.
        fps: frames per second.
        name: of the clip.

    Returns:
        A clip on the canonical skeleton with positions, rotations, offsets, captions and the
        labels genre, tempo, bpm and origin. Frame t is at `t / fps` seconds of the song.

    Raises:
        InputError: a style without a dance, or a rate out of range.
    """
    if song.style not in DANCES:
        raise InputError(f"style {song.style!r} has no dance; allowed: {', '.join(DANCES)}")
    if not 10 <= fps <= 240:
        raise InputError(f"{fps} frames per second: allowed are 10 to 240")
    rng = np.random.default_rng([seed, zlib.crc32(song.style.encode())])
    times_s = np.arange(max(1, int(song.duration_s * fps + 1e-6))) / fps
    clock = _Clock.of(song, times_s, DANCES[song.style].stop)
    pose = _choreography(song, clock, rng)
    _bounce(pose, song, clock)
    add_posture(pose, rng)
    add_noise(pose, times_s, rng)
    body = make_body(rng)
    local, root = solve(pose, body)
    quats = rot.continuous(rot.from_matrix(local))
    return Clip(
        clip_id=name,
        source="synthetic",
        fps=fps,
        joint_names=JOINTS,
        parents=PARENTS,
        positions=place_body(quats, root, body).astype(np.float32),
        rotations=quats.astype(np.float32),
        offsets=body.offsets.astype(np.float32),
        captions=captions(song.style, song.bpm, rng),
        labels={
            "genre": song.style,
            "tempo": tempo_word(song.bpm),
            "bpm": f"{song.bpm:.1f}",
            "origin": "synthetic",
        },
    )


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """Frames in beats.

    Attributes:
        beat: `[T]` place of each frame in beats, 0 is the song's first.
        moved: `[T]` beats danced until each frame; stops at beats, almost rests in breaks.
    """

    beat: np.ndarray
    moved: np.ndarray

    @classmethod
    def of(cls, song: Song, times_s: np.ndarray, stop: float) -> _Clock:
        beats = song.beats_s
        period = np.diff(beats)
        before = int(np.ceil(beats[0] / period[0])) + 1
        after = int(np.ceil((times_s[-1] - beats[-1]) / period[-1])) + 2
        grid = np.concatenate(
            [
                beats[0] - period[0] * np.arange(before, 0, -1),
                beats,
                beats[-1] + period[-1] * np.arange(1, after + 1),
            ]
        )
        pace = np.ones(len(grid))
        pace[:before] = 0.25
        pace[before : before + len(beats)] = _pace(song.is_break)
        place = np.interp(times_s, grid, np.arange(len(grid)))
        which = place.astype(int)
        part = place - which
        begun = np.concatenate([[0.0], np.cumsum(pace)])
        slowed = part - stop * np.sin(2 * np.pi * part) / (2 * np.pi)
        moved = begun[which] + pace[which] * slowed
        return cls(beat=place - before, moved=moved - begun[before])


def _pace(is_break: np.ndarray) -> np.ndarray:
    """`[B]` beats danced in each: a whole break counts as one, so that what follows is in time."""
    pace = np.ones(len(is_break))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_break, [False]])))
    for start, stop in zip(edges[::2], edges[1::2]):
        pace[start:stop] = 1 / (stop - start)
    return pace


def _choreography(song: Song, clock: _Clock, rng: np.random.Generator) -> PoseTrack:
    """All phrases, each placed where the one before ended."""
    style = DANCES[song.style]
    starts = _phrase_starts(song, rng)
    bar = 3 if song.beat_in_bar.max(initial=0) == 2 else 4
    width = rng.uniform(0.115, 0.16)
    pose: PoseTrack | None = None
    heading = rng.uniform(0, 360)
    previous = ""
    for i, start in enumerate(starts):
        stop = starts[i + 1] if i + 1 < len(starts) else len(song.beats_s)
        choices = [name for name in style.movements if name != previous]
        previous = str(rng.choice(choices))
        movement = _MOVEMENT[previous]
        period_s = float(np.diff(song.beats_s)[min(start, len(song.beats_s) - 2)])
        num_beats, cycle_s = _cycle(movement, period_s, bar)
        begun = float(np.interp(start, clock.beat, clock.moved))
        side = str(rng.choice(movement.sides))
        intensity = float(song.intensity[start:stop].max(initial=0.2))
        track = movement.build(
            Beat(
                phase=_rest_phase(previous, num_beats, cycle_s) + (clock.moved - begun) / num_beats,
                cycle_s=cycle_s,
                size=style.size * (0.65 + 0.4 * intensity) * rng.uniform(0.94, 1.06),
                both=side == "both",
                rng=rng,
                width=width,
            )
        )
        if side == "right" or (side == "both" and rng.uniform() < 0.5):
            track = mirrored(track)
        if pose is None:
            pose = placed(track, 0, (0.0, 0.0), heading)
            continue
        pose = join(pose, track, (clock.beat - start) / _JOIN_BEATS, _JOIN_BEATS)
    assert pose is not None
    return pose


def _phrase_starts(song: Song, rng: np.random.Generator) -> list[int]:
    """Beats at which a movement begins: first beats of bars that are not breaks."""
    starts = [0]
    bars = np.flatnonzero(song.beat_in_bar == 0)
    wait = int(rng.integers(_PHRASE_BARS[0], _PHRASE_BARS[1] + 1))
    for bar, beat in enumerate(bars):
        ahead = song.is_break[beat : beat + _JOIN_BEATS]
        if bar >= wait and len(ahead) == _JOIN_BEATS and not ahead.any():
            starts.append(int(beat))
            wait = bar + int(rng.integers(_PHRASE_BARS[0], _PHRASE_BARS[1] + 1))
    return starts


def _cycle(movement: Movement, period_s: float, bar: int) -> tuple[int, float]:
    """Beats of a movement's cycle, and the seconds it is written for.

    The beats fit the metre and come nearest to the movement's own pace. A sharp movement attacks
    within a beat, or within two where a beat is too short for it.
    """
    allowed = (3, 6) if bar == 3 else (2, 4, 8)
    num_beats = min(allowed, key=lambda num: abs(np.log(num * period_s / movement.cycle_s)))
    attack_s = ATTACK_S.get(movement.name)
    if attack_s is None:
        # Nothing in it depends on seconds.
        return num_beats, movement.cycle_s
    if period_s < 1.25 * attack_s:
        return 2 * num_beats, num_beats * attack_s
    return num_beats, num_beats * attack_s


@lru_cache(maxsize=128)
def _rest_phase(name: str, num_beats: int, cycle_s: float) -> float:
    """Phase at which a movement should meet a beat: it is slowest there, `num_beats` to a cycle."""
    num = 24 * num_beats
    phase = np.arange(2 * num + 1) / num
    movement = _MOVEMENT[name]
    beat = Beat(
        phase=phase,
        cycle_s=cycle_s,
        size=1.0,
        both=False,
        rng=np.random.default_rng(0),
        width=0.13,
    )
    body = Body(offsets=REST_OFFSETS)
    local, root = solve(movement.build(beat), body)
    places = place_body(rot.from_matrix(local), root, body)
    speed = np.linalg.norm(np.diff(places, axis=0), axis=-1).mean(axis=1)[:num]
    # The mean of the speed at all beats of a cycle, for each place of the first beat.
    at_beats = speed.reshape(num_beats, -1).mean(axis=0)
    return float((int(at_beats.argmin()) + 0.5) / num)


def _bounce(pose: PoseTrack, song: Song, clock: _Clock) -> None:
    """Knees bend on each beat, the head nods, and the weight goes from side to side."""
    style = DANCES[song.style]
    place = np.arange(len(song.beats_s))
    strength = np.interp(clock.beat, place, song.intensity, left=0.2, right=0.2)
    depth = style.bounce * strength
    # From one side on a beat to the other on the next: still on beats and nowhere else.
    side = np.cos(np.pi * clock.beat)
    on_beat = np.cos(2 * np.pi * clock.beat) if song.bpm < _FAST_BPM else side
    pose.pelvis[:, 1] -= depth * (0.5 + 0.5 * on_beat)
    pose.head[:, 0] += 120 * depth * on_beat
    pose.pelvis[:, 0] += style.sway * strength * side
    pose.spine[:, :, 2] += (70 * style.sway * strength * side)[:, None]
    for s in range(2):
        pose.arm[:, s, 2] += (1 - 2 * s) * 2.5 * style.sway * strength * side
