"""The texts of a run: every caption of its datasets once, encoded by a frozen encoder.

Rows refer to them by `caption_ids`. Text 0 is no text: rows without a caption have it alone.
A caption that names a side has a mirrored partner. (Dance-Language has a step of its own, whose
captions may stand for clusters.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from raydance.data.columns import write_columns
from raydance.data.dataset import SPLITS, Dataset
from raydance.data.schema import CAPTION_IDS
from raydance.errors import ConfigError
from raydance.motion.augment import mirror_caption
from raydance.systems.step import StepContext, column_folder
from raydance.text.encoder import TextConfig, load_text_encoder
from raydance.text.words import path_vector
from raydance.training.run_folder import Run, load_bundle, save_bundle

STEP = "texts"


@dataclass(frozen=True, kw_only=True)
class TextsConfig:
    """How captions are encoded.

    Attributes:
        encoder: the frozen text encoder.
        tokens: L, most tokens of a caption whose features are kept beside its embedding.
    """

    encoder: TextConfig = TextConfig()
    tokens: int = 24

    def __post_init__(self) -> None:
        if not 2 <= self.tokens <= 512:
            raise ConfigError(f"texts.tokens: {self.tokens}; allowed: 2 to 512")


def collect_texts(datasets: Sequence[Dataset]) -> dict[str, list[Any]]:
    """All captions with what is known of each.

    Returns:
        `texts`; `mirror`, the number of each one's mirrored partner; `in_train`, which ones
        training rows have; `seconds`, how long these are on average, 0 where there is none.
    """
    numbers: dict[str, int] = {"": 0}
    in_train: dict[str, bool] = {"": False}
    spans: dict[str, list[float]] = {}
    for dataset in datasets:
        for split in SPLITS:
            for shard in dataset.shards(split):
                rows = dataset.read_shard(shard, columns=["captions", "start_s", "end_s"])
                for row, start, end in zip(rows["captions"], rows["start_s"], rows["end_s"]):
                    for text in row:
                        numbers.setdefault(text, len(numbers))
                        in_train[text] = in_train.get(text, False) or split == "train"
                        if split == "train":
                            spans.setdefault(text, []).append(end - start)
    partner: dict[str, str] = {}
    for text in list(numbers):
        mirrored = mirror_caption(text)
        partner[text] = mirrored
        # Words may have several opposites: the way back is the way one came.
        partner.setdefault(mirrored, text)
        numbers.setdefault(mirrored, len(numbers))
        in_train[mirrored] = in_train.get(mirrored, False) or in_train[text]
        spans.setdefault(mirrored, spans.get(text, []))
    texts = list(numbers)
    return {
        "texts": texts,
        "mirror": [numbers[partner[text]] for text in texts],
        "in_train": [in_train[text] for text in texts],
        "seconds": [float(np.mean(spans[t])) if spans.get(t) else 0.0 for t in texts],
    }


class EncodeTokens:
    """Encodes parts of the list of texts."""

    def __init__(self, config: TextsConfig) -> None:
        self.config = config
        self.encoder = load_text_encoder(config.encoder)

    def __call__(self, item: tuple[int, Sequence[str]]) -> tuple[int, np.ndarray, np.ndarray]:
        """`item` is (number of the part, texts); returns token features and masks."""
        number, texts = item
        return number, *self.encoder.encode_tokens(list(texts), self.config.tokens)


class CaptionIdsOfRows:
    """Writes `caption_ids` of a dataset's shards."""

    def __init__(self, run_path: str, role: str) -> None:
        self.run, self.role = Run.open(run_path), role
        facts = load_bundle(self.run.bundle(STEP))[1]
        self.numbers = {text: i for i, text in enumerate(facts["texts"])}
        self.mirror = facts["mirror"]
        self.dataset = Dataset.open(self.run.datasets[role]["path"])

    def __call__(self, item: tuple[str, int]) -> Mapping[str, Any]:
        """`item` is (split, shard index)."""
        split, index = item
        shard = self.dataset.shards(split)[index]
        rows = self.dataset.read_shard(shard, columns=["window_id", "captions"])
        ids = [[self.numbers[text] for text in row] or [0] for row in rows["captions"]]
        names = CAPTION_IDS.stored_names
        columns = dict(zip(names, (ids, [[self.mirror[i] for i in row] for row in ids])))
        path = self.run.columns(column_folder(STEP, self.role)) / f"{shard.name}.parquet"
        write_columns(path, list(rows["window_id"]), columns)
        return {"shard": shard.name}


def write_texts(context: StepContext, config: TextsConfig | None) -> dict[str, Any]:
    """Collect and encode the texts of all datasets, and refer every row to its own.

    Args:
        config: None where nothing reads what the encoder says of them.
    """
    run, datasets = context.run, context.datasets
    known = collect_texts(list(datasets.values()))
    tensors, facts = ({}, {}) if config is None else _encoded(context, config, known["texts"])
    save_bundle(run.bundle(STEP), tensors, known | facts)
    for role in datasets:
        context.clear_columns(column_folder(STEP, role))
        context.runner.map(CaptionIdsOfRows, (str(run.path), role), context.shards(role))
    return {"texts": len(known["texts"]) - 1}


def _encoded(
    context: StepContext, config: TextsConfig, texts: list[str]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What the encoder says of texts, and its width."""
    parts = [texts[i : i + 128] for i in range(1, len(texts), 128)]
    done = context.runner.map(EncodeTokens, (config,), list(enumerate(parts)))
    found = {number: (tokens, mask) for number, tokens, mask in done}
    width = load_text_encoder(config.encoder).dim
    tokens = np.zeros((len(texts), config.tokens, width), dtype=np.float16)
    mask = np.zeros((len(texts), config.tokens), dtype=bool)
    if found:
        tokens[1:] = np.concatenate([found[i][0] for i in range(len(parts))])
        mask[1:] = np.concatenate([found[i][1] for i in range(len(parts))])
    tensors = {
        "text_tokens": torch.from_numpy(tokens),
        "text_mask": torch.from_numpy(mask),
        "text_embedding": torch.from_numpy(tokens[:, 0].astype(np.float32)),
        "text_path": torch.from_numpy(np.stack([path_vector(text) for text in texts])),
        "has_text": torch.arange(len(texts)) > 0,
    }
    return tensors, {"width": width}
