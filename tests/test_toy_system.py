"""A system of one file: trained, resumed, evaluated, reported, asked and served, with nothing else.

With workers, sweeps and libraries: `tests/cluster/test_toy_cluster.py`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import toy_system
from serving import running
from small_toy import ingest_clips
from small_training import assert_same

from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.evaluation import evaluate_runs, mean_of
from raydance.evaluation.measure import Measure
from raydance.serving.application import Settings
from raydance.serving.runs import Entry
from raydance.serving.task_app import create_task_app
from raydance.systems.base import FitTask, LocalRunner
from raydance.training.run_folder import Run, load_bundle


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ingest_clips(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def run(dataset: Path) -> Path:
    config = toy_system.SYSTEM.resolve("default")
    return toy_system.SYSTEM.train(dataset.parent / "run", dataset, config, LocalRunner()).path


def test_it_is_short_and_its_motions_differ_in_length(dataset: Path) -> None:
    assert len(Path(toy_system.__file__).read_text(encoding="utf-8").splitlines()) < 150
    shards = Dataset.open(dataset).shards("train")
    assert len(set(Dataset.open(dataset).read_shard(shards[0])["length"].tolist())) > 3


def test_the_same_command_goes_on_after_an_interruption(
    run: Path, dataset: Path, tmp_path: Path
) -> None:
    class Often(LocalRunner):
        def fit(self, task: FitTask) -> None:
            super().fit(replace(task, checkpoint_every_s=0.0))

    def stop(metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 3:
            raise KeyboardInterrupt

    config = toy_system.SYSTEM.resolve("default")
    with pytest.raises(KeyboardInterrupt):
        toy_system.SYSTEM.train(tmp_path / "run", dataset, config, Often(stop))
    epochs: list[int] = []
    again = LocalRunner(lambda metrics: epochs.append(metrics["epoch"]))
    done = toy_system.SYSTEM.train(tmp_path / "run", dataset, config, again)
    assert epochs[0] > 0 and epochs[-1] == 7
    undisturbed = load_bundle(run / "stages" / "namer.safetensors")[0]
    assert_same(load_bundle(done.bundle("namer"))[0], undisturbed)


def test_a_step_that_is_switched_off_is_done_no_more(
    run: Path, dataset: Path, tmp_path: Path
) -> None:
    place, config = shutil.copytree(run, tmp_path / "run"), toy_system.SYSTEM.resolve("default")
    off = replace(toy_system.STEPS[1], is_on=lambda config: False)
    without = replace(toy_system.SYSTEM, steps=(toy_system.STEPS[0], off))
    assert set(without.train(place, dataset, config, LocalRunner()).facts["steps"]) == {"names"}
    epochs: list[dict[str, Any]] = []
    again = toy_system.SYSTEM.train(place, dataset, config, LocalRunner(epochs.append))
    assert set(again.facts["steps"]) == {"names", "namer"} and not epochs, "weights are kept"


def test_it_is_evaluated_beside_another_run_and_reported(
    run: Path, tmp_path: Path, call: Any
) -> None:
    code, printed, _ = call("evaluate", run, "--json")
    (measure,) = json.loads(printed)["measures"]
    assert code == 0 and measure["name"] == "named right"
    assert measure["value"] > 3 * measure["chance"]
    both = evaluate_runs({"other": run, "this run": run})
    assert both["columns"] == ["other", "this run"]
    assert both["rows"][0]["values"] == dict.fromkeys(both["columns"], measure["value"])
    code, _, _ = call("report", run, "--out", tmp_path, "--sentence", toy_system.Toy(run).names[0])
    page = (tmp_path / "index.html").read_text()
    assert code == 0 and "Toy: report of a run" in page
    for told in ("named right", "losses_namer.svg", "task-search", toy_system.Toy(run).names[0]):
        assert told in page, told


def test_several_runs_are_evaluated_as_one(run: Path, tmp_path: Path, call: Any) -> None:
    again = shutil.copytree(run, tmp_path / "again")
    code, printed, _ = call("evaluate", run, again, "--json")
    figures = json.loads(printed)
    (measure,) = figures["measures"]
    assert code == 0 and figures["runs"] == [str(run), str(again)]
    assert measure["values"] == [measure["value"]] * 2 and measure["interval"] == 0.0
    code, printed, _ = call("evaluate", run, again)
    assert code == 0 and "2 runs" in printed and "± 0.0 %" in printed
    code, _, told = call("evaluate", run, "--replications", "3")
    assert code == 2 and "--replications needs --evaluator" in told
    code, _, told = call("evaluate", run, run)
    assert code == 2 and "given twice" in told


def test_intervals_over_runs_are_students() -> None:
    def evaluation(value: float | None, system: str = "toy") -> dict[str, Any]:
        measure = Measure(group="g", name="n", value=0.0, baseline=50.0).as_dict()
        about = {"run": "r", "system": system, "notes": [], "seconds": 1.0}
        return about | {"measures": [measure | {"value": value}]}

    (measure,) = mean_of([evaluation(value) for value in (60.0, 62.0, 64.0)])["measures"]
    assert measure["value"] == pytest.approx(62.0) and measure["beats_baseline"]
    assert measure["interval"] == pytest.approx(4.3027 * 2.0 / 3**0.5, rel=1e-4)
    (unknown,) = mean_of([evaluation(None), evaluation(1.0)])["measures"]
    assert unknown["value"] is None and unknown["interval"] is None
    with pytest.raises(InputError, match="runs of several systems have no mean: other, toy"):
        mean_of([evaluation(1.0), evaluation(1.0, "other")])


def test_runs_of_two_systems_are_not_compared(run: Path, tmp_path: Path) -> None:
    other = Run.open(shutil.copytree(run, tmp_path / "other"))
    other.facts["system"] = "dance-language"
    other.save_facts()
    with pytest.raises(InputError, match="a run of dance-language, beside one of toy"):
        evaluate_runs({"paper preset": other.path, "this run": run})


def test_it_is_asked_by_command_and_over_http(run: Path, dataset: Path, call: Any) -> None:
    clip = next((dataset.parent / "clips").rglob("*.bvh"), None) or next(
        (dataset.parent / "clips").rglob("*.npz")
    )
    code, printed, _ = call("task", "search", "--run", run, "--motion", clip, "--json")
    first = json.loads(printed)["rows"][0]
    assert code == 0
    with running(create_task_app([Entry(name="toy", run=str(run))], Settings())) as address:
        (model,) = requests.get(f"{address}/v1/models", timeout=60).json()["models"]
        assert (model["system"], model["tasks"][0]["name"]) == ("toy", "search")
        url = f"{address}/v1/tasks/search"
        files = {"motion": (clip.name, clip.read_bytes())}
        found = requests.post(url, files=files, timeout=60).json()
        assert found["rows"][0] == pytest.approx(first)
        name = toy_system.Toy(run).names[2]
        asked = requests.post(url, json={"text": name}, timeout=60).json()
        assert asked["rows"][0] == {"score": pytest.approx(1.0), "name": name}
