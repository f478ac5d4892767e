"""Fuzz the readers of files from outside, guided by which lines of raydance an input reaches.

    pip install atheris    # beside raydance with all its extras
    PYTHONPATH=. python tests/fuzz_readers.py SECONDS [TARGET,...|all] [FOLDER]

TARGET is a reader's name in `fuzz_targets`; all of them run one after the other, SECONDS each,
where it is absent. FOLDER holds further files to start from; they are only read. What is found is
named at the end and kept as files in `fuzz-findings/`; the exit code is then 1.

A finding is an error that is not the user's to mend, a result that is not as its reader promises
or that a writer fails on, more than 5 seconds of processor time, more than 1.2 GiB, a crash, a file
opened outside of the input's folder, or anything executed from a file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
import warnings
from pathlib import Path
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["raydance", "pickletools", "zipfile"]):
    from fuzz_targets import TARGETS, Refused, Target

    from raydance.errors import RaydanceError
    from raydance.motion.formats import native, native_child

import numpy as np
from fuzz_mutations import joined, mutator_of, parted

MOST_SECONDS: Final = 5.0
MOST_MIB: Final = 1200  # the program itself takes a part of it
MOST_BYTES: Final = 1 << 17  # of a seed; inputs are at most twice as long as the longest one
LEAST_BYTES: Final = 1 << 14
FINDINGS: Final = Path("fuzz-findings")
_EXECUTES: Final = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "pickle.find_class",
    "socket.connect",
)
_TOUCHES: Final = ("open", "os.remove", "os.rename", "os.truncate", "os.link", "os.symlink")
_CRASHES: Final = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGXCPU", "SIGPROF")


class TooLong(BaseException):
    """More processor time than any input may take, before it ended by itself."""


class Runner:
    """Reads inputs of a target, and keeps what went wrong.

    Args:
        folder: where the input's files are written, on memory if possible.
    """

    def __init__(self, name: str, target: Target, folder: Path) -> None:
        self.name, self.target = name, target
        self.folder = folder / "case"
        self.files = [self.folder / file for file in target.files]
        for file in self.files:
            file.parent.mkdir(parents=True, exist_ok=True)
        self.found: dict[str, int] = {}
        self.count = self.num_read = 0
        self._data = b""
        self._is_reading = False
        self._inside = (str(folder), os.path.join(tempfile.gettempdir(), "raydance-"))
        self._inside += (sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]))
        self._inside += ("/proc/", "/dev/null", "/dev/urandom")
        self._inside += tuple(filter(None, map(os.path.abspath, filter(None, sys.path))))
        sys.addaudithook(self._on_event)
        signal.signal(signal.SIGPROF, _stop)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_reading:
            return
        if event.startswith(_EXECUTES):
            self._keep(f"executed {event} {str(arguments)[:80]}")
        elif event in _TOUCHES and isinstance(arguments[0], (str, bytes)):
            if not os.path.isabs(arguments[0]):
                return  # of a temporary folder that is emptied, by names inside it
            place = os.path.realpath(os.fsdecode(arguments[0]))
            if not place.startswith(self._inside if event == "open" else self._inside[:2]):
                self._keep(f"{event} {place[:80]!r}")

    def __call__(self, data: bytes) -> None:
        """One execution."""
        self.count += 1
        self._data = data
        parts = parted(data, len(self.files))
        for number, file in enumerate(self.files):
            if number < len(parts):
                file.write_bytes(parts[number])
            else:
                file.unlink(missing_ok=True)
        started = _processor_s()
        signal.setitimer(signal.ITIMER_PROF, 4 * MOST_SECONDS)
        try:
            self._is_reading = True
            self.target.read(self.folder if self.target.is_folder else self.files[0])
            self.num_read += 1
        except (RaydanceError, Refused) as error:
            str(error).encode("utf-8", "surrogateescape")  # it must be possible to print it
        except TooLong:
            self._keep(f"hangs at {_place(sys.exc_info()[2])}")
        except Exception as error:
            self._keep(f"{type(error).__name__} at {_place(error.__traceback__)}: {error!s:.120}")
        finally:
            self._is_reading = False
            signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = _processor_s() - started
        if seconds > MOST_SECONDS:
            self._keep(f"{int(seconds)} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        if peak > MOST_MIB:
            self._keep(f"memory: {peak} MiB")

    def _keep(self, what: str) -> None:
        self._is_reading = False
        key = ":".join(what.split(":")[:2])[:60]
        if key not in self.found:
            FINDINGS.mkdir(exist_ok=True)
            number = len(list(FINDINGS.iterdir()))
            path = FINDINGS / f"{self.name}-{number}"
            path.write_bytes(self._data)
            print(
                f"FINDING {path}: {what}".encode("ascii", "backslashreplace").decode(), flush=True
            )
        self.found[key] = self.found.get(key, 0) + 1


def _processor_s() -> float:
    """Seconds of processor time, also of ended children: other programs may share the machine."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _stop(number: int, frame: Any) -> None:
    raise TooLong


def _place(trace: types.TracebackType | None) -> str:
    """The line of raydance that an error comes from."""
    frames = traceback.extract_tb(trace)
    last = next((f for f in frames[::-1] if "/raydance/" in f.filename), frames[-1])
    return f"{Path(last.filename).name}:{last.lineno}"


def _forked(command: list[str], *, timeout: float, **_: Any) -> subprocess.CompletedProcess[bytes]:
    """A fork of this process in place of one that starts: many times as fast."""
    out = Path(command[-2]).with_name("stderr")
    child = os.fork()
    if child == 0:
        for name in _CRASHES:  # as without a fuzzer
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        code = 1
        with contextlib.suppress(BaseException):
            stream = os.open(out, os.O_CREAT | os.O_WRONLY)
            os.dup2(stream, 2)
            os.dup2(stream, 1)
            sys.stderr = os.fdopen(2, "w")
            sys.argv = [native_child.__file__, *command[-4:]]
            code = native_child.main()
            sys.stderr.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return subprocess.CompletedProcess(
        command, code, b"", out.read_bytes() if out.exists() else b""
    )


def _seeds(target: Target, folder: Path | None) -> list[bytes]:
    """Inputs to start from: those made here, and files of a folder."""
    found = [joined(files) for files in target.seeds()]
    for name in target.files[:1] if folder is not None else ():
        assert folder is not None
        for path in sorted(folder.rglob(f"*{Path(name).suffix}"))[:20]:
            files = [path.read_bytes()]
            if len(target.files) > 1:
                beside = Path(target.files[1])
                near = path.with_suffix(beside.suffix)
                others = [near] if near.is_file() else sorted(path.parent.glob(f"*{beside.suffix}"))
                files += [other.read_bytes() for other in others[:1]]
            if path.suffix in (".bvh", ".amc"):  # some frames only: text may end anywhere
                files[0] = files[0][: MOST_BYTES // 2]
            if sum(map(len, files)) <= MOST_BYTES:
                found.append(joined(files))
    return found


def fuzz(name: str, seconds: float, folder: Path | None) -> None:
    """Fuzz one reader in this process, which libFuzzer ends."""
    warnings.simplefilter("ignore")
    logging.disable()
    np.seterr(all="ignore")
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="fuzz", dir=memory if memory.is_dir() else None))
    corpus = place / "corpus"
    corpus.mkdir()
    target = TARGETS[name]
    seeds = _seeds(target, folder)
    for number, seed in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(seed)
    resource.setrlimit(resource.RLIMIT_CPU, (int(_processor_s() + seconds) + 60,) * 2)
    if target.files[0].endswith((".c3d", ".fbx")):
        stand_in = types.SimpleNamespace(run=_forked, TimeoutExpired=subprocess.TimeoutExpired)
        native.subprocess = stand_in  # type: ignore[attr-defined]
        with contextlib.suppress(ImportError):
            __import__("ezc3d" if target.files[0].endswith(".c3d") else "ufbx")
    runner = Runner(name, target, place)

    def one(data: bytes) -> None:
        runner(data)
        if time.monotonic() > end:  # libFuzzer leaves by exit(): nothing may come after it
            subprocess.run(["rm", "-rf", place], check=False)
            print(
                f"{name}: {runner.count} executions in {seconds:.0f} s ({_processor_s():.0f} s of "
                f"processor time), {runner.num_read} read, "
                f"{len(runner.found)} kinds of finding, most memory "
                f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB",
                flush=True,
            )
            os._exit(1 if runner.found else 0)

    options = [
        sys.argv[0],
        str(corpus),
        f"-max_len={max(LEAST_BYTES, 2 * max(map(len, seeds)))}",
        "-timeout=86400",  # by the clock; hangs are told by processor time
        f"-rss_limit_mb={MOST_MIB + 100}",
        f"-artifact_prefix={FINDINGS}/{name}-",
        "-len_control=0",
        "-verbosity=0",
    ]
    FINDINGS.mkdir(exist_ok=True)
    atheris.Setup(options, one, custom_mutator=mutator_of(target.files))
    end = time.monotonic() + seconds
    atheris.Fuzz()


def main() -> int:
    """Each reader in a process of its own: libFuzzer ends the process that it runs in."""
    seconds = float(sys.argv[1])
    folder = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    names = sys.argv[2].split(",") if len(sys.argv) > 2 else ["all"]
    if len(names) == 1 and names != ["all"]:
        fuzz(names[0], seconds, folder)
    worst = 0
    for name in TARGETS if names == ["all"] else names:
        left, start = seconds, time.monotonic()
        while left > 1.0:
            child = os.fork()  # what is imported is instrumented once, for all
            if child == 0:
                try:
                    fuzz(name, left, folder)
                except Exception:  # the fuzzer itself failed
                    traceback.print_exc()
                    sys.stderr.flush()
                os._exit(2)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            worst = max(worst, abs(code))
            left = seconds - (time.monotonic() - start)
            if code not in (0, 1):  # a crash; what made it is kept
                print(f"FINDING {name}: ended with code {code} after {seconds - left:.0f} s")
    return worst


if __name__ == "__main__":
    sys.exit(main())
