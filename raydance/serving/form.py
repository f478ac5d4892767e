"""Parts of a form: fields of text, and files. A part's size and whether it carries a file name,
which clients choose as they like, do not decide what it is; its field does."""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from fastapi import Request
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from raydance.serving.problems import Problem

_MOST_PARTS: Final = 16
_TEXT_BYTES: Final = 4096  # of a field; more than any value that is allowed


class _Parts(MultiPartParser):
    """Keeps every part in a file, which goes to the disk when it is large."""

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.file is None:  # as the parser makes them for parts with a file name
            file: Any = SpooledTemporaryFile(max_size=self.spool_max_size)
            self._files_to_close_on_error.append(file)
            part.file = UploadFile(file=file, size=0, headers=Headers(raw=part.item_headers))


async def read_form(request: Request, files: Sequence[str], texts: Sequence[str]) -> FormData:
    """The fields of a multipart form, each once: `UploadFile` for files, `str` for texts.

    Raises:
        Problem: not a form that can be read, or a field that is unknown, there twice or too long.
    """
    parser = _Parts(
        request.headers, request.stream(), max_files=_MOST_PARTS, max_fields=_MOST_PARTS
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"the form cannot be read: {error.message}") from None
    try:
        _check_names(form, (*files, *texts))
        items = [
            (name, await _text(name, part) if name in texts else part)
            for name, part in form.multi_items()
        ]
    except BaseException:
        await form.close()
        raise
    return FormData(items)


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


async def _text(name: str, part: UploadFile | str) -> str:
    assert isinstance(part, UploadFile)
    content = await part.read(_TEXT_BYTES + 1)
    await part.close()
    text = content.decode("utf-8", "replace")
    if len(content) > _TEXT_BYTES:
        raise Problem(422, f"{name}: {text[:40]!r} and more; at most {_TEXT_BYTES} bytes")
    return text
