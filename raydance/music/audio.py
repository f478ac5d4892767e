"""Reading audio files of any common format as one channel at a wanted rate, and writing WAV.

Decoding is libsndfile's (WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF), resampling is soxr's, block by
block, so that a long file at a high rate never lies in memory whole. Files are untrusted: size,
duration and channels are bounded, and what cannot be read is told in one line.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from raydance.errors import FormatError, InputError
from raydance.files import replacing

SUFFIXES: Final = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
"""Suffixes of audio files, lower case; what a file really is, its content says."""

MAX_BYTES: Final = 1 << 30
MAX_DURATION_S: Final = 3600.0
MAX_CHANNELS: Final = 64
RATES: Final = (1_000, 384_000)
"""Sample rates in Hz that are read and written, from and to."""

_BLOCK: Final = 1 << 16


def read_audio(
    path: str | Path, rate: int | None = None, *, max_duration_s: float = MAX_DURATION_S
) -> tuple[np.ndarray, int]:
    """Read an audio file as one channel, the mean of its channels.

    Args:
        path: WAV, FLAC, Ogg (Vorbis or Opus), MP3 or AIFF.
        rate: samples per second to resample to; the file's own by default.
        max_duration_s: longer files are refused.

    Returns:
        `[N]` float32, full scale is [-1, 1], and its rate.

    Raises:
        FormatError: cannot be decoded, has no samples, is too long, or holds values that are not
            finite. What was cut off is read as far as its decoder goes, or refused.
        InputError: `rate` out of range.
    """
    name = str(path)
    if rate is not None and not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"{rate} samples per second; allowed are {RATES[0]} to {RATES[1]}")
    with _opened(Path(path)) as file:
        duration_s = _duration_s(file, name)
        if duration_s is not None and duration_s > max_duration_s:
            raise _too_long(name, duration_s, max_duration_s)
        target = file.samplerate if rate is None else int(rate)
        stream = None
        if target != file.samplerate:
            stream = soxr.ResampleStream(file.samplerate, target, 1, dtype="float32")
        parts = []
        for block in _blocks(file, name, max_duration_s):
            parts.append(block if stream is None else stream.resample_chunk(block))
        if not parts:
            raise FormatError(name, "no samples; at least one is needed")
        if stream is not None:
            parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    samples = np.concatenate(parts)
    if not samples.size:
        raise FormatError(name, f"too short to be resampled to {target} samples per second")
    return samples, target


def resample(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """`[N]` float32 at another rate; unchanged where it is the same.

    Raises:
        InputError: a rate out of range.
    """
    for value in (rate, target):
        if not RATES[0] <= value <= RATES[1]:
            raise InputError(f"{value} samples per second; allowed are {RATES[0]} to {RATES[1]}")
    samples = np.asarray(samples, dtype=np.float32)
    return samples if rate == target else soxr.resample(samples, rate, target)


def write_wav(path: str | Path, samples: np.ndarray, rate: int) -> None:
    """Write 16-bit WAV; values beyond full scale are clipped.

    Args:
        path: replaced when writing ends well.
        samples: `[N]` or `[N, channels]`, full scale is [-1, 1].
        rate: samples per second.

    Raises:
        InputError: a wrong shape, values that are not finite, or a rate out of range.
        StorageError: no room.
    """
    samples = np.asarray(samples, dtype=np.float32)
    if samples.ndim not in (1, 2) or not samples.size:
        raise InputError(f"samples have shape {samples.shape}, [N] or [N, channels] is needed")
    if not np.isfinite(samples).all():
        raise InputError("samples hold values that are not finite")
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"{rate} samples per second; allowed are {RATES[0]} to {RATES[1]}")
    pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    content = io.BytesIO()  # an error of libsndfile does not say that the disk is full
    soundfile.write(content, pcm, int(rate), format="WAV", subtype="PCM_16")
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content.getbuffer())


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    name = str(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FormatError(name, f"cannot be read ({error.strerror or error})") from None
    if not path.is_file():
        raise FormatError(name, "is not a file")
    if size == 0:
        raise FormatError(name, "0 bytes; an audio file is needed")
    if size > MAX_BYTES:
        raise FormatError(name, f"{size} bytes; allowed are at most {MAX_BYTES}")
    try:
        with soundfile.SoundFile(name) as file:
            yield file
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        kinds = ", ".join(suffix.lstrip(".") for suffix in SUFFIXES)
        reason = f"not audio that can be decoded ({_detail(error)}); allowed are {kinds}"
        raise FormatError(name, reason) from None
    except OSError as error:
        raise FormatError(name, f"cannot be read ({error.strerror or error})") from None


def _detail(error: Exception) -> str:
    return str(getattr(error, "error_string", "") or error)[:200].rstrip(".")


def _duration_s(file: soundfile.SoundFile, name: str) -> float | None:
    """How long a file says that it is, once its rate and channels are known to be allowed."""
    if not RATES[0] <= file.samplerate <= RATES[1]:
        reason = f"{file.samplerate} samples per second; allowed are {RATES[0]} to {RATES[1]}"
        raise FormatError(name, reason)
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise FormatError(name, f"{file.channels} channels; allowed are 1 to {MAX_CHANNELS}")
    # A header written by a pipe says nothing, or the largest number there is.
    return file.frames / file.samplerate if 0 < file.frames < 1 << 48 else None


def _blocks(file: soundfile.SoundFile, name: str, max_duration_s: float) -> Iterator[np.ndarray]:
    """Mean of the channels, block by block, never beyond the allowed duration."""
    done = 0
    while True:
        block = file.read(_BLOCK, dtype="float32", always_2d=True)
        if not len(block):
            return
        done += len(block)
        if done > max_duration_s * file.samplerate:
            raise _too_long(name, done / file.samplerate, max_duration_s)
        mono = block.mean(axis=1)
        if not np.isfinite(mono).all():
            first = done - len(block) + int(np.argmin(np.isfinite(mono)))
            raise FormatError(name, f"sample {first} is {mono[first - done]}; finite are allowed")
        yield np.clip(mono, -1e3, 1e3)


def _too_long(name: str, found_s: float, allowed_s: float) -> FormatError:
    return FormatError(name, f"{found_s:.0f} s or more; allowed are at most {allowed_s:.0f} s")
