"""Everything2Motion from files to motion: words and music in one run, command line, resumption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_dataset import ingest_here
from small_stages import sequence_flow, toy_batch

from raydance import quickstart_music
from raydance.data.columns import read_columns
from raydance.data.dataset import Dataset
from raydance.data.ingest import Settings
from raydance.errors import ConfigError, InputError
from raydance.evaluation.general import evaluate_system
from raydance.motion import synthetic
from raydance.motion.patch_basis import HOP
from raydance.music.beat_clock import BeatClock
from raydance.music.dance_corpus import write_dances
from raydance.music.features import NAMES
from raydance.systems import load_run
from raydance.systems.base import LocalRunner
from raydance.systems.everything2motion import patches
from raydance.systems.everything2motion.clip_rows import ClipRows
from raydance.systems.everything2motion.config import PatchBasisConfig
from raydance.systems.everything2motion.options import Condition
from raydance.systems.everything2motion.search import MEASURED
from raydance.systems.everything2motion.system import SYSTEM
from raydance.training.run_folder import Run

TINY = (
    "sequence_flow.width=32",
    "sequence_flow.num_blocks=1",
    "sequence_flow.train.epochs=2",
    "sequence_flow.train.batch_size=8",
    "patch_basis.most=24",
    "texts.tokens=12",
)


def _splits(captions: Path) -> None:
    """Every third clip of a movement or song is held out."""
    rows = [json.loads(line) for line in captions.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["split"] = ("train", "train", ("val", "test")[number // 3 % 2])[number % 3]
    captions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("e2m")
    synthetic.write_corpus(folder / "clips", 3)
    write_dances(folder / "dances", 12, 9.0)
    made = {}
    for role, source, music in (("data", "clips", None), ("music", "dances", "dances")):
        captions = folder / source / "captions.jsonl"
        _splits(captions)
        settings = Settings(
            whole_clips=True, window=160, music=str(folder / music) if music else None
        )
        made[role] = ingest_here([folder / source], [captions], folder / role, settings)
    return made


@pytest.fixture(scope="module")
def run(datasets: dict[str, Path]) -> Run:
    config = SYSTEM.resolve("quick", list(TINY))
    return SYSTEM.train(datasets["data"].parent / "run", datasets, config, LocalRunner())


def test_clips_of_any_length_become_rows_with_their_song(datasets: dict[str, Path]) -> None:
    clips = Dataset.open(datasets["data"])
    assert "length" in clips.arrays and "music" not in clips.arrays
    lengths = clips.read_shard(clips.shards("train")[0])["length"]
    assert lengths.min() < 160 and (lengths >= 24).all()
    dances = Dataset.open(datasets["music"])
    assert dances.arrays["music"] == (160, len(NAMES))
    rows = dances.read_shard(dances.shards("train")[0])
    assert rows["has_music"].all()
    beats = rows["music"][..., NAMES.index("beat")].sum(axis=1)
    assert (beats > 5).all()  # at least 70 a minute, in 8 seconds


def test_a_padded_clip_keeps_its_last_frame(datasets: dict[str, Path]) -> None:
    clips = Dataset.open(datasets["data"])
    rows = clips.read_shard(clips.shards("train")[0])
    row = int(rows["length"].argmin())
    length = int(rows["length"][row])
    after = rows["motion"][row, length:]
    assert (after == rows["motion"][row, length - 1]).all() and len(after)


def test_one_run_takes_words_music_and_both(run: Run, datasets: dict[str, Path]) -> None:
    system = load_run(run.path)
    song = next((datasets["data"].parent / "dances").glob("*.wav"))
    generate = system.tasks["generate"]
    for inputs, frames in (
        ({"text": "the dancer turns slowly"}, 60),
        ({"music": song}, 60),
        ({"text": "slow and low", "music": song}, 60),
    ):
        request = generate.request(inputs, {"seconds": frames / 20.0, "samples": 2})
        (answer,) = generate.answer([request])
        assert answer.motion.shape == (2, frames, 50, 3) and np.isfinite(answer.motion).all()
        assert not np.array_equal(answer.motion[0], answer.motion[1])
        assert bool(answer.beats_s) == ("music" in inputs)
    (whole,) = generate.answer([generate.request({"music": song}, {})])
    assert whole.motion.shape[1] == 180  # the song's nine seconds


def test_patches_of_frames_and_of_beats_have_bases_of_their_own(
    run: Run, datasets: dict[str, Path]
) -> None:
    bases = patches.bases_of(run)
    assert not np.allclose(bases["frames"].mean, bases["beats"].mean)
    for role, path in datasets.items():
        data, spreads = Dataset.open(path), []
        for index, shard in enumerate(data.shards("train")):
            rows = patches.read_clips(data, "train", index, PatchBasisConfig())
            assert rows["in_beats"].all() == (role == "music")
            folder = run.columns(patches.column_folder(patches.STEP, role))
            codes = read_columns(folder / f"{shard.name}.parquet", ["patch_codes"])["patch_codes"]
            spreads += [c[: -(-n // HOP)] for c, n in zip(codes, rows["length"])]
        spread = np.concatenate(spreads).std(axis=0)
        assert 0.7 < spread[:8].min() and spread[:8].max() < 1.3
    assert run.config["sequence_flow"]["music_dropout"] == 0.0  # words alone come from frames


def test_joints_that_no_motion_without_music_has_are_absent_from_what_words_make(run: Run) -> None:
    system = load_run(run.path)
    system.joint_masks["frames"] = system.joint_mask & (np.arange(50) < 22)
    generate = system.tasks["generate"]
    (answer,) = generate.answer([generate.request({"text": "a kick"}, {"seconds": 2.0})])
    assert answer.joint_mask.sum() < system.joint_mask.sum()
    assert not answer.motion[:, :, ~answer.joint_mask].any()


def test_music_changes_motion_and_the_same_seed_repeats_it(run: Run) -> None:
    system = load_run(run.path)
    made = [system.make([Condition(num_frames=64, text="a kick", seed=s)]) for s in (1, 1, 2)]
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


def test_motion_longer_than_a_part_has_no_seam_by_construction(run: Run) -> None:
    system = load_run(run.path)
    motion = system.make([Condition(num_frames=400, text="walks on")])[0]
    assert motion.shape == (400, 50, 3) and np.isfinite(motion).all()
    steps = np.linalg.norm(np.diff(motion[:, 0], axis=0), axis=1)
    assert steps.max() < 10 * (np.median(steps) + 0.01)


def test_standing_feet_stay_where_they_stand(run: Run) -> None:
    generate = load_run(run.path).tasks["generate"]
    inputs, options = {"text": "the dancer turns slowly"}, {"seconds": 4.0, "seed": 3}
    cleaned, raw = generate.answer(
        [generate.request(inputs, options | {"clean_feet": clean}) for clean in (True, False)]
    )
    (feet,) = cleaned.facts["feet"]
    assert "feet" not in raw.facts and not np.array_equal(cleaned.motion, raw.motion)
    shin = np.linalg.norm(cleaned.motion[0][:, 4] - cleaned.motion[0][:, 1], axis=-1)
    assert np.ptp(shin) < 1e-4 or feet["note"]


@pytest.mark.parametrize("other", ["text_dropout_with_music", "genre_dropout"])
def test_a_song_is_learned_without_what_may_come_with_it(other: str) -> None:
    """Dropped for sure, a song's sentence or genre changes nothing in training."""
    batch = toy_batch()
    batch |= {name: torch.ones_like(batch[name]) for name in ("has_music", "has_text")}
    changed = dict(batch)
    if other == "genre_dropout":
        changed["genre"] = 1 - batch["genre"].clamp(0, 1)
    else:
        changed["text_tokens"] = batch["text_tokens"] + 1.0
    for share, is_same in ((1.0, True), (0.0, False)):
        flow = sequence_flow(music_dropout=0.0, **{other: share}).train()
        torch.nn.init.normal_(flow.network.output.weight)
        found = []
        for one in (batch, changed):
            torch.manual_seed(1)
            found.append(flow.forward(one)["codes"])
        assert torch.equal(*found) == is_same


def test_it_goes_on_from_a_motion(run: Run) -> None:
    system = load_run(run.path)
    clip = synthetic.make_clip(synthetic.MOVEMENTS[2], 5)
    codes = system.codes_before(clip, BeatClock.of_frames(64), False)
    assert codes.shape == (2, system.bases["frames"].num_components)
    generate = system.tasks["generate"]
    inputs = {"text": "a slow turn", "motion": clip}
    (answer,) = generate.answer([generate.request(inputs, {"seconds": 2.0})])
    assert answer.motion.shape[1] == 40


def test_a_run_without_music_says_that_songs_change_nothing(
    run: Run, datasets: dict[str, Path], tmp_path: Path
) -> None:
    songs = sorted((datasets["data"].parent / "dances").glob("*.wav"))
    config = SYSTEM.resolve("quick", [*TINY, "sequence_flow.train.epochs=1"])
    mute = SYSTEM.train(tmp_path / "mute", datasets["data"], config, LocalRunner())
    for trained, is_told in ((mute, True), (run, False)):
        generate = load_run(trained.path).tasks["generate"]
        requests = [generate.request({"music": song}, {"seconds": 1.0}) for song in songs[:2]]
        answer, other = generate.answer(requests)
        assert bool(answer.notices) == is_told
        assert np.array_equal(answer.motion, other.motion) == is_told
        assert generate.inputs["music"].is_learned != is_told


def test_mistakes_are_told_by_name(run: Run, datasets: dict[str, Path]) -> None:
    generate = load_run(run.path).tasks["generate"]
    for inputs, options, told in (
        ({}, {}, "Give a sentence or music"),
        ({"text": "x"}, {"genre": "polka"}, "genre: 'polka'; this run knows"),
    ):
        with pytest.raises(InputError, match=told):
            generate.answer([generate.request(inputs, options)])
    with pytest.raises(InputError, match="no option frames; options: seconds"):
        generate.request({"text": "x"}, {"frames": 3})
    with pytest.raises(InputError, match="seconds: 0"):
        generate.request({"text": "x"}, {"seconds": 0})
    with pytest.raises(InputError, match="takes no tracks"):
        generate.request({"text": "x", "tracks": 1}, {})
    with pytest.raises(ConfigError, match="motion prior is used but off"):
        SYSTEM.resolve("quick", ["sequence_flow.prior=both"])
    config = SYSTEM.resolve("quick", list(TINY))
    with pytest.raises(InputError, match="has no music"):
        wrong = {"data": datasets["data"], "music": datasets["data"]}
        SYSTEM.train(run.path.parent / "wrong", wrong, config, LocalRunner())
    with pytest.raises(InputError, match="has no use for a dataset"):
        SYSTEM.train(run.path.parent / "wrong", {"songs": run.path}, config, LocalRunner())


def test_a_finished_run_trains_nothing_again(
    run: Run, datasets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalRunner, "fit", lambda *_: pytest.fail("trained again"))
    said: list[str] = []
    config = SYSTEM.resolve("quick", list(TINY))
    SYSTEM.train(run.path, datasets, config, LocalRunner(), say=said.append)
    assert said == [f"{name}: done before" for name in SYSTEM.steps_of(config)]


def test_the_paper_preset_trains_its_regression(datasets: dict[str, Path], tmp_path: Path) -> None:
    changes = [
        "motion_prior.width=16",
        "motion_prior.latent=16",
        "motion_prior.train.epochs=1",
        "sequence_regression.width=16",
        "sequence_regression.train.epochs=1",
        *(
            f"sequence_regression.conditioning.{kind}.{name}=8"
            for kind in ("text", "music")
            for name in ("width", "latents", "latent_width")
        ),
        "patch_basis.most=24",
        "texts.tokens=12",
    ]
    config = SYSTEM.resolve("paper", changes)
    steps = SYSTEM.steps_of(config)
    assert "motion_prior" in steps and "sequence_flow" not in steps
    done = SYSTEM.train(tmp_path / "run", datasets["data"], config, LocalRunner())
    motion = load_run(done.path).make([Condition(num_frames=48, text="a bow")] * 2)
    assert motion.shape == (2, 48, 50, 3)
    assert np.array_equal(motion[0], motion[1])  # deterministic as printed


def test_figures_stand_beside_their_baselines(run: Run) -> None:
    figures = evaluate_system(SYSTEM, run.path)
    by_name = {m["name"]: m for m in figures["measures"]}
    assert set(MEASURED.values()) <= set(by_name)  # what sweeps and ablations look for
    beats = by_name["beat alignment"]
    assert beats["target"] > 0.5  # real dances keep their own song's beats
    assert all(0.0 <= beats[name] <= 1.0 for name in ("value", "baseline", "chance"))
    features = [name for name in by_name if name.startswith("FID of ") and "over real" in name]
    assert len(features) == 4 and all(by_name[name]["target"] == 1.0 for name in features)


def test_the_command_line_writes_a_dance(
    run: Run, datasets: dict[str, Path], tmp_path: Path, call: Any
) -> None:
    song = next((datasets["data"].parent / "dances").glob("*.wav"))
    out = tmp_path / "dance.npz"
    code, printed, _ = call(
        *("generate", "--music", str(song), "--run", str(run.path), "--out", str(out)),
        *("--option", "seconds=3", "--json"),
    )
    assert code == 0 and json.loads(printed)["files"] == [str(out)]
    assert np.load(out)["positions"].shape[0] == 60
    code, _, told = call(
        *("generate", "a bow", "--run", str(run.path), "--out", str(out), "--source", "prior")
    )
    assert code == 2 and "no option source" in told
    code, printed, _ = call("report", str(run.path), "--out", str(tmp_path / "report"))
    assert code == 0 and json.loads((tmp_path / "report" / "evaluation.json").read_text())
    page = (tmp_path / "report" / "index.html").read_text()
    for told in (
        "beat alignment",
        "Sequence flow",
        "samples/generate_0.gif",
        "patch basis",
        "chance",
    ):
        assert told in page, told
    assert len(list((tmp_path / "report" / "samples").glob("*.gif"))) > 1


def test_mirrored_rows_exchange_left_and_right() -> None:
    rows = {
        "labels": ['{"genre": "house"}', "{}"],
        "length": np.array([30, 40]),
        "motion": np.random.default_rng(0).normal(size=(2, 40, 50, 3)).astype(np.float32),
        "joint_mask": np.ones((2, 50), dtype=bool),
    }
    transform = ClipRows(
        signals={"music": False},
        genres=("break", "house"),
        mean=np.zeros(153, np.float32),
        std=np.ones(153, np.float32),
        mirror=1.0,
    )
    plain, swapped = transform.plain(rows), transform.plain(rows, mirrored=True)
    assert plain["genre"].tolist() == [1, -1] and plain["length"].tolist() == [30, 40]
    keys = np.arange(2, dtype=np.uint64)
    training, flags = transform.training(rows, keys, seed=0, epoch=0)
    assert flags.all() and np.array_equal(training["local"], swapped["local"])
    # A step to the left becomes one to the right, and so does a turn.
    np.testing.assert_allclose(swapped["local"][..., 0], -plain["local"][..., 0], atol=1e-4)
    np.testing.assert_allclose(swapped["local"][..., 1], plain["local"][..., 1], atol=1e-4)


def test_the_quickstarts_dancer_dances_to_a_new_song(run: Run, tmp_path: Path) -> None:
    said: list[str] = []
    found = quickstart_music.dance_to_new_song(run.path, tmp_path, said.append)
    assert {path.suffix for path in found.values()} <= {".wav", ".mp4", ".gif"}
    assert all(path.stat().st_size > 10_000 for path in found.values())
    assert "beats of the song that the dancer meets" in said[0]
