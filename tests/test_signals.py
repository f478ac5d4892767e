"""An input beside text and music, added by one file: from files over training to motion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drum_signal import DRUMS, DrumAdapter
from small_dataset import ingest_here
from small_stages import CONDITIONING, FEATURES, D, H, K, evaluate, toy_batch, train
from test_everything2motion import TINY, _splits

from raydance.data import ingest
from raydance.data.dataset import Dataset
from raydance.data.signals import SIGNALS
from raydance.errors import InputError
from raydance.music.dance_corpus import read_beats, write_dances
from raydance.nn.conditioning import ADAPTERS
from raydance.stages.sequence_flow import SequenceFlow, SequenceFlowConfig
from raydance.systems import load_run
from raydance.systems.base import LocalRunner
from raydance.systems.everything2motion.system import SYSTEM
from raydance.training.run_folder import Run

FPS = 20.0


@pytest.fixture(scope="module", autouse=True)
def drums() -> Iterator[None]:
    """The two lines that a file of the package would have in these tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIGNALS, DRUMS.name, DRUMS)
        patch.setitem(ADAPTERS, DRUMS.name, DrumAdapter)
        yield


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dances with songs; all but the first have drums on their beats."""
    folder = tmp_path_factory.mktemp("drums") / "dances"
    write_dances(folder, 6, 5.0)
    _splits(folder / "captions.jsonl")
    for beats in sorted(folder.glob("*.beats.json"))[1:]:
        lines = "".join(f"{time:.3f}\n" for time in read_beats(beats))
        (folder / beats.name.replace(".beats.json", ".drums")).write_text(lines)
    return folder


@pytest.fixture(scope="module")
def dataset(dances: Path) -> Dataset:
    settings = ingest.Settings(
        whole_clips=True, window=100, music=str(dances), signals={"drums": str(dances)}
    )
    captions = [dances / "captions.jsonl"]
    return Dataset.open(ingest_here([dances], captions, dances.parent / "data", settings))


@pytest.fixture(scope="module")
def run(dataset: Dataset) -> Run:
    # Without averages, which of so few steps are where they began.
    config = SYSTEM.resolve("quick", [*TINY, "sequence_flow.ema=0", "sequence_flow.train.epochs=4"])
    return SYSTEM.train(dataset.path.parent / "run", dataset.path, config, LocalRunner())


def test_events_become_a_column_at_the_frame_rate(dataset: Dataset, dances: Path) -> None:
    assert dataset.arrays["drums"] == (100, 2) and dataset.arrays["music"][0] == 100
    found = [
        row
        for split in ("train", "val", "test")
        for shard in dataset.shards(split)
        for rows in [dataset.read_shard(shard)]
        for row in zip(rows["source"], rows["drums"], rows["has_drums"])
    ]
    assert sum(not has for _, _, has in found) == 1
    for source, values, has in found:
        if not has:
            assert not values.any()
            continue
        beats = read_beats(dances / f"{Path(source).stem}.beats.json")
        frames = np.unique((beats * FPS + 1e-6).astype(int))
        assert np.abs(np.flatnonzero(values[:, 0]) - frames).max() <= 1
    (without,) = dataset.warned()
    assert "without drums: no file of its name" in without["notes"][0]


def test_a_run_with_drums_is_trained_and_generates_from_them(
    run: Run, dances: Path, tmp_path: Path, call: Any
) -> None:
    system = load_run(run.path)
    assert system.signals == ("music", "drums")
    assert isinstance(system.flow.network.conditioning.drums, DrumAdapter)
    generate = system.tasks["generate"]
    assert generate.describe()["inputs"]["drums"]["kind"] == "signal"
    hits, others = sorted(dances.glob("*.drums"))[:2]
    song = hits.with_suffix(".wav")
    made = {}
    for name, inputs in {
        "drums": {"drums": hits},
        "other drums": {"drums": others},
        "with words": {"drums": hits, "text": "the dancer turns slowly"},
        "with a song": {"drums": hits, "music": song},
        "the song": {"music": song},
    }.items():
        (answer,) = generate.answer([generate.request(inputs, {"seconds": 3.0})])
        assert answer.motion.shape == (1, 60, 50, 3) and np.isfinite(answer.motion).all()
        made[name] = answer.motion
    values = list(made.values())
    assert not any(np.array_equal(a, b) for i, a in enumerate(values) for b in values[:i])
    with pytest.raises(InputError, match="Give a sentence or music or times of drum hits"):
        generate.answer([generate.request({}, {})])
    out = tmp_path / "dance.npz"
    code, printed, told = call(
        *("generate", "--signal", f"drums={hits}", "--run", str(run.path), "--out", str(out)),
        "--json",
    )
    assert code == 0 and json.loads(printed)["files"] == [str(out)], told
    last_s = float(hits.read_text().split()[-1])  # as long as the drums
    assert np.load(out)["positions"].shape[0] == int(last_s * FPS) + 1


def test_every_adapter_gets_gradients_in_every_batch_so_that_ranks_agree() -> None:
    batch = _batch()
    for silent in ("has_drums", "has_music"):
        flow = _flow().train()
        torch.nn.init.normal_(flow.network.output.weight)
        one = batch | {silent: torch.zeros_like(batch[silent])}
        flow.loss(flow(one), one, 0.0)["total"].backward()
        without = [n for n, p in flow.network.named_parameters() if p.grad is None]
        assert not without


def test_motion_is_learned_from_a_further_signal_alone() -> None:
    batch = _batch()
    flow = _flow(music_dropout=0.0, genre_dropout=1.0)
    torch.manual_seed(0)
    train(flow, batch, 40, 1e-2)
    told = evaluate(flow, batch)["total"]
    order = torch.randperm(len(batch["drums"]), generator=torch.Generator().manual_seed(1))
    untold = evaluate(flow, batch | {"drums": batch["drums"][order]})["total"]
    assert told < 0.8 * untold


def _batch() -> dict[str, torch.Tensor]:
    """What the toy batch tells by music or words, told by drums."""
    batch = toy_batch()
    caption = batch["caption_id"]
    sound = torch.randn(4, 1, 2, generator=torch.Generator().manual_seed(5))
    nothing = torch.zeros_like(batch["has_music"])
    return batch | {
        "drums": sound[caption].expand(-1, batch["music"].shape[1], -1).clone(),
        "has_drums": ~nothing,
        "has_music": nothing,
        "has_text": nothing,
    }


def _flow(**changes: Any) -> SequenceFlow:
    config = SequenceFlowConfig(
        width=H, num_blocks=1, dropout=0.0, ema=0.9, conditioning=CONDITIONING, **changes
    )
    return SequenceFlow(config, torch.ones(2, K), D, {"music": FEATURES, "drums": 2})
