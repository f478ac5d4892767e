"""Joints from markers on a body, where their labels say where they are.

The labels are those of Vicon's Plug-in Gait and of the CMU recordings, with the joint centres that
programs compute beside the markers, which win. Hip joints are the regression of Bell, Pedersen and
Brand (1990) from the front and back of the pelvis; other joints are the mean of the markers around
them, so a joint with a marker on one side only is at the skin: a knee some 5 cm off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

# Joint -> the labels that give it, best first; `+` means the middle between labels. `S` is L or R.
_MIDDLE: Final = {
    "head": ("LFHD+RFHD+LBHD+RBHD", "LFHD+RFHD", "ARIEL", "HEAD"),
    "neck": ("C7+CLAV", "C7", "NECK"),
    "spine3": ("T10+STRN", "T10", "STRN"),
}
_SIDES: Final = {
    "hip": ("SHJC", "SFEP", "SHIPJC"),
    "knee": ("SKJC", "SFEO", "SKNE+SKNM", "SKNE+SMKNE", "SKNE", "SKNEE"),
    "ankle": ("SAJC", "STIO", "SANK+SMED", "SANK+SANM", "SANK", "SANKLE"),
    "foot": ("STOE", "SMT5+SMT1", "SMT5"),
    "shoulder": ("SSJC", "SHUP", "SSHO"),
    "elbow": ("SEJC", "SHUO", "SELB+SELBM", "SELB+SMELB", "SELB"),
    "wrist": ("SWJC", "SRAO", "SWRA+SWRB", "SWRI", "SWRA"),
    "hand": ("SFIN",),
}
_TREE: Final = (
    ("pelvis", None),
    *(("left_hip", "pelvis"), ("right_hip", "pelvis"), ("spine3", "pelvis")),
    *((f"{side}_knee", f"{side}_hip") for side in ("left", "right")),
    *((f"{side}_ankle", f"{side}_knee") for side in ("left", "right")),
    *((f"{side}_foot", f"{side}_ankle") for side in ("left", "right")),
    *(("neck", "spine3"), ("head", "neck")),
    *((f"{side}_shoulder", "spine3") for side in ("left", "right")),
    *((f"{side}_elbow", f"{side}_shoulder") for side in ("left", "right")),
    *((f"{side}_wrist", f"{side}_elbow") for side in ("left", "right")),
    *((f"{side}_hand", f"{side}_wrist") for side in ("left", "right")),
)
_PELVIS: Final = (("LASI", "RASI", "LPSI", "RPSI"), ("LFWT", "RFWT", "LBWT", "RBWT"))
_SACRUM: Final = ("LASI", "RASI", "SACR", "SACR")
# Bell, Pedersen and Brand: shares of the distance between the front markers, from their middle.
_BACK, _DOWN, _ASIDE = 0.19, 0.30, 0.36
FEWEST_JOINTS: Final = 8


def joints_of_markers(
    markers: Mapping[str, np.ndarray],
) -> tuple[tuple[str, ...], tuple[int, ...], np.ndarray] | None:
    """Names, parents and positions `[T, J, 3]` of the joints that labels tell, in the same unit.

    Args:
        markers: label in capitals -> `[T, 3]`.

    Returns:
        None where the labels do not tell hips and knees, and at least eight joints in all.
    """
    found = {joint: _first(markers, choices) for joint, choices in _MIDDLE.items()}
    found["pelvis"] = None
    for side, letter in (("left", "L"), ("right", "R")):
        for joint, choices in _SIDES.items():
            labels = tuple(
                "+".join(letter + part[1:] for part in choice.split("+")) for choice in choices
            )
            found[f"{side}_{joint}"] = _first(markers, labels)
    for joint, points in _hips(markers).items():
        if found[joint] is None:
            found[joint] = points
    left, right = found["left_hip"], found["right_hip"]
    if left is not None and right is not None:
        found["pelvis"] = (left + right) / 2
    needed = ("left_hip", "right_hip", "left_knee", "right_knee")
    there = {name for name, points in found.items() if points is not None}
    if not there.issuperset(needed) or len(there) < FEWEST_JOINTS:
        return None
    above = dict(_TREE)
    names = tuple(name for name, _ in _TREE if name in there)
    parents = []
    for name in names:
        parent = above[name]
        while parent is not None and parent not in there:
            parent = above[parent]
        parents.append(-1 if parent is None else names.index(parent))
    places = [p for name in names if (p := found[name]) is not None]
    return names, tuple(parents), np.stack(places, axis=1)


def _first(markers: Mapping[str, np.ndarray], choices: tuple[str, ...]) -> np.ndarray | None:
    for choice in choices:
        labels = choice.split("+")
        if all(label in markers for label in labels):
            return np.mean([markers[label] for label in labels], axis=0)
    return None


def _hips(markers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Hip joints `[T, 3]` from the pelvis' markers; empty where those are missing."""
    for labels in (*_PELVIS, _SACRUM):
        if all(label in markers for label in labels):
            left, right, back_left, back_right = (markers[label] for label in labels)
            break
    else:
        return {}
    front = (left + right) / 2
    across = left - right
    width = np.linalg.norm(across, axis=-1, keepdims=True)
    aside = across / np.maximum(width, 1e-9)
    forward = front - (back_left + back_right) / 2
    forward = forward - np.einsum("ti,ti->t", forward, aside)[:, None] * aside
    forward = forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9)
    up = np.cross(forward, aside)  # for a body facing +z, its left at +x: y
    middle = front - width * (_BACK * forward + _DOWN * up)
    return {
        "left_hip": middle + _ASIDE * width * aside,
        "right_hip": middle - _ASIDE * width * aside,
    }
