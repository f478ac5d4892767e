"""Which song a motion file was danced to, by the names of public dance data sets.

AIST++ (Li et al. 2021) names the song within the motion's name: `gBR_sBM_cAll_d04_mBR0_ch01` was
danced to `mBR0`. FineDance (Li et al. 2023) and the embedded dances give both the same number or
name: `motion/001.npy` and `music_wav/001.wav`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from raydance.errors import InputError
from raydance.music.audio import SUFFIXES
from raydance.music.dance_corpus import beats_beside, read_beats
from raydance.music.features import MusicFeatures, read_features

_AIST_SONG: Final = re.compile(r"(?:^|_)(m(?:BR|PO|LO|MH|LH|HO|WA|KR|JS|JB)\d)(?:_|$)")
_MAX_FILES: Final = 100_000


def song_of(motion_path: str | Path, music_folder: str | Path) -> Path | None:
    """The audio file in a folder that a motion file was danced to.

    Looked for in turn: an audio file of the motion's name, AIST's song within that name, and, where
    the name is a number, an audio file of that number.

    Args:
        motion_path: only its name is looked at.
        music_folder: searched without its sub-folders.

    Returns:
        The file, or None. Of several formats of one song, the first in `audio.SUFFIXES`.

    Raises:
        InputError: no such folder, or one with more files than any set of songs.
    """
    folder = Path(music_folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder of music")
    songs: dict[str, Path] = {}
    for i, path in enumerate(sorted(folder.iterdir())):
        if i >= _MAX_FILES:
            raise InputError(f"{folder}: more than {_MAX_FILES} files; allowed are fewer")
        if path.suffix.lower() in SUFFIXES and path.is_file():
            other = songs.setdefault(path.stem, path)
            if _rank(path) < _rank(other):
                songs[path.stem] = path
    stem = Path(motion_path).stem
    for name in (stem, aist_song(stem)):
        if name in songs:
            return songs[name]
    if re.fullmatch(r"[0-9]{1,9}", stem):
        for name, path in songs.items():
            if re.fullmatch(r"[0-9]{1,9}", name) and int(name) == int(stem):
                return path
    return None


def aist_song(name: str) -> str | None:
    """The song in an AIST name: `gBR_sBM_cAll_d04_mBR0_ch01` -> `mBR0`; None in other names."""
    found = _AIST_SONG.search(name)
    return found[1] if found else None


@lru_cache(maxsize=4)
def song_features(song: str, fps: float) -> MusicFeatures:
    """Features of a song, with the beats of a file beside it where there is one."""
    beats = read_beats(beats_beside(song)) if beats_beside(song).is_file() else None
    return read_features(song, fps=fps, beats_s=beats)


def _rank(path: Path) -> int:
    return SUFFIXES.index(path.suffix.lower())
