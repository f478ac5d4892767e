"""Acclaim skeleton files (ASF): the bones that an AMC file moves.

Bones hang from `root`; each has a direction and a length in the frame of the rest pose, the axes
that it turns about, and the degrees of freedom that the motion file gives values for. The format
as the CMU motion-capture database uses it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import rotations as rot
from raydance.motion.formats import text as tx
from raydance.motion.formats.acclaim_facts import UNIT_WORDS, stated_unit
from raydance.motion.units import LENGTHS

MAX_BYTES: Final = 4 * 2**20
MAX_BONES: Final = 1000

_TURNS: Final = ("rx", "ry", "rz")
_ROOT_CHANNELS: Final = ("tx", "ty", "tz", *_TURNS)


@dataclass
class Bone:
    """One bone: it begins where its parent ends.

    Attributes:
        name: as in the file.
        line: where it begins in the file.
        direction: `[3]`, unit, in the rest pose.
        length: in the file's unit.
        axis: quaternion `[4]` of the frame in which its turns are given.
        axis_order: the order in which its turns are applied, first letter first.
        dof: the names of its values in a motion file, in order.
        parent: name of the parent bone, or `root`.
    """

    name: str
    line: int
    direction: np.ndarray = field(default_factory=lambda: np.zeros(3))
    length: float = 0.0
    axis: np.ndarray = field(default_factory=lambda: rot.IDENTITY)
    axis_order: str = "xyz"
    dof: tuple[str, ...] = ()
    parent: str = ""


@dataclass
class Skeleton:
    """A parsed ASF file.

    Attributes:
        path: the file.
        bones: parents before children; the first is `root`, of length 0.
        position: `[3]`, added to the root's place, in the file's unit.
        degrees: whether the file's angles are in degrees.
        length_scale: the divisor of the file's lengths; in CMU's files inches follow from it.
        stated_unit: metres of the unit that the file names, before that division; None if none.
    """

    path: str
    bones: list[Bone]
    position: np.ndarray
    degrees: bool
    length_scale: float
    stated_unit: float | None = None

    @property
    def declared_unit(self) -> float:
        """Metres per unit: lengths are divided by the scale, and inches unless the file says so."""
        unit = LENGTHS["inch"] if self.stated_unit is None else self.stated_unit
        return unit / self.length_scale


def read(path: str | Path) -> Skeleton:
    """Read an ASF file.

    Raises:
        FormatError: the file cannot be read; names the line.
    """
    return _Parser(str(path), tx.read_text(path, MAX_BYTES)).parse()


class _Parser:
    """Section by section; each section's lines are words after comments are cut off."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.degrees = True
        self.length_scale = 1.0
        self.unit: float | None = None
        self.comments: list[str] = []
        self.position = np.zeros(3)
        self.root = Bone("root", 1, axis_order="xyz", dof=_ROOT_CHANNELS)
        self.bones: dict[str, Bone] = {}
        self.sections: dict[str, list[tuple[int, list[str]]]] = {}
        lines: list[tuple[int, list[str]]] = []
        for number, line in enumerate(text.split("\n"), start=1):
            content, _, comment = line.partition("#")
            if comment:
                self.comments.append(comment)
            words = content.split()
            if not words:
                continue
            if words[0].startswith(":"):
                lines = self.sections.setdefault(words[0].lower(), [])
                continue
            lines.append((number, words))

    def parse(self) -> Skeleton:
        for section in (":root", ":bonedata", ":hierarchy"):
            if section not in self.sections:
                raise FormatError(self.path, f"no {section} section (is this an ASF file?)")
        self._units(self.sections.get(":units", []))
        self._root(self.sections[":root"])
        self._bone_data(self.sections[":bonedata"])
        self._hierarchy(self.sections[":hierarchy"])
        documentation = [" ".join(w) for _, w in self.sections.get(":documentation", [])]
        unit = self.unit
        if unit is None:
            unit = stated_unit([*self.comments, *documentation])
        return Skeleton(
            self.path, self._ordered(), self.position, self.degrees, self.length_scale, unit
        )

    def _units(self, lines: list[tuple[int, list[str]]]) -> None:
        for line, words in lines:
            key = words[0].lower()
            if key == "length":
                if words[-1].lower() in UNIT_WORDS:  # `length 1.0 cm`, or only `length cm`
                    self.unit = UNIT_WORDS[words.pop().lower()]
                if len(words) > 1 or self.unit is None:
                    self.length_scale = self._numbers(line, words, 1)[0]
                if self.length_scale <= 0:
                    raise FormatError(self.path, "length of :units must be above 0", line)
            elif key == "angle":
                word = words[1].lower() if len(words) > 1 else ""
                if word not in ("deg", "rad", "degrees", "radians"):
                    raise FormatError(self.path, f"angle {word!r}; allowed: deg, rad", line)
                self.degrees = word.startswith("deg")

    def _root(self, lines: list[tuple[int, list[str]]]) -> None:
        orientation = np.zeros(3)
        for line, words in lines:
            key = words[0].lower()
            if key == "order":
                self.root.dof = self._dof(line, words[1:], _ROOT_CHANNELS)
            elif key == "axis":
                self.root.axis_order = self._axis_order(line, words[1:])
            elif key == "position":
                self.position = np.array(self._numbers(line, words, 3))
            elif key == "orientation":
                orientation = np.array(self._numbers(line, words, 3))
        self.root.axis = self._frame(orientation, self.root.axis_order)

    def _bone_data(self, lines: list[tuple[int, list[str]]]) -> None:
        bone: Bone | None = None
        for line, words in lines:
            key = words[0].lower()
            if key == "begin":
                bone = Bone("", line)
            elif bone is None:
                raise FormatError(self.path, f"found {words[0][:40]!r}, begin is needed", line)
            elif key == "end":
                if not bone.name or bone.name == "root" or bone.name in self.bones:
                    reason = f"bone {bone.name[:40]!r}: a name of its own is needed"
                    raise FormatError(self.path, reason, bone.line)
                if len(self.bones) >= MAX_BONES:
                    raise FormatError(self.path, f"more than {MAX_BONES} bones", line)
                self.bones[bone.name] = bone
                bone = None
            elif key == "name" and len(words) == 2:
                bone.name = words[1]
            elif key == "direction":
                direction = np.array(self._numbers(line, words, 3))
                norm = float(np.linalg.norm(direction))
                bone.direction = direction / norm if norm > 0 else direction
            elif key == "length":
                bone.length = self._numbers(line, words, 1)[0]
            elif key == "axis":
                angles = np.array(self._numbers(line, words[:4], 3))
                bone.axis_order = self._axis_order(line, words[4:])
                bone.axis = self._frame(angles, bone.axis_order)
            elif key == "dof":
                bone.dof = self._dof(line, words[1:], _TURNS)
        if bone is not None:
            raise FormatError(self.path, "a bone without end (is the file cut off?)", bone.line)

    def _hierarchy(self, lines: list[tuple[int, list[str]]]) -> None:
        for line, words in lines:
            if words[0].lower() in ("begin", "end"):
                continue
            parent, *children = words
            for child in (parent, *children):
                if child != "root" and child not in self.bones:
                    raise FormatError(self.path, f"no bone {child[:40]!r} in :bonedata", line)
            for child in children:
                if child == "root" or self.bones[child].parent:
                    raise FormatError(self.path, f"bone {child[:40]!r} has two parents", line)
                self.bones[child].parent = parent

    def _ordered(self) -> list[Bone]:
        children: dict[str, list[Bone]] = {}
        for bone in self.bones.values():
            children.setdefault(bone.parent, []).append(bone)
        ordered = [self.root]
        for bone in ordered:  # grows while it is walked: breadth first from the root
            ordered.extend(children.get(bone.name, ()))
        if len(ordered) != len(self.bones) + 1:
            lost = sorted(set(self.bones) - {bone.name for bone in ordered})
            line = self.bones[lost[0]].line
            raise FormatError(self.path, f"bone {lost[0][:40]!r} does not hang from root", line)
        return ordered

    def _frame(self, angles: np.ndarray, order: str) -> np.ndarray:
        # Turns apply first letter first about fixed axes, so the product is written backwards.
        return rot.from_euler(angles[::-1], order[::-1], degrees=self.degrees)

    def _numbers(self, line: int, words: list[str], count: int) -> list[float]:
        if len(words) != count + 1:
            reason = f"{len(words) - 1} values for {words[0][:40]}, {count} needed"
            raise FormatError(self.path, reason, line)
        return [tx.to_number(self.path, word, line, words[0][:40]) for word in words[1:]]

    def _axis_order(self, line: int, words: list[str]) -> str:
        order = words[0].lower() if words else "xyz"
        if sorted(order) != ["x", "y", "z"]:
            reason = f"axis order {order[:40]!r}; allowed: XYZ in any order"
            raise FormatError(self.path, reason, line)
        return order

    def _dof(self, line: int, words: list[str], allowed: tuple[str, ...]) -> tuple[str, ...]:
        dof = tuple(word.lower() for word in words)
        if len(set(dof)) != len(dof) or not set(dof) <= set(allowed):
            reason = f"degrees of freedom {' '.join(dof)[:60]!r}; allowed: {' '.join(allowed)}"
            raise FormatError(self.path, reason, line)
        return dof
