"""A 3-D clip seen by a camera: joints in pixels, and points along the bones as a track.

Dimensions: T frames, J joints, N points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.tracks.bones import points_along
from raydance.tracks.track import Track

_NEAREST_M = 0.1


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera that stands still and looks at a point; up is +y in the world.

    Attributes:
        position, target: (x, y, z) metres.
        frame_size: (width, height), pixels.
        field_of_view: of the frame's height, degrees.
    """

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    frame_size: tuple[int, int] = (256, 256)
    field_of_view: float = 45.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.field_of_view <= 150.0:
            raise InputError(f"field of view {self.field_of_view}: allowed are 1 to 150 degrees")
        look = np.subtract(self.target, self.position)
        if np.hypot(look[0], look[2]) < 1e-6:
            raise InputError("a camera that looks straight up or down has no upright picture")

    def project(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels `[..., 2]` and depth in metres `[...]` of positions `[..., 3]`."""
        forward = np.subtract(self.target, self.position)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 1.0, 0.0))
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        seen = (positions - np.asarray(self.position)) @ np.stack([right, -up, forward], axis=-1)
        depth = seen[..., 2]
        width, height = self.frame_size
        focal = 0.5 * height / np.tan(0.5 * np.radians(self.field_of_view))
        flat = seen[..., :2] * (focal / np.maximum(depth, _NEAREST_M))[..., None]
        return flat + (0.5 * width, 0.5 * height), depth


def camera_for(
    clip: Clip,
    *,
    yaw: float = 0.0,
    pitch: float = 10.0,
    frame_size: tuple[int, int] = (256, 256),
    field_of_view: float = 45.0,
) -> Camera:
    """A camera that sees all of a clip.

    Args:
        yaw: degrees around the vertical; 0 looks along -z, at a dancer who faces +z.
        pitch: degrees by which it looks down, above -85 and below 85.

    Raises:
        InputError: a pitch out of range.
    """
    if not -85 < pitch < 85:
        raise InputError(f"pitch {pitch}: allowed are -85 to 85 degrees")
    joints = clip.positions.reshape(-1, 3)
    middle = 0.5 * (joints.min(axis=0) + joints.max(axis=0))
    radius = max(float(np.linalg.norm(joints - middle, axis=1).max()), 0.1)
    # A sphere fits when its tangents do, in the narrower direction of the frame.
    half = np.tan(0.5 * np.radians(field_of_view)) * min(1.0, frame_size[0] / frame_size[1])
    distance = 1.1 * radius / np.sin(np.arctan(half))
    around, down = np.radians(yaw), np.radians(pitch)
    offset = np.array([np.sin(around) * np.cos(down), np.sin(down), np.cos(around) * np.cos(down)])
    x, y, z = (middle + distance * offset).tolist()
    target = (float(middle[0]), float(middle[1]), float(middle[2]))
    return Camera(
        position=(x, y, z), target=target, frame_size=frame_size, field_of_view=field_of_view
    )


def project(clip: Clip, camera: Camera | None = None, *, num_points: int = 36) -> Track:
    """A clip as a track of points along its bones; `camera_for(clip)` by default.

    A point is visible in front of the camera and within the frame; the body hides nothing.
    """
    camera = camera or camera_for(clip)
    joints, depth = camera.project(clip.positions.astype(float))
    in_front = depth > _NEAREST_M
    bones = [(parent, joint) for joint, parent in enumerate(clip.parents) if parent >= 0]
    if not in_front.any():
        raise InputError(f"{clip.clip_id}: the camera sees no joint")
    points, visible = points_along(joints, in_front, bones, num_points)
    within = ((points >= 0) & (points <= camera.frame_size)).all(axis=-1)
    return Track(
        track_id=clip.clip_id,
        source=clip.source,
        points=points,
        visible=visible & within,
        frame_size=camera.frame_size,
        fps=clip.fps,
        captions=clip.captions,
        labels=clip.labels,
        video=clip.recording,
        split=clip.split,
    )
