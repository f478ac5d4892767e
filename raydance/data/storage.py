"""Datasets, runs and motion files in a bucket: copied here before use, copied back afterwards.

A URI is what `pyarrow.fs.FileSystem.from_uri` understands: `s3://bucket/x`, `gs://bucket/x`,
`file:///x`. Its copy lies in a cache that mirrors the store, so that files which name each other by
relative paths still find each other. A file whose size and time agree on both sides is in step and
is not copied again: after every copy the local file gets the store's time.

On several machines the cache must be on a disk that all of them share.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pyarrow import ArrowException, fs

from raydance.errors import InputError, RaydanceError, UnreachableError
from raydance.files import replacing

CACHE_VARIABLE: Final = "RAYDANCE_CACHE"
_URI: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_LAST: Final = ("run.json", "manifest.json")
"""Files that say that a folder is whole: copied after all others."""
_RECORDS: Final = "units"
"""The folder of a captioned library whose files say that others are whole."""
_WITHDRAWN: Final = ("manifest.json",)
"""Of these, the ones that must not stand while other files change. A run's record may: it names the
steps that hold."""
_LEFT_OUT: Final = ("checkpoints", "ray")
"""Folders of a run that mean something only while it is trained."""
ANSWER_S = 45.0
"""How long a store may take to answer the first request."""
_GCS_LIMIT: Final = "retry_limit_seconds"
_RETRY_S: Final = 20.0
_CHUNK_BYTES: Final = 8 << 20
_COPIES_AT_ONCE: Final = 8

Say = Callable[[str], None]


def is_uri(place: str) -> bool:
    """Whether a place is named by a URI rather than by a path."""
    return bool(_URI.match(place))


def cache_folder() -> Path:
    """Where copies lie: `RAYDANCE_CACHE`, by default `~/.cache/raydance`."""
    return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/raydance").expanduser().absolute()


def local_path(uri: str) -> Path:
    """Where the copy of a URI lies, whether or not it is there.

    Raises:
        InputError: not a URI of a known store, or one that leads out of it.
    """
    _, path = _open(uri)
    # The store's options, such as its endpoint, belong to its name; passwords would show in it.
    parts = urlsplit(uri)
    store = hashlib.sha256(f"{parts.scheme}://{parts.netloc}?{parts.query}".encode()).hexdigest()
    names = [name for name in path.split("/") if name]
    _check_names(uri, names)
    return cache_folder().joinpath(f"{parts.scheme.lower()}-{store[:16]}", *names)


def fetch(uri: str, *, keep_extra: bool = False, say: Say = lambda line: None) -> Path:
    """Bring the copy of a file or folder up to date; returns the local path.

    Args:
        keep_extra: files of the copy that the store lacks stay: a run that is to be gone on with.
        say: told one line if anything is copied.

    Raises:
        InputError: nothing there, a name that leads out of the cache, or too little space.
        RaydanceError: the store failed.
    """
    filesystem, base, found = _reach(uri)
    target = local_path(uri)
    with _told(uri):
        if found.type == fs.FileType.NotFound:
            raise InputError(f"{uri}: no such file or folder")
        if found.type == fs.FileType.File:
            files = {target: found}
        else:
            files = {
                target.joinpath(*name.split("/")): info
                for name, info in _files_below(filesystem, base, uri).items()
            }
            target.mkdir(parents=True, exist_ok=True)
            if not keep_extra:
                _remove_others(target, set(files))
        missing = {path: info for path, info in files.items() if not _in_step(path, info)}
        if not missing:
            return target
        num_bytes = sum(info.size for info in missing.values())
        _check_space(uri, target, num_bytes)
        say(f"{uri}: fetching {len(missing)} files, {num_bytes / 2**20:.1f} MiB")
        for path in missing:
            if path.name in _LAST:
                path.unlink(missing_ok=True)

        def download(path: Path) -> None:
            info = missing[path]
            with filesystem.open_input_stream(info.path) as source, replacing(path) as aside:
                with aside.open("wb") as sink:
                    shutil.copyfileobj(source, sink, _CHUNK_BYTES)
            _set_time(path, info)

        _copy_all(download, list(missing))
    return target


def publish(local: Path, uri: str, *, say: Say = lambda line: None) -> None:
    """Bring a folder in a store up to date with a local one, manifests last.

    Files that are gone here go there too: the folder must be one that raydance wrote.

    Raises:
        InputError: not a URI of a known store.
        RaydanceError: the store failed.
    """
    filesystem, base, _ = _reach(uri)
    with _told(uri):
        there = _files_below(filesystem, base, uri, may_be_missing=True)
        here = {name: path for name, path in _published_files(local)}
        changed = [n for n in here if n not in there or not _in_step(here[n], there[n])]
        gone = [name for name in there if name not in here and _is_published(name.split("/"))]
        if not changed and not gone:
            return
        num_bytes = sum(here[name].stat().st_size for name in changed)
        say(f"{uri}: publishing {len(changed)} files, {num_bytes / 2**20:.1f} MiB")
        for name in _WITHDRAWN:
            if name in there:
                filesystem.delete_file(f"{base}/{name}")
        if isinstance(filesystem, fs.LocalFileSystem):  # a bucket has no folders to make
            for folder in {str(Path(base, name).parent) for name in changed}:
                filesystem.create_dir(folder, recursive=True)

        def upload(name: str) -> None:
            path, place = here[name], f"{base}/{name}"
            before = path.stat()
            with path.open("rb") as source, filesystem.open_output_stream(place) as sink:
                shutil.copyfileobj(source, sink, _CHUNK_BYTES)
            if path.stat().st_mtime_ns == before.st_mtime_ns:  # else it goes up again next time
                _set_time(path, filesystem.get_file_info(place))

        withdrawn = [n for n in _WITHDRAWN if n in here and n in there and n not in changed]
        _copy_all(upload, [*changed, *withdrawn])
        for name in gone:
            if name not in _WITHDRAWN:
                filesystem.delete_file(f"{base}/{name}")


def names_in(uri: str) -> set[str]:
    """Names directly in a folder of a store; empty if there is none.

    Raises:
        InputError: not a URI of a known store.
        RaydanceError: the store failed.
    """
    filesystem, base, _ = _reach(uri)
    with _told(uri):
        selector = fs.FileSelector(base, allow_not_found=True)
        return {info.base_name for info in filesystem.get_file_info(selector)}


def check_answers(places: Sequence[str]) -> None:
    """Refuse URIs at which nothing answers, before anything slow starts; paths are passed over.

    Raises:
        InputError: not a URI of a known store.
        RaydanceError: a store failed or did not answer.
    """
    for place in places:
        if is_uri(place):
            _reach(place)


def _open(uri: str) -> tuple[fs.FileSystem, str]:
    try:  # some ask the store already, such as S3 for a bucket's region
        filesystem, path = _in_time(uri, fs.FileSystem.from_uri, _with_limit(uri))
    except (ArrowException, OSError, ValueError) as error:
        raise InputError(f"{uri}: not a place that can be read ({_first_line(error)})") from None
    path = path.rstrip("/")
    if not path:
        raise InputError(f"{uri}: names a whole store; name a folder in it")
    return filesystem, path


def _reach(uri: str) -> tuple[fs.FileSystem, str, fs.FileInfo]:
    """The store, the place in it, and what is there: the first request to every store.

    Raises:
        InputError: not a URI of a known store.
        RaydanceError: the store failed or did not answer.
    """

    def first_answer(uri: str) -> tuple[fs.FileSystem, str, fs.FileInfo]:
        filesystem, base = _open(uri)
        return filesystem, base, filesystem.get_file_info(base)

    with _told(uri):
        return _in_time(uri, first_answer, uri)


def _with_limit(uri: str) -> str:
    """The URI with a limit for retries where its store would go on for a quarter hour."""
    parts = urlsplit(uri)
    if parts.scheme.lower() not in ("gs", "gcs") or _GCS_LIMIT in parts.query:
        return uri
    return f"{uri}{'&' if parts.query else '?'}{_GCS_LIMIT}={_RETRY_S:g}"


def _in_time(uri: str, ask: Callable[[str], Any], place: str) -> Any:
    """What a store answers, unless it takes longer than `ANSWER_S`.

    Raises:
        UnreachableError: no answer in time; the request goes on in a thread of its own.
    """
    answer: Future[Any] = Future()

    def wait() -> None:
        try:
            answer.set_result(ask(place))
        except BaseException as error:
            answer.set_exception(error)

    # Not of a pool: Python waits for those when it ends.
    threading.Thread(target=wait, daemon=True).start()
    if not futures.wait([answer], ANSWER_S).done:
        raise UnreachableError(f"{uri}: the store has not answered in {ANSWER_S:g} s")
    return answer.result()


def _files_below(
    filesystem: fs.FileSystem, base: str, uri: str, may_be_missing: bool = False
) -> dict[str, fs.FileInfo]:
    """Relative name -> what the store says of it."""
    selector = fs.FileSelector(base, recursive=True, allow_not_found=may_be_missing)
    found = {}
    for info in filesystem.get_file_info(selector):
        if info.type != fs.FileType.File:
            continue
        name = info.path[len(base) :].lstrip("/")
        _check_names(uri, name.split("/"))
        found[name] = info
    return found


def _published_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if _is_published(parts) and path.is_file():
            yield "/".join(parts), path


def _is_published(parts: Sequence[str]) -> bool:
    return parts[0] not in _LEFT_OUT and not any(part.startswith(".") for part in parts)


def _check_names(uri: str, names: Sequence[str]) -> None:
    """Refuse names that would lead out of the cache: a store's keys are any text."""
    for name in names:
        if name in ("", ".", "..") or "\\" in name or "\0" in name:
            raise InputError(f"{uri}: holds {'/'.join(names)!r}, which is no name for a local file")


def _check_space(uri: str, target: Path, num_bytes: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if num_bytes > 0.95 * free:
        raise InputError(
            f"{uri}: {num_bytes / 2**30:.1f} GiB to fetch, {free / 2**30:.1f} GiB free in "
            f"{cache_folder()}; {CACHE_VARIABLE} names another folder"
        )


def _in_step(path: Path, info: fs.FileInfo) -> bool:
    try:
        own = path.stat()
    except FileNotFoundError:
        return False
    return own.st_size == info.size and own.st_mtime_ns == info.mtime_ns


def _set_time(path: Path, info: fs.FileInfo) -> None:
    if info.mtime_ns is not None:
        os.utime(path, ns=(info.mtime_ns, info.mtime_ns))


def _remove_others(folder: Path, kept: set[Path]) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink() or (path.is_file() and path not in kept):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _copy_all(copy: Callable, items: Sequence) -> None:
    """Copy several at once; those that say that the folder is whole one by one at the end."""
    last = [item for item in items if _is_last(str(item).split("/"))]
    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        list(pool.map(copy, [item for item in items if item not in last]))
    for item in last:
        copy(item)


def _is_last(names: Sequence[str]) -> bool:
    return names[-1] in _LAST or names[-2:-1] == [_RECORDS]


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """Say which store failed, in one line."""
    try:
        yield
    except (ArrowException, OSError) as error:
        raise RaydanceError(f"{uri}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    told = (str(error).splitlines() or [type(error).__name__])[0]
    return told.partition(" error_info=")[0]  # Google's list of its own functions
