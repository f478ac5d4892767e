"""Clips to pictures that move, GIF and MP4, drawn without a GPU.

GIF is written with Pillow alone. MP4 (H.264) is encoded by the ffmpeg program of the package
imageio-ffmpeg, which comes with `pip install 'raydance[video]'`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from raydance.errors import InputError, RaydanceError
from raydance.files import replacing, writing
from raydance.motion import render, skeleton
from raydance.motion.clip import Clip
from raydance.motion.export.written_file import WrittenFile
from raydance.motion.mapping import map_to_canonical

_MAX_FPS: Final = 60
_SIZE: Final = (480, 480)  # even numbers, as H.264 needs them


def write_gif(
    path: str | Path, clip: Clip, *, follow: Callable[[float], None] | None = None
) -> WrittenFile:
    """Write an animation of a body that loops, whole or not at all.

    Args:
        path: the file; replaced where it exists.
        clip: with joints of a body.
        follow: called with the share of frames drawn.

    Raises:
        InputError: a clip without a body (see `map_to_canonical`) or that `render` refuses.
    """
    motion, mask = _figure(clip)
    titles = list(clip.captions[:1]) or None
    render.render_gif(path, motion, fps=clip.fps, titles=titles, joint_mask=mask, follow=follow)
    return WrittenFile()


def write_mp4(
    path: str | Path,
    clip: Clip,
    *,
    size: tuple[int, int] = _SIZE,
    follow: Callable[[float], None] | None = None,
) -> WrittenFile:
    """Write a video of a body, whole or not at all.

    Above 60 frames per second some frames are left out and the speed stays true.

    Args:
        path: the file; replaced where it exists.
        clip: with joints of a body.
        size: (width, height), pixels, even numbers.
        follow: called with the share of frames drawn.

    Raises:
        InputError: no ffmpeg, a size that cannot be, or as `write_gif`.
        StorageError: there is no room for the file.
        RaydanceError: ffmpeg failed.
    """
    check_size(size)
    motion, mask = _figure(clip)
    stride = max(1, int(np.ceil(clip.fps / _MAX_FPS)))
    frames = render.frames(
        motion,
        fps=clip.fps,
        stride=stride,
        titles=list(clip.captions[:1]) or None,
        joint_mask=mask,
        size=size,
        follow=follow,
    )
    encode_mp4(path, (f.tobytes() for f in frames), size=size, fps=clip.fps / stride)
    return WrittenFile()


def check_size(size: tuple[int, int]) -> None:
    """Refuse a size that H.264 cannot have.

    Raises:
        InputError: a side below 16 or odd.
    """
    if any(side < 16 or side % 2 for side in size):
        raise InputError(f"size {size[0]} x {size[1]}: even numbers from 16 are needed")


def encode_mp4(
    path: str | Path, frames: Iterable[bytes], *, size: tuple[int, int], fps: float
) -> None:
    """Write pictures as a video, whole or not at all.

    Args:
        path: the file; replaced where it exists.
        frames: each the bytes of `[height, width, 3]` uint8 RGB.
        size: (width, height), pixels, even numbers.
        fps: frames per second.

    Raises:
        InputError: no ffmpeg, or a size that cannot be.
        StorageError: there is no room for the file.
        RaydanceError: ffmpeg failed.
    """
    check_size(size)
    command = [
        *(_ffmpeg(), "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"),
        *("-s", f"{size[0]}x{size[1]}", "-r", f"{fps:.6f}", "-i", "-", "-an"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"),
        *("-movflags", "+faststart", "-f", "mp4"),
    ]
    with replacing(Path(path)) as temporary, tempfile.TemporaryFile() as said:
        # What ffmpeg says goes to a file: a pipe that nobody reads would stop it when full.
        process = subprocess.Popen([*command, str(temporary)], stdin=subprocess.PIPE, stderr=said)
        assert process.stdin is not None
        try:
            for frame in frames:
                process.stdin.write(frame)
        except BrokenPipeError:
            pass  # it has ended early, and says why
        finally:
            with contextlib.suppress(BrokenPipeError):  # of what was not yet written
                process.stdin.close()
            failed = process.wait()
        if failed:
            said.seek(0)
            _raise_why(Path(path), failed, said.read().decode("utf-8", "replace").strip())


def add_sound(path: str | Path, song: str | Path) -> None:
    """Put a song under a video, whose length decides: a song that ends before is followed by
    silence. The video is replaced whole or stays.

    Raises:
        InputError: no ffmpeg.
        StorageError: there is no room for the file.
        RaydanceError: ffmpeg failed.
    """
    path = Path(path)
    command = [
        *(_ffmpeg(), "-y", "-loglevel", "error", "-i", str(path), "-i", str(song)),
        *("-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy", "-af", "apad", "-c:a", "aac"),
        *("-shortest", "-movflags", "+faststart", "-f", "mp4"),
    ]
    with replacing(path) as temporary:
        done = subprocess.run(
            [*command, str(temporary)], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            told = done.stderr.decode("utf-8", "replace").strip()
            _raise_why(path, done.returncode, told)


def _raise_why(path: Path, code: int, said: str) -> NoReturn:
    """Tell why ffmpeg failed.

    Args:
        code: its exit code; below 0 the signal that ended it.
        said: on standard error.

    Raises:
        StorageError: there is no room for the file.
        RaydanceError: anything else.
    """
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        is_its_end = number == errno.EFBIG and code == -signal.SIGXFSZ
        if is_its_end or os.strerror(number) in said:
            with writing(path):
                raise OSError(number, os.strerror(number))
    raise RaydanceError(f"{path}: ffmpeg failed: {said[-300:] or f'exit code {code}'}")


def has_ffmpeg() -> bool:
    """Whether `write_mp4` finds its ffmpeg here."""
    try:
        _ffmpeg()
    except InputError:
        return False
    return True


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        program = imageio_ffmpeg.get_ffmpeg_exe()
        if shutil.which(program) is None:  # IMAGEIO_FFMPEG_EXE is believed as it is
            raise RuntimeError(f"{program} is no program")
        return program
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f".mp4 needs ffmpeg ({error}): pip install 'raydance[video]', or write a .gif"
        ) from None


def _figure(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Motion `[T, 50, 3]` of the figure that is drawn, and which of its joints there are `[50]`."""
    if not set(clip.joint_names) <= set(skeleton.JOINTS):
        mapped = map_to_canonical(clip)
        return mapped.positions, mapped.joint_mask
    # Generated motion has the joints of the training data, the figure all fifty.
    places = [skeleton.INDEX[name] for name in clip.joint_names]
    motion = np.zeros((clip.num_frames, skeleton.NUM_JOINTS, 3), np.float32)
    motion[:, places] = clip.positions
    return motion, np.isin(np.arange(skeleton.NUM_JOINTS), places)
