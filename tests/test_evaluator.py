"""The evaluator: trained on real pairs, shown to be valid, and used to measure generators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_dataset import ingest_here

from raydance.data.dataset import Dataset
from raydance.data.ingest import Settings
from raydance.errors import InputError
from raydance.evaluation.clips import read_split
from raydance.evaluation.evaluator import dropped, noisy, reversed_in_time
from raydance.evaluation.general import evaluate_runs, evaluate_system, open_evaluator
from raydance.evaluation.text_motion import Estimate, Replications, TextMotionProtocol
from raydance.motion import synthetic
from raydance.systems.base import LocalRunner
from raydance.systems.evaluator.rows import FrameStatistics
from raydance.systems.evaluator.system import SYSTEM
from raydance.systems.everything2motion.system import SYSTEM as EVERYTHING
from raydance.training.run_folder import Run

TINY = (
    "text_motion_evaluator.channels=16",
    "text_motion_evaluator.width=32",
    "text_motion_evaluator.outputs=8",
    "text_motion_evaluator.train.epochs=25",
    "text_motion_evaluator.train.lr=4e-3",
    "text_motion_evaluator.train.batch_size=24",
    "texts.tokens=4",
)
FEW = Replications(count=3, texts=4, repeats=3, pairs=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluator")
    synthetic.write_corpus(folder / "clips", 6)
    captions = folder / "clips" / "captions.jsonl"
    rows = [json.loads(line) for line in captions.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):  # of every movement four train, one each is held out
        row["split"] = ("train", "train", "train", "train", "val", "test")[number % 6]
    captions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = Settings(whole_clips=True, window=100)
    return ingest_here([folder / "clips"], [captions], folder / "data", settings)


@pytest.fixture(scope="module")
def run(dataset: Path) -> Run:
    config = SYSTEM.resolve("default", list(TINY))
    return SYSTEM.train(dataset.parent / "evaluator", dataset, config, LocalRunner())


@pytest.fixture(scope="module")
def protocol(run: Run, dataset: Path) -> TextMotionProtocol:
    judge = open_evaluator(run.path)
    return TextMotionProtocol(judge, Dataset.open(dataset), judge.joint_mask, replications=FEW)


def test_real_pairs_are_found_and_damage_is_noticed(run: Run) -> None:
    result = evaluate_system(SYSTEM, run.path)
    found = {m["name"]: m for m in result["measures"]}
    pool = next(name for name in found if name.startswith("R-precision") and "top 1" in name)
    assert found[pool]["value"] > 2 * found[pool]["chance"] and found[pool]["interval"] >= 0.0
    shuffled = next(m for name, m in found.items() if name.endswith("shuffled: near chance"))
    assert shuffled["value"] < 3 * shuffled["target"]
    recall = found["sentence to motion of its caption, R@5"]
    assert recall["value"] > 1.5 * recall["chance"]
    distance = found["MM-Dist (chance: captions shuffled)"]
    assert distance["value"] < distance["chance"]
    ratios = {m["name"]: m["value"] for m in result["measures"] if m["unit"] == "x"}
    assert ratios["noise of 5 cm"] > ratios["noise of 2 cm"] > ratios["noise of 1 cm"] > 0.0
    share = "{} of the frames dropped"
    assert ratios[share.format("three quarters")] > ratios[share.format("a quarter")] > 0.0
    assert ratios["run backwards"] > 0.0
    assert ratios["captions shuffled, of both together"] > 0.5


def test_points_do_not_depend_on_company_or_padding(run: Run, dataset: Path) -> None:
    judge = open_evaluator(run.path)
    test = read_split(Dataset.open(dataset), "test")
    motions = [m[:length] for m, length in zip(test["motion"], test["length"])]
    together = judge.embed_motion(motions, test["joint_mask"])
    short = int(np.argmin(test["length"]))
    alone = judge.embed_motion([motions[short]], test["joint_mask"][short])
    np.testing.assert_allclose(alone[0], together[short], atol=1e-4)
    texts = judge.embed_text(["a bow", "a kick", "a bow"])
    assert np.array_equal(texts[0], texts[2]) and not np.array_equal(texts[0], texts[1])
    # Where a motion stands, and where it faces, is not what it is.
    turned = motions[short][..., [2, 1, 0]] * np.array([1.0, 1.0, -1.0], np.float32) + [3, 0, 1]
    moved = judge.embed_motion([turned.astype(np.float32)], test["joint_mask"][short])
    np.testing.assert_allclose(moved[0], alone[0], atol=1e-3)


def test_real_motion_is_between_perfect_and_drawn(protocol: TextMotionProtocol) -> None:
    real, chance, copies = protocol.real(), protocol.chance(), protocol.copies()
    assert real["r_precision_3"].mean > 1.5 * chance["r_precision_3"].mean
    assert real["mm_dist"].mean < chance["mm_dist"].mean
    assert copies["r_precision_3"].mean > chance["r_precision_3"].mean
    assert "multimodality" not in real
    assert chance["multimodality"].mean > copies["multimodality"].mean >= 0.0
    assert all(one.half_width >= 0.0 for one in real.values())


def test_a_generator_is_measured_by_what_it_makes(protocol: TextMotionProtocol, dataset) -> None:
    test = read_split(Dataset.open(dataset), "test")
    own = {text: i for i, words in enumerate(test["captions"]) for text in words}
    rng = np.random.default_rng(0)

    def perfect(captions: Any, lengths: Any, seed: int) -> list[np.ndarray]:
        rows = [own[text] for text in captions]
        return [test["motion"][i][: test["length"][i]] for i in rows]

    def shaking(captions: Any, lengths: Any, seed: int) -> list[np.ndarray]:
        return [noisy(motion, rng, 0.2) for motion in perfect(captions, lengths, seed)]

    good, bad, real = protocol.made(perfect), protocol.made(shaking), protocol.real()
    assert good["r_precision_3"].mean == pytest.approx(real["r_precision_3"].mean, abs=0.2)
    assert good["multimodality"].mean == pytest.approx(0.0, abs=1e-5)  # one motion for one text
    assert bad["multimodality"].mean > good["multimodality"].mean
    assert bad["fid"].mean > 1.2 * good["fid"].mean
    assert bad["mm_dist"].mean > good["mm_dist"].mean


def test_an_estimate_is_a_mean_and_its_interval() -> None:
    estimate = Estimate.of([1.0, 2.0, 3.0, 6.0])
    assert estimate.mean == 3.0
    # std (ddof 0) = sqrt((4 + 1 + 0 + 9) / 4); 1.96 std / sqrt(4)
    assert estimate.half_width == pytest.approx(1.96 * 3.5**0.5 / 2)
    with pytest.raises(InputError, match="at least 2"):
        Replications(count=1)


def test_damage_is_what_it_says() -> None:
    motion = np.arange(600 * 3, dtype=np.float32).reshape(600, 1, 3)
    rng = np.random.default_rng(0)
    held = dropped(motion, rng, 0.75)
    is_new = (np.diff(held[:, 0, 0]) > 0).mean()
    assert held.shape == motion.shape and (held[0] == motion[0]).all()
    assert 0.2 < is_new < 0.3 and (held[:, 0, 0] <= motion[:, 0, 0]).all()
    assert (reversed_in_time(reversed_in_time(motion, rng), rng) == motion).all()
    assert np.std(noisy(motion, rng, 0.05) - motion) == pytest.approx(0.05, rel=0.1)


def test_absent_joints_are_at_their_mean() -> None:
    rng = np.random.default_rng(0)
    motion = rng.normal(size=(2, 9, 50, 3)).astype(np.float32)
    mask = np.ones((2, 50), dtype=bool)
    mask[1, 49] = False
    known = np.arange(50) != 48
    ones = np.ones(153, np.float32)
    frames = FrameStatistics(mean=ones, std=2 * ones, joint_mask=known).frames(motion, mask)
    joints = frames[..., 3:].reshape(2, 9, 50, 3)
    assert (joints[:, :, 48] == 0.0).all() and (joints[1, :, 49] == 0.0).all()
    assert (joints[0, :, 49] != 0.0).all()


def test_a_run_is_measured_by_an_evaluator(run: Run, dataset: Path, call: Any) -> None:
    changes = [
        "sequence_flow.width=16",
        "sequence_flow.num_blocks=1",
        "sequence_flow.train.epochs=1",
        "patch_basis.most=12",
        "texts.tokens=4",
    ]
    config = EVERYTHING.resolve("quick", changes)
    made = EVERYTHING.train(dataset.parent / "made", dataset, config, LocalRunner())
    out = call("evaluate", str(made.path), "--evaluator", str(run.path), "--replications", "2")
    code, printed, _ = out
    assert code == 0, out
    assert "text to motion by the evaluator evaluator" in printed and " ± " in printed
    for name in ("FID", "R-precision, top 3", "Diversity", "MM-Dist", "MModality"):
        (line,) = [text for text in printed.splitlines() if text.startswith(f"  {name}")]
        assert " ± " in line, line
    with pytest.raises(InputError, match="a run of everything2motion"):
        evaluate_runs({"this run": made.path}, evaluator=made.path)
    with pytest.raises(InputError, match="evaluator makes no motion from words"):
        evaluate_runs({"this run": run.path}, evaluator=run.path)


def test_an_evaluator_that_does_not_fit_is_refused(run: Run, dataset: Path, tmp_path: Path) -> None:
    judge = open_evaluator(run.path)
    data = Dataset.open(dataset)
    judge.fps = 30.0
    with pytest.raises(InputError, match="20 frames a second; the evaluator was trained at 30"):
        TextMotionProtocol(judge, data, judge.joint_mask)
    with pytest.raises(InputError, match="but the evaluator was trained on it"):
        TextMotionProtocol(open_evaluator(run.path), data, judge.joint_mask, split="train")
    bare = tmp_path / "bare"
    synthetic.write_corpus(bare, 1)
    (bare / "captions.jsonl").unlink()
    mute = ingest_here([bare], [], tmp_path / "mute", Settings(whole_clips=True, window=100))
    with pytest.raises(InputError, match="no training clip has a caption"):
        SYSTEM.train(tmp_path / "run", mute, SYSTEM.resolve("quick"), LocalRunner())
