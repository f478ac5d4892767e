"""The HTTP API with many at once: sentences, samples, points, and pages of hits and windows."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
from serving import TURN, post, problem

from raydance.motion.formats import read_clip

pytestmark = pytest.mark.slow


def test_several_sentences_are_made_together(service_url: str):
    texts = [TURN, "sharp kicks"]
    body = {"texts": texts, "seed": 5, "num_samples": 2}
    many = post(service_url, "/v1/generate", body).json()["generations"]
    assert [one["text"] for one in many] == texts
    for one in many:
        alone = post(
            service_url, "/v1/generate", {"text": one["text"], "seed": 5, "num_samples": 2}
        ).json()
        assert one["understood_as"]["caption"] == alone["understood_as"]["caption"]
        for sample, expected in zip(one["samples"], alone["samples"], strict=True):
            np.testing.assert_allclose(sample["positions"], expected["positions"], atol=5e-3)
    too_many = post(service_url, "/v1/generate", {"texts": ["x"] * 16, "num_samples": 8})
    assert "128 motions; allowed: up to 32" in problem(too_many, 422)
    for wrong in ({}, {"text": TURN, "texts": texts}):
        answer = post(service_url, "/v1/generate", wrong)
        assert "text or texts: one of them" in problem(answer, 422)
    assert "texts: 17 values; allowed: up to 16" in problem(
        post(service_url, "/v1/generate", {"texts": ["x"] * 17}), 422
    )


def test_several_samples_are_a_zip(service_url: str, tmp_path: Path):
    body = {"texts": [TURN, "sharp kicks"], "seed": 1, "num_samples": 2}
    answer = post(service_url, "/v1/generate", body | {"format": "npz"})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].endswith('.zip"')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        record = json.loads(archive.read("generation.json"))["generations"]
        files = [file["file"] for one in record for file in one["files"]]
        assert sorted([*files, "generation.json"]) == sorted(archive.namelist())
        archive.extractall(tmp_path)
    assert len(files) == 4 and [one["text"] for one in record] == body["texts"]
    samples = post(service_url, "/v1/generate", body).json()["generations"][1]["samples"]
    for file, sample in zip(files[2:], samples, strict=True):
        clip = read_clip(tmp_path / file)
        np.testing.assert_allclose(clip.positions, sample["positions"], atol=2e-3)


def test_sentences_with_a_slash_keep_files_of_their_own(service_url: str):
    body = {"texts": ["left/right", "up/right"], "num_samples": 2, "format": "npz"}
    answer = post(service_url, "/v1/generate", body)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
    assert "01_1_left_right.npz" in names and len(set(names)) == len(names) == 5


def test_points_are_given_as_arrays(service_url: str, take: Path):
    body = {"texts": [TURN, "sharp kicks"]}
    listed = post(service_url, "/v1/embed", body).json()["vectors"]
    answer = post(service_url, "/v1/embed", body | {"format": "npz"})
    arrays = np.load(io.BytesIO(answer.content), allow_pickle=False)
    assert arrays["vectors"].dtype == np.float32
    np.testing.assert_allclose(arrays["vectors"], listed, atol=1e-5)
    sent = post(service_url, "/v1/embed", files={"file": take.open("rb")}, data={"format": "npz"})
    arrays = np.load(io.BytesIO(sent.content), allow_pickle=False)
    assert len(arrays["vectors"]) == len(arrays["start_s"]) > 0


def test_a_search_is_paged(service_url: str):
    body = {"text": TURN, "library": False}
    whole = post(service_url, "/v1/search", body | {"limit": 7}).json()
    found, cursor = [], None
    for _ in range(4):
        page = post(service_url, "/v1/search", body | {"limit": 2, "cursor": cursor}).json()
        found += page["hits"]
        cursor = page["next_cursor"]
    assert found[:7] == whole["hits"] and len({hit["clip_id"] for hit in found}) == 8
    other = post(service_url, "/v1/search", {"text": "kicks", "library": False, "cursor": cursor})
    assert "of another question" in problem(other, 422)
    assert "cursor:" in problem(post(service_url, "/v1/search", body | {"cursor": "x"}), 422)
    last = post(service_url, "/v1/search", body | {"limit": 100}).json()
    assert last["next_cursor"] is None


def test_the_map_is_paged_without_repetition(service_url: str):
    url = f"{service_url}/v1/map"
    whole = requests.get(url, timeout=60).json()
    assert whole["next_cursor"] is None and len(whole["points"]) == whole["num_windows"]
    places, cursor, num_pages = [], None, 0
    while cursor or not num_pages:
        query = {"limit": 20, "cursor": cursor}
        page = requests.get(url, params=query, timeout=60).json()
        places += [(point["clip_id"], point["start_s"]) for point in page["points"]]
        cursor, num_pages = page["next_cursor"], num_pages + 1
    assert num_pages == -(-whole["num_windows"] // 20)
    expected = {(point["clip_id"], point["start_s"]) for point in whole["points"]}
    assert len(places) == len(set(places)) and set(places) == expected
