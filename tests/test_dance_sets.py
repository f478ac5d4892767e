"""AIST++ and FineDance as they lie on disk: motion, songs and splits become a run that dances."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import public_sets
import pytest
from public_sets import AIST_NAMES, save
from small_dataset import ingest_here
from test_everything2motion import TINY

from raydance.data.dataset import Dataset
from raydance.data.ingest import Settings
from raydance.errors import InputError
from raydance.motion.rotations import from_rotation_vector, to_matrix
from raydance.music.audio import write_wav
from raydance.music.synthesis import make_song
from raydance.systems import load_run
from raydance.systems.base import LocalRunner
from raydance.systems.everything2motion.system import SYSTEM, genres_of

SECONDS = 4


def _poses(fps: int, num_joints: int, number: int) -> np.ndarray:
    """`[T, J, 3]` radians of a body that sways."""
    time_s = np.arange(SECONDS * fps) / fps
    rng = np.random.default_rng(number)
    wave = np.sin(2 * np.pi * (1 + number % 2) * time_s[:, None] + rng.uniform(0, 6, num_joints))
    return wave[..., None] * rng.normal(0, 0.2, (num_joints, 3))


def _song(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    song = make_song(seconds=SECONDS + 1.0, seed=number)
    write_wav(path, song.samples, song.rate)


def _aistpp(folder: Path) -> list[str]:
    """60 frames per second, centimetres times a scale; songs named in the motions' names."""
    public_sets.aistpp(folder)
    names = [f"gBR_sBM_cAll_d04_mBR{number // 2}_ch1{number}" for number in range(6)]
    for number, name in enumerate(names):
        motion = {
            "smpl_poses": _poses(60, 24, number).reshape(-1, 72),
            "smpl_trans": np.tile([0.0, 93.0 * 0.9, 0.0], (SECONDS * 60, 1)),
            "smpl_scaling": np.array([93.0]),
        }
        save(folder / f"motions/{name}.pkl", motion)
    for part, chosen in (("train", names[:4]), ("val", names[4:5]), ("test", names[5:])):
        save(folder / f"splits/crossmodal_{part}.txt", "\n".join(chosen))
    save(folder / "ignore_list.txt", f"{AIST_NAMES[0]}\n")
    for number in range(3):
        _song(folder / f"music/mBR{number}.wav", number)
    return names


def _finedance(folder: Path) -> list[str]:
    """30 frames per second, rotations as two rows of a matrix; songs of the motions' numbers."""
    public_sets.finedance(folder)
    names = [f"{number:03d}" for number in range(1, 7)]
    for number, name in enumerate(names):
        rows = to_matrix(from_rotation_vector(_poses(30, 52, number)))[..., :2, :]
        places = np.tile([0.0, 0.9, 0.0], (SECONDS * 30, 1))
        columns = np.concatenate((places, rows.reshape(SECONDS * 30, -1)), axis=1)
        save(folder / f"motion/{name}.npy", columns.astype(np.float32))
        about = {"name": "a song", "style1": "Modern", "style2": ("Jazz", "Popping")[number % 2]}
        save(folder / f"label_json/{name}.json", about)
        _song(folder / f"music_wav/{name}.wav", number)
    for part, chosen in (("train", names[:4]), ("val", names[4:5]), ("test", names[5:])):
        save(folder / f"{part}.txt", "\n".join(chosen))
    return names


@pytest.mark.parametrize(
    ("layout", "write", "genres"),
    [
        ("aist++", _aistpp, ("break",)),
        ("finedance", _finedance, ("Jazz", "Popping")),
    ],
)
def test_a_run_dances_after_a_public_set(
    layout: str, write: Callable[[Path], list[str]], genres: tuple[str, ...], tmp_path: Path
) -> None:
    names = write(tmp_path / "set")
    settings = Settings(whole_clips=True, window=80, music="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = ingest_here([tmp_path / "set"], [], tmp_path / "data", settings, layout)
    data = Dataset.open(made)
    found = {Path(clip["source"]).stem: clip["split"] for clip in data.clips()}
    assert found == dict(zip(names, ("train",) * 4 + ("val", "test")))  # the published one
    (shard,) = data.shards("train")
    rows = data.read_shard(shard)
    # Resampled to the common rate, in metres, upright, each with its own song.
    assert (abs(rows["length"] - SECONDS * 20) <= 1).all() and rows["has_music"].all()
    assert np.allclose(rows["motion"][:, 0, 0, 1], 0.9, atol=0.15)
    songs = [json.loads(labels)["music"] for labels in rows["labels"]]
    for i, song in enumerate(songs):
        for j, other in enumerate(songs):
            same = np.array_equal(rows["music"][i][:70], rows["music"][j][:70])
            assert same == (song == other)

    config = SYSTEM.resolve("quick", [*TINY, "sequence_flow.train.epochs=1"])
    run = SYSTEM.train(tmp_path / "run", made, config, LocalRunner())
    assert genres_of(run) == genres
    generate = load_run(run.path).tasks["generate"]
    song = next((tmp_path / "set").rglob("*.wav"))
    (answer,) = generate.answer([generate.request({"music": song}, {"genre": genres[0]})])
    assert answer.motion.shape[1] == (SECONDS + 1) * 20 and np.isfinite(answer.motion).all()
    assert answer.beats_s and not answer.notices


def test_songs_of_a_layout_need_one_that_has_some(tmp_path: Path) -> None:
    settings = Settings(music="auto")
    folder = public_sets.finedance(tmp_path / "set")
    with pytest.raises(InputError, match="music auto: needs --layout"):
        settings.find_jobs([folder])
    (folder / "music_wav/001.wav").unlink()
    with pytest.warns(UserWarning), pytest.raises(InputError, match="music auto: the data set in"):
        settings.find_jobs([folder], layout="finedance")


def test_a_song_of_the_motion_itself_goes_before_the_one_in_its_name(tmp_path: Path) -> None:
    folder = public_sets.aistpp(tmp_path / "set")
    cut = save(folder / f"wavs/{AIST_NAMES[0]}.wav", "RIFF")
    with pytest.warns(UserWarning):
        jobs = Settings(music="auto").find_jobs([folder], layout="aist++")
    by_stem = {Path(job.path).stem: job.signals for job in jobs}
    assert by_stem[AIST_NAMES[0]] == {"music": str(cut)}
    assert by_stem[AIST_NAMES[3]] == {}  # mBR3.wav is not there
