"""Frames of a video, read by the ffmpeg program of the extra `video`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError, InputError

SUFFIXES: Final = (".mp4", ".mov", ".avi", ".mkv", ".webm")
MAX_FRAMES: Final = 600


def check_ffmpeg() -> None:
    """See that videos can be read here.

    Raises:
        InputError: says what to install.
    """
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise InputError(f"videos need ffmpeg ({error}): pip install 'raydance[video]'") from None


def read_video(
    path: str | Path, *, longest_side: int, max_frames: int = MAX_FRAMES
) -> tuple[np.ndarray, tuple[int, int], float]:
    """All frames `[T, H, W, 3]` uint8 RGB, the video's own (width, height), frames per second.

    Args:
        longest_side: frames are made smaller, to so many pixels at most.
        max_frames: a longer video is refused.

    Raises:
        FormatError: no video that ffmpeg reads, or a longer one.
        InputError: no ffmpeg.
    """
    check_ffmpeg()
    import imageio_ffmpeg

    place = str(path)
    try:
        own = next(imageio_ffmpeg.read_frames(place))
        width, height = own["size"]
        scale = min(1.0, longest_side / max(width, height))
        size = [max(2, round(scale * side)) for side in (width, height)]
        changes = ["-vf", f"scale={size[0]}:{size[1]}", "-frames:v", str(max_frames + 1)]
        reading = imageio_ffmpeg.read_frames(place, output_params=changes)
        wide, high = next(reading)["size"]
        frames = [np.frombuffer(one, np.uint8).reshape(high, wide, 3) for one in reading]
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise FormatError(place, f"no video that ffmpeg reads ({told[-1][:200]})") from None
    if not frames:
        raise FormatError(place, "a video without frames")
    if len(frames) > max_frames:
        raise FormatError(place, f"more than {max_frames} frames; cut it into shorter videos")
    return np.stack(frames), (int(width), int(height)), float(own["fps"])
