"""Pictures from files: masks, images, and the frames of an animation. Bounded; made by anyone.

Only formats that Pillow reads by itself, so that no other program sees the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from raydance.errors import FormatError

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif")
MAX_PIXELS: Final = 64_000_000
"""Of a picture, or of all frames of an animation."""
MAX_FRAMES: Final = 1000

_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def read_mask(path: str | Path) -> np.ndarray:
    """A mask `[H, W]` bool: the pixels that are not black; transparent ones are.

    Raises:
        FormatError: no picture, or a larger one than allowed.
    """
    with _opened(path) as picture:
        return np.asarray(_rgb(ImageOps.exif_transpose(picture)).any(axis=2))


def read_image(path: str | Path) -> np.ndarray:
    """A picture `[H, W, 3]` uint8 RGB; of an animation the first frame.

    Raises:
        FormatError: as `read_mask`.
    """
    with _opened(path) as picture:
        return _rgb(ImageOps.exif_transpose(picture))


def read_frames(path: str | Path) -> np.ndarray:
    """All frames `[S, H, W, 3]` uint8 RGB of an animation; one of a picture.

    Raises:
        FormatError: as `read_mask`, or more frames than allowed.
    """
    with _opened(path) as picture:
        count = getattr(picture, "n_frames", 1)
        if count > MAX_FRAMES or count * picture.width * picture.height > MAX_PIXELS:
            raise FormatError(
                str(path),
                f"{count} frames of {picture.width} x {picture.height}; allowed: {MAX_FRAMES} "
                f"frames, {MAX_PIXELS} pixels in all",
            )
        return np.stack([_rgb(frame) for frame in ImageSequence.Iterator(picture)])


READERS: Final[Mapping[str, Callable[[str | Path], np.ndarray]]] = {
    "mask": read_mask,
    "image": read_image,
    "overlay": read_frames,
}
"""Kind of a task's input -> what reads its file."""


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                reason = f"{picture.width} x {picture.height}; allowed: {MAX_PIXELS} pixels"
                raise FormatError(str(path), reason)
            yield picture
    except (FormatError, MemoryError):
        raise
    except Exception as error:  # damaged pictures fail in many ways
        reason = f"no readable picture ({type(error).__name__}); allowed: {', '.join(SUFFIXES)}"
        raise FormatError(str(path), reason) from None


def _rgb(picture: Image.Image) -> np.ndarray:
    """`[H, W, 3]` uint8; what is transparent is black, as below trails."""
    if picture.mode.lower().endswith("a") or "transparency" in picture.info:
        whole = picture.convert("RGBA")
        ground = Image.new("RGBA", whole.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(ground, whole)
    return np.array(picture.convert("RGB"))
