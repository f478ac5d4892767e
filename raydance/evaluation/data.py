"""What a run makes of the test windows, computed once and looked at by every measure.

Dimensions: N windows, M captions generated from, T frames, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.evaluation import baseline
from raydance.evaluation.generation import Judge
from raydance.evaluation.motion_classifier import MotionClassifier
from raydance.evaluation.windows import (
    MAX_TEST,
    TestWindows,
    TrainingWindows,
    read_test,
    read_training,
)
from raydance.motion import normalise
from raydance.motion.augment import mirror_caption
from raydance.systems.dance_language.labels import caption_labels, label_of
from raydance.systems.dance_language.run import DanceLanguage
from raydance.training.run_folder import load_bundle

_BATCH = 256
_NUM_EXAMPLES = 12


@dataclass(frozen=True, kw_only=True)
class EvaluationData:
    """What every run on a dataset is measured on; read once for several runs."""

    dataset: Dataset
    training: TrainingWindows
    test: TestWindows
    seed: int = 0

    @classmethod
    def read(
        cls, path: str | Path, *, max_windows: int = MAX_TEST, seed: int = 0
    ) -> EvaluationData:
        """Read a dataset.

        Raises:
            InputError: an empty split, or a recording in the test split and another one.
        """
        dataset = Dataset.open(path)
        dataset.check_splits()
        training = read_training(dataset, seed=seed)
        test = read_test(dataset, training.scaler, max_windows=max_windows, seed=seed)
        return cls(dataset=dataset, training=training, test=test, seed=seed)

    @cached_property
    def full(self) -> EvaluationData:
        """Without windows of shorter clips, which hold their last frame."""
        training, test = self.training.full(), self.test.full()
        if len(training.facts) + len(test.facts) == len(self.training.facts) + len(self.test.facts):
            return self
        return replace(self, training=training, test=test)

    @cached_property
    def classifier(self) -> MotionClassifier:
        """The independent judge, trained at first use on real training windows alone."""
        return MotionClassifier.of(self.training, seed=self.seed)


class RunOutputs:
    """What a run makes of the test windows, computed once and used by every measure.

    Attributes:
        rows: test windows that have a caption and a name; measures of words use only these.
        captions, names: of these rows, one caption each (its first).
        notes: what the reader must know.
    """

    def __init__(self, system: DanceLanguage, data: EvaluationData) -> None:
        self.system, self.data = system, data
        self.notes: list[str] = []
        dataset, facts = data.dataset, data.test.facts
        self.fps = dataset.fps
        trained = system.run.facts["dataset"]
        if (dataset.fps, dataset.manifest["window"]) != (system.fps, system.window):
            raise InputError(
                f"{dataset.path}: windows of {dataset.manifest['window']} frames at {dataset.fps} "
                f"a second; the run reads {system.window} at {system.fps}"
            )
        self.is_own_dataset = dataset.manifest_hash == trained["hash"]
        if not self.is_own_dataset:
            self._check_other_dataset()
        self._read_library()
        own = [row or extra for row, extra in zip(facts.captions, self._stand_ins(facts.window_id))]
        self.rows = [i for i, (row, name) in enumerate(zip(own, facts.names)) if row and name]
        if len(self.rows) < 2:
            raise InputError(f"{dataset.path}: fewer than two test windows have a caption")
        if len(self.rows) < len(facts):
            self.notes.append(
                f"{len(facts) - len(self.rows)} of {len(facts)} test windows have no caption or "
                "name and are left out of every measure of words"
            )
        if data.test.total > len(facts):
            self.notes.append(f"{len(facts)} of {data.test.total} test windows were drawn")
        self.all_captions = [own[i] for i in self.rows]
        self.captions = [own[i][0] for i in self.rows]
        self.names = [facts.names[i] for i in self.rows]
        self.joint_mask = system.joint_mask & (data.test.joint_mask.mean(axis=0) > 0.5)
        self.motion = self.encode(data.test.motion, data.test.joint_mask)
        unique = sorted(set(self.captions))
        place = {caption: i for i, caption in enumerate(unique)}
        encoded = system.encode_text(unique)
        order = [place[caption] for caption in self.captions]
        self.text = {name: values[order] for name, values in encoded.items()}

    def _check_other_dataset(self) -> None:
        windows = self.system.library.windows
        known = {c for c, s in zip(windows["clip_id"], windows["split"]) if s != "test"}
        seen = known.intersection(self.data.test.facts.clip_id)
        if seen:
            raise InputError(
                f"{self.data.dataset.path}: {len(seen)} of its test clips (first: "
                f"{sorted(seen)[0]}) were among those that the run was trained or selected on"
            )
        self.notes.append("the dataset is not the one that the run was trained on")

    def _read_library(self) -> None:
        """The run's own training windows: names, and what each caption therefore stands for."""
        library, texts = self.system.library, self.system.captions.texts
        rows = library.rows("train")
        windows = library.windows
        self.library_rows = rows
        self.library_ids = [windows["caption_ids"][i] for i in rows]
        self.library_clips = [windows["clip_id"][i] for i in rows]
        self.library_names = [
            label_of(windows["labels"][i], [texts[c] for c in ids])
            for i, ids in zip(rows, self.library_ids)
        ]
        by_caption = caption_labels(self.library_ids, self.library_names, len(texts))
        # A caption of mirrored training windows alone names what they show, mirrored.
        mirror = load_bundle(self.system.run.bundle("captions"))[1]["mirror"]
        by_caption = [
            name or mirror_caption(by_caption[partner]) for name, partner in zip(by_caption, mirror)
        ]
        self.caption_names = dict(zip(texts, by_caption))

    def _stand_ins(self, window_ids: Sequence[str]) -> list[list[str]]:
        """The run's captions of windows that have none of their own (their cluster's)."""
        if not self.is_own_dataset:
            return [[] for _ in window_ids]
        windows, texts = self.system.library.windows, self.system.captions.texts
        ids = dict(zip(windows["window_id"], windows["caption_ids"]))
        return [[texts[i] for i in ids.get(window, ())] for window in window_ids]

    def encode(self, motion: np.ndarray, joint_mask: np.ndarray) -> dict[str, np.ndarray]:
        """`DanceLanguage.encode_motion` in batches."""
        parts = [
            self.system.encode_motion(motion[i : i + _BATCH], joint_mask[i : i + _BATCH])
            for i in range(0, len(motion), _BATCH)
        ]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def rebuild(self, latents_NZ: np.ndarray) -> np.ndarray:
        """The VAE's motion `[N, T, 50, 3]`, metres, from latents."""
        with torch.inference_mode():
            parts = [
                self.system.vae.decoder(piece, self.system.window).numpy()
                for piece in torch.from_numpy(latents_NZ).split(_BATCH)
            ]
        return self.system.to_metres(np.concatenate(parts))

    def as_read(self, motion: np.ndarray, joint_mask: np.ndarray) -> np.ndarray:
        """Motion as far as the run's representation keeps it."""
        kind = self.system.config.representation
        return normalise.from_features(normalise.to_features(motion, joint_mask, kind), kind)

    def describe(self, motion: np.ndarray) -> np.ndarray:
        """z-scored descriptors of generated motion, without joints that the data lacks."""
        mask = np.repeat(self.joint_mask[None], len(motion), axis=0)
        return self.data.training.scaler(baseline.describe(motion, mask, self.fps))

    def point(self, motion: np.ndarray) -> np.ndarray:
        """Generated motion's points in the learned space."""
        mask = np.repeat(self.joint_mask[None], len(motion), axis=0)
        return self.encode(motion * mask[:, None, :, None], mask)["motion_embedding"]

    def judges(self) -> tuple[Judge, Judge]:
        """Nearest neighbours by kinematic descriptors, and by the learned space."""
        library = self.system.library.embedding[self.library_rows]
        named = [i for i, name in enumerate(self.library_names) if name]
        space = baseline.Neighbours(
            library[named],
            [self.library_names[i] for i in named],
            [self.library_clips[i] for i in named],
            self.system.metric,
        )
        plain = self.data.training.neighbours
        return Judge(describe=self.describe, neighbours=plain), Judge(
            describe=self.point, neighbours=space
        )

    def caption_means(self) -> tuple[baseline.CaptionMeans, list[list[int]]]:
        """The baseline's text side, and the training rows of each of its captions."""
        facts = self.data.training.facts
        own = [row or extra for row, extra in zip(facts.captions, self._stand_ins(facts.window_id))]
        members: dict[str, list[int]] = {}
        for i, row in enumerate(own):
            for caption in row:
                members.setdefault(caption, []).append(i)
        known = {text: i for i, text in enumerate(self.system.captions.texts)}
        table = self.system.captions.columns["text_embedding"].numpy()
        strange = [c for c in members if c not in known]
        extra = self.system.encode_text(strange)["text_embedding"] if strange else table[:0]
        place = {c: i for i, c in enumerate(strange)}
        rows = [table[known[c]] if c in known else extra[place[c]] for c in members]
        means = baseline.CaptionMeans(
            np.stack(rows), list(members.values()), self.data.training.features
        )
        return means, means.members

    def found_captions(self, row: int, k: int = 3) -> list[Any]:
        """What the system says of test window number `row`."""
        cluster = int(self.motion["cluster"][row])
        return list(self.system.caption_base.describe(self.motion["text"][row], cluster, k))

    def examples(self, seed: int) -> list[dict[str, Any]]:
        """Some test windows of different movements with what was written and what was found."""
        rng = np.random.default_rng([seed, 53])
        seen: dict[str, int] = {}
        for place in rng.permutation(len(self.rows)):
            seen.setdefault(self.names[place], int(place))
        out = []
        for name, place in sorted(seen.items())[:_NUM_EXAMPLES]:
            row = self.rows[place]
            out.append(
                {
                    "row": row,
                    "window_id": self.data.test.facts.window_id[row],
                    "name": name,
                    "captions": self.all_captions[place],
                    "found": [
                        {
                            "text": d.text,
                            "score": d.score,
                            "names": self.caption_names.get(d.text, ""),
                            "derived": d.derived,
                        }
                        for d in self.found_captions(row)
                    ],
                }
            )
        return out
