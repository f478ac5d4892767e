"""The page in a real Chromium, against a real service: what a visitor does, and what they get.

`service_url` is a served run. Skips where Chromium, its driver or the built page is missing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydance import web
from raydance.errors import RaydanceError
from raydance.motion import synthetic
from raydance.motion.export import bvh
from raydance.motion.formats import read_clip

playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")

pytestmark = pytest.mark.slow

CHROMIUM = os.environ.get("RAYDANCE_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE_S = 60.0
SENTENCE = "a slow turn with the left arm"


@pytest.fixture(scope="module")
def page_url(request: pytest.FixtureRequest) -> str:
    """Where the page is; skips before anything is served where it cannot be looked at."""
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"no Chromium at {CHROMIUM} (set RAYDANCE_CHROMIUM)")
    try:
        web.dist()
    except RaydanceError as error:
        pytest.skip(str(error))
    return str(request.getfixturevalue("service_url")).rstrip("/") + "/"


@pytest.fixture(scope="module")
def browser(page_url: str) -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


Visit = Callable[..., Any]


@pytest.fixture
def visit(browser: Any, page_url: str) -> Iterator[Visit]:
    """Opens the page as a visitor of one's own; nothing may go wrong in its console."""
    contexts, wrong = [], []

    def notice(message: Any) -> None:
        # The browser itself reports each refused request; the page shows it as text.
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def open_page(fragment: str = "", **options: Any) -> Any:
        options = {"viewport": {"width": 900, "height": 620}, **options}
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE_S)
        page.on("console", notice)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: seen.append(request.url))
        page.goto(page_url + fragment)
        wait(page, lambda: page.evaluate("Boolean(globalThis.raydance)"))
        settle(page)
        return page

    seen: list[str] = []
    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
    elsewhere = [url for url in seen if not url.startswith((page_url, "data:", "blob:"))]
    assert not elsewhere, "the page must work offline"


def wait(page: Any, is_so: Callable[[], bool]) -> None:
    # Not wait_for_function: the page's own content policy rightly forbids eval.
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        problem = page.inner_text("#problem") if page.locator("#problem").count() else ""
        assert time.monotonic() < end, f"waited for {PATIENCE_S} s; the page says {problem!r}"
        page.wait_for_timeout(50)


def playback(page: Any) -> dict[str, Any]:
    return dict(page.evaluate("raydance.playback()"))


def settle(page: Any) -> dict[str, Any]:
    """Waits until nothing is under way; what is then on the stage."""
    page.wait_for_timeout(50)
    wait(page, lambda: not playback(page)["is_busy"])
    return playback(page)


def submit(page: Any, text: str) -> dict[str, Any]:
    page.fill("#sentence", text)
    page.press("#sentence", "Enter")
    return settle(page)


def picture(page: Any) -> np.ndarray:
    """The stage's pixels `[H, W, 3]`."""
    from io import BytesIO

    from PIL import Image

    return np.asarray(Image.open(BytesIO(page.locator("#stage").screenshot())).convert("RGB"))


def seek(page: Any, share: float) -> None:
    """Stops at a share of the whole time; the camera stays where it is."""
    if playback(page)["is_playing"]:
        page.click("#play")
        page.wait_for_timeout(200)  # the frame that was under way
    drawn = playback(page)["num_frames_drawn"]
    page.evaluate(
        """share => {
            const scrub = document.getElementById("scrub");
            scrub.value = share * Number(scrub.max);
            scrub.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        share,
    )
    wait(page, lambda: playback(page)["num_frames_drawn"] > drawn)


def test_a_sentence_becomes_a_motion_that_moves(visit: Visit) -> None:
    page = visit()
    shown = submit(page, SENTENCE)
    assert shown["takes"][0]["note"] == SENTENCE
    assert shown["takes"][0]["kind"] == "generated"
    assert shown["is_playing"] and shown["duration_s"] > 1
    moment = "[raydance.playback().time_s, raydance.pose()]"
    first, pose = page.evaluate(moment)
    wait(page, lambda: abs(playback(page)["time_s"] - first) > 0.2)
    later, after = page.evaluate(moment)
    assert later != first and np.abs(np.array(after) - pose).max() > 0.005
    seek(page, 0.1)
    before = picture(page)
    seek(page, 0.7)
    moved = np.abs(before.astype(int) - picture(page)).max(axis=2) > 40
    assert moved.mean() > 0.002
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 200, "a body with light and shade"


def test_several_samples_and_the_nearest_clip_stand_side_by_side(visit: Visit) -> None:
    page = visit()
    page.fill("#num-samples", "3")
    shown = submit(page, SENTENCE)
    kinds = [take["kind"] for take in shown["takes"]]
    assert kinds == ["generated"] * 3 + ["clip"]
    assert page.locator("#labels button").count() == 4
    poses = [np.array(page.evaluate(f"raydance.pose({i})")) for i in (0, 1)]
    assert np.abs(poses[0] - poses[1]).max() > 1e-3

    def rows() -> int:
        boxes = [label.bounding_box() for label in page.locator("#labels button").all()]
        return len({round(box["y"]) for box in boxes if box})

    assert page.get_attribute("#layout", "aria-pressed") == "true", "four do not fit in a row here"
    wait(page, lambda: rows() == 2)  # labels move when a picture is drawn
    page.click("#layout")
    assert page.get_attribute("#layout", "aria-pressed") == "false"
    wait(page, lambda: rows() == 1)
    page.click("#trails")
    assert page.get_attribute("#trails", "aria-pressed") == "true"


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dropped") / "circles.bvh"
    bvh.write(path, synthetic.make_clip(synthetic.MOVEMENTS[0], 3))
    return path


def drop(page: Any, path: Path) -> None:
    page.evaluate(
        """([name, text]) => {
            const data = new DataTransfer();
            data.items.add(new File([text], name));
            for (const kind of ["dragenter", "dragover", "drop"])
                document.body.dispatchEvent(
                    new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        [path.name, path.read_text(encoding="utf-8")],
    )


def test_a_dropped_file_is_danced_described_and_compared(visit: Visit, dropped: Path) -> None:
    page = visit()
    drop(page, dropped)
    shown = settle(page)
    clip = read_clip(dropped)
    assert [take["kind"] for take in shown["takes"]] == ["file"]
    assert shown["duration_s"] == pytest.approx((clip.num_frames - 1) / clip.fps, abs=0.1)
    segments = page.locator("#timeline button")
    assert segments.count() >= 2
    assert page.locator("#description li").count() >= 1
    assert page.locator("#description li").first.inner_text().strip()
    last = segments.last
    label = last.get_attribute("aria-label")
    assert label is not None
    start = re.match(r"([\d.]+) to [\d.]+ seconds: .", label)
    assert start is not None
    page.locator("#canvas").focus()
    page.keyboard.press(" ")
    last.click()
    assert playback(page)["time_s"] == pytest.approx(float(start[1]), abs=0.06)
    assert page.locator("#neighbours li").count() >= 1


def test_a_file_that_is_no_motion_is_refused_in_words(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    bad = tmp_path / "bad.bvh"
    bad.write_text("HIERARCHY\nnothing", encoding="utf-8")
    drop(page, bad)
    settle(page)
    assert "line" in page.inner_text("#problem")


def test_search_lists_clips_and_plays_them(visit: Visit) -> None:
    page = visit("#tab=search")
    page.fill("#search-text", "a kick")
    page.press("#search-text", "Enter")
    settle(page)
    hits = page.locator("#hits .hit")
    assert hits.count() >= 2
    scores = [float(text) for text in page.locator("#hits .score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    wait(page, lambda: page.evaluate("document.querySelector('#hits img')?.naturalWidth > 0"))
    hits.nth(1).click()
    shown = settle(page)
    assert [take["kind"] for take in shown["takes"]] == ["clip"]
    facts = page.locator("#hits .hit .quiet").nth(1).inner_text()
    assert facts.split(" · ")[0] in shown["takes"][0]["note"]
    page.locator("#hits .add").first.click()
    assert len(settle(page)["takes"]) == 2
    page.click("#search-like")
    settle(page)
    assert "like" in page.inner_text("#search-summary")


def far_apart(page: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two dots of the map with room around them."""
    points = page.evaluate("raydance.map()")
    places = np.array([point["place"] for point in points])
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    lonely = np.argsort(-apart.min(axis=1))[: max(2, len(points) // 4)]
    np.fill_diagonal(apart, 0)
    i, k = np.unravel_index(apart[np.ix_(lonely, lonely)].argmax(), (len(lonely), len(lonely)))
    return points[lonely[i]], points[lonely[k]]


def open_map(visit: Visit) -> Any:
    page = visit("#tab=map", viewport={"width": 1200, "height": 900})
    wait(page, lambda: len(page.evaluate("raydance.map()")) > 0)
    page.locator("#map").scroll_into_view_if_needed()
    return page


def test_the_map_previews_and_plays_a_dot(visit: Visit) -> None:
    page = open_map(visit)
    assert page.locator("#legend li").count() >= 1
    box = page.locator("#map").bounding_box()
    assert box is not None
    point, _ = far_apart(page)
    x, y = box["x"] + point["place"][0], box["y"] + point["place"][1]
    page.mouse.move(x, y)
    assert page.locator("#map-card").is_visible()
    drawn = "() => [...document.getElementById('map-preview').getContext('2d')"
    drawn += ".getImageData(0, 0, 120, 120).data].filter((v, i) => i % 4 == 3 && v > 0).length"
    wait(page, lambda: page.evaluate(drawn) > 50)
    page.mouse.click(x, y)
    shown = settle(page)
    assert point["clip_id"] in shown["takes"][0]["note"]


def test_dragging_between_two_dots_dances_between_them(visit: Visit) -> None:
    page = open_map(visit)
    box = page.locator("#map").bounding_box()
    assert box is not None
    start, end = far_apart(page)
    at = [(box["x"] + p["place"][0], box["y"] + p["place"][1]) for p in (start, end)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move((at[0][0] + at[1][0]) / 2, (at[0][1] + at[1][1]) / 2, steps=3)
    page.mouse.move(*at[1], steps=3)
    page.mouse.up()
    shown = settle(page)
    assert [take["kind"] for take in shown["takes"]] == ["blend"]
    seek(page, 0.5)
    half = np.array(page.evaluate("raydance.pose()"))
    page.locator("#share").focus()
    page.keyboard.press("End")
    wait(page, lambda: playback(page)["takes"][0]["label"] == "100 %")
    assert np.abs(np.array(page.evaluate("raydance.pose()")) - half).max() > 1e-3
    page.check("#side-by-side")
    assert len(settle(page)["takes"]) == 5
    page.wait_for_timeout(300)
    assert "a=" in page.url and "b=" in page.url


def download(page: Any, form: str, folder: Path) -> Path:
    page.click("#download")
    with page.expect_download() as waiting:
        page.click(f"#download-menu [data-format={form}]")
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    settle(page)
    return path


def test_downloads_open_and_hold_what_was_seen(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    page.fill("#num-samples", "2")
    shown = submit(page, SENTENCE)
    page.locator("#labels button").nth(1).click()  # the second sample, not the first
    seek(page, 0)
    pose = np.array(page.evaluate("raydance.pose(1)")).reshape(-1, 3)
    saved = read_clip(download(page, "npz", tmp_path))
    assert saved.num_frames == shown["takes"][1]["num_frames"]
    np.testing.assert_allclose(
        saved.positions[0] - saved.positions[0, 0], pose - pose[0], atol=2e-3
    )
    turned = read_clip(download(page, "bvh", tmp_path))
    assert turned.num_frames == saved.num_frames
    assert turned.duration_s == pytest.approx(saved.duration_s, rel=0.01)
    data = download(page, "glb", tmp_path).read_bytes()
    magic, version, length = struct.unpack("<4sII", data[:12])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size = struct.unpack("<I", data[12:16])[0]
    assert json.loads(data[20 : 20 + size])["animations"]
    assert download(page, "gif", tmp_path).read_bytes()[:4] == b"GIF8"


def test_a_link_shows_the_same_to_somebody_else(visit: Visit) -> None:
    page = visit()
    page.fill("#num-samples", "2")
    page.fill("#seed", "7")
    submit(page, SENTENCE)
    page.select_option("#speed", "0.5")
    page.click("#trails")
    seek(page, 0.4)
    page.click("#copy-link")
    shown, pose = playback(page), page.evaluate("raydance.pose(1)")
    link = page.url.partition("#")[2]
    assert "seed=7" in link and "n=2" in link
    other = visit("#" + link)
    again = playback(other)
    assert [t["note"] for t in again["takes"]] == [t["note"] for t in shown["takes"]]
    assert (again["speed"], again["is_playing"]) == (0.5, False)
    assert again["time_s"] == pytest.approx(shown["time_s"], abs=2e-3)
    assert other.get_attribute("#trails", "aria-pressed") == "true"
    assert other.input_value("#sentence") == SENTENCE
    np.testing.assert_allclose(other.evaluate("raydance.pose(1)"), pose, atol=2e-3)


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
    page.reload()
    wait(page, lambda: page.evaluate("Boolean(globalThis.raydance)"))
    settle(page)
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
    assert settle(page)["takes"][0]["note"] == SENTENCE
    assert page.evaluate("sessionStorage.length") == 1
    assert "opensesame" not in page.evaluate("JSON.stringify(localStorage)") + page.url


def test_the_built_page_is_complete_and_names_no_host() -> None:
    try:
        folder = web.dist()
    except RaydanceError as error:
        pytest.skip(str(error))
    html = (folder / "index.html").read_text(encoding="utf-8")
    assets = re.findall(r'(?:src|href)="(assets/[^"]+)"', html)
    assert len(assets) == 2 and all((folder / asset).is_file() for asset in assets)
    assert "style=" not in html and not re.search(r"<script(?![^>]*src=)", html)
    lock = Path(web.__file__).with_name("package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock


def test_a_page_that_cannot_be_built_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RaydanceError, match=r"npm ci && npm run build"):
        web.dist(tmp_path)


def test_a_page_is_built_again_when_a_source_changed(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    source = Path(web.__file__).parent
    if not (source / "node_modules").is_dir():
        pytest.skip("run npm ci in raydance/web")
    folder = tmp_path / "web"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("dist", "node_modules"))
    (folder / "node_modules").symlink_to(source / "node_modules")
    first = (web.dist(folder) / "index.html").read_text(encoding="utf-8")
    player = folder / "src" / "player.js"
    player.write_text(player.read_text().replace("speed = 1", "speed = 2"), encoding="utf-8")
    os.utime(player, (time.time() + 5, time.time() + 5))
    assert (web.dist(folder) / "index.html").read_text(encoding="utf-8") != first
    (folder / "src" / "main.js").write_text("not javascript (", encoding="utf-8")
    os.utime(folder / "src" / "main.js", (time.time() + 9, time.time() + 9))
    with pytest.raises(RaydanceError, match="cannot be built"):
        web.dist(folder)
    assert (folder / "dist" / "index.html").is_file(), "what there was is still there"
    assert not list(folder.glob("dist.part-*"))


def test_the_motion_file_of_the_page_is_one_that_numpy_reads(tmp_path: Path) -> None:
    """`npz.js` by itself, under Node: the container is written by hand."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    source = Path(web.__file__).parent / "src" / "npz.js"
    script = f"""
        import {{ motionFile }} from {json.dumps(source.as_uri())};
        import {{ writeFileSync }} from "node:fs";
        const motion = {{ fps: 30, num_frames: 2, num_joints: 2, joints: ["pelvis", "left_hip"],
            parents: [-1, 0], positions: Float32Array.from({{ length: 12 }}, (_, i) => i / 7) }};
        const file = motionFile(motion, "made");
        const bytes = Buffer.from(await file.arrayBuffer());
        writeFileSync({json.dumps(str(tmp_path / "made.npz"))}, bytes);
    """
    program = tmp_path / "write.mjs"
    program.write_text(script, encoding="utf-8")
    ran = subprocess.run(["node", str(program)], capture_output=True, text=True, timeout=60)
    if "File is not defined" in ran.stderr:
        pytest.skip("this Node.js has no File: 20 or newer is needed")
    assert ran.returncode == 0, ran.stderr
    with np.load(tmp_path / "made.npz") as made:
        np.testing.assert_allclose(made["positions"].ravel(), np.arange(12) / 7, rtol=1e-6)
        assert made["joint_names"].tolist() == ["pelvis", "left_hip"]
        assert made["parents"].tolist() == [-1, 0] and float(made["fps"]) == 30
