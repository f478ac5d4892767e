"""The caption writer in a run: its vocabulary, its training, and sentences for motion.

Everything that building the network again needs is kept in the run folder, also where it began
from a model on a hub.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from raydance import config as configs
from raydance.errors import ArtifactError, InputError
from raydance.stages.caption_writer import CaptionWriter, CaptionWriterConfig
from raydance.systems.base import load_stage
from raydance.text.language_model import SMALL, Language, Vocabulary, load_language, small_language
from raydance.text.model_files import locate
from raydance.training.run_folder import Run, load_bundle, save_bundle

STEP = "caption_writer"
MAX_SENTENCES = 10


@dataclass(frozen=True, kw_only=True)
class WrittenSentence:
    """A sentence that a language model wrote about motion; no person did.

    Attributes:
        log_probability: of the whole sentence given the motion, nats; 0 at most.
        novel: whether no training caption has these words.
    """

    text: str
    log_probability: float
    novel: bool
    origin: Literal["written by the model"] = "written by the model"


@dataclass(frozen=True, kw_only=True)
class WrittenSegment:
    """Sentences about a part of a clip, in seconds, the likeliest first."""

    start_s: float
    end_s: float
    sentences: tuple[WrittenSentence, ...]


def check_writer(config: CaptionWriterConfig) -> None:
    """Refuse, before anything is trained, a language model that is not there.

    Raises:
        InputError: no such folder, or a hub that does not give it.
    """
    if config.model != SMALL:
        locate(config.model, None)


def prepare_writer(run: Run) -> dict[str, Any]:
    """Choose the language and turn all captions of the run into its tokens.

    Returns:
        Facts for the run folder.

    Raises:
        InputError: a model that cannot be loaded.
    """
    config = _config(run)
    _, facts = load_bundle(run.bundle("captions"))
    training = [t for t, known in zip(facts["texts"], facts["in_train"]) if known]
    if config.model == SMALL:
        language = small_language(
            training,
            vocabulary=config.vocabulary,
            width=config.width,
            layers=config.layers,
            dropout=config.dropout,
        )
    else:
        language, _ = load_language(config.model)
    tokens = Vocabulary(language).encode(facts["texts"], config.max_tokens)
    save_bundle(
        run.bundle(f"{STEP}_captions"),
        {"caption_tokens": torch.from_numpy(tokens)},
        {"stage": STEP, "language": asdict(language)},
    )
    return {"model": config.model}


def language_of(run: Run) -> Language:
    """What the run's writer is built from."""
    return Language(**load_bundle(run.bundle(f"{STEP}_captions"))[1]["language"])


def build_writer(run: Run, name: str = STEP) -> CaptionWriter:
    """The untrained network."""
    config = _config(run)
    return CaptionWriter(config, _inputs(run, config), language_of(run))


def start_writer(run: Run, name: str = STEP) -> CaptionWriter:
    """The network that training begins with: a named model with the weights that it has."""
    config = _config(run)
    if config.model == SMALL:
        return build_writer(run)
    language, model = load_language(config.model)
    return CaptionWriter(config, _inputs(run, config), language, model)


def _config(run: Run) -> CaptionWriterConfig:
    return configs.from_dict(CaptionWriterConfig, run.config.get(STEP, {}))


def _inputs(run: Run, config: CaptionWriterConfig) -> int:
    if config.motion_input == "latent":
        return int(run.config["motion_vae"]["latent"])
    return int(run.config["contrastive"]["outputs"])


class Writer:
    """A run's trained writer.

    Raises:
        ArtifactError: the run has none, or it is damaged.
    """

    def __init__(self, run: Run) -> None:
        if STEP not in run.facts["steps"]:
            raise ArtifactError(
                f"{run.path}: has no caption writer; train it with "
                "`raydance train ... --set caption_writer.enabled=true`"
            )
        stage = load_stage(run, STEP, build_writer)
        assert isinstance(stage, CaptionWriter)
        self.stage = stage
        self.reads = stage.config.motion_input
        """The column of motion that it writes about."""
        self._vocabulary = Vocabulary(language_of(run))
        _, facts = load_bundle(run.bundle("captions"))
        self._known = {
            " ".join(t.split()) for t, known in zip(facts["texts"], facts["in_train"]) if known
        }

    def write(self, motion_NZ: np.ndarray, num: int = 3) -> list[tuple[WrittenSentence, ...]]:
        """Sentences for each motion, the likeliest first; at most `num`, none of them twice.

        Raises:
            InputError: `num` out of range.
        """
        if not 1 <= num <= MAX_SENTENCES:
            raise InputError(f"num: {num}; allowed: 1 to {MAX_SENTENCES} sentences")
        points = torch.from_numpy(np.array(motion_NZ, dtype=np.float32)).to(self.stage.device)
        return [self._sentences(rows) for rows in self.stage.write(points, num)]

    def _sentences(self, rows: Sequence[tuple[list[int], float]]) -> tuple[WrittenSentence, ...]:
        found: dict[str, float] = {}
        for tokens, log_probability in rows:
            found.setdefault(self._vocabulary.decode(tokens), log_probability)
        return tuple(
            WrittenSentence(text=text, log_probability=value, novel=text not in self._known)
            for text, value in found.items()
            if text
        )
