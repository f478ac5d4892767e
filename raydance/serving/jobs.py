"""Work that outlasts a request: a request is answered in the background and its answer is kept.

A job is the request of another route, put to that route within this process; its answer lies in a
file until it expires. Number, size and length of jobs are bounded. Jobs live in the process that
took them, and end with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from starlette.types import ASGIApp, Message, Scope

from raydance.serving import problems, progress
from raydance.serving.problems import Busy, NotHere, Problem

State = Literal["queued", "running", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class JobLimits:
    """How many jobs there may be, and how large and long.

    Attributes:
        running: at once; the others wait.
        kept: of any state; the oldest finished ones make room.
        waiting_bytes: of the bodies of all requests that are not finished.
        result_bytes: of one answer.
        kept_bytes: of all answers; the oldest make room.
        seconds: until a running job is stopped.
        expiry_s: for which an answer is kept.
    """

    running: int = 2
    kept: int = 64
    waiting_bytes: int = 256 << 20
    result_bytes: int = 256 << 20
    kept_bytes: int = 1 << 30
    seconds: float = 1800.0
    expiry_s: float = 3600.0


@dataclass
class Job:
    """A request that is answered in the background.

    Attributes:
        route: the request's, below `/v1/`.
        progress: the share done, 0 to 1.
        doing: what is being done.
        finished: seconds since the epoch; None before.
        status, headers, size: of the answer.
        problem: the answer of a job that failed.
    """

    id: str
    route: str
    result: Path
    body_bytes: int
    created: float = field(default_factory=time.time)
    state: State = "queued"
    progress: float = 0.0
    doing: str = "waiting for its turn"
    finished: float | None = None
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0
    problem: dict[str, Any] | None = None
    task: asyncio.Task[None] | None = None

    def follow(self, share: float, doing: str) -> None:
        """Note how far it is."""
        self.progress, self.doing = max(self.progress, min(share, 1.0)), doing


_log = logging.getLogger(__name__)
_HEADERS: Final = ("content-type", "content-disposition")


class Jobs:
    """The jobs of this process.

    Args:
        app: answers the requests of jobs.
    """

    def __init__(self, app: ASGIApp, limits: JobLimits) -> None:
        self.limits = limits
        self._app = app
        self._jobs: dict[str, Job] = {}
        self._turns = asyncio.Semaphore(limits.running)
        self._folder = Path(tempfile.mkdtemp(prefix="raydance-jobs-"))

    async def close(self) -> None:
        """Stop all jobs and remove their answers."""
        for name in list(self._jobs):
            self.forget(name)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def find(self, name: str) -> Job:
        """A job.

        Raises:
            NotHere: there is none, or it has expired.
        """
        if name not in self._jobs:
            raise NotHere(
                f"no job {name[:40]!r}; answers are kept for {self.limits.expiry_s:g} s, and by "
                "the process that took the job"
            )
        return self._jobs[name]

    def start(self, route: str, scope: Scope, body: bytes) -> Job:
        """Begin to answer a request.

        Raises:
            Busy: as many jobs as are allowed are not finished.
        """
        self._make_room(len(body))
        name = secrets.token_urlsafe(16)
        job = Job(name, route, self._folder / name, len(body))
        self._jobs[name] = job
        job.task = asyncio.create_task(self._run(job, scope, body))
        return job

    def forget(self, name: str) -> None:
        """Cancel a job that is not finished, and remove its answer.

        Raises:
            NotHere: there is none.
        """
        job = self.find(name)
        del self._jobs[name]
        if job.task is not None:
            job.task.cancel()
        job.result.unlink(missing_ok=True)

    def _make_room(self, more_bytes: int) -> None:
        open_jobs = [job for job in self._jobs.values() if job.finished is None]
        waiting = sum(job.body_bytes for job in open_jobs) + more_bytes
        if len(open_jobs) >= self.limits.kept or waiting > self.limits.waiting_bytes:
            raise Busy(f"{len(open_jobs)} jobs are not finished; try again later")
        while len(self._jobs) >= self.limits.kept:
            self._forget_oldest()

    def _forget_oldest(self, but: Job | None = None) -> bool:
        done = [job for job in self._jobs.values() if job.finished is not None and job is not but]
        if done:
            self.forget(min(done, key=lambda job: job.finished or 0.0).id)
        return bool(done)

    async def _run(self, job: Job, scope: Scope, body: bytes) -> None:
        async with self._turns:
            job.state, job.doing = "running", "starting"
            progress.FOLLOWER.set(job.follow)  # in the context of this task alone
            try:
                async with asyncio.timeout(self.limits.seconds):
                    await self._answer(job, scope, body)
            except TimeoutError:
                self._fail(job, 503, f"stopped after {self.limits.seconds:g} s")
            except Problem as error:
                self._fail(job, error.status, error.detail)
            except Exception:  # else nobody would know that it has ended
                _log.exception("job %s failed", job.route)
                self._fail(job, 500, "a fault of the service; its log has more")
        job.finished, job.doing = time.time(), "finished"
        if job.state == "done":
            job.progress = 1.0
        else:
            job.doing = "failed"
        while sum(one.size for one in self._jobs.values()) > self.limits.kept_bytes:
            if not self._forget_oldest(job):
                break
        asyncio.get_running_loop().call_later(self.limits.expiry_s, self._expire, job)

    def _expire(self, job: Job) -> None:
        if self._jobs.get(job.id) is job:
            self.forget(job.id)

    async def _answer(self, job: Job, scope: Scope, body: bytes) -> None:
        """Let the application answer, into the job's file."""
        sent = False

        async def receive() -> Message:
            nonlocal sent
            if sent:  # there is no connection that could end
                await asyncio.Event().wait()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        with job.result.open("wb") as file:

            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    job.status = message["status"]
                    for name, value in message["headers"]:
                        text = name.decode("latin-1").lower()
                        if text in _HEADERS or text.startswith("x-raydance-"):
                            job.headers[text] = value.decode("latin-1")
                    return
                chunk = message.get("body", b"")
                job.size += len(chunk)
                if job.size <= self.limits.result_bytes:
                    await asyncio.to_thread(file.write, chunk)

            await self._app(scope, receive, send)
        if job.size > self.limits.result_bytes:
            raise Problem(
                413, f"the answer is larger than {self.limits.result_bytes} bytes; ask for less"
            )
        if job.status >= 400:
            job.state = "failed"
            job.problem = json.loads(job.result.read_bytes())
        else:
            job.state = "done"

    def _fail(self, job: Job, status: int, detail: str) -> None:
        content = bytes(problems.response(status, detail).body)
        job.result.write_bytes(content)
        job.state, job.status, job.size = "failed", status, len(content)
        job.headers = {"content-type": problems.MEDIA_TYPE}
        job.problem = json.loads(content)
