"""The page's fields for steering, in a real Chromium: what they send, and the answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from browsing import SENTENCE, Visit, hold, playback, seek, settle, submit, wait

pytestmark = pytest.mark.slow


def sent_by(page: Any) -> dict[str, Any]:
    """The body of the request that the form now makes; it is let through."""
    held = hold(page, "**/v1/generate")
    page.press("#sentence", "Enter")
    wait(page, lambda: len(held) == 1)
    body = json.loads(held[0].request.post_data)
    held[0].continue_()
    page.unroute("**/v1/generate")
    settle(page)
    return dict(body)


def test_without_wishes_nothing_is_sent(visit: Visit) -> None:
    page = visit()
    page.uncheck("#with-nearest")
    submit(page, SENTENCE)
    assert "steering" not in sent_by(page)


def test_the_pose_at_the_playhead_is_kept_to(visit: Visit) -> None:
    page = visit()
    page.uncheck("#with-nearest")
    submit(page, SENTENCE)
    page.click("#advanced summary")
    seek(page, 0.5)
    time_s, pose = page.evaluate("[raydance.playback().time_s, raydance.pose()]")
    page.click("#add-pose")
    at = page.locator("#poses input")
    assert float(at.input_value()) == pytest.approx(time_s, abs=0.01)
    at.fill("1.5")
    (keyframe,) = sent_by(page)["steering"]["keyframes"]
    assert keyframe["time_s"] == 1.5
    np.testing.assert_allclose(np.ravel(keyframe["clip"]["positions"]), pose, atol=1e-3)
    assert "It keeps to what was wanted within 0.0 cm" in page.inner_text("#timings")
    assert page.inner_text("#problem") == ""
    page.click("#poses button")
    assert "steering" not in sent_by(page)


def test_a_dance_goes_on_loops_and_changes_its_sentence(visit: Visit) -> None:
    page = visit()
    page.uncheck("#with-nearest")
    submit(page, SENTENCE)
    page.click("#advanced summary")
    page.click("#continue-after")
    assert page.get_attribute("#continue-after", "aria-pressed") == "true"
    assert "Generated" in page.inner_text("#continued")
    last = page.evaluate(
        "(() => { const p = raydance.playback(); return Math.round(p.duration_s * 20) + 1; })()"
    )
    assert last == playback(page)["takes"][0]["num_frames"]
    page.fill("#seconds", "4")
    page.click("#add-sentence")
    page.keyboard.type("a high kick")
    steering = sent_by(page)["steering"]
    assert len(steering["after"]["positions"]) == 20
    assert steering["timeline"] == [{"begins_s": 2, "text": "a high kick"}]
    assert page.inner_text("#problem") == ""
    assert playback(page)["takes"][0]["num_frames"] == 80
    page.click("#continue-after")
    page.check("#closes")
    assert sent_by(page)["steering"]["loop"] is True
    assert page.inner_text("#problem") == ""
