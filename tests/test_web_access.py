"""The page for everybody: by keyboard, in either colour, on a phone, read aloud, behind a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browsing import (
    SENTENCE,
    Visit,
    download,
    drop,
    picture,
    playback,
    reload,
    search,
    settle,
    submit,
    wait,
)

from raydance.motion.formats import read_clip

pytestmark = pytest.mark.slow


def test_everything_is_reached_by_keyboard_alone(visit: Visit) -> None:
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "sentence"
    page.keyboard.press("Control+A")
    page.keyboard.type("two punches")
    page.keyboard.press("Enter")
    assert settle(page)["takes"][0]["note"] == "two punches"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.id || document.activeElement.className")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert name == "" or page.evaluate(outline) != "none", f"{name}: focus is not seen"
        reached.add(name)
    assert {"canvas", "play", "scrub", "speed", "download", "copy-link", "tab-generate"} <= reached
    page.locator("#canvas").focus()
    was_playing = playback(page)["is_playing"]
    page.keyboard.press(" ")
    assert playback(page)["is_playing"] != was_playing
    page.keyboard.press("ArrowRight")
    time_s = playback(page)["time_s"]
    page.keyboard.press("ArrowLeft")
    assert playback(page)["time_s"] == pytest.approx(max(0, time_s - 1 / 20), abs=1e-3)
    page.keyboard.press("[")
    assert playback(page)["speed"] < 1
    page.locator("#tab-generate").focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#tab-map", "aria-selected") == "true"
    wait(page, lambda: len(page.evaluate("raydance.map()")) > 0)
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#live").strip(), "the dot in focus is read aloud"
    page.keyboard.press("s")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert settle(page)["takes"][0]["kind"] == "clip"
    page.locator("#download").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "menuitem"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "download"


def test_mistakes_are_told_as_text(visit: Visit) -> None:
    page = visit()
    wait(page, lambda: settle(page)["takes"])  # the first dance may begin late
    before = playback(page)["takes"]
    for text in ("", "turn " * 4000):
        page.evaluate("document.getElementById('problem').textContent = ''")
        submit(page, text)
        told = page.locator("[role=alert]#problem").inner_text()
        assert len(told) > 10 and "[object" not in told
        assert playback(page)["takes"] == before, "what was danced stays"
    submit(page, "<img src=x onerror=alert(1)>")
    assert page.locator("#labels img, #stage img").count() == 0
    assert "<img" in page.locator("#labels").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_and_the_switch(visit: Visit, scheme: str) -> None:
    page = visit("#nearest=0&text=turn&t=0.5", color_scheme=scheme)
    brightness = picture(page)[10:60, 10:60].mean()
    assert (brightness < 90) == (scheme == "dark")
    drawn = playback(page)["num_frames_drawn"]
    page.click("#theme")
    wait(page, lambda: playback(page)["num_frames_drawn"] > drawn)
    assert (picture(page)[10:60, 10:60].mean() < 90) != (scheme == "dark")
    assert (page.get_attribute("#theme", "aria-pressed") == "true") != (scheme == "dark")
    reload(page)
    assert (page.get_attribute("#theme", "aria-pressed") == "true") != (scheme == "dark")


def test_a_phone_needs_no_scrolling_sideways(visit: Visit) -> None:
    size = {"width": 360, "height": 740}
    page = visit("", viewport=size, is_mobile=True, has_touch=True, device_scale_factor=2)
    for tab in ("generate", "search", "describe", "map"):
        page.tap(f"#tab-{tab}")
        settle(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select")]
            .filter(e => e.checkVisibility()).map(e => [e.id, e.getBoundingClientRect()])
            .filter(([, r]) => r.width < 24 || r.height < 24).map(([id]) => id)"""
    )
    assert small == []


def test_reduced_motion_starts_standing_still(visit: Visit) -> None:
    page = visit("", reduced_motion="reduce")
    shown = submit(page, SENTENCE)
    assert not shown["is_playing"] and shown["takes"]


def test_every_control_has_a_name_and_every_id_is_one(visit: Visit, dropped: Path) -> None:
    page = visit()
    drop(page, dropped)
    settle(page)
    for tab in ("generate", "search", "describe", "map"):
        page.click(f"#tab-{tab}")
        settle(page)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, canvas, [role]")]
                .filter(e => e.checkVisibility() && !e.closest("[aria-hidden=true]"))
                .filter(e => !/^(alert|group|none|presentation)$/.test(e.getAttribute("role")))
                .filter(e => e.id !== "map-preview")
                .filter(e => !(e.labels?.length || e.getAttribute("aria-label")
                    || e.getAttribute("aria-labelledby") || e.innerText?.trim()))
                .map(e => e.outerHTML.slice(0, 90))"""
        )
        assert nameless == []
    doubled = page.evaluate(
        """() => { const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
            return ids.filter((id, i) => ids.indexOf(id) !== i); }"""
    )
    assert doubled == []
    missing = page.evaluate(
        """() => [...document.querySelectorAll("[aria-controls], [aria-labelledby]")]
            .flatMap(e => [e.getAttribute("aria-controls"), e.getAttribute("aria-labelledby")])
            .filter(id => id && !document.getElementById(id))"""
    )
    assert missing == []


def test_a_key_is_asked_for_and_kept_for_the_tab_only(visit: Visit) -> None:
    page = visit()

    def refuse(route: Any) -> None:
        if route.request.headers.get("x-api-key") == "opensesame":
            route.continue_()
            return
        body = {"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "a key"}
        route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(body))

    page.route("**/v1/**", refuse)
    page.fill("#sentence", SENTENCE)
    page.press("#sentence", "Enter")
    page.fill("#key", "opensesame")
    page.press("#key", "Enter")
    wait(page, lambda: settle(page)["takes"][0]["note"] == SENTENCE)
    assert page.evaluate("sessionStorage.length") == 1
    assert "opensesame" not in page.evaluate("JSON.stringify(localStorage)") + page.url


WITHOUT_WEBGL = """
const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
    return kind.startsWith("webgl") ? null : get.call(this, kind, ...more);
};
"""


def test_without_webgl_all_but_the_picture_works(
    visit: Visit, dropped: Path, tmp_path: Path
) -> None:
    page = visit()
    page.add_init_script(WITHOUT_WEBGL)
    reload(page)
    told = page.locator("[role=alert]#problem")
    assert "WebGL" in told.inner_text()
    page.click("#tab-search")
    search(page, "a kick")
    settle(page)
    page.locator("#hits .hit").first.click()
    assert settle(page)["takes"][0]["kind"] == "clip"
    submit(page, "")
    assert "WebGL" not in told.inner_text(), "the reader's own mistake comes first"
    drop(page, dropped)
    assert settle(page)["takes"][0]["kind"] == "file"
    assert "WebGL" in told.inner_text()
    assert page.locator("#description li").count() >= 1
    assert dropped.name in page.get_attribute("#canvas", "aria-label")
    assert read_clip(download(page, "bvh", tmp_path)).num_frames > 1
    page.locator("#canvas").focus()
    page.keyboard.press(" ")
    before = playback(page)["time_s"]
    wait(page, lambda: playback(page)["time_s"] != before)
