"""Pictures from files: masks, images, frames; what is too large or none is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raydance.errors import FormatError
from raydance.tracks import pictures

RED, CLEAR = (200, 30, 10, 255), (255, 255, 255, 0)


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[RED, CLEAR]], np.uint8), "RGBA").save(path)
    assert pictures.read_image(path).tolist() == [[[200, 30, 10], [0, 0, 0]]]
    assert pictures.read_frames(path).shape == (1, 1, 2, 3)


def test_a_mask_is_what_is_not_black(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.fromarray(np.array([[0, 1], [255, 0]], np.uint8)).save(path)
    assert pictures.read_mask(path).tolist() == [[False, True], [True, False]]
    Image.fromarray(np.array([[RED, CLEAR]], np.uint8), "RGBA").save(path)
    assert pictures.read_mask(path).tolist() == [[True, False]]


def test_a_photograph_stands_as_its_camera_says(tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    assert pictures.read_image(path).shape == (30, 20, 3)


def test_an_animation_has_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.new("RGB", (8, 6), (0, level, 0)) for level in (0, 100, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    found = pictures.read_frames(path)
    assert found.shape == (3, 6, 8, 3)
    np.testing.assert_allclose(found[:, 0, 0, 1], [0, 100, 255], atol=8)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100)
    with pytest.raises(FormatError, match="3 frames of 8 x 6"):
        pictures.read_frames(path)
    assert pictures.read_image(path).shape == (6, 8, 3)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 40)
    with pytest.raises(FormatError, match="8 x 6; allowed: 40 pixels"):
        pictures.read_image(path)


@pytest.mark.parametrize("read", list(pictures.READERS.values()))
def test_what_is_no_picture_is_told(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    whole = path.read_bytes()
    for content in (b"", b"x" * 99, whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="no readable picture"):
            read(path)
    bomb = whole[:16] + (200_000).to_bytes(4, "big") * 2 + whole[24:]
    path.write_bytes(bomb)
    with pytest.raises(FormatError, match="no readable picture|pixels"):
        read(path)
