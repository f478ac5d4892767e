"""Libraries in C and C++ that read a format, each run in a process of its own.

A file from outside can make such a library crash, loop or take all memory, and with it everything
in its process. Here that costs one line about one file. Beside faiss, ezc3d does not even work, for
both share a table of SWIG's types. `native_child` is the other side.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError, InputError
from raydance.motion.formats import native_child
from raydance.motion.formats.numpy_file import NpzReader

SECONDS: Final = 120.0
PROCESSOR_S: Final = {"c3d": (3.0, 2.0), "fbx": (60.0, 20.0)}
"""Processor time that a file may take, and how much more for each MiB of it."""
_PACKAGES: Final = {"c3d": "ezc3d", "fbx": "ufbx"}


def read_natively(kind: str, path: str | Path) -> dict[str, np.ndarray]:
    """Arrays that a library finds in a file.

    Args:
        kind: `c3d` or `fbx`, which is also the name of the extra that installs the library.

    Raises:
        InputError: the library is not installed; says how to install it.
        FormatError: it cannot read the file, crashes on it, or takes too long or too much memory.
    """
    package = _PACKAGES[kind]
    if importlib.util.find_spec(package) is None:
        reason = f"{path}: .{kind} files need the package {package}"
        raise InputError(f"{reason}: pip install 'raydance[{kind}]', or pip install {package}")
    name = str(path)
    # This very package, wherever it was imported from, and nothing of the working folder (`-P`).
    places = [str(Path(native_child.__file__).parents[3]), *filter(None, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    least, per_mib = PROCESSOR_S[kind]
    try:
        allowed_s = least + per_mib * os.path.getsize(path) / (1 << 20)
    except OSError as error:
        raise FormatError(name, f"cannot be read ({error.strerror or error})") from None
    with tempfile.TemporaryDirectory(prefix="raydance-") as folder:
        out = Path(folder) / "found.npz"
        command = [
            sys.executable,
            "-P",
            "-m",
            native_child.__name__,
            kind,
            os.path.abspath(path),
            str(out),
            str(allowed_s),
        ]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise FormatError(name, f"{package} took more than {SECONDS:g} s") from None
        if done.returncode == -signal.SIGXCPU:
            raise FormatError(name, f"{package} took too long for a file of this size")
        if done.returncode == native_child.REFUSED:
            reason = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
            raise FormatError(name, reason[:500])
        if done.returncode or not out.exists():
            how = "crashed" if done.returncode < 0 else "failed"
            raise FormatError(name, f"{package} {how} on it; the file is damaged or unusual")
        with NpzReader(out) as archive:
            return {key: archive.read(key) for key in archive.keys}
