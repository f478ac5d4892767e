"""`raydance quickstart --with-music`: songs and dances made by rule, and a dance to a new song.

Everything2Motion is trained for about half a minute, which is enough to hear its dancer keep the
beat, and not enough to judge the system by: `docs/systems/everything2motion.md` has its figures.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from raydance.data.dataset import Dataset
from raydance.errors import ArtifactError

if TYPE_CHECKING:
    from raydance.systems.base import Runner

NUM_SONGS: Final = 48
EPOCHS: Final = 60
_SONG_S: Final = 15.0
_NEW_SONG: Final = ("funk", 10_000_000)  # style and seed; no training song has that seed


def dance(
    place: Path,
    runner: Runner,
    phases: Callable[[str], AbstractContextManager[Any]],
    say: Callable[[str], None],
    *,
    num_songs: int = NUM_SONGS,
    epochs: int = EPOCHS,
) -> dict[str, Path]:
    """Make songs with dances, train, and dance to a song that training never heard.

    Args:
        place: the quickstart's folder; what is there already is not made again.
        runner: that trains.

    Returns:
        Title -> file.
    """
    from raydance.cluster.data import ingest
    from raydance.data.ingest import Settings
    from raydance.music.dance_corpus import write_dances
    from raydance.systems.everything2motion.system import SYSTEM

    folder = place / "music"
    songs, dataset = folder / "songs", folder / "dataset"
    with phases("songs and dances made by rule"):
        # The captions are written last: with them the corpus is whole.
        if not (songs / "captions.jsonl").exists():
            write_dances(songs, num_songs, _SONG_S)
    with phases("ingest songs and dances"):
        try:
            Dataset.open(dataset)
        except ArtifactError:
            shutil.rmtree(dataset, ignore_errors=True)
            settings = Settings(window=300, whole_clips=True, music=str(songs))
            captions = [songs / "captions.jsonl"]
            ingest([songs], dataset, captions=captions, settings=settings)
    with phases("train everything2motion"):
        config = SYSTEM.resolve("quick", [f"sequence_flow.train.epochs={epochs}"])
        run = SYSTEM.train(folder / "run", dataset, config, runner, say=say)
    with phases("dance to a new song"):
        return dance_to_new_song(run.path, place, say)


def dance_to_new_song(run: Path, place: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """A song of its own seed and a dance to it, below `place` in `pictures`."""
    from raydance.metrics.dance import beat_alignment
    from raydance.motion.export import video
    from raydance.music.audio import write_wav
    from raydance.music.synthesis import make_song
    from raydance.systems.everything2motion.run import load
    from raydance.systems.tasks import MotionAnswer

    style, seed = _NEW_SONG
    song = make_song(style, _SONG_S, seed)
    folder = place / "pictures"
    folder.mkdir(exist_ok=True)
    heard = folder / "song.wav"
    write_wav(heard, song.samples, song.rate)
    task = load(run).tasks["generate"]
    (answer,) = task.answer([task.request({"music": heard}, {})])
    assert isinstance(answer, MotionAnswer)
    seen = folder / ("dance.mp4" if video.has_ffmpeg() else "dance.gif")
    answer.write(0, seen)
    if seen.suffix == ".mp4":
        video.add_sound(seen, heard)
    kept = beat_alignment(song.beats_s, answer.motion[0], fps=answer.fps)
    say(f"  beats of the song that the dancer meets: {kept:.2f} of 1")
    return {"a song": heard, "a dance to it": seen}
