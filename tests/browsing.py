"""A visitor of the page in a real Chromium: fixtures and helpers of the tests that look at it.

Skips where Chromium, its driver or the built page is missing. `conftest.py` names this file as a
plugin, so its fixtures are there for every test.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raydance import web
from raydance.errors import RaydanceError
from raydance.motion import synthetic
from raydance.motion.export import bvh

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

Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def page_url(request: pytest.FixtureRequest) -> str:
    """Where the page is; skips before anything is served where it cannot be looked at."""
    pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"no Chromium at {CHROMIUM} (set RAYDANCE_CHROMIUM)")
    try:
        web.dist()
    except RaydanceError as error:
        pytest.skip(str(error))
    return str(request.getfixturevalue("service_url")).rstrip("/") + "/"


@pytest.fixture(scope="module")
def browser(page_url: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any, page_url: str) -> Iterator[Visit]:
    """Opens the page as a visitor of one's own; nothing may go wrong in its console.

    The visitor wants little motion, so that nothing is drawn unasked: without a GPU that takes all
    processors. `reduced_motion="no-preference"` for one who likes it.
    """
    contexts, wrong = [], []

    def notice(message: Any) -> None:
        # The browser itself reports each refused request; the page shows it as text.
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def open_page(fragment: str = "", **options: Any) -> Any:
        options = {
            "viewport": {"width": 900, "height": 620},
            "reduced_motion": "reduce",
            **options,
        }
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


def reload(page: Any) -> None:
    page.reload()
    wait(page, lambda: page.evaluate("Boolean(globalThis.raydance)"))
    settle(page)


def submit(page: Any, text: str) -> dict[str, Any]:
    """Asks for a sentence; what is then on the stage."""
    page.fill("#sentence", text)
    page.press("#sentence", "Enter")
    return settle(page)


def search(page: Any, text: str) -> None:
    """Asks for clips, and does not wait for them."""
    page.fill("#search-text", text)
    page.press("#search-text", "Enter")


def picture(page: Any) -> np.ndarray:
    """The stage's pixels `[H, W, 3]`."""
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


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a visitor's own."""
    path = tmp_path_factory.mktemp("dropped") / "circles.bvh"
    bvh.write(path, synthetic.make_clip(synthetic.MOVEMENTS[0], 3))
    return path


def drop(page: Any, path: Path) -> None:
    """Lets a file fall onto the page."""
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


def hold(page: Any, path: str, is_held: Callable[[Any], bool] = lambda request: True) -> list[Any]:
    """Keeps requests to a path back until `.continue_()` of what they become in the list."""
    held: list[Any] = []

    def meet(route: Any) -> None:
        if is_held(route.request):
            held.append(route)
        else:
            route.continue_()

    page.route(path, meet)
    return held


def download(page: Any, form: str, folder: Path) -> Path:
    """The file of the chosen dancer."""
    page.click("#download")
    with page.expect_download() as waiting:
        page.click(f"#download-menu [data-format={form}]")
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    settle(page)
    return path
