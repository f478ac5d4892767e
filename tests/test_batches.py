"""Which windows make up a batch: each once, the same for the same seed, mirrored in all columns."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raydance.data import dataset
from raydance.data.chunks import BatchSpec, ChunkLoader, StoredColumn, balanced_order
from raydance.data.columns import write_columns
from raydance.data.schema import CAPTION_IDS
from raydance.errors import ArtifactError, InputError
from raydance.motion import augment
from raydance.motion.normalise import Statistics, to_features
from raydance.motion.rows import MotionRows, to_network
from raydance.motion.skeleton import INDEX
from raydance.stages.motion_vae import MotionVae
from raydance.systems.dance_language.cluster_step import CLUSTER
from raydance.training.batches import Batches, seed_for
from raydance.training.run_folder import save_bundle

T, J = 6, 50
SHARDS = {"train-a": 7, "train-b": 3, "train-c": 9, "val-a": 5}
NUM_TRAIN, NUM_CAPTIONS = 19, 4
STILL = augment.Augment(enabled=False)
HEAD = INDEX["head"]


def identity(window: int) -> float:
    """What the head's height says about which window it is; no noise may be on it."""
    return 10.0 + window


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> BatchSpec:
    """24 windows in four shards, whose every column tells the number of the window.

    Latents are that number, negative for mirrored motion; mirrored captions are 100 further on.
    """
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    shards, first = [], 0
    for name, count in SHARDS.items():
        split = name.split("-")[0]
        rows = range(first, first + count)
        motion = rng.normal(size=(count, T, J, 3)).astype(np.float32)
        motion[:, :, HEAD, 1] = [[identity(i)] for i in rows]
        mask = np.ones((count, J), dtype=bool)
        mask[:, INDEX["left_foot"]] = False
        windows = {
            "window_id": [f"{split}@{i}" for i in rows],
            "clip_id": [split] * count,
            "recording": [split] * count,
            "source": ["file"] * count,
            "split": [split] * count,
            "start_s": [float(i) for i in rows],
            "end_s": [i + 1.0 for i in rows],
            "motion": motion,
            "joint_mask": mask,
            "captions": [["walks"]] * count,
            "labels": ["{}"] * count,
        }
        shards.append(dataset.write_shard(folder, name, split, windows))
        number = np.arange(first, first + count)
        plain = [[i % 2, 2 + i % 2] for i in rows]
        columns: dict[str, dict[str, Any]] = {
            "latent": {
                "latent": np.stack([number, number], 1).astype(np.float32) + 1,
                "latent_mirrored": -np.stack([number, number], 1).astype(np.float32) - 1,
            },
            "captions": {
                "caption_ids": plain,
                "caption_ids_mirrored": [[i + NUM_CAPTIONS for i in ids] for ids in plain],
            },
            "clusters": {"cluster": number % 3},
        }
        for step, values in columns.items():
            write_columns(folder / step / f"{name}.parquet", windows["window_id"], values)
        first += count
    options = {"fps": 20.0, "window": T, "stride": 3, "split_seed": 0}
    dataset.finish(folder, shards=shards, clips=[], files=[], settings=options, versions={})
    ids = torch.arange(2 * NUM_CAPTIONS, dtype=torch.float32)
    words = {"text_embedding": torch.stack([ids, -ids], 1), "difficulty": ids / 10}
    save_bundle(folder / "captions.safetensors", words, {"texts": ["x"] * 2 * NUM_CAPTIONS})
    return BatchSpec(
        dataset=str(folder),
        reads=("motion", "joint_mask", "latent", "caption_id", "text_embedding", "cluster"),
        columns={
            column.name: StoredColumn(column=column, folder=str(folder / place))
            for column, place in (
                (MotionVae.adds[0], "latent"),
                (CAPTION_IDS, "captions"),
                (CLUSTER, "clusters"),
            )
        },
        captions=(str(folder / "captions.safetensors"),),
        transform=MotionRows(augment=replace(augment.Augment(), scale=0.0, time_warp=0.0)),
        batch_size=4,
        seed=11,
    )


def windows_of(batches: Iterator[dict[str, torch.Tensor]]) -> list[int]:
    """Numbers of the windows, in the order in which they come."""
    return [round(float(v)) - 1 for batch in batches for v in batch["latent"][:, 0].abs()]


def equal(one: list[dict[str, torch.Tensor]], other: list[dict[str, torch.Tensor]]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other)
    )


# Balanced batches ------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 5))
def test_balanced_rows_go_round_the_clusters(labels: list[int], seed: int) -> None:
    cluster = np.array(labels)
    order = balanced_order(cluster, np.random.default_rng(seed))
    present = np.unique(cluster)
    assert len(order) == len(cluster)
    for start in range(0, len(order), len(present)):
        found = cluster[order[start : start + len(present)]]
        assert found.tolist() == present[: len(found)].tolist()
    for c in present:  # no row comes again before all of its cluster have come
        uses = np.bincount(order, minlength=len(cluster))[cluster == c]
        assert uses.max() - uses.min() <= 1


def test_balanced_batches_hold_each_cluster_equally(spec: BatchSpec) -> None:
    batches = list(Batches(replace(spec, balanced=True, batch_size=6)).train(0))
    assert sum(len(b["cluster"]) for b in batches) == NUM_TRAIN
    for batch in batches[:-1]:
        assert torch.bincount(batch["cluster"], minlength=3).tolist() == [2, 2, 2]


# Training batches ------------------------------------------------------------------------------


def test_an_epoch_holds_every_training_window_once_in_a_new_order(spec: BatchSpec) -> None:
    batches = Batches(spec)
    orders = [windows_of(batches.train(epoch)) for epoch in range(3)]
    assert all(sorted(order) == list(range(NUM_TRAIN)) for order in orders)
    assert len(set(map(tuple, orders))) == 3
    sizes = [len(batch["motion"]) for batch in batches.train(0)]
    assert sizes == [4, 4, 4, 4, 3]
    assert (batches.steps_per_epoch, batches.windows_per_epoch) == (5, NUM_TRAIN)


def test_an_epoch_can_be_repeated_to_the_bit_by_another_loader(spec: BatchSpec) -> None:
    noisy = replace(spec, transform=MotionRows())
    first, second = Batches(noisy), Batches(pickle.loads(pickle.dumps(noisy)))
    list(first.train(0))
    assert equal(list(first.train(3)), list(second.train(3)))
    assert not equal(list(first.train(3)), list(first.train(4)))
    other = Batches(replace(noisy, seed=12))
    assert not equal(list(first.train(3)), list(other.train(3)))


def test_chunks_do_not_change_what_is_done_to_a_window(
    spec: BatchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_window() -> dict[int, torch.Tensor]:
        noisy = Batches(replace(spec, transform=MotionRows()))
        return {
            number: motion
            for batch in noisy.train(2)
            for number, motion in zip(windows_of(iter([batch])), batch["motion"])
        }

    whole = by_window()
    monkeypatch.setattr(Batches, "chunk_windows", 8)
    parts = by_window()
    assert len(Batches(spec).plan(2)) == 3
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[number], parts[number]) for number in whole)


def test_without_noise_the_motion_is_that_of_the_dataset(spec: BatchSpec) -> None:
    opened = dataset.Dataset.open(spec.dataset)
    stored = np.concatenate([opened.read_shard(s)["motion"] for s in opened.shards("train")])
    mask = np.concatenate([opened.read_shard(s)["joint_mask"] for s in opened.shards("train")])
    expected = to_features(stored, mask)
    for batch in Batches(replace(spec, transform=MotionRows(augment=STILL))).train(0):
        rows = windows_of(iter([batch]))
        np.testing.assert_array_equal(batch["motion"].numpy(), expected[rows])
        assert (batch["latent"] > 0).all()


def test_ranks_see_different_windows_and_together_all_but_the_remainder(spec: BatchSpec) -> None:
    sources = [Batches(spec, rank=rank, world_size=2) for rank in range(2)]
    parts = [windows_of(source.train(1)) for source in sources]
    assert [len(part) for part in parts] == [9, 9]
    assert not set(parts[0]) & set(parts[1])
    assert sources[0].steps_per_epoch == sources[1].steps_per_epoch == 3
    checks = [windows_of(source.validation()) for source in sources]
    assert sorted(checks[0] + checks[1]) == [19, 20, 21, 22]


def test_a_mirrored_window_is_mirrored_in_every_column(spec: BatchSpec) -> None:
    batches = Batches(spec)
    seen = set()
    for epoch in range(4):
        for batch in batches.train(epoch):
            mirrored = batch["latent"][:, 0] < 0
            assert torch.equal(mirrored, batch["caption_id"] >= NUM_CAPTIONS)
            # The left foot is missing everywhere; in a mirrored window it is the right one.
            assert torch.equal(mirrored, batch["joint_mask"][:, INDEX["left_foot"]])
            assert torch.equal(~mirrored, batch["joint_mask"][:, INDEX["right_foot"]])
            ids = batch["caption_id"].float()
            assert torch.equal(batch["text_embedding"], torch.stack([ids, -ids], 1))
            seen |= set(mirrored.tolist())
    assert seen == {True, False}


def test_latents_are_mirrored_alike_whether_or_not_motion_is_read(spec: BatchSpec) -> None:
    without = replace(spec, reads=("latent", "caption_id", "cluster"))
    with_motion, alone = Batches(spec), Batches(without)
    for one, other in zip(with_motion.train(1), alone.train(1)):
        assert torch.equal(one["latent"], other["latent"])
        assert torch.equal(one["caption_id"], other["caption_id"])
        assert "motion" not in other and "joint_mask" not in other


def test_every_caption_of_a_window_is_drawn_sometimes(spec: BatchSpec) -> None:
    batches = Batches(replace(spec, transform=MotionRows(augment=STILL)))
    drawn: dict[int, set[int]] = {}
    for epoch in range(12):
        for batch in batches.train(epoch):
            for number, caption in zip(windows_of(iter([batch])), batch["caption_id"].tolist()):
                drawn.setdefault(number, set()).add(caption)
    assert all(captions == {i % 2, 2 + i % 2} for i, captions in drawn.items())


def test_only_the_text_columns_that_are_read_come_along(spec: BatchSpec) -> None:
    (batch, *_) = Batches(replace(spec, reads=("latent", "difficulty"))).train(0)
    assert "text_embedding" not in batch
    torch.testing.assert_close(batch["difficulty"], batch["caption_id"] / 10)


# Validation ------------------------------------------------------------------------------------


def test_validation_is_the_stored_motion_in_order_with_the_first_caption(spec: BatchSpec) -> None:
    batches = Batches(spec)
    first = list(batches.validation())
    assert windows_of(iter(first)) == [19, 20, 21, 22, 23]
    assert torch.cat([b["caption_id"] for b in first]).tolist() == [1, 0, 1, 0, 1]
    head = torch.cat([b["motion"][:, 0, HEAD, 1] + b["motion"][:, 0, 0, 1] for b in first])
    torch.testing.assert_close(head, torch.tensor([identity(i) for i in range(19, 24)]))
    first[0]["motion"].zero_()  # what is kept may not be what the loop was given
    second = list(batches.validation())
    assert second[0]["motion"].abs().sum() > 0
    assert equal(second, list(Batches(spec).validation()))


def test_a_validation_set_too_large_to_keep_is_read_again(
    spec: BatchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Batches(spec)
    expected = list(kept.validation())
    monkeypatch.setattr(Batches, "_KEEP_BYTES", 0)
    fresh = Batches(spec)
    assert equal(list(fresh.validation()), expected) and equal(list(fresh.validation()), expected)


# Eq. 1 and refusals ----------------------------------------------------------------------------


def test_eq1_leaves_absent_joints_at_zero() -> None:
    motion = np.full((1, 2, J, 3), 5.0, np.float32)
    mask = np.ones((1, J), dtype=bool)
    mask[0, 3] = False
    statistics = Statistics(mean=np.float32(1.0), std=np.float32(2.0))
    out = to_network(motion, mask, statistics, "root_channel")
    assert out.dtype == np.float32
    assert (out[:, :, 3] == 0.0).all()
    assert (out[:, :, 0] == 2.0).all()  # the root's path: (5 - 1) / 2
    assert (out[:, :, 1] == -0.5).all()  # at the pelvis: (0 - 1) / 2


def test_columns_of_other_windows_are_refused(spec: BatchSpec, tmp_path: Path) -> None:
    for name in SHARDS:
        write_columns(tmp_path / f"{name}.parquet", ["x"], {"cluster": np.zeros(1)})
    wrong = replace(
        spec,
        columns={**spec.columns, "cluster": StoredColumn(column=CLUSTER, folder=str(tmp_path))},
    )
    with pytest.raises(ArtifactError, match="rows are not those of the dataset's shard"):
        next(Batches(wrong).train(0))
    missing = replace(
        spec, columns={"cluster": StoredColumn(column=CLUSTER, folder=str(tmp_path / "absent"))}
    )
    with pytest.raises(ArtifactError, match="column file is missing"):
        next(Batches(missing).train(0))


def test_more_workers_than_windows_are_refused(spec: BatchSpec) -> None:
    with pytest.raises(InputError, match="5 validation windows for 6 workers"):
        Batches(spec, world_size=6)
    with pytest.raises(InputError, match="19 training windows for 20 workers"):
        Batches(spec, world_size=20)
    assert ChunkLoader(spec, "test", training=False).shard_sizes == []


def test_seeds_of_stages_differ() -> None:
    assert seed_for(0, "motion_vae") != seed_for(0, "text_encoder") != seed_for(1, "text_encoder")
