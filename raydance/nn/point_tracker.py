"""Points tracked in videos by CoTracker 3 (Karaev et al., 2024), which is installed apart.

Lang2Motion's real tracks are made so: a grid of points in the object's mask in the first frame,
followed by the offline model. Code and weights are Meta's, under CC-BY-NC 4.0; neither is
downloaded here.

Dimensions: T frames, N points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from raydance.errors import FormatError, InputError
from raydance.tracks import video
from raydance.tracks.formats import base
from raydance.tracks.grid import DEFAULT_SIDE, grid_in_mask
from raydance.tracks.pictures import read_mask
from raydance.tracks.track import Track

INSTALL: Final = "pip install git+https://github.com/facebookresearch/co-tracker"
WEIGHTS: Final = "https://huggingface.co/facebook/cotracker3/resolve/main/scaled_offline.pth"
_WINDOW: Final = 60  # frames, of the published offline weights
_LONGEST_SIDE: Final = 512  # pixels; the model makes 512 x 384 of any frame
_DEFAULT_FPS: Final = 24.0


@dataclass(frozen=True, kw_only=True)
class VideoTracker:
    """Makes a track of each video; picklable.

    Attributes:
        weights: file of the offline model's weights.
        mask: picture of the object in the first frame, or a folder with one for each video, of
            the video's name.
        grid_side: points per row and column.
    """

    weights: str
    mask: str
    grid_side: int = DEFAULT_SIDE

    def check(self) -> None:
        """See that all is there that tracking needs.

        Raises:
            InputError: says what to install or to give.
        """
        if find_spec("cotracker") is None:
            raise InputError(f"tracking points in videos needs CoTracker 3: {INSTALL}")
        if not Path(self.weights).is_file():
            told = f"{self.weights}: no such file" if self.weights else "no weights of CoTracker 3"
            raise InputError(f"{told}; give --weights FILE, from {WEIGHTS}")
        if not Path(self.mask).exists():
            raise InputError(f"{self.mask}: no such file or folder")
        video.check_ffmpeg()

    def read(self, path: Path) -> Iterator[Track]:
        """The track of the object of a video, with the sentences of a side-car `<stem>.json`.

        Raises:
            FormatError: a video, mask or side-car that cannot be read, or a mask of another size.
            InputError: as `check`, or weights of another model.
        """
        self.check()
        place = str(path)
        frames, (width, height), fps = video.read_video(path, longest_side=_LONGEST_SIDE)
        mask_file = Path(self.mask)
        if mask_file.is_dir():
            mask_file /= f"{path.stem}.png"
        mask = read_mask(mask_file)
        if mask.shape != (height, width):
            reason = f"{mask.shape[1]} x {mask.shape[0]}; the video has {width} x {height}"
            raise FormatError(str(mask_file), reason)
        if not mask.any():
            raise FormatError(str(mask_file), "no pixel of the object: all are black")
        scale = np.array([width / frames.shape[2], height / frames.shape[1]], dtype=np.float32)
        start_N2 = grid_in_mask(mask, self.grid_side) / scale
        points, visible = base.checked(*follow(self._predictor(), frames, start_N2), place)
        side_car = path.with_suffix(".json")
        beside: Any = {}
        if side_car.is_file():
            beside = base.mapping(base.read_json(side_car), str(side_car))
        yield Track(
            track_id=path.stem,
            source=place,
            points=(points * scale).astype(np.float32),
            visible=visible,
            frame_size=base.check_size((width, height), place),
            fps=fps or _DEFAULT_FPS,
            captions=base.captions_of(beside.get("captions"), str(side_car)),
            video=path.stem,
        )

    def _predictor(self) -> Any:
        """CoTracker with these weights, on a GPU where this process sees one."""
        from cotracker.predictor import CoTrackerPredictor

        try:
            predictor = CoTrackerPredictor(checkpoint=None, offline=True, window_len=_WINDOW)
            found = torch.load(self.weights, map_location="cpu", weights_only=True)
            predictor.model.load_state_dict(found.get("model", found))
        # Whatever another version or other weights raise, the user has to change one of them.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self.weights}: not weights for the CoTracker that is installed ({reason}); "
                f"needed: CoTracker 3 and {WEIGHTS}"
            ) from None
        return predictor.to("cuda" if torch.cuda.is_available() else "cpu")


def follow(
    predictor: Any, frames: np.ndarray, start_N2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places `[T, N, 2]`, pixels, and visibility `[T, N]` bool of points of the first frame.

    CoTracker counts from the centre of the first pixel, tracks count from its corner.

    Args:
        predictor: a `CoTrackerPredictor`.
        frames: `[T, H, W, 3]` uint8.
        start_N2: pixels.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    moving = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float().to(device)
    place_N2 = torch.from_numpy(np.asarray(start_N2, dtype=np.float32)) - 0.5
    queries_1N3 = torch.cat([torch.zeros(len(place_N2), 1), place_N2], dim=1)[None].to(device)
    with torch.inference_mode():
        tracks, visible = predictor(moving, queries=queries_1N3)
    points_TN2 = tracks[0].float().cpu().numpy() + 0.5
    return points_TN2, visible[0].reshape(points_TN2.shape[:2]).cpu().numpy()
