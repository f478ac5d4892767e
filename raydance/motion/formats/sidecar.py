"""What a side-car `<stem>.json` says of the motion beside it.

`joint_names`, `parents`, `fps`, `metres_per_unit` and `up` describe the motion; everything else in
a side-car is a label (see `raydance.motion.captions`). A side-car wins over what a reader would
assume of a format, such as HumanML3D's 20 frames per second, or detect from the body, and not over
what the file itself says, such as the frame time of a BVH file.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from raydance.errors import FormatError
from raydance.motion import units as un
from raydance.motion.captions import SIDECAR_FACTS, read_sidecar, sidecar_of
from raydance.motion.formats import text as tx


def facts_beside(path: str | Path) -> dict[str, Any]:
    """The facts that the side-car of a motion file states; empty if there is none.

    A side-car that is not one, because another tool wrote it, and facts that make no sense are left
    out with a warning: most files say enough themselves.

    Returns:
        `joint_names` and `parents` as they are, `fps`, `units` (metres per unit) and `up`.
    """
    name = str(sidecar_of(path))
    facts: dict[str, Any] = {}
    try:
        found = read_sidecar(path)
    except FormatError as error:
        warnings.warn(f"read without its side-car: {error}", stacklevel=2)
        return facts
    for key in SIDECAR_FACTS:
        if key in found:
            try:
                facts["units" if key == "metres_per_unit" else key] = _checked(
                    key, found[key], name
                )
            except FormatError as error:
                warnings.warn(f"left out of the side-car: {error}", stacklevel=2)
    return facts


def _checked(key: str, value: Any, name: str) -> Any:
    if key == "fps":
        return tx.check_rate(value, name)
    if key == "up":
        if not isinstance(value, str) or value.lower() not in un.AXES:
            reason = f"up {str(value)[:40]!r}; allowed: {', '.join(un.AXES)}"
            raise FormatError(name, reason)
        return value.lower()
    if key == "metres_per_unit":
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not un.MIN_UNIT <= value <= un.MAX_UNIT:
            reason = f"metres_per_unit {str(value)[:40]!r}; a number from {un.MIN_UNIT:g} to "
            raise FormatError(name, f"{reason}{un.MAX_UNIT:g} is needed")
        return float(value)
    return value
