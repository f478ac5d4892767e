"""Tracks as a drawing: a line per point where it is visible, and a dot where it ends."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from raydance.files import replacing
from raydance.tracks.overlay import OverlayStyle
from raydance.tracks.track import Track


def to_svg(track: Track, *, style: OverlayStyle | None = None) -> str:
    """The text of an SVG file of the frame's size, on black."""
    style = style or OverlayStyle()
    width, height = track.frame_size
    red, green, blue = style.colour
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">',
        *(f"<title>{escape(text)}</title>" for text in track.captions[:1]),
        f'<rect width="{width}" height="{height}" fill="#000"/>',
        f'<g fill="none" stroke="rgb({red},{green},{blue})" stroke-opacity="{style.opacity:g}" '
        f'stroke-width="{style.width:g}" stroke-linecap="round" stroke-linejoin="round">',
    ]
    start = 0
    if style.trail_frames is not None:
        start = max(track.num_frames - 1 - style.trail_frames, 0)
    for point in range(track.num_points):
        for run in _runs(track.visible[start:, point]):
            if len(run) > 1:
                places = track.points[start + run, point]
                lines.append(f'<polyline points="{_places(places)}"/>')
    lines.append("</g>")
    lines.append(f'<g fill="rgb({red},{green},{blue})" fill-opacity="{style.opacity:g}">')
    for (x, y), is_seen in zip(track.points[-1], track.visible[-1]):
        if is_seen:
            lines.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{style.dot_radius:g}"/>')
    lines += ["</g>", "</svg>"]
    return "\n".join(lines) + "\n"


def write(path: str | Path, track: Track, *, style: OverlayStyle | None = None) -> None:
    """Write `to_svg`."""
    text = to_svg(track, style=style)
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _runs(visible: np.ndarray) -> list[np.ndarray]:
    """Indices of the frames `[T]` in which a point is visible, in pieces without a break."""
    seen = np.flatnonzero(visible)
    return np.split(seen, np.flatnonzero(np.diff(seen) > 1) + 1) if len(seen) else []


def _places(points: np.ndarray) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
