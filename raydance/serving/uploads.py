"""Files that callers send: bounded, confined to a folder of their own, gone when answered."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException

from raydance.motion.clip import Clip
from raydance.motion.formats import SUFFIXES
from raydance.motion.units import AXES, LENGTHS
from raydance.serving import bounds
from raydance.serving.problems import Busy, Problem
from raydance.serving.reader import Limits, Reader

_MAX_FIELDS: Final = 16
_FIELD_BYTES: Final = 1 << 16
_FIELDS: Final = ("file", "model", "fps", "units", "up")
_CHARSETS: Final = ("utf-8", "us-ascii")


class Uploads:
    """Reads uploaded motion, a few files at once.

    Args:
        num_readers: processes that read.
        waiting: uploads that may wait for one; more are turned away.
    """

    def __init__(self, limits: Limits, *, num_readers: int = 2, waiting: int = 16) -> None:
        self.limits = limits
        self._free: asyncio.Queue[Reader] = asyncio.Queue()
        self._readers = [Reader(limits) for _ in range(num_readers)]
        for reader in self._readers:
            self._free.put_nowait(reader)
        self._allowed = num_readers + waiting
        self._present = 0

    async def close(self) -> None:
        """End the processes."""
        for reader in self._readers:
            await reader.close()

    @asynccontextmanager
    async def form(self, request: Request, *more: str) -> AsyncIterator[FormData]:
        """The fields of a multipart request; its files are gone after the block.

        Args:
            more: fields that this route has besides those of every form.

        Raises:
            Problem: not a form, or a field that is unknown or there twice.
            Busy: too many uploads at once.
        """
        if not bounds.is_form(request.headers):
            raise Problem(415, "content type: multipart/form-data is needed")
        charset = bounds.charset(request.headers)
        if charset not in _CHARSETS:  # Python's codecs hold `undefined`, `punycode` and worse
            raise Problem(415, f"charset: {charset[:40]!r}; allowed: {', '.join(_CHARSETS)}")
        if self._present >= self._allowed:
            raise Busy("too many files at once; try again soon")
        self._present += 1
        try:
            try:
                form = await request.form(
                    max_files=1, max_fields=_MAX_FIELDS, max_part_size=_FIELD_BYTES
                )
            except MultiPartException as error:
                raise Problem(400, f"the form cannot be read: {error.message}") from None
            try:
                _check_names(form, (*_FIELDS, *more))
                yield form
            finally:
                await form.close()
        finally:
            self._present -= 1

    async def clip(self, form: FormData) -> Clip:
        """The motion in the field `file`, with `fps`, `units` and `up` where they are given.

        Raises:
            Problem: no such field.
            InputError: a file that cannot be read, or an option that is not allowed.
        """
        upload = form.get("file")
        if not isinstance(upload, UploadFile) or not upload.filename:
            raise Problem(422, "file: a motion file is needed, as a part of multipart/form-data")
        suffix = Path(upload.filename).suffix.lower()
        if suffix not in SUFFIXES:
            raise Problem(
                422, f"file: suffix {suffix[:20] or 'missing'}; allowed: {', '.join(SUFFIXES)}"
            )
        if (upload.size or 0) > self.limits.upload_bytes:
            raise Problem(413, f"file: {upload.size} bytes; allowed: {self.limits.upload_bytes}")
        options = _options(form)
        with tempfile.TemporaryDirectory(prefix="raydance-upload-") as folder:
            # A name of our own: the caller's never becomes a path.
            path = Path(folder) / f"{safe_stem(upload.filename)}{suffix}"
            content = await upload.read()
            await asyncio.to_thread(path.write_bytes, content)
            reader = await self._free.get()
            try:
                clip: Clip = await reader.read(path, options)
            finally:
                self._free.put_nowait(reader)
        return clip


def safe_stem(name: str) -> str:
    """A name for a file that holds no path: letters, digits, `.`, `_` and `-`, at most 80."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name).stem).strip("._")
    return stem[:80] or "motion"


def _check_names(form: FormData, known: Sequence[str]) -> None:
    """Refuse fields that are unknown or there twice, as JSON bodies do.

    Raises:
        Problem: naming the field.
    """
    names = [name for name, _ in form.multi_items()]
    for name in names:
        if name not in known:
            raise Problem(422, f"field {name[:40]!r}; allowed: {', '.join(known)}")
        if names.count(name) > 1:
            raise Problem(422, f"{name}: given {names.count(name)} times; once is needed")


def number(form: FormData, name: str, low: float, high: float) -> float | None:
    """A number in a form's field, or None where it is absent.

    Raises:
        Problem: not a number, or out of range.
    """
    text = form.get(name)
    if text is None or text == "":
        return None
    try:
        value = float(text) if isinstance(text, str) else float("nan")
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise Problem(422, f"{name}: {str(text)[:40]!r}; allowed: {low:g} to {high:g}")
    return value


def whole_number(form: FormData, name: str, default: int, low: int, high: int) -> int:
    """A whole number in a form's field.

    Raises:
        Problem: not a whole number, or out of range.
    """
    value = number(form, name, low, high)
    if value is None:
        return default
    if value != int(value):
        raise Problem(422, f"{name}: {value:g}; a whole number is needed")
    return int(value)


def _options(form: FormData) -> dict[str, Any]:
    """Arguments of `read_clip`."""
    options: dict[str, Any] = {}
    fps = number(form, "fps", 1.0, 1000.0)
    if fps is not None:
        options["fps"] = fps
    units, up = form.get("units"), form.get("up")
    if units:
        if units not in LENGTHS:
            raise Problem(422, f"units: {str(units)[:40]!r}; allowed: {', '.join(LENGTHS)}")
        options["units"] = LENGTHS[str(units)]
    if up:
        if up not in AXES:
            raise Problem(422, f"up: {str(up)[:40]!r}; allowed: {', '.join(AXES)}")
        options["up"] = str(up)
    return options
