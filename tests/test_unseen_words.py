"""Combinations held out of training, and how what is made from their captions is judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.evaluation import unseen_words

LABELS = ("quality", "tempo")


@pytest.fixture(scope="module")
def source(tiny_dataset: Path) -> Dataset:
    return Dataset.open(tiny_dataset)


@pytest.fixture(scope="module")
def held(source: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    pairs = unseen_words.choose(source, LABELS, 2)
    return unseen_words.hold_out(source, tmp_path_factory.mktemp("held") / "data", LABELS, pairs)


def test_held_out_combinations_have_labels_that_training_knows(
    source: Dataset, held: Dataset
) -> None:
    pairs = unseen_words.choose(source, LABELS, 2)
    assert len(pairs) == 2 and len({first for first, _ in pairs}) == 2
    kept = [unseen_words.pair_of(c, LABELS) for c in held.clips() if c["split"] == "train"]
    known = [{pair[i] for pair in kept if pair} for i in (0, 1)]
    assert not set(pairs) & set(kept)
    assert all(first in known[0] and second in known[1] for first, second in pairs)


def test_what_training_would_mirror_is_held_out_too(source: Dataset, tmp_path: Path) -> None:
    labels = ("movement", "side")
    pairs = [("arm_swing", "left")]
    assert unseen_words.twins(pairs[0]) == {("arm_swing", "left"), ("arm_swing", "right")}
    clips = [unseen_words.pair_of(clip, labels) for clip in source.clips()]
    sided = next(pair for pair in clips if pair and "left" in pair)
    held = unseen_words.hold_out(source, tmp_path / "data", labels, [sided])
    kept = [unseen_words.pair_of(c, labels) for c in held.clips() if c["split"] != "test"]
    assert not unseen_words.twins(sided) & set(kept)
    with pytest.raises(InputError, match="but trained on"):
        unseen_words.measure(source, labels, [unseen_words.mirrored(sided)], lambda *_: [])


def test_every_window_is_still_there_in_one_split(source: Dataset, held: Dataset) -> None:
    held.check_splits()

    def rows(dataset: Dataset) -> dict[str, np.ndarray]:
        return {
            name: motion
            for split in ("train", "val", "test")
            for shard in dataset.shards(split)
            for read in [dataset.read_shard(shard, columns=["window_id", "motion", "split"])]
            for name, motion, own in zip(read["window_id"], read["motion"], read["split"])
            if own == split
        }

    before, after = rows(source), rows(held)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_an_existing_folder_is_not_overwritten(source: Dataset, held: Dataset) -> None:
    with pytest.raises(InputError, match="exists already"):
        unseen_words.hold_out(source, held.path, LABELS, [])


def test_too_many_combinations_are_refused(source: Dataset) -> None:
    with pytest.raises(InputError, match="can be held out, 900 are asked for"):
        unseen_words.choose(source, LABELS, 900)


def test_a_perfect_generator_is_judged_as_real_motion_is(source: Dataset, held: Dataset) -> None:
    pairs = unseen_words.choose(source, LABELS, 2)
    shards = held.shards("test")
    read = [held.read_shard(shard) for shard in shards]
    real: dict[str, list[np.ndarray]] = {}
    for rows in read:
        for captions, motion in zip(rows["captions"], rows["motion"]):
            real.setdefault(captions[0], []).append(motion)

    def perfect(captions: Sequence[str], lengths: np.ndarray, seed: int) -> list[np.ndarray]:
        return [real[caption][i % len(real[caption])] for i, caption in enumerate(captions)]

    table, count = unseen_words.measure(held, LABELS, pairs, perfect)
    found = {row.motion: row for row in table}
    assert count >= 10
    # Windows of the same captions, but of other recordings: some of them are the judge's own.
    assert abs(found["generated"].first - found["real"].first) < 15.0
    assert found["real"].both > 2.0 * found["chance"].both
    assert found["copy of the nearest caption"].both < 0.5 * found["generated"].both


def test_combinations_that_were_trained_on_are_refused(source: Dataset) -> None:
    pairs = unseen_words.choose(source, LABELS, 2)
    with pytest.raises(InputError, match="but trained on"):
        unseen_words.measure(source, LABELS, pairs, lambda *_: [])
