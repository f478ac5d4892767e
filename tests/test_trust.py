"""What a run says of its own answers: in Python, the service, the command, on real recordings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import post

from raydance.metrics.calibration import auroc
from raydance.motion import synthetic
from raydance.motion.formats import read_clip
from raydance.systems.dance_language.run import DanceLanguage, load
from raydance.training.run_folder import Run, load_bundle, save_bundle

NONSENSE = "asdfgh banana"


@pytest.fixture(scope="module")
def system(tiny_run: Path) -> DanceLanguage:
    return load(tiny_run)


@pytest.fixture(scope="module")
def uncalibrated(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as it was before runs had a calibration."""
    run = Run.open(shutil.copytree(tiny_run, tmp_path_factory.mktemp("old") / "run"))
    tensors, facts = load_bundle(run.bundle("library"))
    facts.pop("calibration")
    save_bundle(run.bundle("library"), tensors, facts)
    return run.path


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of the corpus as a file."""
    folder = tmp_path_factory.mktemp("clip")
    synthetic.write_corpus(folder, 1)
    return sorted(folder.glob("walk_*.npz"))[0]


@pytest.mark.slow
def test_nonsense_is_named_everywhere(
    system: DanceLanguage, service_url: str, call: Any, tiny_run: Path, tmp_path: Path
):
    made = system.make(NONSENSE, source="prior")
    assert made.understood is not None and made.understood.understanding is not None
    assert made.understood.understanding < 0.5
    assert made.understood.unknown_words == ("asdfgh", "banana")
    (notice,) = made.notices
    assert notice == made.understood.notice
    assert notice.startswith("'asdfgh' and 'banana' were not among the words that this run learned")
    body = {"text": NONSENSE, "source": "prior"}
    answer = post(service_url, "/v1/generate", body).json()
    assert answer["notices"] == [notice] == [answer["understood_as"]["notice"]]
    headers = post(service_url, "/v1/generate", body | {"format": "npz"}).headers
    assert notice in headers["x-raydance-note"]
    found = post(service_url, "/v1/search", {"text": NONSENSE, "limit": 1}).json()
    assert found["notices"] == [notice] and found["understood_as"]["unknown_words"]
    said = call("generate", NONSENSE, "--run", tiny_run, "--out", tmp_path / "a.npz")[1]
    assert notice in said
    assert f"not understood: {notice}" in call("search", NONSENSE, "--run", tiny_run)[1]


@pytest.mark.slow
def test_an_unknown_word_is_named_in_a_sentence_like_a_caption(system: DanceLanguage):
    (nearest,) = system.understand(["a dancer walks"])
    (understood,) = system.understand([f"{nearest.caption} like a zombie"])
    assert understood.understanding is not None and understood.understanding > 0.5
    assert understood.unknown_words == ("zombie",)
    assert understood.line.startswith("partly understood: 'zombie' was not among the words")


@pytest.mark.slow
def test_a_training_caption_is_understood(system: DanceLanguage, service_url: str):
    caption = system.captions.texts[int(system.caption_base.ids[0])]
    (understood,) = system.understand([caption])
    assert understood.caption == caption and understood.notice == ""
    assert post(service_url, "/v1/search", {"text": caption, "limit": 1}).json()["notices"] == []


@pytest.mark.slow
def test_later_sentences_are_judged_too(system: DanceLanguage):
    caption = system.captions.texts[int(system.caption_base.ids[0])]
    made = system.make(caption, frames=80, timeline=[(2.0, NONSENSE)])
    assert made.understood is not None and not made.understood.notice
    assert len(made.notices) == 1 and "'asdfgh'" in made.notices[0]


@pytest.mark.slow
def test_old_runs_load_without_a_calibration(uncalibrated: Path, clip_file: Path, call: Any):
    system = load(uncalibrated)
    segments = system.describe(read_clip(clip_file))
    assert {(s.confidence, s.is_unlike_training) for s in segments} == {(None, None)}
    (understood,) = system.understand([NONSENSE])
    assert understood.understanding is None and understood.notice == ""
    said = call("describe", clip_file, "--run", uncalibrated)[1]
    assert "train it again" in said


@pytest.mark.slow
def test_confidence_is_none_where_motion_is_unlike(system: DanceLanguage, clip_file: Path):
    judge = system.judge
    assert judge.confidence is not None
    for segment in system.describe(read_clip(clip_file)):
        assert (segment.confidence is None) == (segment.is_unlike_training is True)
        assert segment.confidence is None or 0 < segment.confidence < 1
    far = -judge.distance(system.library.embedding[:1]) + judge.confidence.limit
    assert np.isfinite(far).all()
    opposite = -system.library.embedding[system.library.rows("train")].mean(axis=0, keepdims=True)
    unlike = judge.unlike(opposite)
    assert unlike is not None and unlike.all()


@pytest.mark.slow
def test_the_service_gives_confidence(service_url: str, system: DanceLanguage, clip_file: Path):
    with clip_file.open("rb") as file:
        answer = post(service_url, "/v1/describe", files={"file": file}).json()
    expected = system.describe(read_clip(clip_file))
    for part, segment in zip(answer["segments"], expected, strict=True):
        assert part["is_unlike_training"] == segment.is_unlike_training
        assert part["confidence"] == pytest.approx(segment.confidence, abs=1e-4)


def recordings(folder: Path, pattern: str, every: int) -> list[Path]:
    return sorted(folder.rglob(pattern))[::every]


@pytest.mark.slow
def test_real_recordings_are_unlike_the_corpus(system: DanceLanguage, shared_data: Path):
    """Real people against test windows of the procedural dancer.

    The small run is trained for two epochs: .80 was measured; a whole run of the corpus has .99.
    """
    library, judge = system.library, system.judge
    own = judge.distance(library.embedding[library.rows("test")])
    real = []
    for file in [
        *recordings(shared_data / "cmu_bvh", "*.bvh", 24),
        *recordings(shared_data / "bandai2_bvh", "*walk*.bvh", 60),
        *recordings(shared_data / "bandai2_bvh", "*kick*.bvh", 20),
    ]:
        clip = read_clip(file)
        if clip.duration_s < system.window / system.fps + 0.1:
            continue
        motion, mask, _ = system.windows(clip)
        real.append(judge.distance(system.encode_motion(motion, mask)["motion_embedding"])[:20])
    distance = np.concatenate([own, *real])
    assert len(real) >= 4
    assert auroc(distance, np.arange(len(distance)) >= len(own)) > 0.7


@pytest.mark.slow
def test_library_files_hold_confidence(tiny_library: Path):
    from raydance.library.store import CaptionStore

    rows = [row for row in CaptionStore.open(tiny_library).clips() if row["segments"]]
    assert rows
    for row in rows:
        for part in (row, *row["segments"]):
            assert isinstance(part["is_unlike_training"], bool)
            assert (part["confidence"] is None) == part["is_unlike_training"]
    assert json.dumps(rows[0]["confidence"])
