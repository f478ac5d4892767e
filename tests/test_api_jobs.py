"""Jobs over HTTP: work in the background, its progress, its answer, its end."""

from __future__ import annotations

import asyncio
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import requests
from serving import TURN, plain_service, post, problem, wait_for
from standing_body import NAMES, PARENTS, stand

from raydance.motion.clip import Clip
from raydance.serving import progress, replies
from raydance.serving.jobs import JobLimits

pytestmark = pytest.mark.slow


def begin(url: str, route: str, request: dict[str, Any]) -> dict[str, Any]:
    answer = post(url, "/v1/jobs", {"route": route, "request": request})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == job["url"] == f"/v1/jobs/{job['id']}"
    return job


def state(url: str, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(url + job["url"], timeout=60).json()
    return found


def finished(url: str, job: dict[str, Any]) -> dict[str, Any]:
    wait_for(lambda: state(url, job)["state"] in ("done", "failed"))
    return state(url, job)


def test_a_job_answers_as_its_route_does(service_url: str, take: Path):
    body = {"texts": [TURN, "sharp kicks"], "seed": 3, "format": "bvh"}
    done = finished(service_url, begin(service_url, "generate", body))
    assert done["state"] == "done" and done["progress"] == 1 and done["problem"] is None
    assert done["media_type"] == "application/zip" and done["expires"] > time.time() + 3000
    answer = requests.get(service_url + done["result_url"], timeout=60)
    assert len(answer.content) == done["bytes"]
    assert answer.headers["content-disposition"].endswith('.zip"')
    expected = post(service_url, "/v1/generate", body)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as one:
        with zipfile.ZipFile(io.BytesIO(expected.content)) as other:
            assert one.namelist() == other.namelist() and len(one.namelist()) == 3

    with take.open("rb") as file:
        sent = requests.post(
            f"{service_url}/v1/jobs",
            params={"route": "describe"},
            files={"file": file},
            data={"k": "2"},
            timeout=60,
        )
    described = finished(service_url, sent.json())
    segments = requests.get(service_url + described["result_url"], timeout=60).json()["segments"]
    assert all(len(segment["captions"]) == 2 for segment in segments)


def test_a_librarys_clip_becomes_a_picture(service_url: str):
    hit = post(service_url, "/v1/search", {"text": TURN, "limit": 1}).json()["hits"][0]
    query = {"library": True, "start_s": 0.0, "end_s": 1.0, "format": "gif"}
    done = finished(service_url, begin(service_url, f"clips/{hit['clip_id']}", query))
    answer = requests.get(service_url + done["result_url"], timeout=60)
    assert answer.headers["content-type"] == "image/gif" and answer.content[:3] == b"GIF"


@pytest.mark.parametrize("format", ["gif", "mp4"])
def test_a_job_follows_a_film_frame_by_frame(format: str):
    told: list[tuple[float, str]] = []
    clip = Clip(
        clip_id="stand",
        source="test",
        fps=20.0,
        joint_names=tuple(NAMES),
        parents=tuple(PARENTS),
        positions=stand(12),
    )
    progress.FOLLOWER.set(lambda share, doing: told.append((share, doing)))
    try:
        asyncio.run(replies.file_response(clip, format, "clip"))
    finally:
        progress.FOLLOWER.set(None)
    shares = [share for share, doing in told if doing == f"drawing the {format}"]
    assert shares == pytest.approx([0.5 + i / 24 for i in range(13)])


def test_a_job_fails_as_its_route_does(service_url: str):
    done = finished(service_url, begin(service_url, "generate", {"text": TURN, "seconds": 100}))
    assert done["state"] == "failed" and done["problem"]["status"] == 422
    assert done["doing"] == "failed" and done["progress"] < 1
    answer = requests.get(service_url + done["result_url"], timeout=60)
    assert "seconds: 100; allowed: up to 60" in problem(answer, 422)


@pytest.mark.parametrize("route", ["jobs", "models", "../healthz", "clips/", "generate/x", ""])
def test_other_routes_are_refused(service_url: str, route: str):
    answer = post(service_url, "/v1/jobs", {"route": route, "request": {}})
    assert "route:" in problem(answer, 422)


def test_jobs_are_cancelled_bounded_and_forgotten(tiny_run: Path):
    limits = JobLimits(running=1, kept=3, expiry_s=3.0, result_bytes=200_000)
    with plain_service(tiny_run, None, jobs=limits) as url:
        long = {"texts": [TURN] * 4, "seconds": 60.0, "format": "glb"}
        running, waiting = (begin(url, "generate", long) for _ in range(2))
        wait_for(lambda: state(url, running)["state"] == "running")
        assert state(url, waiting)["state"] == "queued"
        answer = requests.get(url + running["result_url"], timeout=60)
        assert "the job is running" in problem(answer, 409)
        begin(url, "generate", {"text": TURN})
        refused = post(url, "/v1/jobs", {"route": "generate", "request": {"text": TURN}})
        assert "3 jobs are not finished" in problem(refused, 503)
        for job in (running, waiting):
            assert requests.delete(url + job["url"], timeout=60).status_code == 204
            assert "no job" in problem(requests.get(url + job["url"], timeout=60), 404)
        large = finished(url, begin(url, "generate", {"text": TURN, "seconds": 60.0}))
        assert large["problem"]["status"] == 413 and "200000 bytes" in large["problem"]["detail"]
        wait_for(lambda: requests.get(url + large["url"], timeout=60).status_code == 404, 10)
