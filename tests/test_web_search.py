"""Search and map of the page in a real Chromium, against a real service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import (
    SENTENCE,
    Visit,
    drop,
    hold,
    playback,
    search,
    seek,
    settle,
    submit,
    wait,
)

pytestmark = pytest.mark.slow


def test_search_lists_clips_and_plays_them(visit: Visit) -> None:
    page = visit("#tab=search")
    search(page, "a kick")
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


def test_words_that_nobody_wrote_say_so(visit: Visit) -> None:
    page = visit("#tab=search")

    def as_derived(route: Any) -> None:
        answer = route.fetch()
        found = answer.json()
        for hit in found["hits"]:
            hit["derived"] = [True] * len(hit["captions"])
        route.fulfill(response=answer, json=found)

    page.route("**/v1/search", as_derived)
    search(page, "a kick")
    settle(page)
    words = page.locator("#hits .hit-words").all_inner_texts()
    assert words and all(text.endswith(" (derived)") for text in words)


def test_of_two_searches_the_later_stays_whichever_is_slower(visit: Visit) -> None:
    page = visit("#tab=search")
    held = hold(page, "**/v1/search", lambda request: "a slow turn" in request.post_data)
    search(page, "a slow turn")
    wait(page, lambda: len(held) == 1)
    search(page, "a kick")
    wait(page, lambda: "a kick" in page.inner_text("#search-summary"))
    held[0].continue_()
    settle(page)
    assert "a kick" in page.inner_text("#search-summary")


def test_a_search_does_not_stop_a_dance_under_way(visit: Visit) -> None:
    page = visit("#tab=search")
    held = hold(page, "**/v1/generate")
    page.fill("#sentence", "two punches")
    page.press("#sentence", "Enter")
    wait(page, lambda: len(held) == 1)
    search(page, "a kick")
    wait(page, lambda: "a kick" in page.inner_text("#search-summary"))
    held[0].continue_()
    assert settle(page)["takes"][0]["note"] == "two punches"


def test_neighbours_of_a_file_that_has_left_the_stage_are_not_shown(
    visit: Visit, dropped: Path
) -> None:
    page = visit()
    held = hold(
        page, "**/v1/search", lambda request: "multipart" in request.headers["content-type"]
    )
    drop(page, dropped)
    wait(page, lambda: held and page.locator("#description li").count())
    page.fill("#sentence", SENTENCE)
    page.press("#sentence", "Enter")
    wait(page, lambda: playback(page)["takes"][0]["kind"] == "generated")
    held[0].continue_()
    settle(page)
    assert page.locator("#description li, #neighbours li").count() == 0


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


def test_a_link_searches_where_it_was_searched(visit: Visit) -> None:
    page = visit("#tab=search")
    found = {}
    for in_library in (True, False):
        page.set_checked("#in-library", in_library)
        search(page, "a kick")
        settle(page)
        found[in_library] = page.locator("#hits .hit").all_inner_texts()
        page.set_checked("#in-library", not in_library)  # not asked for yet: not in the link
        page.click("#copy-link")
        other = visit("#" + page.url.partition("#")[2])
        assert other.is_checked("#in-library") == in_library
        assert other.locator("#hits .hit").all_inner_texts() == found[in_library]
    assert found[True] != found[False]


def test_a_link_finds_what_is_like_its_dancer(visit: Visit) -> None:
    page = visit()
    page.fill("#seed", "7")
    submit(page, SENTENCE)
    page.click("#labels button:last-child")  # the nearest clip, beside the generated dancer
    page.click("#tab-search")
    page.click("#search-like")
    shown = settle(page)
    page.click("#copy-link")
    link = page.url.partition("#")[2]
    assert f"like={len(shown['takes']) - 1}" in link
    other = visit("#" + link)
    assert other.inner_text("#search-summary") == page.inner_text("#search-summary")
    hits = other.locator("#hits .hit").all_inner_texts()
    assert hits and hits == page.locator("#hits .hit").all_inner_texts()
    submit(page, "a kick")  # the one it was like has left
    page.click("#copy-link")
    assert "like=" not in page.url
