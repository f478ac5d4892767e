"""Which song a motion was danced to, by name."""

from __future__ import annotations

import pytest

from raydance.errors import InputError
from raydance.music.songs import aist_song, song_of


@pytest.fixture
def folder(tmp_path):
    for name in ("mBR0.wav", "mHO5.mp3", "mHO5.wav", "001.wav", "12.MP3", "walk.ogg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "mJB1.wav").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("motion", "song"),
    [
        ("gBR_sBM_cAll_d04_mBR0_ch01.pkl", "mBR0.wav"),
        ("gHO_sFM_cAll_d20_mHO5_ch07.pkl", "mHO5.wav"),  # WAV before MP3
        ("motion/001.npy", "001.wav"),
        ("motion/1.npy", "001.wav"),
        ("012.npy", "12.MP3"),
        ("a/b/walk.bvh", "walk.ogg"),
        ("gJB_sBM_cAll_d07_mJB1_ch01.pkl", None),  # a folder of that name
        ("gKR_sBM_cAll_d04_mKR3_ch01.pkl", None),
        ("notes.bvh", None),
        ("../../mBR0", "mBR0.wav"),  # only the name is looked at
        ("002.npy", None),
    ],
)
def test_songs_are_found_by_name(folder, motion, song):
    found = song_of(motion, folder)
    assert found == (folder / song if song else None)


def test_what_aist_names_say():
    assert aist_song("gLH_sFM_cAll_d16_mLH4_ch04") == "mLH4"
    for name in ("mXX1", "walk", "gBR_sBM_mBR10_ch01", "amBR0"):
        assert aist_song(name) is None


def test_a_folder_must_be_there(tmp_path):
    with pytest.raises(InputError, match="not a folder of music"):
        song_of("a.npy", tmp_path / "none")
