"""The page in a real Chromium, against a real service: what a visitor does, and what they get."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import (
    SENTENCE,
    Visit,
    download,
    drop,
    picture,
    playback,
    seek,
    settle,
    submit,
    wait,
)
from serving import write_amc

from raydance.motion import synthetic
from raydance.motion.formats import read_clip

pytestmark = pytest.mark.slow


def test_a_sentence_becomes_a_motion_that_moves(visit: Visit) -> None:
    page = visit(reduced_motion="no-preference")
    shown = submit(page, SENTENCE)
    assert shown["takes"][0]["note"] == SENTENCE
    assert shown["takes"][0]["kind"] == "generated"
    assert shown["is_playing"] and shown["duration_s"] > 1
    moment = "[raydance.playback().time_s, raydance.pose()]"
    first, pose = page.evaluate(moment)
    wait(page, lambda: abs(playback(page)["time_s"] - first) > 0.2)
    later, after = page.evaluate(moment)
    assert later != first and np.abs(np.array(after) - pose).max() > 0.005
    first_frame_ms = playback(page)["first_frame_ms"]
    assert np.isfinite(first_frame_ms) and first_frame_ms > 0
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
        return len({round(box["y"] + box["height"]) for box in boxes if box})

    assert page.inner_text("#sentence-shown") == SENTENCE
    words = page.locator("#labels button").all_inner_texts()
    assert words[:3] == ["Sample 1", "Sample 2", "Sample 3"] and SENTENCE not in words[3]
    assert page.get_attribute("#layout", "aria-pressed") == "true", "samples split the view"
    wait(page, lambda: rows() == 2)  # labels move when a picture is drawn
    page.click("#layout")
    assert page.get_attribute("#layout", "aria-pressed") == "false"
    wait(page, lambda: rows() == 1)
    for name in ("trails", "ghosts", "skeleton"):
        page.click(f"#{name}")
        assert page.get_attribute(f"#{name}", "aria-pressed") == "true"
    assert "bones=1" in settled_hash(page) and "ghosts=1" in settled_hash(page)


def settled_hash(page: Any) -> str:
    page.wait_for_timeout(300)  # the address is written with a short delay
    return str(page.url.partition("#")[2])


def test_the_camera_follows_and_a_resized_stage_is_never_empty(visit: Visit) -> None:
    page = visit()
    submit(page, SENTENCE)
    page.keyboard.press("Tab")
    for key, name in (("2", "front"), ("3", "side"), ("4", "free"), ("1", "follow")):
        page.keyboard.press(key)
        assert playback(page)["look"] == name == page.input_value("#look")
    path = []
    for share in (0.0, 0.5, 1.0):
        seek(page, share)
        path.append(playback(page)["focus"])
    assert np.ptp(path, axis=0).max() > 1e-3
    page.keyboard.press("?")
    assert page.locator("#help-dialog").is_visible()
    page.keyboard.press("Escape")
    # What is on the canvas when the browser shows the resized page: read in the last callback.
    page.evaluate(
        """() => {
            const canvas = document.getElementById("canvas");
            globalThis.alphas = [];
            new ResizeObserver(() => {
                const copy = document.createElement("canvas");
                copy.width = copy.height = 9;
                const context = copy.getContext("2d");
                context.drawImage(canvas, 0, 0, 9, 9);
                globalThis.alphas.push(context.getImageData(4, 4, 1, 1).data[3]);
            }).observe(canvas.parentElement);
        }"""
    )
    # The observer is called once at its start; both in one frame would be one call.
    wait(page, lambda: len(page.evaluate("alphas")) > 0)
    page.set_viewport_size({"width": 700, "height": 500})
    wait(page, lambda: len(page.evaluate("alphas")) > 1)
    assert set(page.evaluate("alphas")[1:]) == {255}


def test_the_form_says_what_is_wrong_before_it_asks(visit: Visit) -> None:
    page = visit("#seed=-4&n=77&view=foo&text=" + SENTENCE.replace(" ", "+"))
    assert page.input_value("#num-samples") == "8" and page.input_value("#seed") == "0"
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.fill("#seconds", "900")
    page.fill("#num-samples", "1")
    page.press("#sentence", "Enter")
    assert re.match(r"Seconds: 0.1 to \d+, not 900", page.inner_text("#seconds-wrong"))
    page.fill("#seconds", "")
    page.fill("#sentence", " ")
    page.press("#sentence", "Enter")
    assert "in words" in page.inner_text("#problem")
    assert not [url for url in asked if "generate" in url]
    assert re.match(r"Trained on \d+ recordings? \(.*\)\.", page.inner_text("#knows"))


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
    last.click()
    assert playback(page)["time_s"] == pytest.approx(float(start[1]), abs=0.06)
    assert page.locator("#neighbours li").count() >= 1


def test_a_motion_is_read_with_the_skeleton_chosen_beside_it(visit: Visit, tmp_path: Path) -> None:
    motion, skeleton = write_amc(tmp_path)
    page = visit()
    page.set_input_files("#file", [skeleton, motion])
    shown = settle(page)
    assert [take["kind"] for take in shown["takes"]] == ["file"]
    assert shown["duration_s"] == pytest.approx(3.0, abs=0.1)
    assert page.locator("#description h2").inner_text() == "05_02"


def test_a_file_that_is_no_motion_is_refused_in_words(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    bad = tmp_path / "bad.bvh"
    bad.write_text("HIERARCHY\nnothing", encoding="utf-8")
    drop(page, bad)
    settle(page)
    assert "line" in page.inner_text("#problem")


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
    page.click("#download")
    page.click("#download-options summary")
    page.select_option("#file-rate", "60")
    page.select_option("#file-names", "mixamo")
    page.click("#download")
    seek(page, 0.5)
    page.click("#mark-in")
    part = read_clip(download(page, "bvh", tmp_path))
    assert part.fps == pytest.approx(60) and "mixamorig:Hips" in part.joint_names
    assert part.duration_s == pytest.approx(saved.duration_s / 2, abs=0.1)
    page.click("#mark-none")
    page.click("#download")
    page.select_option("#file-rate", "")
    page.select_option("#file-names", "")
    page.click("#download")
    data = download(page, "glb", tmp_path).read_bytes()
    magic, version, length = struct.unpack("<4sII", data[:12])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size = struct.unpack("<I", data[12:16])[0]
    assert json.loads(data[20 : 20 + size])["animations"]
    assert download(page, "gif", tmp_path).read_bytes()[:4] == b"GIF8"


def test_a_file_that_differs_from_what_is_seen_says_so_beside_the_button(
    visit: Visit, tmp_path: Path
) -> None:
    clip = synthetic.make_clip(synthetic.MOVEMENTS[0], 0)
    names = {"joint_names": np.array(clip.joint_names), "parents": np.array(clip.parents)}
    breath = 1.0 + 0.1 * np.sin(np.arange(clip.num_frames))[:, None, None]
    for name, positions in (("rigid", clip.positions), ("soft", clip.positions * breath)):
        np.savez(tmp_path / f"{name}.npz", positions=positions, fps=clip.fps, **names)
    page = visit()
    page.set_input_files("#file", tmp_path / "rigid.npz")
    settle(page)
    download(page, "bvh", tmp_path)
    settle(page)
    assert not page.locator("#download-difference").is_visible()
    page.set_input_files("#file", tmp_path / "soft.npz")
    settle(page)
    download(page, "bvh", tmp_path)
    settle(page)
    line = page.locator("#download-difference")
    assert re.match(
        r"The BVH differs from what you see by up to [12]\.\d cm: its bones", line.inner_text()
    )
    button, said = page.locator("#download").bounding_box(), line.bounding_box()
    assert 0 < button["y"] - (said["y"] + said["height"]) < 20
    assert said["x"] >= 0 and said["y"] >= 0
    page.screenshot(path=tmp_path / "difference.png")
    page.locator("canvas").first.click(position={"x": 40, "y": 80})
    assert not line.is_visible()


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
