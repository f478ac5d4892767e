"""A folder of songs and dances made by rule, which `ingest` reads like any user's library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError, InputError
from raydance.files import replacing, write_json
from raydance.motion.clip import Clip
from raydance.music.audio import write_wav
from raydance.music.dances import make_dance
from raydance.music.styles import STYLES
from raydance.music.synthesis import Song, make_song

MAX_SONGS: Final = 10_000
_MAX_BEATS_BYTES: Final = 4 << 20
_MAX_SECONDS: Final = 1e9


def make_dances(
    num_songs: int, seconds: float, seed: int = 0, *, fps: float = 20.0
) -> Iterator[tuple[Song, Clip]]:
    """Songs, each with its dance; the styles take turns.

    Args:
        num_songs: how many.
        seconds: length of each.
        seed: of all choices; the first songs of a longer corpus are those of a shorter one.
        fps: of the motion.

    Raises:
        InputError: a number out of range.
    """
    if not 1 <= num_songs <= MAX_SONGS:
        raise InputError(f"{num_songs} songs; allowed are 1 to {MAX_SONGS}")
    for i in range(num_songs):
        style = STYLES[i % len(STYLES)].name
        song_seed = seed * MAX_SONGS + i
        song = make_song(style, seconds, song_seed)
        yield song, make_dance(song, song_seed, fps=fps, name=f"{style}_{i:04d}")


def write_dances(
    folder: str | Path, num_songs: int = 24, seconds: float = 30.0, seed: int = 0, fps: float = 20.0
) -> int:
    """Write songs and dances, side by side under one name.

    Per song `<style>_<number>.wav` and `.npz` (positions `[T, 50, 3]` metres, local rotations, rest
    offsets, joint_names, parents, fps), labels in `.json`, beats in `.beats.json` (`read_beats`);
    all captions in `captions.jsonl`. Frame 0 is the song's first sample.

    Returns:
        The number of songs.

    Raises:
        InputError: a number out of range.
        StorageError: no room.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for song, clip in make_dances(num_songs, seconds, seed, fps=fps):
        stem = clip.clip_id
        write_wav(folder / f"{stem}.wav", song.samples, song.rate)
        assert clip.rotations is not None and clip.offsets is not None
        with replacing(folder / f"{stem}.npz") as temporary:
            np.savez(
                temporary,
                positions=clip.positions,
                local_quaternions_wxyz=clip.rotations,
                rest_offsets=clip.offsets,
                joint_names=np.array(clip.joint_names),
                parents=np.array(clip.parents),
                fps=np.array(clip.fps),
            )
        labels = {key: clip.labels[key] for key in ("genre", "tempo", "origin")}
        write_json(folder / f"{stem}.json", labels)
        write_json(folder / f"{stem}.beats.json", _facts(song, stem))
        entry = {"file": f"{stem}.npz", "clip": stem, "captions": list(clip.captions)}
        lines.append(json.dumps(entry))
    # Last and whole: a library with captions is complete.
    with replacing(folder / "captions.jsonl") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def beats_beside(song: str | Path) -> Path:
    """Where the beats of a song are, if they are known: `a.wav` -> `a.beats.json`."""
    return Path(song).with_suffix(".beats.json")


def read_beats(path: str | Path) -> np.ndarray:
    """Beats `[B]` in seconds, rising, from a `.beats.json` file.

    Raises:
        FormatError: not JSON with `beats_s`, a list of rising numbers.
    """
    path = Path(path)
    name = str(path)
    try:
        size = path.stat().st_size
        if size > _MAX_BEATS_BYTES:
            raise FormatError(name, f"{size} bytes; allowed are at most {_MAX_BEATS_BYTES}")
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(name, f"not readable as JSON ({error})") from None
    values = found.get("beats_s") if isinstance(found, dict) else None
    if not isinstance(values, list):
        raise FormatError(name, "no list beats_s; seconds of the beats are needed")
    for i, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise FormatError(name, f"beats_s[{i}] is {str(value)[:40]!r}; a number is needed")
        if abs(value) > _MAX_SECONDS:
            raise FormatError(name, f"beats_s[{i}] is {str(value)[:40]}; seconds are needed")
    beats = np.array(values, dtype=np.float64)
    if not np.isfinite(beats).all() or (np.diff(beats) <= 0).any():
        raise FormatError(name, "beats_s is not rising; seconds from the first beat on are needed")
    return beats


def _facts(song: Song, stem: str) -> dict[str, Any]:
    return {
        "song": f"{stem}.wav",
        "genre": song.style,
        "bpm": round(song.bpm, 3),
        "swing": round(song.swing, 3),
        "beats_s": [round(float(beat), 6) for beat in song.beats_s],
        "beat_in_bar": song.beat_in_bar.tolist(),
        "is_break": song.is_break.tolist(),
    }
