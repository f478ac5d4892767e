"""Files that take long, made by jobs of the service: shown as they grow, and cancelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from browsing import SENTENCE, Visit, download, submit, wait

pytestmark = pytest.mark.slow


def test_a_picture_is_made_by_a_job_that_can_be_cancelled(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    submit(page, SENTENCE)
    asked: list[tuple[str, str]] = []
    page.on("request", lambda one: asked.append((one.method, urlparse(one.url).path)))
    assert download(page, "gif", tmp_path).read_bytes()[:4] == b"GIF8"
    assert ("POST", "/v1/jobs") in asked and ("POST", "/v1/convert") not in asked
    line = page.locator("#long-work p")
    assert line.count() == 0

    def running(route: Any) -> None:
        if route.request.method == "GET":
            route.fulfill(json={"state": "running", "progress": 0.4, "doing": "writing the gif"})
        else:
            route.continue_()

    page.route("**/v1/jobs/*", running)
    page.click("#download")
    page.click("#download-menu [data-format=gif]")
    wait(page, lambda: "writing the gif" in line.inner_text())
    assert line.locator("progress").evaluate("bar => bar.value") == 0.4
    page.screenshot(path=tmp_path / "long-work.png")
    with page.expect_request(lambda one: one.method == "DELETE"):
        line.locator("button").click()
    wait(page, lambda: line.count() == 0)
    assert not page.inner_text("#problem")
