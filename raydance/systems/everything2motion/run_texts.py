"""Sentences of a run: their tokens, and what the training captions say of new ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from raydance.systems import text_step
from raydance.systems.text_step import TextsConfig
from raydance.text.encoder import load_text_encoder
from raydance.training.run_folder import Run, load_bundle


class RunTexts:
    """The text encoder of a run, and the captions of its training clips.

    Args:
        usual_s: how long motion is whose captions tell no length.
    """

    def __init__(self, run: Run, config: TextsConfig, usual_s: float) -> None:
        self.run, self._config, self._usual_s = run, config, usual_s
        self.facts = load_bundle(run.bundle(text_step.STEP))[1]

    @cached_property
    def _encoder(self) -> Any:
        return load_text_encoder(self._config.encoder)

    @cached_property
    def _known(self) -> tuple[list[int], np.ndarray]:
        """Captions of training clips, and their embeddings, unit length."""
        known = [i for i, there in enumerate(self.facts["in_train"]) if there and i]
        embedding = load_bundle(self.run.bundle(text_step.STEP))[0]["text_embedding"].numpy()
        chosen = embedding[known]
        return known, chosen / np.linalg.norm(chosen, axis=1, keepdims=True).clip(min=1e-9)

    def nearest(self, text: str) -> tuple[str, float]:
        """The training caption nearest to a sentence, and their cosine."""
        known, embedding_UE = self._known
        if not known:
            return "", 0.0
        query_E = self._encoder.encode([text])[0]
        score_U = embedding_UE @ (query_E / np.linalg.norm(query_E).clip(min=1e-9))
        best = int(score_U.argmax())
        return self.facts["texts"][known[best]], float(score_U[best])

    def seconds_of(self, text: str) -> float:
        """How long motion of a sentence lasts: as clips of the five nearest captions do."""
        known, embedding_UE = self._known
        seconds_U = np.array([self.facts["seconds"][i] for i in known])
        if not known or not seconds_U.any():
            return self._usual_s
        query_E = self._encoder.encode([text])[0]
        score_U = embedding_UE @ (query_E / np.linalg.norm(query_E).clip(min=1e-9))
        nearest = np.argsort(-score_U)[:5]
        weight = np.exp(20.0 * (score_U[nearest] - score_U[nearest[0]]))
        return float(np.average(seconds_U[nearest], weights=weight))

    def tokens(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Token embeddings `[B, L, E]` of sentences, and which exist, `[B, L]`."""
        length, width = self._config.tokens, self.facts["width"]
        tokens = np.zeros((len(texts), length, width), dtype=np.float32)
        mask = np.zeros((len(texts), length), dtype=bool)
        unique = list(dict.fromkeys(text for text in texts if text))
        if unique:
            found = dict(zip(unique, zip(*self._encoder.encode_tokens(unique, length))))
            for i, text in enumerate(texts):
                if text:
                    tokens[i], mask[i] = found[text]
        return tokens, mask
