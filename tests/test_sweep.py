"""Sweeps through Ray: they run, go on, prune, and leave what `train` takes."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import TINY
from optuna.trial import TrialState

from raydance import cli
from raydance import config as configs
from raydance.errors import InputError, RaydanceError
from raydance.systems.dance_language.search import SPACES
from raydance.systems.dance_language.system import SYSTEM
from raydance.training.run_folder import Run
from tuning import study as studies
from tuning import sweep as driver
from tuning import trial as trials
from tuning.folder import claimed
from tuning.sweep import sweep

SHORT = [*TINY, "motion_vae.train.epochs=1"]

pytestmark = pytest.mark.ray


def run_sweep(name: str, data: Path, out: Path, num_trials: int, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"preset": "quick", "overrides": SHORT, "parallel": 2} | options
    return sweep(name, data, out, num_trials=num_trials, **settings)


def load_study(out: Path) -> optuna.Study:
    return optuna.load_study(study_name=studies.NAME, storage=f"sqlite:///{out / 'study.db'}")


@pytest.fixture(scope="module")
def clusters(
    ray_cluster: None, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], list[str]]:
    """A sweep of four trials: its folder, its summary and what it said."""
    out = tmp_path_factory.mktemp("sweep") / "clusters"
    said: list[str] = []
    return out, run_sweep("clusters", tiny_dataset, out, 4, say=said.append), said


def test_a_sweep_leaves_all_that_it_promises(clusters, tiny_dataset) -> None:
    out, summary, said = clusters
    assert summary["trials"] == {"complete": 4, "pruned": 0, "failed": 0}
    assert json.loads((out / "summary.json").read_text()) == summary
    names = {"best.yaml", "trials.csv", "summary.json", *summary["pictures"]}
    assert names <= {path.name for path in out.iterdir()}
    assert {"importances.png", "pareto.png", "history_silhouette.png"} <= names
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["complete"] * 4
    points = {(row["clusters.method"], row["clusters.num_clusters"]) for row in rows}
    assert len(points) == 4 and ("kmeans", "3") in points  # the configuration as it stands is one
    assert sum("of 4)" in line for line in said) == 4
    # Trained once, shared by all.
    vaes = {(out / row["folder"] / "stages/motion_vae.safetensors").stat().st_ino for row in rows}
    assert vaes == {(out / "shared/stages/motion_vae.safetensors").stat().st_ino}


def test_the_best_configuration_is_one_that_train_takes(clusters) -> None:
    out, summary, _ = clusters
    best = summary["best"]
    resolved = SYSTEM.resolve("quick", None, str(out / "best.yaml"))
    assert resolved.clusters.num_clusters == best["params"]["clusters.num_clusters"]
    assert resolved.clusters.method == best["params"]["clusters.method"]
    kept = Run.open(out / best["folder"]).config
    assert kept["clusters"] == configs.to_dict(resolved)["clusters"]
    assert kept["motion_vae"]["train"]["epochs"] == resolved.motion_vae.train.epochs == 1
    front = sorted((out / "pareto").iterdir())
    assert len(front) == len(summary["front"])
    for file, row in zip(front, summary["front"]):
        found = SYSTEM.resolve("quick", None, str(file))
        assert found.clusters.method == row["params"]["clusters.method"]


def test_the_study_opens_elsewhere(clusters) -> None:
    study = load_study(clusters[0])
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 4
    assert study.metric_names == ["silhouette", "stability"]
    assert study.user_attrs["space"] == "clusters" and study.user_attrs["preset"] == "quick"


def test_a_finished_sweep_trains_nothing_and_a_longer_one_adds(clusters, tiny_dataset) -> None:
    out, summary, _ = clusters
    said: list[str] = []
    assert run_sweep("clusters", tiny_dataset, out, 4, say=said.append) == summary
    assert said == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("beta", {}, r"another space \(clusters there, beta here\)"),
        ("clusters", {"preset": "paper"}, r"another --preset \(quick there, paper here\)"),
        ("clusters", {"overrides": [*SHORT, "seed=1"]}, "another --set"),
        ("clusters", {"overrides": ["clusters.num_clusters=3"]}, "varies clusters.num_clusters"),
        ("clusters", {"parallel": 0}, "--parallel 0; at least 1"),
        ("clusters", {"workers": 0}, "--workers 0; at least 1"),
        ("colours", {}, "space 'colours'; known: beta, "),
    ],
)
def test_mistakes_are_refused(clusters, tiny_dataset, name, options, message) -> None:
    with pytest.raises(InputError, match=message):
        run_sweep(name, tiny_dataset, clusters[0], 4, **options)


def test_folders_of_something_else_are_refused(tiny_dataset, tmp_path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and not a sweep"):
        run_sweep("clusters", tiny_dataset, tmp_path / "notes", 1)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "study.db").write_text("no database " * 100)
    with pytest.raises(InputError, match="not a study of Optuna"):
        run_sweep("clusters", tiny_dataset, tmp_path / "bad", 1)
    with claimed(tmp_path / "busy", "study.db", "sweep"):
        with pytest.raises(InputError, match="another sweep is at work here"):
            run_sweep("clusters", tiny_dataset, tmp_path / "busy", 1)


def test_the_command_tells_a_mistake_in_one_line(tiny_dataset, tmp_path, capsys) -> None:
    arguments = ["sweep", "colours", "--data", str(tiny_dataset), "--out", str(tmp_path / "x")]
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("raydance: space 'colours'; known: beta")


def test_failed_trials_are_recorded_and_do_not_stop_the_sweep(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run of something else lies where the first trial would write.
    point = SPACES["clusters"].point_of(configs.to_dict(SYSTEM.resolve("quick", SHORT)))
    assert point is not None
    occupied = tmp_path / "out" / "trials" / trials.key_of(point)

    def occupy(line: str) -> None:
        occupied.mkdir(parents=True, exist_ok=True)
        (occupied / "run.json").write_text("{")

    summary = run_sweep("clusters", tiny_dataset, tmp_path / "out", 2, say=occupy)
    assert summary["trials"] == {"complete": 1, "pruned": 0, "failed": 1}
    table = (tmp_path / "out" / "trials.csv").read_text()
    assert "the run's record is damaged" in table
    # Where all fail the sweep does.
    monkeypatch.setattr(driver.studies, "complete", lambda study: [])
    with pytest.raises(RaydanceError, match="no trial succeeded, 1 failed; the first: .*damaged"):
        run_sweep("clusters", tiny_dataset, tmp_path / "out", 2)


def test_a_trial_that_falls_behind_is_really_stopped(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    overrides = [*SHORT, "contrastive.train.epochs=400"]
    said: list[str] = []

    class AtOnce(optuna.pruners.BasePruner):
        def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
            return trial.number == 0 and trial.last_step is not None and trial.last_step >= 3

    space = SPACES["contrastive"]
    config = SYSTEM.resolve("quick", overrides)
    out.mkdir()
    study = studies.open_study(
        out / "study.db", space, {"config": configs.to_dict(config)}, configs.to_dict(config)
    )
    study.pruner = AtOnce()
    work = driver._Driver(
        SYSTEM, study, space, config, out, driver.opened(tiny_dataset), 1, 1, 0, said.append
    )
    work.go(1)
    (trial,) = study.trials
    assert trial.state == TrialState.PRUNED
    folder = out / "trials" / trial.user_attrs["key"]
    written = len(trials.validation_metrics(folder, "contrastive"))
    assert 4 <= written < 400
    told = list(trial.intermediate_values.values())
    lines = trials.validation_metrics(folder, "contrastive")
    assert [line["validation"]["top1"] for line in lines][: len(told)] == told
    time.sleep(1.0)
    assert len(trials.validation_metrics(folder, "contrastive")) == written  # nobody trains on
    assert "pruned after" in said[-1]
