"""Frozen text encoders behind one small interface.

Dance-Language embeds its captions with a frozen BERT (768 values). Here the default is MiniLM
(384 values), whose weights come as a package so that everything works offline; any transformers
text model can be named instead, on a hub or as a local folder. Differences from the paper: the
pooling, which it leaves open, is the mean over tokens (the first token is an option), and three
values that tell left from right are appended, which sentence encoders hardly do.

An embedding is the L2-normalised sentence part, of norm 1, followed by `side_scale` times
`side_vector(text)`; so its norm is between 1 (no side named) and sqrt(1 + 3 side_scale^2).
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np

from raydance.errors import ConfigError, InputError
from raydance.plain_text import repaired
from raydance.text.model_files import PACKAGED, locate, packaged_folder
from raydance.text.words import SIDE_NAMES, difficulty, side_vector

__all__ = ["TextConfig", "TextEncoder", "difficulty", "load_text_encoder", "side_vector"]

MAX_CHARACTERS: Final = 20_000
_NUM_KNOWN: Final = 4096
"""Pieces of texts whose embedding is remembered: those of a service and an evaluation repeat."""
# Where a text that is too long is cut, from the best place to the worst.
_BORDERS: Final = (
    re.compile(r"(?<=[.!?])\s+"),
    re.compile(r"(?<=[,;:])\s+|\s+(?=(?:and|then|while|before|after)\b)"),
    re.compile(r"\s+"),
)


class TextEncoder(Protocol):
    """Sentences in, vectors out; never trained.

    Attributes:
        name: model and settings; equal names mean comparable embeddings.
        dim: values of an embedding, side values included.
    """

    name: str
    dim: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed n texts: `[n, dim]` float32."""
        ...

    def encode_tokens(self, texts: Sequence[str], length: int) -> tuple[np.ndarray, np.ndarray]:
        """Token features: `[n, length, dim]` float32 and which tokens are there, `[n, length]`.

        The first token is the embedding of the whole text, with its side values; those of words
        follow, without. Longer texts are cut.
        """
        ...

    def num_pieces(self, text: str) -> int:
        """In how many pieces a text is embedded; above 1 it is longer than the model reads."""
        ...


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Which encoder, and how it is used.

    Attributes:
        model: `minilm` (packaged), a name on the hub, or a local folder in transformers' format.
            Weights must be safetensors; a model's own code is never run.
        pooling: `mean` over the tokens, or `cls`, the first one.
        side_features: append the three side values.
        side_scale: their weight against the sentence part of norm 1.
        max_tokens: longer texts are embedded in pieces; lowered to what the model can take.
        batch_size: pieces at a time.
        revision: of a model on the hub.
        pretrained: the model's weights; else drawn at random, which is for ablations alone.
    """

    model: str = PACKAGED
    pretrained: bool = True
    pooling: Literal["mean", "cls"] = "mean"
    side_features: bool = True
    side_scale: float = 0.5
    max_tokens: int = 256
    batch_size: int = 32
    revision: str | None = None

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ConfigError(f"model: empty; allowed: {PACKAGED}, a hub name or a local folder")
        if not 0 <= self.side_scale <= 100:
            raise ConfigError(f"side_scale: {self.side_scale}; allowed: 0 to 100")
        if self.max_tokens < 4:
            raise ConfigError(f"max_tokens: {self.max_tokens}; allowed: 4 and more")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size: {self.batch_size}; allowed: 1 and more")


def load_text_encoder(config: TextConfig | None = None, *, device: str = "cpu") -> TextEncoder:
    """Load a frozen encoder onto a torch device.

    Raises:
        InputError: the model is not there, cannot be reached or is no text encoder.
        ArtifactError: the packaged weights are not the ones expected.
    """
    config = config or TextConfig()
    if config.model == PACKAGED:
        place, offline = str(packaged_folder()), True
    else:
        place, offline = locate(config.model, config.revision)
    return _TransformersEncoder(config, place, offline, device)


class _TransformersEncoder:
    def __init__(self, config: TextConfig, place: str, offline: bool, device: str) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        settings: dict[str, Any] = {"local_files_only": offline, "trust_remote_code": False}
        if not offline and config.revision is not None:
            settings["revision"] = config.revision
        try:
            with quiet_transformers():
                self._tokenizer = AutoTokenizer.from_pretrained(place, **settings)
                model = AutoModel.from_pretrained(place, use_safetensors=True, **settings)
        # Whatever is wrong with the user's folder, transformers shows it as any kind of error.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"text model {config.model!r} cannot be loaded ({reason}); allowed: {PACKAGED}, or "
                "a transformers text model with a tokenizer and safetensors weights"
            ) from None
        if getattr(model.config, "is_encoder_decoder", False):
            model = model.get_encoder()
        hidden = getattr(model.config, "hidden_size", None)
        if not isinstance(hidden, int):
            raise InputError(f"text model {config.model!r} is not a text encoder (no hidden size)")
        if not config.pretrained:
            with torch.random.fork_rng(devices=[]), quiet_transformers():
                torch.manual_seed(0)
                model = AutoModel.from_config(model.config)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._lock = threading.Lock()
        # Pieces of texts -> pooled state and number of tokens; the ones longest unused first.
        self._known: dict[str, tuple[np.ndarray, float]] = {}
        self._model = model.float().eval().requires_grad_(False).to(device)
        self._device = device
        self._config = config
        positions = getattr(model.config, "max_position_embeddings", None) or config.max_tokens
        self._max_tokens = min(config.max_tokens, self._tokenizer.model_max_length, positions)
        self.dim = hidden + (len(SIDE_NAMES) if config.side_features else 0)
        revision = f"@{config.revision}" if config.revision else ""
        sides = f"+side{config.side_scale:g}" if config.side_features else ""
        weights = "" if config.pretrained else "+random"
        self.name = f"{config.model}{revision}{weights}/{config.pooling}{sides}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed n texts: `[n, dim]` float32; see the module for the norm.

        A text of more than `max_tokens` tokens is embedded in pieces, cut at the borders of
        sentences, then clauses, then words, and averaged by their tokens, with a warning.

        Raises:
            InputError: an empty text, one above 20,000 characters, or something else than texts.
        """
        _check(texts)
        texts = [repaired(text) for text in texts]
        pieces: dict[str, int] = {}  # piece -> its row; captions repeat, and so do pieces
        parts = [self._split(text) for text in texts]
        for piece in (piece for part in parts for piece in part):
            pieces.setdefault(piece, len(pieces))
        num_long = sum(len(part) > 1 for part in parts)
        if num_long:
            warnings.warn(
                f"{num_long} of {len(texts)} texts exceed {self._max_tokens} tokens; "
                "they are embedded in pieces and averaged",
                stacklevel=2,
            )
        pooled, num_tokens = self._embed(list(pieces))
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for i, part in enumerate(parts):
            index = [pieces[piece] for piece in part]
            mean = np.average(pooled[index], axis=0, weights=num_tokens[index])
            sentence = mean / max(float(np.linalg.norm(mean)), 1e-12)
            rows[i, : len(sentence)] = sentence
            if self._config.side_features:
                rows[i, len(sentence) :] = self._config.side_scale * side_vector(texts[i])
        return rows

    def encode_tokens(self, texts: Sequence[str], length: int) -> tuple[np.ndarray, np.ndarray]:
        """See `TextEncoder`."""
        import torch

        tokens = np.zeros((len(texts), length, self.dim), dtype=np.float32)
        mask = np.zeros((len(texts), length), dtype=bool)
        if not len(texts):
            return tokens, mask
        _check(texts)
        clean, most = [repaired(text) for text in texts], min(length - 1, self._max_tokens)
        for start in range(0, len(clean), self._config.batch_size):
            batch = clean[start : start + self._config.batch_size]
            inputs = self._tokenizer(
                batch, padding=True, truncation=True, max_length=most, return_tensors="pt"
            ).to(self._device)
            with torch.inference_mode():
                state = self._model(**inputs).last_hidden_state
            pooled, counts = self._pooled(state, inputs["attention_mask"])
            # What is not cut off need not be embedded once more.
            whole = [i for i, count in enumerate(counts) if count < most]
            self._remember({batch[i]: (pooled[i].copy(), float(counts[i])) for i in whole})
            there = inputs["attention_mask"].cpu().numpy().astype(bool)
            part = slice(start, start + len(there)), slice(1, 1 + there.shape[1])
            tokens[(*part, slice(state.shape[2]))] = state.cpu().numpy() * there[..., None]
            mask[part] = there
        tokens[:, 0], mask[:, 0] = self.encode(texts), True
        return tokens, mask

    def num_pieces(self, text: str) -> int:
        """See `TextEncoder`."""
        return len(self._split(repaired(text)))

    def _embed(self, pieces: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Pooled states `[n, hidden]` and token counts `[n]`; those of late are remembered."""
        with self._lock:
            found = {piece: self._known[piece] for piece in pieces if piece in self._known}
        new = [piece for piece in pieces if piece not in found]
        pooled, num_tokens = self._embed_new(new)
        found |= {piece: (pooled[i].copy(), float(num_tokens[i])) for i, piece in enumerate(new)}
        self._remember({piece: found[piece] for piece in pieces})
        width = pooled.shape[1]
        rows = [found[piece][0] for piece in pieces]
        counts = [found[piece][1] for piece in pieces]
        return np.array(rows, np.float32).reshape(-1, width), np.array(counts)

    def _remember(self, found: Mapping[str, tuple[np.ndarray, float]]) -> None:
        with self._lock:
            for piece, values in found.items():
                self._known.pop(piece, None)
                self._known[piece] = values
            while len(self._known) > _NUM_KNOWN:
                del self._known[next(iter(self._known))]

    def _pooled(self, state: Any, mask: Any) -> tuple[np.ndarray, np.ndarray]:
        """One vector per text, `[n, hidden]`, of states `[n, L, hidden]`; and token counts."""
        import torch

        if self._config.pooling == "mean":
            counted = mask.unsqueeze(-1).to(state.dtype)
            vector = (state * counted).sum(1) / counted.sum(1)
        else:
            # Not column 0: some tokenizers pad on the left.
            vector = state[torch.arange(len(state), device=state.device), mask.argmax(1)]
        return vector.cpu().numpy(), mask.sum(1).cpu().numpy()

    def _embed_new(self, pieces: list[str]) -> tuple[np.ndarray, np.ndarray]:
        import torch

        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))  # little padding
        width = self.dim - (len(SIDE_NAMES) if self._config.side_features else 0)
        result, num_tokens = np.zeros((len(pieces), width), np.float32), np.ones(len(pieces))
        for start in range(0, len(order), self._config.batch_size):
            rows = order[start : start + self._config.batch_size]
            batch = [pieces[i] for i in rows]
            tokens = self._tokenizer(batch, padding=True, return_tensors="pt").to(self._device)
            with torch.inference_mode():
                state = self._model(**tokens).last_hidden_state
            result[rows], num_tokens[rows] = self._pooled(state, tokens["attention_mask"])
        return result, num_tokens

    def _fits(self, text: str) -> bool:
        # Not verbose: its own warning about long texts would be wrong, since none is cut.
        return len(self._tokenizer(text, verbose=False)["input_ids"]) <= self._max_tokens

    def _split(self, text: str) -> list[str]:
        if self._fits(text):
            return [text]
        for border in _BORDERS:
            parts = [part for part in border.split(text) if part.strip()]
            if len(parts) < 2:
                continue
            pieces = [parts[0]]
            for part in parts[1:]:
                longer = f"{pieces[-1]} {part}"
                if self._fits(longer):
                    pieces[-1] = longer
                else:
                    pieces.append(part)
            return [short for piece in pieces for short in self._split(piece)]
        if len(text) < 2:
            raise InputError(f"max_tokens: {self._max_tokens} is too low for {text!r}")
        half = len(text) // 2
        return [*self._split(text[:half]), *self._split(text[half:])]


def _check(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise InputError("one text was given; a list of texts is needed")
    for i, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"text {i + 1} of {len(texts)} is {text!r}; words are needed")
        if len(text) > MAX_CHARACTERS:
            raise InputError(
                f"text {i + 1} of {len(texts)} has {len(text)} characters; "
                f"allowed: at most {MAX_CHARACTERS}"
            )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and load reports while a model loads; the user's settings come back."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
