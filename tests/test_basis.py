"""The motion basis: coefficients by hand, its fit to data, and the step that makes it in a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY

from raydance.data.chunks import BatchSpec, ChunkLoader, StoredColumn, plan_epoch
from raydance.data.columns import read_columns
from raydance.data.dataset import Dataset
from raydance.errors import ConfigError, InputError
from raydance.motion import augment, normalise
from raydance.motion.basis import Basis, fit_basis, metric
from raydance.motion.rows import MotionRows, to_network
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language.basis_step import (
    COEFFICIENTS,
    MotionBasisConfig,
    SampleWindows,
    basis_of,
    num_supported,
)
from raydance.systems.dance_language.system import SYSTEM
from raydance.training.batches import seed_for
from raydance.training.run_folder import Run, load_bundle

N, T, J, K = 300, 6, 5, 4


def windows(seed: int = 0, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """`[N, T, J, 3]` that K numbers each describe, around a mean; and those numbers."""
    shapes = np.random.default_rng(99)
    directions = shapes.normal(size=(K, T, J, 3))
    mean = shapes.normal(size=(T, J, 3))
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(N, K)) * np.array([4.0, 3.0, 2.0, 1.0])
    made = mean + np.einsum("nk,ktjc->ntjc", numbers, directions)
    return (made + noise * rng.normal(size=made.shape)).astype(np.float32), numbers


ALL = np.ones((N, J), dtype=bool)
WEIGHT = np.ones((J, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def basis() -> Basis:
    return fit_basis(windows()[0], ALL, WEIGHT, 10)


def test_no_more_components_are_found_than_the_data_have(basis: Basis) -> None:
    assert basis.num_components == K and basis.explained == pytest.approx(1.0)
    assert (np.diff(basis.scale) < 0).all()


def test_coefficients_come_back_and_have_variance_one(basis: Basis) -> None:
    coefficients = np.random.default_rng(1).normal(size=(7, K)).astype(np.float32)
    rebuilt = basis.encode(basis.decode(coefficients), ALL[:7])
    np.testing.assert_allclose(rebuilt, coefficients, atol=1e-4)
    motion = windows()[0]
    found = basis.encode(motion, ALL)
    np.testing.assert_allclose(np.cov(found.T), np.eye(K), atol=2e-3)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(basis.decode(found), motion, atol=1e-2)


def test_the_first_components_are_those_of_a_smaller_basis(basis: Basis) -> None:
    motion = windows(1)[0]
    first = basis.first(2)
    np.testing.assert_allclose(first.encode(motion, ALL), basis.encode(motion, ALL)[:, :2])


def test_a_basis_of_two_numbers_by_hand() -> None:
    # One joint that moves along x by a, and along y by b in the last frame alone.
    motion = np.zeros((4, 2, 1, 3), dtype=np.float32)
    a, b = np.array([3.0, 3.0, -3.0, -3.0]), np.array([1.0, -1.0, 1.0, -1.0])
    motion[:, :, 0, 0] = a[:, None]
    motion[:, 1, 0, 1] = b
    basis = fit_basis(motion, np.ones((4, 1), dtype=bool), np.ones((1, 3), dtype=np.float32), 2)
    # Variances are 2 * 9 and 1, times 4 / 3 for the estimate from four windows.
    np.testing.assert_allclose(basis.scale, np.sqrt([18 * 4 / 3, 4 / 3]), rtol=1e-5)
    found = basis.encode(motion, np.ones((4, 1), dtype=bool))
    np.testing.assert_allclose(np.abs(found), np.sqrt(0.75), rtol=1e-5)
    assert (np.sign(found[:, 0]) * np.sign(found[0, 0]) == np.sign(a) * np.sign(a[0])).all()


def test_a_weight_decides_what_counts_first() -> None:
    motion = np.zeros((N, 1, 2, 3), dtype=np.float32)
    draw = np.random.default_rng(0).normal(size=(N, 2))
    motion[:, 0, 0, 0], motion[:, 0, 1, 0] = draw[:, 0], 2.0 * draw[:, 1]
    mask = np.ones((N, 2), dtype=bool)
    for weight, first in (((1.0, 1.0), 1), ((3.0, 1.0), 0)):
        of_joints = np.repeat(np.float32(weight)[:, None], 3, axis=1)
        basis = fit_basis(motion, mask, of_joints, 1)
        moved = np.abs(basis.components[0, 0, :, 0])
        assert moved.argmax() == first


def test_the_root_weighs_as_much_as_all_that_it_moves() -> None:
    statistics = normalise.Statistics(mean=np.zeros(1), std=np.full(1, 0.5))
    mask = np.array([True, True, True, True, False])
    weight = metric(statistics, "root_channel", mask)
    np.testing.assert_allclose(weight[:, 0], [0.5 * 2.0, 0.5, 0.5, 0.5, 0.0])
    np.testing.assert_allclose(metric(statistics, "per_frame", mask)[0], 0.5)


def test_joints_that_are_missing_are_told_from_the_others(basis: Basis) -> None:
    motion, _ = windows(2)
    mask = ALL.copy()
    mask[::2, 1] = mask[::3, 4] = False
    holed = np.where(mask[:, None, :, None], motion, 0.0)
    np.testing.assert_allclose(basis.encode(holed, mask), basis.encode(motion, ALL), atol=0.02)
    # What a missing joint holds changes nothing.
    wild = np.where(mask[:, None, :, None], motion, 1e3)
    np.testing.assert_allclose(basis.encode(wild, mask), basis.encode(holed, mask), atol=1e-3)


def test_frames_after_the_end_are_told_from_those_before(basis: Basis) -> None:
    motion, _ = windows(2)
    length = np.where(np.arange(N) % 2, 4, T)
    cut = np.where(np.arange(T)[:, None, None] < length[:, None, None, None], motion, 1e3)
    whole = basis.encode(motion, ALL)
    found = basis.encode(cut, ALL, length)
    np.testing.assert_array_equal(found[::2], basis.encode(motion[::2], ALL[::2]))
    np.testing.assert_allclose(found, whole, atol=0.02)


def test_a_fit_fills_what_some_windows_lack(basis: Basis) -> None:
    motion, _ = windows()
    mask = ALL.copy()
    mask[: N // 3, 2] = False
    holed = np.where(mask[:, None, :, None], motion, 0.0)
    found = fit_basis(holed, mask, WEIGHT, K)
    rebuilt = found.decode(found.encode(motion, ALL))
    spread = np.square(motion - motion.mean(axis=0)).mean()
    assert np.square(rebuilt - motion).mean() < 0.02 * spread


def test_a_joint_that_no_window_has_is_left_alone() -> None:
    motion, _ = windows()
    mask = ALL.copy()
    mask[:, 3] = False
    weight = WEIGHT * mask[0][:, None]
    basis = fit_basis(np.where(mask[:, None, :, None], motion, 0.0), mask, weight, K)
    assert not basis.components[:, :, 3].any() and not basis.mean[:, 3].any()
    assert np.isfinite(basis.projection).all()


def test_a_basis_is_stored_and_read(basis: Basis) -> None:
    again = Basis.of(basis.tensors(), basis.explained)
    motion = windows(3)[0]
    np.testing.assert_array_equal(again.encode(motion, ALL), basis.encode(motion, ALL))


def test_windows_that_make_no_basis_are_refused() -> None:
    motion = windows()[0]
    with pytest.raises(InputError, match="2 training windows make no basis; at least 3"):
        fit_basis(motion[:2], ALL[:2], WEIGHT, K)
    with pytest.raises(InputError, match="all training windows are alike"):
        fit_basis(np.repeat(motion[:1], 5, axis=0), ALL[:5], WEIGHT, K)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_components": 0}, "num_components: 0; at least 1"),
        ({"max_components": 0}, "max_components: 0; at least 1"),
        ({"explained": 0.0}, "explained: 0.0; above 0, at most 1"),
        ({"explained": 1.1}, "explained: 1.1; above 0"),
        ({"roughest": 0.0}, "roughest: 0.0; above 0"),
        ({"sample_windows": 2}, "sample_windows: 2; at least 3"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"motion_basis.{said}"):
        MotionBasisConfig(**change)


# How many components


def waves(num_windows: int, seed: int, noise: float) -> np.ndarray:
    """Slow waves of one joint: the first 16 cosines over 48 frames, and noise in all of them."""
    rng = np.random.default_rng(seed)
    frames = np.arange(48)
    rates = np.arange(16)
    cosines = np.cos(np.pi * (frames[:, None] + 0.5) * rates / 48)
    numbers = rng.normal(size=(num_windows, 16, 3)) / (1.0 + rates[:, None])
    motion = np.einsum("fr,nrc->nfc", cosines, numbers)[:, :, None]
    return (motion + noise * rng.normal(size=motion.shape)).astype(np.float32)


def supported(train: np.ndarray, held_out: np.ndarray, **limits: float) -> int:
    weight = np.ones((1, 3), dtype=np.float32)
    basis = fit_basis(train, np.ones((len(train), 1), dtype=bool), weight, 128)
    mask = np.ones((len(held_out), 1), dtype=bool)
    settings = {"explained": 0.9999, "roughest": 1e9} | limits
    return num_supported(basis, held_out, mask, lambda values: values, 20.0, **settings)


def test_the_fewest_components_that_explain_held_out_windows_are_taken() -> None:
    train, held_out = waves(400, 0, 0.0), waves(100, 1, 0.0)
    assert supported(train, held_out, explained=0.5) == 16  # steps of 16; three a cosine
    most = supported(train, held_out, explained=0.9)
    assert 16 <= most < 48
    assert supported(train, held_out, explained=1.0) >= 47  # all that there is


def test_components_that_make_held_out_windows_rougher_are_dropped() -> None:
    """Training windows with much noise, held-out ones with none: the last components are noise."""
    train, held_out = waves(120, 0, 0.3), waves(100, 1, 0.0)
    all_of_them = supported(train, held_out, explained=1.0)
    few = supported(train, held_out, explained=1.0, roughest=1.05)
    assert 16 <= few < all_of_them


# The step of a run


class AnyOrder(LocalRunner):
    """What several workers do: each its share of the items, in no order."""

    def map(
        self, factory: Callable[..., Callable[[Any], Any]], args: tuple, items: Sequence[Any]
    ) -> list[Any]:
        return [factory(*args)(item) for item in reversed(items)]


def make(out: Path, dataset: Path, runner: LocalRunner, *changes: str) -> Run:
    config = SYSTEM.resolve("quick", [*TINY, *changes])
    for step in ("statistics", "motion_basis"):
        run = SYSTEM.train(out, dataset, config, runner, only=step)
    return run


@pytest.fixture(scope="module")
def run(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make(tmp_path_factory.mktemp("basis") / "run", tiny_dataset, LocalRunner())


def columns_of(run: Run, shard: str) -> dict[str, np.ndarray]:
    path = run.columns("motion_basis") / f"{shard}.parquet"
    found = read_columns(path, ["coefficients", "coefficients_mirrored"])
    return {name: np.asarray(values) for name, values in found.items()}


def test_any_number_of_workers_makes_the_same_basis(
    run: Run, tiny_dataset: Path, tmp_path: Path
) -> None:
    other = make(tmp_path / "run", tiny_dataset, AnyOrder())
    ours, theirs = (load_bundle(r.bundle("motion_basis")) for r in (run, other))
    assert ours[1] == theirs[1]
    assert all(np.array_equal(ours[0][name], theirs[0][name]) for name in ours[0])
    for shard in Dataset.open(tiny_dataset).shards("train"):
        a, b = columns_of(run, shard.name), columns_of(other, shard.name)
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_the_sample_is_bounded(run: Run, tiny_dataset: Path, tmp_path: Path) -> None:
    small = make(tmp_path / "run", tiny_dataset, LocalRunner(), "motion_basis.sample_windows=40")
    # Forty windows, give or take what a hash draws, have no more components than that.
    assert basis_of(small).num_components < 60
    assert basis_of(run).num_components <= MotionBasisConfig().max_components


def test_a_small_share_is_drawn_before_it_is_augmented(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The windows drawn are those of a whole augmented shard, but fewer are augmented."""
    counts = []
    whole = augment.augment

    def counted(motion: np.ndarray, *args: Any, **options: Any) -> Any:
        counts.append(len(motion))
        return whole(motion, *args, **options)

    monkeypatch.setattr(augment, "augment", counted)
    noise = augment.Augment()
    kind = SampleWindows(str(run.path), "train", 0.3, noise, "root_channel", 7)
    _, network, mask = kind(0)
    rows = kind.dataset.read_shard(
        kind.dataset.shards("train")[0], columns=["window_id", "motion", "joint_mask"]
    )
    keys = augment.window_keys(list(rows["window_id"]))
    assert counts == [len(network)] and 0 < len(network) < len(keys)
    noisy, noisy_mask, _ = whole(
        rows["motion"], rows["joint_mask"], keys, seed=7, epoch=0, config=noise
    )
    chosen = augment.uniforms(keys, seed=7, epoch=0, stream=89) < 0.3
    expected = to_network(noisy[chosen], noisy_mask[chosen], kind.statistics, "root_channel")
    np.testing.assert_array_equal(network, expected)
    np.testing.assert_array_equal(mask, noisy_mask[chosen])


def test_a_given_number_of_components_is_taken(tiny_dataset: Path, tmp_path: Path) -> None:
    run = make(tmp_path / "run", tiny_dataset, LocalRunner(), "motion_basis.num_components=9")
    assert basis_of(run).num_components == run.facts["steps"]["motion_basis"]["components"] == 9


def test_training_windows_have_variants_and_others_have_none(run: Run, tiny_dataset: Path) -> None:
    dataset, basis = Dataset.open(tiny_dataset), basis_of(run)
    for split, variants in (("train", 8), ("val", 1), ("test", 1)):
        shard = dataset.shards(split)[0]
        for values in columns_of(run, shard.name).values():
            assert values.shape == (shard.num_windows, variants, basis.num_components)
            assert values.dtype == np.float32
    train = columns_of(run, dataset.shards("train")[0].name)
    plain = train["coefficients"]
    # Noise moves a window less than another window is away.
    noise = np.linalg.norm(plain[:, 1:, :8] - plain[:, :1, :8], axis=-1)
    apart = np.linalg.norm(plain[:, 0, :8] - plain[::-1, 0, :8], axis=-1)
    assert 0.0 < np.median(noise) < 0.5 * np.median(apart)
    assert np.abs(train["coefficients_mirrored"] - plain).max() > 0.1


def loader(run: Run, split: str, *, training: bool, **changes: Any) -> ChunkLoader:
    spec = BatchSpec(
        dataset=run.facts["dataset"]["path"],
        reads=("coefficients",),
        transform=MotionRows(),
        columns={
            "coefficients": StoredColumn(
                column=COEFFICIENTS, folder=str(run.columns("motion_basis"))
            )
        },
        seed=seed_for(0, "motion_flow"),
    )
    return ChunkLoader(replace(spec, **changes), split, training=training)


def read(loaded: ChunkLoader, epoch: int) -> np.ndarray:
    chunks = plan_epoch(
        loaded.shard_sizes, seed=loaded.spec.seed, epoch=epoch, shuffle=loaded.training
    )
    return np.concatenate([loaded(chunk)["coefficients"] for chunk in chunks])


def test_epochs_draw_other_variants_and_validation_takes_the_first(
    run: Run, tiny_dataset: Path
) -> None:
    noisy = loader(run, "train", training=True)
    first, second = read(noisy, 0), read(noisy, 1)
    again = read(loader(run, "train", training=True), 0)
    np.testing.assert_array_equal(first, again)
    assert set(map(bytes, first)) != set(map(bytes, second))
    shards = Dataset.open(tiny_dataset).shards("train")
    stored = [columns_of(run, shard.name) for shard in shards]
    known = {
        bytes(row)
        for one in stored
        for values in one.values()
        for row in values.reshape(-1, values.shape[-1])
    }
    assert set(map(bytes, first)) <= known
    # Of all variants, the same share.
    which = [
        number
        for number in range(8)
        for one in stored
        for values in one.values()
        for row in values[:, number]
        if bytes(row) in set(map(bytes, first))
    ]
    assert set(which) == set(range(8))
    still = MotionRows(augment=augment.Augment(enabled=False))
    for loaded in (
        loader(run, "train", training=False),
        loader(run, "train", training=True, transform=still),
    ):
        plain = {bytes(row) for one in stored for row in one["coefficients"][:, 0]}
        assert set(map(bytes, read(loaded, 3))) == plain
