"""Tasks of a run of Dance-Language: they answer what its methods do, also over HTTP."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from serving import TURN, running

import raydance
from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.motion.formats import read_clip
from raydance.serving.application import Settings
from raydance.serving.runs import Entry
from raydance.serving.task_app import create_task_app
from raydance.systems.dance_language.run import DanceLanguage
from raydance.systems.steering_plan import OpenPlan, SteeringPlan
from raydance.systems.tasks import Answer


@pytest.fixture(scope="module")
def system(tiny_run: Path) -> DanceLanguage:
    return raydance.load(tiny_run)


@pytest.fixture(scope="module")
def clip(take: Path) -> Clip:
    return read_clip(take)


def answer(system: DanceLanguage, name: str, inputs: dict[str, Any], **options: Any) -> Answer:
    task = system.tasks[name]
    (found,) = task.answer([task.request(inputs, options)])
    return found


def test_rows_are_what_the_methods_find(system: DanceLanguage, clip: Clip) -> None:
    described = answer(system, "describe", {"motion": clip}, k=2)
    assert described.rows == [asdict(part) for part in system.describe(clip, 2)]
    assert described.lines[0].startswith(f"{clip.source}: {clip.duration_s:.1f} s")
    found = answer(system, "search", {"motion": clip}, k=3)
    assert found.rows == [asdict(hit) for hit in system.search(clip, 3)]
    with pytest.raises(InputError, match="Give a sentence or a motion"):
        answer(system, "search", {"motion": clip, "text": TURN})


def test_motion_is_that_of_generate_and_tells_how_it_was_made(system: DanceLanguage) -> None:
    made = answer(system, "generate", {"text": TURN}, samples=2, seed=3, clean_feet=False)
    np.testing.assert_array_equal(made.motion, system.generate(TURN, num_samples=2, seed=3))
    assert made.facts["made"]["source"] == "flow" and made.facts["feet"] == []
    (line,) = [line for line in made.lines if "made by" in line]
    assert line.startswith("  made by: flow, steps")
    clean = answer(system, "generate", {"text": TURN}, seed=3)
    assert len(clean.facts["feet"]) == 1
    plan = SteeringPlan.model_validate({"loop": True}).opened(lambda name: pytest.fail(name))
    assert isinstance(plan, OpenPlan)
    looped = answer(system, "generate", {"text": TURN, "steering": plan})
    assert looped.facts["made"]["constraints"] and looped.facts["feet"] == []


def test_the_service_of_tasks_serves_it(system: DanceLanguage, tiny_run: Path, take: Path) -> None:
    entries = [Entry(name="mine", run=str(tiny_run))]
    with running(create_task_app(entries, Settings(origins=("https://studio.example",)))) as url:
        (model,) = requests.get(f"{url}/v1/models", timeout=60).json()["models"]
        assert [task["name"] for task in model["tasks"]] == ["describe", "generate", "search"]
        body = {"text": TURN, "options": {"k": 2}}
        found = requests.post(
            f"{url}/v1/tasks/search",
            json=body,
            headers={"Origin": "https://studio.example"},
            timeout=60,
        )
        wrong = {"text": TURN, "options": {"steering": {"loop": True}}}
        refused = requests.post(f"{url}/v1/tasks/generate", json=wrong, timeout=60)
        with take.open("rb") as file:
            described = requests.post(
                f"{url}/v1/tasks/describe", files={"motion": file}, timeout=60
            ).json()
    assert [row["clip_id"] for row in found.json()["rows"]] == [
        hit.clip_id for hit in system.search(TURN, 2)
    ]
    assert found.headers["access-control-allow-origin"] == "https://studio.example"
    assert refused.status_code == 422 and "no option steering" in refused.json()["detail"]
    assert len(described["rows"]) == len(system.describe(read_clip(take)))


def test_the_command_asks_it_by_its_tasks(call: Any, refused: Any, tiny_run: Path) -> None:
    code, printed, _ = call("task", "search", "--run", tiny_run, "--text", TURN, "--json")
    assert code == 0 and len(json.loads(printed)["rows"]) == 5
    music = ("generate", TURN, "--music", tiny_run / "run.json", "--run", tiny_run)
    told = refused(*music, "--out", tiny_run.parent / "never.npz")
    assert "generate takes no music; it takes: text, motion, steering" in told
    index = ("index", tiny_run, "--run", tiny_run, "--out", tiny_run.parent / "never", "--quiet")
    assert "`raydance caption` indexes libraries" in refused(*index)
