"""How motion was made and its sentence understood: in Python, the API, the client, the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
from serving import TURN, post, problem

import raydance
from raydance.client import Client, ServiceError
from raydance.errors import InputError
from raydance.motion.formats import read_clip
from raydance.nn.sentence_mean import WordReading
from raydance.serving.generator import Generator
from raydance.serving.parts import Failed
from raydance.serving.runs import Entry, OpenRun, RunCache
from raydance.stages.motion_flow import MotionFlow, MotionFlowConfig
from raydance.systems.dance_language.run import DanceLanguage

NEW = "nobody in training said these words"
FLOW = {"steps": 3, "guidance": 1.5, "candidates": 2}


@pytest.fixture(scope="module")
def system(tiny_run: Path) -> DanceLanguage:
    return raydance.load(tiny_run)


@pytest.fixture
def shelf_without_flow(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> RunCache:
    """The tiny run, but as one that was trained without a flow."""
    from dataclasses import replace

    run_cache = RunCache([Entry(name="tiny", run=str(tiny_run))])
    system = run_cache.open(None).system
    system.motion_flow = None
    decoder = replace(system.config.text_to_motion, source="prior")
    system.config = replace(system.config, text_to_motion=decoder)
    return run_cache


def small_flow() -> MotionFlow:
    generator = torch.Generator().manual_seed(0)
    components = torch.randn(5, 6, 3, 3, generator=generator)
    config = MotionFlowConfig(width=16, num_blocks=2)
    flow = MotionFlow(config, components, torch.ones(5), text_dim=4)
    with torch.no_grad():
        for weight in flow.average.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    return flow.eval()


def plain_sample(
    flow: MotionFlow, noise: torch.Tensor, text: torch.Tensor, wanted: torch.Tensor, guidance: float
) -> torch.Tensor:
    """Euler's method by the network's `forward`, a step and a condition at a time."""
    z, size, steps = noise, len(noise), 7
    for step in range(steps):
        time = torch.full((size,), step / steps)
        told, free = (
            flow.average(z, time, text, torch.full((size,), has_text), wanted)
            for has_text in (True, False)
        )
        clean = free + guidance * (told - free)
        z = z + (clean - z) / (steps - step)
    return z


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("size", [1, 3, 150])  # more rows than conditions that are made at once
def test_shared_conditions_sample_what_the_network_predicts(guidance: float, size: int):
    flow = small_flow()
    noise, text, wanted = (torch.randn(size, n) for n in (5, 4, 5 + 2 * 6))
    with torch.no_grad():
        for given in (None, wanted):
            seen = torch.zeros_like(wanted) if given is None else given
            found = flow.sample(noise, text, steps=7, guidance=guidance, wanted_BX=given)
            start = flow.config.noise_scale * noise
            expected = plain_sample(flow, start, text, seen, guidance)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_training_caption_is_understood_as_itself(system: DanceLanguage):
    caption = system.captions.texts[int(system.caption_base.ids[3])]
    understood = system.make(caption, **FLOW).understood
    assert understood is not None and understood.caption == caption
    assert understood.similarity == pytest.approx(1.0, abs=1e-5)
    other = system.make("zzz qqq", source="prior").understood
    assert other is not None and other.similarity < 0.9


@pytest.mark.slow
def test_a_cosine_is_that_of_the_embeddings(system: DanceLanguage):
    sentence = system.encode_text([TURN])["text_embedding"][0]
    table = system.captions.columns["text_embedding"].numpy()[system.caption_base.ids]
    cosine = [row @ sentence / np.linalg.norm(row) / np.linalg.norm(sentence) for row in table]
    ids, found = system.caption_base.nearest_sentences(sentence[None])
    assert found[0] == pytest.approx(max(cosine), abs=1e-5)
    assert ids[0] == system.caption_base.ids[int(np.argmax(cosine))]


@pytest.mark.slow
def test_a_new_sentence_has_more_candidates(system: DanceLanguage, monkeypatch: pytest.MonkeyPatch):
    """Where words can be read from motion: the candidate is taken that says them best."""
    assert system.motion_flow is not None
    mean = system.motion_flow.mean
    size, (dim, width) = system.motion_flow.num_components, mean.weight.shape
    generator = torch.Generator().manual_seed(0)
    reading = WordReading(
        weight=torch.randn(width, dim, generator=generator),
        whitening=torch.eye(dim),
        text_mean=torch.zeros(dim),
        found_mean=torch.zeros(size),
    )
    monkeypatch.setattr(mean, "reading", reading)
    known = system.captions.texts[int(system.caption_base.ids[0])]
    assert system.make(known).facts["candidates"] == 1
    assert system.make(NEW, candidates=2).facts["candidates"] == 2
    assert system.make(NEW, frames=5 * system.window).facts["candidates"] == 1
    made = system.make(NEW, seed=3)
    assert made.facts["candidates"] == 8
    tried = system.make(NEW, seed=3, candidates=1, num_samples=8).motion
    found = system.encode_motion(tried, np.repeat(system.joint_mask[None], 8, axis=0))
    said = torch.from_numpy(system.encode_text([NEW])["text_embedding"][0])
    told = reading.agreement(torch.from_numpy(found["coefficients"]), said)
    np.testing.assert_allclose(made.motion[0], tried[int(told.argmax())], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "luck"}, "source 'luck'; allowed: flow, prior, cluster, nearest, clip"),
        ({"source": "prior", "steps": 4}, "steps: 4; allowed with source 'flow', not 'prior'"),
        ({"steps": 0}, "steps: 0; allowed: 1 to 100"),
        ({"guidance": 11.0}, "guidance: 11.0; allowed: 0 to 10"),
        ({"candidates": 33}, "candidates: 33; allowed: 1 to 32"),
    ],
)
def test_settings_that_are_not_allowed_are_named(
    system: DanceLanguage, options: dict[str, Any], words: str
):
    with pytest.raises(InputError, match=words):
        system.make(TURN, **options)


@pytest.mark.slow
def test_json_tells_how_motion_was_made(service_url: str, system: DanceLanguage):
    answer = post(service_url, "/v1/generate", {"text": TURN, "clean_feet": False} | FLOW).json()
    expected = system.make(TURN, **FLOW)
    assert answer["made"] == {"source": "flow"} | FLOW == expected.facts
    assert expected.understood is not None
    assert answer["understood_as"]["caption"] == expected.understood.caption
    assert answer["understood_as"]["similarity"] == pytest.approx(
        expected.understood.similarity, abs=1e-4
    )
    places = np.flatnonzero(system.joint_mask)
    np.testing.assert_allclose(
        answer["samples"][0]["positions"], expected.motion[0][:, places], atol=2e-3
    )
    usual = post(service_url, "/v1/generate", {"text": TURN}).json()["made"]
    config = system.config.motion_flow
    settings = {name: getattr(config, name) for name in FLOW}
    assert usual == {"source": "flow"} | settings
    decoded = post(service_url, "/v1/generate", {"text": TURN, "source": "cluster"}).json()
    assert decoded["made"] == {"source": "cluster"}


@pytest.mark.slow
def test_files_tell_it_in_headers(service_url: str, system: DanceLanguage):
    body = {"text": TURN, "format": "npz"} | FLOW
    headers = post(service_url, "/v1/generate", body).headers
    assert headers["x-raydance-made"] == "source=flow; steps=3; guidance=1.5; candidates=2"
    understood = system.make(TURN, **FLOW).understood
    assert understood is not None
    said = f"{understood.caption} ({understood.similarity:.2f})"
    assert headers["x-raydance-understood-as"] == said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"steps": 101}, "steps: 101; allowed: up to 100"),
        ({"guidance": -1}, "guidance: -1; allowed: 0 or more"),
        ({"candidates": 0}, "candidates: 0; allowed: 1 or more"),
        ({"candidates": 2, "source": "prior"}, "allowed with source 'flow', not 'prior'"),
    ],
)
def test_the_api_refuses_settings_by_name(service_url: str, body: dict[str, Any], words: str):
    assert words in problem(post(service_url, "/v1/generate", {"text": TURN} | body), 422)


@pytest.mark.slow
def test_models_list_their_sources(service_url: str, shelf_without_flow: RunCache):
    (facts,) = requests.get(f"{service_url}/v1/models", timeout=60).json()["models"]
    assert facts["sources"] == ["flow", "prior", "cluster", "nearest"]
    assert facts["default_source"] == "flow" and set(facts["flow"]) == set(FLOW)
    opened: OpenRun = shelf_without_flow.open(None)
    assert opened.sources == ["prior", "cluster", "nearest"]
    assert opened.default_source == "prior"


@pytest.mark.slow
def test_a_run_without_a_flow_refuses_it_and_lists_what_it_has(shelf_without_flow: RunCache):
    generator = Generator(shelf_without_flow)
    generator.warm_up()
    asked = [((None, TURN), {"source": "flow"}), ((None, TURN), {"steps": 3}), ((None, TURN), {})]
    flow, steps, usual = generator.answer_together(asked)
    assert isinstance(flow, Failed) and isinstance(steps, Failed)
    assert str(flow.error) == "source: 'flow'; allowed: prior, cluster, nearest"
    assert "allowed with source 'flow', not 'prior'" in str(steps.error)
    assert not isinstance(usual, Failed) and usual[1].facts == {"source": "prior"}


@pytest.mark.slow
def test_the_client_asks_for_the_flows_settings(service_url: str, tmp_path: Path):
    with Client(service_url) as client:
        made = client.make(TURN, seed=2, steps=3, guidance=1.5, candidates=2)
        assert made.made == {"source": "flow"} | FLOW and made.caption
        assert -1.0 <= made.similarity <= 1.0
        (same,) = client.generate(TURN, seed=2, steps=3, guidance=1.5, candidates=2)
        np.testing.assert_array_equal(made.clips[0].positions, same.positions)
        (other,) = client.generate(TURN, seed=2, source="prior")
        assert np.abs(other.positions - same.positions).max() > 1e-3
        saved = client.save(TURN, tmp_path / "turn.npz", seed=2, steps=3)
        assert read_clip(saved).num_frames == 50
        with pytest.raises(ServiceError, match="allowed with source 'flow'"):
            client.generate(TURN, source="nearest", guidance=2.0)
        with pytest.raises(InputError, match="use save"):
            client.generate(TURN, format="bvh")  # type: ignore[call-arg]


@pytest.mark.slow
def test_the_command_says_how_the_sentence_was_understood(
    call: Any, tiny_run: Path, tmp_path: Path
):
    settings = ("--steps", 3, "--guidance", 1.5, "--candidates", 2)
    common = ("generate", TURN, "--run", tiny_run, "--out", tmp_path / "turn.npz", *settings)
    code, said, err = call(*common)
    assert code == 0, err
    code, as_json, err = call(*common, "--json")
    found = json.loads(as_json)["facts"]
    assert found["made"] == {"source": "flow"} | FLOW
    understood = found["understood_as"]
    assert f"understood as: {understood['caption']} ({understood['similarity']:.2f})" in said
    assert "made by: flow, steps 3, guidance 1.5, candidates 2" in said
