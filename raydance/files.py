"""Files that exist are whole: written aside, then renamed. Without torch, so that it loads fast."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from raydance.errors import ArtifactError, StorageError

_PARTIAL: Final = ".partial"
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_STORAGE: Final = _NO_ROOM | {errno.EIO, errno.EROFS, errno.ESTALE}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    Raises:
        StorageError: there is no room or the storage fails; `path` is as it was before.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=f"{_PARTIAL}{path.suffix}", dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say it clearly when `path` cannot be written within the block.

    Raises:
        StorageError: there is no room or the storage fails.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_STORAGE:
            raise
        mend = "when there is room" if error.errno in _NO_ROOM else "when it can be written"
        raise StorageError(
            f"{path}: could not be written ({os.strerror(error.errno)}); what was saved before is "
            f"whole, and the same command goes on from there {mend}"
        ) from error


def finished(folder: Path, suffix: str) -> list[Path]:
    """Files of a folder by name, without what `replacing` is writing or left when it was killed."""
    return sorted(
        path
        for path in folder.glob(f"*{suffix}")
        if not (path.name.startswith(".") and path.name.endswith(f"{_PARTIAL}{suffix}"))
    )


def remove_partial(folder: Path) -> list[Path]:
    """Remove what `replacing` left in a folder tree when its process was killed.

    Only for a folder that nobody else writes into. Returns the files removed.
    """
    left = sorted(folder.rglob(f".*{_PARTIAL}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return left


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically, indented and with sorted keys."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """Read JSON.

    Raises:
        ArtifactError: missing or not JSON; `what` names the thing in the message.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: {what} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: {what} is damaged ({error})") from None


def check_record(
    folder: Path, record: Any, format: str, version: int, *, what: str, numbered: str
) -> None:
    """Refuse the record of a folder that is not ours, or of a version that is not read here.

    Args:
        format, version: what the record must say.
        what: the folder ought to be, as `a run`; `numbered`: what the version is of.

    Raises:
        ArtifactError: names the folder and what was found.
    """
    if not isinstance(record, dict) or record.get("format") != format:
        raise ArtifactError(f"{folder}: not {what} of raydance")
    if record.get("version") != version:
        found = record.get("version")
        raise ArtifactError(f"{folder}: {numbered} {found}; this version reads {version}")
