"""Lang2Motion's tables by one command on a few scenes, their figures by hand, and other grids."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_dataset import ingest_here

from raydance import config as configs
from raydance.data.dataset import Dataset
from raydance.data.regrid import regrid, with_grid
from raydance.data.track_ingest import TrackSettings
from raydance.errors import InputError
from raydance.evaluation.track_figures import TrackFigures, decoded
from raydance.report import lang2motion_tables
from raydance.report.lang2motion_tables import NEEDED
from raydance.report.paper_tables import TablesRequest, make_tables
from raydance.systems.base import LocalRunner
from raydance.systems.lang2motion.run import load
from raydance.systems.lang2motion.search import CLAIMS, MEASURED
from raydance.systems.lang2motion.system import SYSTEM
from raydance.systems.lang2motion.variants import DIRECT, GRIDS, PAPER, grid_name, variants_of
from raydance.systems.search import nested
from raydance.systems.shared_steps import copy_steps
from raydance.systems.variants import train_variants
from raydance.tracks.export import write_track
from raydance.tracks.grid import grid_in_boxes
from raydance.tracks.synthetic import make_scenes

TINY = (
    "track_text_space.width=16", "track_text_space.train.epochs=1", "track_path.width=16",
    "track_path.train.epochs=1", "track_flow.width=16", "track_flow.num_blocks=1",
    "track_flow.num_components=8", "track_flow.train.epochs=1", "texts.tokens=8",
    "small_clip.width=16", "small_clip.layers=1", "small_clip.image_size=32",
    "small_clip.vocabulary=300", "small_clip.train.epochs=1", "small_clip.outputs=16",
    "overlays.every=15", "overlays.size=32", "track_autoencoder.layers=1",
    "track_autoencoder.feedforward=16", "track_autoencoder.decoder_width=16",
    "track_autoencoder.train.epochs=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("l2m_tables")
    (folder / "scenes").mkdir()
    for number, scene in enumerate(make_scenes(36, seed=5)):
        track = scene.track()
        kind = {"action": track.labels["kind"]}
        split = ("train", "train", "val", "test")[number % 4]
        track = replace(track, captions=track.captions[:1], labels=kind, split=split)
        write_track(folder / "scenes" / f"{number:03d}.npz", track)
    return ingest_here([folder / "scenes"], [], folder / "data", TrackSettings(held_out="val"))


@pytest.fixture(scope="module")
def paper(scenes: Path) -> Path:
    """A run of the paper's preset, where the tables look for it."""
    variants = variants_of("default", "paper-offline", scenes.parent, {})
    out, data = scenes.parent / "tables", {"data": scenes}
    runs = train_variants(SYSTEM, {PAPER: variants[PAPER]}, out, data, LocalRunner(), changes=TINY)
    return runs[PAPER]


def test_one_command_makes_tables_and_resumes(scenes: Path, call: Any) -> None:
    out = scenes.parent / "tables"
    arguments = ["tables", "--data", str(scenes), "--out", str(out), "--local", "--json"]
    arguments += [part for change in TINY for part in ("--set", change)]
    code, printed, told = call(*arguments, "--only", "1,2,3,8", "--actions", str(scenes))
    assert code == 0, told
    found = {table["number"]: table for table in json.loads(printed)}
    assert sorted(found) == ["1", "2", "3", "8"]
    for number, table in found.items():
        assert all(len(row) == len(table["header"]) for row in table["rows"]), number
    rows = {row[0]: row[1:] for row in found["1"]["rows"]}
    size = sum(s.num_windows for s in Dataset.open(scenes).shards("test"))
    assert f"{size} test tracks" in found["1"]["note"]
    assert float(rows["chance"][0]) == pytest.approx(100 / size, abs=0.06)
    second = {row[0]: dict(zip(found["2"]["header"][1:], row[1:])) for row in found["2"]["rows"]}
    assert float(second["real tracks"]["ADE, px at 256"]) == 0.0
    still = float(second["staying in place"]["ADE, px at 256"])
    assert still > 1.0 and second["staying in place"]["Smooth"] == "1.000"
    assert still == pytest.approx(128 * float(second["staying in place"]["ADE"]), abs=0.2)
    # The paper's numbers stand only where they compare: times.
    assert {n for n, table in found.items() if "paper" in " ".join(table["header"])} == {"2"}
    third = {(row[1], row[2]): row[3:] for row in found["3"]["rows"]}
    assert float(third["own preset", "chance"][1]) == pytest.approx(100 / 7, abs=0.1)
    code, _, told = call(*arguments, "--only", "8")
    assert code == 0 and "epoch" not in told
    code, _, told = call(*arguments, "--only", "3")
    assert code == 2 and "--actions" in told
    code, _, told = call(*arguments, "--only", "8", "--actions", str(scenes))
    assert code == 2 and "--actions: only for --only 3" in told
    code, _, told = call(*arguments, "--replications", "30")
    assert code == 2 and "--replications: the tables of Lang2Motion do not use it" in told
    code, _, told = call(*arguments, "--evaluator", str(out))
    assert code == 2 and "--evaluator: the tables of Lang2Motion" in told
    figures = TrackFigures(load(out / PAPER))
    forced = decoded(figures, figures.told_points, forced=True)
    assert figures.of(forced)["ade"] < figures.of(figures.from_sentences())["ade"]
    config = variants_of("quick", "paper-offline", out, {}, TINY)[DIRECT].config(SYSTEM, TINY)
    steps = SYSTEM.steps_of(config)
    given = copy_steps(SYSTEM, out / PAPER, out / DIRECT, config, steps)
    assert given == [step for step in steps if step != "track_autoencoder"]
    assert (out / DIRECT / "small_clip" / "model.safetensors").is_file()


def test_ablations_show_a_row_for_each_run(
    paper: Path, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one run in the place of all, as training them takes longest."""

    def found(system: Any, variants: Any, *rest: Any, **more: Any) -> dict[str, Path]:
        return dict.fromkeys(variants, paper)

    monkeypatch.setattr(lang2motion_tables, "train_variants", found)
    request = TablesRequest(out=tmp_path, datasets={"data": scenes}, runner=LocalRunner())
    made = {table.number: table for table in make_tables(SYSTEM, request, ["4", "6", "7"])}
    assert [len(made[n].rows) for n in ("4", "6", "7")] == [5, 6, 10]
    assert [row[1] for row in made["6"].rows] == ["9", "16", "25", "36", "64", "100"]
    assert len({row[1:] for row in made["4"].rows}) == 1
    assert all(len(row) == len(t.header) for t in made.values() for row in t.rows)
    assert Dataset.open(tmp_path / "grids" / "10").manifest["points"] == 100


def test_every_run_of_the_tables_differs(tmp_path: Path) -> None:
    grids = {side: tmp_path / str(side) for side in GRIDS}
    variants = variants_of("quick", "paper-offline", tmp_path, grids)
    assert set(variants) == {name for names in NEEDED.values() for name in names}
    made = {name: variant.config(SYSTEM) for name, variant in variants.items()}
    told = {repr(config) for name, config in made.items() if variants[name].datasets is None}
    assert len(told) == len(made) - len(GRIDS)
    other = made[grid_name(3)]
    assert other.clip.model == str(tmp_path / PAPER / "small_clip") and other.head == "autoencoder"
    named = variants_of("quick", "paper", tmp_path, grids)[grid_name(3)].config(SYSTEM)
    assert named.clip.model == SYSTEM.resolve("paper").clip.model


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_vary_what_they_train(name: str) -> None:
    claim = CLAIMS[name]
    base = SYSTEM.resolve("default")
    made = [
        configs.merge(base, nested({**claim.common, **changes}))
        for changes in claim.variants.values()
    ]
    assert len({repr(config) for config in made}) == len(made)
    steps = [*claim.shared_steps, *claim.steps]
    assert len(set(steps)) == len(steps)
    for config in made:
        wanted = set(SYSTEM.steps_of(config))
        assert wanted <= set(steps) and not wanted.isdisjoint(claim.steps)
    assert {goal.name for goal in claim.objectives} <= set(MEASURED)


def test_another_grid_is_what_the_box_would_have_given() -> None:
    random = np.random.default_rng(0)
    low = random.uniform(0, 100, (4, 5, 2))
    boxes = np.concatenate([low, low + random.uniform(20, 60, (4, 5, 2))], axis=-1)
    seen = np.ones((4, 5, 36), dtype=bool)
    seen[:, :, :6] = False  # the first row of points
    for side in (3, 8):
        tracks, visible = with_grid(grid_in_boxes(boxes), seen, side)
        np.testing.assert_allclose(tracks, grid_in_boxes(boxes, side), atol=1e-4)
        assert not visible[:, :, :side].any() and visible[:, :, side:].sum() > 0
    loose = random.normal(size=(2, 5, 36, 2)).astype(np.float32)
    tracks, visible = with_grid(loose, np.ones((2, 5, 36), dtype=bool), 3)
    assert tracks.shape == (2, 5, 9, 2) and visible.all()


def test_a_regridded_dataset_is_made_once(scenes: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(scenes)
    made = regrid(dataset, tmp_path / "3", 3)
    assert made.arrays["tracks"] == (30, 9, 2) and made.manifest["points"] == 9
    assert [s.num_windows for s in made.shards("test")] == [
        s.num_windows for s in dataset.shards("test")
    ]
    before = (tmp_path / "3" / "manifest.json").stat().st_mtime_ns
    assert regrid(dataset, tmp_path / "3", 3).manifest_hash == made.manifest_hash
    assert (tmp_path / "3" / "manifest.json").stat().st_mtime_ns == before
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="is no dataset"):
        regrid(dataset, tmp_path / "other", 3)
