"""The whole path on real recordings: files in, words and motion out.

`test_ray_ingest` reads some through Ray.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_dataset import ingest_here

import raydance
from raydance.data.dataset import Dataset
from raydance.motion.clip import generated_clip
from raydance.motion.export import WRITERS, write_clip
from raydance.motion.formats import read_clip
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language.system import SYSTEM
from raydance.training.run_folder import read_metrics

pytestmark = pytest.mark.slow

CAPTIONED = ("05_*", "07_*", "49_0*", "02_*")
"""Dance, walks and acrobatics of the CMU recordings."""


@pytest.fixture(scope="module")
def real_dataset(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioned library with one broken file in it."""
    place = tmp_path_factory.mktemp("real")
    library = place / "cmu" / "bvh"
    library.mkdir(parents=True)
    for pattern in CAPTIONED:
        for file in (shared_data / "cmu_bvh" / "bvh").glob(f"{pattern}.bvh"):
            shutil.copy(file, library)
    whole = next(library.glob("*.bvh")).read_bytes()
    (library / "broken.bvh").write_bytes(whole[: len(whole) // 2])
    known = {f"bvh/{file.name}" for file in library.iterdir()}
    lines = (shared_data / "cmu_bvh" / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if any(f'"{name}"' in line for name in known)]
    captions = place / "cmu" / "captions.jsonl"
    captions.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return ingest_here([library], [captions], place / "dataset")


@pytest.fixture(scope="module")
def real_run(real_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough to tell walks from cartwheels; trained by the plain loop.

    `test_ray_training` and `cluster/test_walkthrough` train all stages through Ray.
    """
    config = SYSTEM.resolve(
        "quick",
        [
            "motion_vae.hidden=64",
            "motion_vae.train.epochs=12",
            "motion_flow.train.epochs=10",
            "contrastive.train.epochs=30",
            "contrastive.train.batch_size=32",
            "text_encoder.train.epochs=6",
            "motion_to_text.train.epochs=6",
            "text_to_motion.train.epochs=2",
            "clusters.max_k=5",
            "clusters.num_seeds=2",
        ],
    )
    out = tmp_path_factory.mktemp("real_run") / "run"
    return SYSTEM.train(out, real_dataset, config, LocalRunner()).path


def test_the_dataset_keeps_what_the_recordings_are(real_dataset: Path) -> None:
    dataset = Dataset.open(real_dataset)
    skipped = dataset.skipped()
    assert [Path(row["file"]).name for row in skipped] == ["broken.bvh"] and skipped[0]["reason"]
    for split in ("train", "val", "test"):
        for shard in dataset.shards(split):
            rows = dataset.read_shard(shard)
            height = rows["motion"][:, :, 15, 1] - rows["motion"][:, :, 10:12, 1].min(axis=2)
            # A head is well above the feet, save in cartwheels and falls.
            assert 1.0 < float(np.median(height)) < 2.2
            assert np.isfinite(rows["motion"]).all() and all(rows["captions"])


def test_all_stages_learn(real_run: Path) -> None:
    for stage in ("motion_vae", "text_encoder", "contrastive", "motion_to_text"):
        lines = read_metrics(real_run / "metrics" / f"{stage}.jsonl")
        # The curriculum lets harder captions in: only validation compares its epochs.
        kind = "validation" if stage == "text_encoder" else "train"
        assert lines[-1][kind]["total"] < lines[0][kind]["total"], stage
    assert not list(real_run.rglob("*.pkl"))


def test_a_run_describes_searches_and_generates(
    real_run: Path, real_dataset: Path, shared_data: Path, tmp_path: Path
) -> None:
    system = raydance.load(real_run)
    walk = read_clip(shared_data / "cmu_bvh" / "bvh" / "07_05.bvh", fps=120.0)
    found = system.describe(walk, k=3)
    assert "walk" in " ".join(c.text.lower() for c in found[0].captions)
    assert found[1].end_s - found[1].start_s == pytest.approx(2.5)

    hits = system.search(walk, k=5)
    assert any("walk" in " ".join(hit.captions).lower() for hit in hits[:2])
    assert len({hit.clip_id for hit in hits}) == 5
    by_words = system.search("a person walks slowly", k=5)
    assert sum("walk" in " ".join(hit.captions).lower() for hit in by_words) >= 3

    motion = system.generate("a person walks slowly", seed=1)
    assert motion.shape == (1, 50, 50, 3) and np.isfinite(motion).all()
    again = system.generate("a person walks slowly", seed=1)
    np.testing.assert_array_equal(motion, again)
    clip = generated_clip(motion[0], system.joint_mask, system.fps, "walk", "a person walks slowly")
    # The recordings have no fingers, so what is generated has none.
    assert not any("index" in name for name in clip.joint_names)
    for suffix in WRITERS:
        out = tmp_path / f"walk{suffix}"
        write_clip(out, clip)
        assert out.stat().st_size > 1000
    leg = np.linalg.norm(motion[0, :, 4] - motion[0, :, 1], axis=1)
    assert 0.25 < float(leg.mean()) < 0.6
