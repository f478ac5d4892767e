"""The page of runs that declare tasks, in a real Chromium: a song is danced to, a box moves."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Visit, download, picture, playback, seek, settle, submit, wait
from PIL import Image
from serving import running

from raydance import web
from raydance.motion.formats import read_clip
from raydance.serving.application import Settings
from raydance.serving.runs import Entry
from raydance.serving.task_app import create_task_app
from raydance.tracks.formats import read_tracks

pytestmark = pytest.mark.slow

SMALL = {"width": 760, "height": 480}
DROP = """([name, type, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(bytes)], name, { type }));
    for (const kind of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(
            new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def service_url(task_runs: Path) -> Iterator[str]:
    entries = [Entry(name=name, run=str(task_runs / name)) for name in ("dance", "tracks")]
    with running(create_task_app(entries, Settings(page=str(web.dist())))) as address:
        yield address


def drop_bytes(page: Any, name: str, kind: str, content: bytes) -> None:
    """Lets a file fall onto the page."""
    page.evaluate(DROP, [name, kind, list(content)])
    settle(page)


def drift(page: Any) -> float:
    """Seconds between the pose and the song when a frame is drawn: the most of several in play."""
    page.evaluate(
        """() => {
            globalThis.seen = [];
            document.getElementById("scrub").setAttribute = () => { // called with each frame
                const { time_s, song } = raydance.playback();
                if (song?.is_playing) seen.push(Math.abs(time_s - song.time_s));
            };
        }"""
    )
    wait(page, lambda: page.evaluate("seen.length") > 5)
    return float(max(page.evaluate("seen")))


def test_a_dropped_song_is_danced_to_in_step(visit: Visit, task_runs: Path, tmp_path: Path) -> None:
    page = visit(viewport=SMALL)
    shown = playback(page)
    assert shown["viewer"] == "motion" and shown["takes"][0]["note"] and shown["song"] is None
    assert page.locator(".tabs").is_hidden() and page.locator("#look").is_visible()
    song = sorted((task_runs / "dances").glob("*.wav"))[0]
    page.fill("#generate-seconds", "3")
    drop_bytes(page, song.name, "audio/wav", song.read_bytes())
    shown = playback(page)
    assert shown["takes"][0]["note"] == f"to {song.name}", "the example was for no song"
    assert page.input_value("#sentence") == "" and "beats a minute" in page.inner_text("#timings")
    beats_s = np.array(shown["beats_s"])
    assert len(beats_s) > 3 and page.locator("#beats i").count() == len(beats_s)
    middle = page.locator("#beats").bounding_box()
    ticks = [tick.bounding_box() for tick in page.locator("#beats i").all()]
    places = [(tick["x"] + tick["width"] / 2 - middle["x"]) / middle["width"] for tick in ticks]
    np.testing.assert_allclose(places, beats_s / shown["duration_s"], atol=0.01)

    page.click("#play")
    wait(page, lambda: playback(page)["song"]["is_playing"] and playback(page)["time_s"] > 0)
    assert drift(page) < 1 / 20
    page.click("#play")
    assert not playback(page)["song"]["is_playing"]
    seek(page, 0.5)
    shown = playback(page)
    assert shown["song"]["time_s"] == pytest.approx(shown["duration_s"] / 2, abs=0.02)
    assert shown["time_s"] == pytest.approx(shown["song"]["time_s"], abs=0.02)
    seek(page, 0.95)
    page.click("#play")
    wait(page, lambda: playback(page)["time_s"] < 1.5)  # begins again, with the song
    assert drift(page) < 1 / 20
    page.click("#play")
    assert read_clip(download(page, "bvh", tmp_path)).num_frames == 60
    page.click("#download")
    page.click("#download-options summary")
    page.select_option("#file-rate", "60")
    page.select_option("#file-names", "mixamo")
    page.screenshot(path=tmp_path / "download.png")
    page.click("#download")
    changed = download(page, "bvh", tmp_path)
    assert read_clip(changed).fps == pytest.approx(60) and "mixamorig:Hips" in changed.read_text()
    assert b"mp4a" in download(page, "mp4", tmp_path).read_bytes(), "a film has the song's sound"

    told = submit(page, "slow and low")
    assert told["takes"][0]["note"] == f"slow and low · to {song.name}" and told["song"]
    page.click("#song-remove")
    shown = settle(page)
    assert shown["song"] is None and shown["takes"][0]["note"] == "slow and low"
    assert page.locator("#beats").is_hidden()


def test_a_box_and_a_sentence_become_trails(visit: Visit, tmp_path: Path) -> None:
    page = visit("#model=tracks", viewport={"width": 1000, "height": 720})
    assert playback(page)["viewer"] == "tracks" and page.locator("#look").is_hidden()
    page.fill("#generate-samples", "3")
    pad = page.locator("#start-pad")
    pad.scroll_into_view_if_needed()
    frame = pad.bounding_box()
    page.mouse.move(frame["x"] + 0.1 * frame["width"], frame["y"] + 0.2 * frame["height"])
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.5 * frame["width"], frame["y"] + 0.6 * frame["height"])
    page.mouse.up()
    box = [int(page.input_value(f"#box-{side}")) for side in ("left", "top", "right", "bottom")]
    np.testing.assert_allclose(box, [26, 51, 128, 154], atol=2)
    page.fill("#box-right", "90")
    page.press("#box-right", "Tab")
    shown = submit(page, "a ball rolls to the left")
    assert [take["label"] for take in shown["takes"]] == ["Sample 1", "Sample 2", "Sample 3"]
    assert "options=%7B%22samples%22%3A3%7D" in page.url and "box=" in page.url
    seek(page, 0.0)
    first = picture(page)
    seek(page, 1.0)
    last = picture(page)
    cyan = [((shot[..., 0] < 90) & (shot[..., 1] > 200)).sum() for shot in (first, last)]
    assert cyan[0] > 50 and (first != last).any(), "dots that move"
    trails = ((last[..., 0] < 20) & (abs(last[..., 1] - 128.0) < 30)).sum()
    assert trails > 50, "and trails behind them"

    page.locator("#labels button").nth(1).click()
    (track,) = read_tracks(download(page, "json", tmp_path)).tracks
    inside = (track.points[0] >= [26, 50]) & (track.points[0] <= [91, 155])
    assert inside.all() and track.num_frames == 30
    (same,) = read_tracks(download(page, "npz", tmp_path)).tracks
    np.testing.assert_allclose(same.points, track.points, atol=1e-2)
    assert b"<svg" in download(page, "svg", tmp_path).read_bytes()
    assert Image.open(download(page, "gif", tmp_path)).n_frames == 30

    page.click("#tab-search")
    page.fill("#search-text", "a ball rolls")
    page.press("#search-text", "Enter")
    settle(page)
    assert page.locator("#search-rows li").count() == 5
    page.click("#search-shown")
    settle(page)
    assert page.inner_text("#problem") == ""
    said = page.locator("#search-rows .hit-words").first.inner_text()
    page.locator("#search-rows button").first.click()
    found = settle(page)["takes"][0]
    assert (found["label"], found["note"]) == ("Found", said)
    seek(page, 1.0)
    page.screenshot(path=tmp_path / "found.png")
    saved = download(page, "json", tmp_path)
    assert '"source":"library"' in saved.read_text()
    assert read_tracks(saved).tracks[0].num_frames == 30
    page.locator("#search-rows .add").first.click()
    assert settle(page)["takes"][0]["label"] == "Sample 1"
    page.click("#tab-classify")
    page.fill("#classify-labels", "rolls, falls")
    page.click("#classify-shown")
    settle(page)
    assert page.locator("#classify-rows li").count() == 2


def test_the_frame_is_a_picture_and_mistakes_are_told(visit: Visit) -> None:
    page = visit("#model=tracks&text=it+falls")
    content = BytesIO()
    Image.fromarray(np.full((90, 160, 3), (200, 30, 30), np.uint8)).save(content, format="PNG")
    drop_bytes(page, "frame.png", "image/png", content.getvalue())
    wait(page, lambda: page.input_value("#generate-width") == "160")
    assert page.input_value("#box-right") == "100", "the box keeps its share of the frame"
    submit(page, "it falls")
    red = picture(page).astype(int)
    assert ((red[..., 0] > 150) & (red[..., 1] < 80)).mean() > 0.1
    page.fill("#sentence", "")
    page.press("#sentence", "Enter")
    assert "in words" in page.inner_text("#problem")
    drop_bytes(page, "notes.txt", "text/plain", b"x")
    assert "notes.txt" in page.inner_text("#problem")
    page.fill("#generate-samples", "900")
    submit(page, "it falls")
    assert "1 to 64" in page.inner_text("#generate-samples-wrong")


def test_another_run_brings_its_viewer(visit: Visit) -> None:
    page = visit("#model=tracks")
    with page.expect_event("load"):
        page.select_option("#model", "dance")
    wait(page, lambda: page.evaluate("globalThis.raydance?.playback().viewer") == "motion")
    settle(page)
    assert page.input_value("#model") == "dance" and "model=dance" in page.url
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas")]
            .filter(e => e.checkVisibility())
            .filter(e => !(e.labels?.length || e.getAttribute("aria-label") || e.innerText?.trim()))
            .map(e => e.outerHTML.slice(0, 90))"""
    )
    assert nameless == []
