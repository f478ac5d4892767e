"""Reading audio: every format, and every file that is not what it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from raydance.errors import FormatError, InputError
from raydance.music import audio

RATE = 44_100
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 440 Hz, louder on the left, in each format."""
    folder = tmp_path_factory.mktemp("audio")
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    for suffix, (kind, subtype) in FORMATS.items():
        path = folder / f"tone.{suffix}"
        soundfile.write(path, tone[:, None] * [0.6, 0.2], RATE, format=kind, subtype=subtype)
    return folder


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_read_as_the_mean_of_its_channels(folder, suffix):
    samples, rate = audio.read_audio(folder / f"tone.{suffix}", 22_050)
    assert (rate, samples.dtype, samples.ndim) == (22_050, np.float32, 1)
    assert len(samples) == pytest.approx(2 * 22_050, abs=0.1 * 22_050)  # MP3 pads
    middle = samples[11_025:33_075]
    assert np.sqrt(2) * middle.std() == pytest.approx(0.4, rel=0.05)
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(440, abs=1)


def test_the_own_rate_is_kept_without_another(folder):
    samples, rate = audio.read_audio(folder / "tone.wav")
    assert (len(samples), rate) == (2 * RATE, RATE)


def test_reading_by_blocks_resamples_as_reading_at_once(folder):
    whole, _ = audio.read_audio(folder / "tone.wav")
    by_block, _ = audio.read_audio(folder / "tone.wav", 16_000)
    np.testing.assert_allclose(by_block, audio.resample(whole, RATE, 16_000), atol=1e-4)


def test_written_waves_are_read_again(tmp_path):
    samples = np.array([0.0, 0.5, -0.5, 2.0, -2.0], np.float32)
    audio.write_wav(tmp_path / "a.wav", samples, 22_050)
    again, rate = audio.read_audio(tmp_path / "a.wav")
    np.testing.assert_allclose(again, np.clip(samples, -1, 1), atol=1e-4)
    assert rate == 22_050


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.0005, 0.01, 0.5])
def test_truncated_files_are_read_in_part_or_refused(folder, tmp_path, suffix, share):
    data = (folder / f"tone.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(data[: int(share * len(data))])
    try:
        samples, _ = audio.read_audio(path, 22_050)
    except FormatError as error:
        assert str(path) in str(error)
    else:
        assert 0 < len(samples) <= 1.1 * 2 * 22_050 * share + 22_050 * 0.1


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_files_never_crash(folder, tmp_path, suffix):
    data = np.frombuffer((folder / f"tone.{suffix}").read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    for trial in range(12):
        damaged = data.copy()
        size = len(data) if trial % 2 else min(len(data), 200)
        where = rng.integers(0, size, size=20)
        damaged[where] = rng.integers(0, 256, size=20)
        path = tmp_path / f"damaged_{trial}.{suffix}"
        path.write_bytes(damaged.tobytes())
        try:
            samples, _ = audio.read_audio(path, 22_050, max_duration_s=60)
        except FormatError:
            continue
        assert samples.dtype == np.float32 and np.isfinite(samples).all()


def test_what_is_not_audio_is_refused_by_name(folder, tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("not a song at all, only words\n" * 50)
    soundfile.write(tmp_path / "silent.wav", np.zeros(0), 8000)
    bad = np.zeros(1000, np.float32)
    bad[123] = np.nan
    soundfile.write(tmp_path / "nan.wav", bad, 8000, subtype="FLOAT")
    for path, words in {
        tmp_path / "empty.wav": "0 bytes",
        tmp_path / "text.mp3": "allowed are wav, flac, ogg",
        tmp_path / "silent.wav": "no samples",
        tmp_path / "nan.wav": "sample 123 is nan",
        tmp_path / "none.wav": "No such file",
        tmp_path: "not a file",
    }.items():
        with pytest.raises(FormatError, match=words) as caught:
            audio.read_audio(path)
        assert str(path) in str(caught.value)


def test_bounds_are_told(folder, tmp_path, monkeypatch):
    with pytest.raises(FormatError, match="2 s or more; allowed are at most 1 s"):
        audio.read_audio(folder / "tone.flac", max_duration_s=1)
    with pytest.raises(InputError, match="allowed are 1000 to 384000"):
        audio.read_audio(folder / "tone.wav", 10)
    with pytest.raises(InputError, match="not finite"):
        audio.write_wav(tmp_path / "a.wav", np.array([np.inf]), 22_050)
    monkeypatch.setattr(audio, "MAX_BYTES", 1000)
    with pytest.raises(FormatError, match="allowed are at most 1000"):
        audio.read_audio(folder / "tone.wav")


def test_a_header_that_lies_about_its_length_allocates_nothing(tmp_path):
    audio.write_wav(tmp_path / "a.wav", np.zeros(100), 8000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[40:44] = (0xFFFFFFF0).to_bytes(4, "little")  # the data chunk's size
    (tmp_path / "a.wav").write_bytes(data)
    samples, _ = audio.read_audio(tmp_path / "a.wav")
    assert len(samples) == 100
