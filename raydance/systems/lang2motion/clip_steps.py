"""The paper's way: a CLIP's space, features of overlays in it, and the autoencoder of tracks.

    texts -> track_basis (-> small_clip) -> clip_texts -> overlays -> track_autoencoder

The CLIP is named (a hub's or a folder), or trained here on overlays and sentences (`small_clip`)
where none can be had, then frozen. Its features of every overlay frame are computed once, by batch
inference, and stored as columns. The autoencoder is trained without flips, as the paper's is:
features of flipped overlays would have to be stored as well.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from raydance import config as configs
from raydance.data.chunks import BatchSpec, StoredColumn
from raydance.data.columns import write_columns
from raydance.data.dataset import Dataset
from raydance.data.schema import CAPTION_IDS, Column
from raydance.stages.small_clip import SmallClip
from raydance.stages.track_autoencoder import TrackAutoencoder
from raydance.systems import text_step
from raydance.systems.lang2motion.config import Lang2MotionConfig
from raydance.systems.step import StepContext
from raydance.text.clip import PAD, Clip, ClipConfig, small_tokenizer
from raydance.tracks.overlay_rows import OverlayRows, drawn
from raydance.tracks.rows import TrackNoise, TrackRows
from raydance.training.batches import seed_for
from raydance.training.run_folder import Run, load_bundle, save_bundle

TOKENS: Final = "small_clip_tokens"
CLIP_TEXTS: Final = "clip_texts"
OVERLAYS: Final = "overlays"
CLIP_FOLDER: Final = "small_clip"
OVERLAY_COLUMNS: Final = (
    Column(
        name="overlay_features",
        dtype="float32",
        dims=("T", "Z"),
        meaning="the CLIP's features of each frame's overlay, of length 1",
    ),
    Column(name="has_overlay", dtype="bool", meaning="rows whose overlays were drawn"),
)


def clip_folder(run: Run) -> Path:
    """Where the small CLIP of a run lies, in transformers' format."""
    return run.path / CLIP_FOLDER


def clip_of(run: Run, config: Lang2MotionConfig) -> Clip:
    """The frozen CLIP of a run.

    Raises:
        InputError: a named one that cannot be had.
    """
    own = ClipConfig(model=str(clip_folder(run))) if config.small_clip.enabled else config.clip
    return Clip(replace(own, batch_size=config.clip.batch_size))


def build_clip_stage(run: Run, config: Lang2MotionConfig, name: str, shape: tuple[int, ...]) -> Any:
    """An untrained `small_clip` or `track_autoencoder`.

    Args:
        shape: (T, N) of the tracks.
    """
    if name == SmallClip.name:
        return SmallClip(config.small_clip, load_bundle(run.bundle(TOKENS))[1]["pieces"])
    assert name == TrackAutoencoder.name, name
    width = load_bundle(run.bundle(CLIP_TEXTS))[1]["width"]
    own = replace(config.track_autoencoder, num_frames=shape[0], num_points=shape[1], latent=width)
    return TrackAutoencoder(own, width)


def clip_batch_spec(run: Run, config: Lang2MotionConfig, name: str, grid_side: int) -> BatchSpec:
    """How batches of either stage are read."""
    own = getattr(config, name)
    is_clip = name == SmallClip.name
    captions = (
        CAPTION_IDS.name,
        StoredColumn(column=CAPTION_IDS, folder=str(run.columns(text_step.STEP))),
    )
    columns = dict([captions])
    if not is_clip:
        folder = str(run.columns(OVERLAYS))
        columns |= {c.name: StoredColumn(column=c, folder=folder) for c in OVERLAY_COLUMNS}
    noise = config.noise if own.train.augment else TrackNoise(enabled=False)
    return BatchSpec(
        dataset=run.facts["dataset"]["path"],
        reads=SmallClip.reads if is_clip else TrackAutoencoder.reads,
        transform=OverlayRows(
            config=replace(config.overlays, size=config.small_clip.image_size),
            noise=noise,
            grid_side=grid_side,
        )
        if is_clip
        else TrackRows(noise=TrackNoise(enabled=False)),
        columns=columns,
        captions=(str(run.bundle(TOKENS if is_clip else CLIP_TEXTS)),),
        seed=seed_for(config.seed, name),
        batch_size=own.train.batch_size,
    )


def named_clip(config: Lang2MotionConfig) -> list[Any]:
    """What its features depend on: the configuration, and what a local folder holds."""
    folder = Path(config.clip.model)
    if config.small_clip.enabled or not folder.is_dir():
        return [configs.to_dict(config.clip)]
    files = sorted(path for path in folder.iterdir() if path.is_file())
    found = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            found.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return [configs.to_dict(config.clip), found.hexdigest()]


def write_tokens(context: StepContext) -> None:
    """Learn the small CLIP's pieces of words from the training captions, and cut all into them."""
    own = context.config.small_clip
    facts = load_bundle(context.run.bundle(text_step.STEP))[1]
    texts = facts["texts"]
    known = [text for text, is_known in zip(texts, facts["in_train"]) if is_known and text]
    tokenizer = small_tokenizer(known, vocabulary=own.vocabulary, max_tokens=own.max_tokens)
    rows = tokenizer(list(texts), truncation=True, max_length=own.max_tokens)["input_ids"]
    tokens = torch.full((len(texts), own.max_tokens), PAD, dtype=torch.int64)
    for row, found in zip(tokens, rows):
        row[: len(found)] = torch.tensor(found)
    save_bundle(context.run.bundle(TOKENS), {"caption_tokens": tokens}, {"pieces": len(tokenizer)})


def write_small_clip(context: StepContext, stage: SmallClip) -> None:
    """Keep the trained CLIP as a folder that is read like any other."""
    own = context.config.small_clip
    facts = load_bundle(context.run.bundle(text_step.STEP))[1]
    known = [t for t, is_known in zip(facts["texts"], facts["in_train"]) if is_known and t]
    tokenizer = small_tokenizer(known, vocabulary=own.vocabulary, max_tokens=own.max_tokens)
    # Another run may share the files of an earlier one: they are replaced, not written into.
    folder = clip_folder(context.run)
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    stage.write(building, tokenizer)
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)


def write_clip_texts(context: StepContext) -> dict[str, Any]:
    """The CLIP's features of all texts, in the place of the text encoder's."""
    texts = load_bundle(context.run.bundle(text_step.STEP))[1]["texts"]
    clip = clip_of(context.run, context.config)
    features = np.zeros((len(texts), clip.dim), dtype=np.float32)
    features[1:] = clip.text_features(texts[1:])  # the first is none
    tensors = {"text_embedding": torch.from_numpy(features)}
    save_bundle(context.run.bundle(CLIP_TEXTS), tensors, {"width": clip.dim, "clip": clip.name})
    return {"width": clip.dim}


class OverlayWriter:
    """Adds the features of the overlays of a shard's tracks."""

    def __init__(self, run_path: str, config: Lang2MotionConfig) -> None:
        self.run, self.config = Run.open(run_path), config
        self.clip = clip_of(self.run, config)
        self.dataset = Dataset.open(self.run.facts["dataset"]["path"])

    def __call__(self, item: tuple[str, int]) -> Mapping[str, Any]:
        """`item` is (split, shard index)."""
        split, index = item
        shard = self.dataset.shards(split)[index]
        rows = self.dataset.read_shard(shard, columns=["window_id", "tracks", "visible"])
        features = overlay_features(self.clip, rows["tracks"], rows["visible"], self.config)
        values = (features, np.ones(len(features), dtype=bool))
        path = self.run.columns(OVERLAYS) / f"{shard.name}.parquet"
        columns = dict(zip((column.name for column in OVERLAY_COLUMNS), values))
        write_columns(path, list(rows["window_id"]), columns)
        return {"shard": shard.name}


def overlay_features(
    clip: Clip, tracks: np.ndarray, visible: np.ndarray, config: Lang2MotionConfig
) -> np.ndarray:
    """Features `[n, T, Z]` of tracks `[n, T, N, 2]` in [-1, 1]."""
    num_frames = tracks.shape[1]
    frames = np.arange(0, num_frames, config.overlays.every)
    out = np.zeros((len(tracks), num_frames, clip.dim), dtype=np.float32)
    for i, (points, seen) in enumerate(zip(tracks, visible)):
        pictures = drawn(points[None], seen[None], frames, config.overlays)[0]
        found = clip.image_features(pictures)
        out[i] = found[np.minimum(np.arange(num_frames) // config.overlays.every, len(found) - 1)]
    return out


def write_overlays(context: StepContext) -> None:
    """Draw all tracks and keep the CLIP's features of every frame."""
    context.clear_columns(OVERLAYS)
    args = (str(context.run.path), context.config)
    context.runner.map(OverlayWriter, args, context.shards())
