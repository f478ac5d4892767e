"""Files that callers send: bounded, confined to a folder of their own, gone when answered."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from raydance.motion.clip import Clip
from raydance.motion.formats import SKELETONS, SUFFIXES
from raydance.motion.units import LENGTHS
from raydance.serving import bounds
from raydance.serving.form import MODEL, READING, UPLOAD, read_form, values_of
from raydance.serving.problems import Busy, Problem
from raydance.serving.read_cache import ReadCache
from raydance.serving.reader import Limits, Reader

_FILES: Final = ("file", "skeleton")
_TEXTS: Final = (*MODEL, *READING, *UPLOAD)
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
        self._read_before = ReadCache()

    async def close(self) -> None:
        """End the processes."""
        for reader in self._readers:
            await reader.close()

    @asynccontextmanager
    async def form(self, request: Request, *more: str) -> AsyncIterator[FormData]:
        """The fields of a form with a motion file; its files are gone after the block.

        Args:
            more: fields of text that this route has besides those of every such form.

        Raises:
            Problem, Busy: as `form_of`.
        """
        async with self.form_of(request, _FILES, tuple(dict.fromkeys((*_TEXTS, *more)))) as form:
            yield form

    @asynccontextmanager
    async def form_of(
        self, request: Request, files: Sequence[str], texts: Sequence[str]
    ) -> AsyncIterator[FormData]:
        """The fields of a multipart request; its files are gone after the block.

        Args:
            files, texts: the names of the fields that it may have.

        Raises:
            Problem: not a form, or a field that is unknown, there twice or too long.
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
            form = await read_form(request, files, texts)
            try:
                yield form
            finally:
                await form.close()
        finally:
            self._present -= 1

    async def clip(self, request: Request, form: FormData) -> Clip:
        """The motion in the field `file`, with `fps`, `units` and `up` where they are given.

        An AMC file's skeleton is in the field `skeleton`. In place of all of these, the field
        `upload` names a file that was sent before; `request.state.upload` is set to this one's
        name.

        Raises:
            Problem: no such field, or a skeleton that is missing or has no use.
            InputError: a file that cannot be read, or an option that is not allowed.
            NotHere: an upload that was not sent to this process, or long ago.
        """
        options = _options(form)
        sent = self._sent(form, "file", tuple(SUFFIXES))
        named = values_of(form, UPLOAD)["upload"]
        if named:
            if sent is not None or options or form.get("skeleton"):
                raise Problem(422, "upload: it was read already; leave out what belongs to a file")
            clip = self._read_before.find(named)
            request.state.upload = named
            return clip
        if sent is None:
            raise Problem(422, "file: a motion file is needed, as a part of multipart/form-data")
        bones = self._sent(form, "skeleton", tuple(SKELETONS.values()))
        _check_skeleton(sent[1], None if bones is None else bones[1])
        every = [sent] if bones is None else [sent, bones]
        files = [(_file_name(*one), await one[0].read()) for one in every]
        key = await asyncio.to_thread(_hash, files, options)
        request.state.upload = key
        return await self._read_before.get(key, lambda: self._read_files(files, options))

    async def _read_files(
        self, files: Sequence[tuple[str, bytes]], options: dict[str, Any]
    ) -> Clip:
        """Read a motion file, and its skeleton if there is one, in a process of its own."""
        with tempfile.TemporaryDirectory(prefix="raydance-upload-") as folder:
            paths = [Path(folder) / name for name, _ in files]
            for path, (_, content) in zip(paths, files):
                await asyncio.to_thread(path.write_bytes, content)
            if len(paths) > 1:
                options = options | {"skeleton": str(paths[1])}
            reader = await self._free.get()
            try:
                clip: Clip = await reader.read(paths[0], options)
            finally:
                self._free.put_nowait(reader)
        return clip

    async def read(
        self,
        form: FormData,
        field: str,
        suffixes: Sequence[str],
        kind: str,
        options: dict[str, Any],
    ) -> Any:
        """What a file in a form holds, read in a process of its own; None where there is none.

        Args:
            kind, options: as `raydance.serving.reader.Reader.read` takes them.

        Raises:
            Problem: a suffix that is not allowed, or too many bytes.
            InputError: a file that cannot be read.
        """
        sent = self._sent(form, field, suffixes)
        if sent is None:
            return None
        with tempfile.TemporaryDirectory(prefix="raydance-upload-") as folder:
            path = await _put(Path(folder), *sent)
            reader = await self._free.get()
            try:
                return await reader.read(path, options, kind)
            finally:
                self._free.put_nowait(reader)

    def _sent(
        self, form: FormData, name: str, suffixes: Sequence[str]
    ) -> tuple[UploadFile, str] | None:
        """A file in a form and its suffix, or None where there is none.

        Raises:
            Problem: text in its place, a suffix that is not allowed, or too many bytes.
        """
        part = form.get(name)
        if not part or (isinstance(part, UploadFile) and not (part.filename or part.size)):
            return None  # as browsers send a field of a form that was not filled in
        allowed = ", ".join(suffixes)
        if not isinstance(part, UploadFile) or not part.filename:
            raise Problem(422, f"{name}: a file with its name is needed; allowed: {allowed}")
        suffix = Path(part.filename).suffix.lower()
        if suffix not in suffixes:
            raise Problem(422, f"{name}: suffix {suffix[:20] or 'missing'}; allowed: {allowed}")
        if (part.size or 0) > self.limits.upload_bytes:
            raise Problem(413, f"{name}: {part.size} bytes; allowed: {self.limits.upload_bytes}")
        return part, suffix


def _check_skeleton(suffix: str, given: str | None) -> None:
    """Refuse a skeleton that is missing or has no use.

    Args:
        suffix: of the motion file.
        given: suffix of the skeleton that came with it.

    Raises:
        Problem: says what to send.
    """
    needed = SKELETONS.get(suffix)
    if given == needed:
        return
    if needed is None:
        owners = ", ".join(SKELETONS)
        raise Problem(422, f"skeleton: a {suffix} file needs none; send one with {owners} only")
    raise Problem(
        422, f"skeleton: a {suffix} file needs its {needed} file; send it as this part of the form"
    )


async def _put(folder: Path, upload: UploadFile, suffix: str) -> Path:
    """Write a file that was sent."""
    path = folder / _file_name(upload, suffix)
    await upload.seek(0)  # it may have been read as another kind
    await asyncio.to_thread(path.write_bytes, await upload.read())
    return path


def _file_name(upload: UploadFile, suffix: str) -> str:
    """A name of our own for a file that was sent: the caller's never becomes a path."""
    return f"{safe_stem(upload.filename or '')}{suffix}"


def _hash(files: Sequence[tuple[str, bytes]], options: dict[str, Any]) -> str:
    """What an upload holds and how it is read, in 32 characters."""
    found = hashlib.sha256(repr(sorted(options.items())).encode())
    for name, content in files:
        found.update(f"/{name}/{len(content)}/".encode())
        found.update(content)
    return found.hexdigest()[:32]


def safe_stem(name: str) -> str:
    """A name for a file that holds no path: letters, digits, `.`, `_` and `-`, at most 80."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name).stem).strip("._")
    return stem[:80] or "motion"


def _options(form: FormData) -> dict[str, Any]:
    """Arguments of `read_clip`."""
    options = {name: value for name, value in values_of(form, READING).items() if value is not None}
    if "units" in options:
        options["units"] = LENGTHS[options["units"]]
    return options
