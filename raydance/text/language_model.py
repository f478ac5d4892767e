"""Language models that write: a small one of its own, or one from a hub or a folder.

Encoder-decoder models of transformers (T5, BART and their like). The small one is a T5 built from
numbers, and its vocabulary is learnt from the captions themselves, so it needs no network. A model
of either kind is described by plain data (`Language`), from which its architecture can be built
again without the place that it came from.

Dimensions: n texts, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from raydance.errors import InputError
from raydance.text.encoder import quiet_transformers
from raydance.text.model_files import locate

SMALL: Final = "small"
IGNORED: Final = -100
"""Fills rows of tokens; losses leave it out."""
_PAD, _END, _UNKNOWN = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Language:
    """A model without its weights; plain data.

    Attributes:
        architecture: a transformers configuration.
        tokenizer: a tokenizer of the `tokenizers` library, as JSON.
    """

    architecture: dict[str, Any]
    tokenizer: str


def small_language(
    captions: Sequence[str], *, vocabulary: int, width: int, layers: int, dropout: float
) -> Language:
    """A small T5 and byte-level pieces of words learnt from captions.

    Args:
        captions: what the pieces are learnt from; other texts can still be written in them.
        vocabulary: pieces at most.
        width: of the layers, a multiple of 4, the number of heads.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(list(captions), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", _END)]
    )
    architecture = {
        "model_type": "t5",
        "vocab_size": tokenizer.get_vocab_size(),
        "d_model": width,
        "d_kv": width // 4,
        "d_ff": 4 * width,
        "num_heads": 4,
        "num_layers": layers,
        "num_decoder_layers": layers,
        "dropout_rate": dropout,
        "pad_token_id": _PAD,
        "eos_token_id": _END,
        "decoder_start_token_id": _PAD,
    }
    return Language(architecture=architecture, tokenizer=tokenizer.to_str())


def load_language(name: str) -> tuple[Language, Any]:
    """A trained encoder-decoder and its description.

    Args:
        name: on a hub, or a folder in transformers' format.

    Raises:
        InputError: not there, not reachable, or no encoder-decoder with a fast tokenizer.
    """
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    place, offline = locate(name, None)
    settings: dict[str, Any] = {"local_files_only": offline, "trust_remote_code": False}
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(place, **settings)
            model = AutoModelForSeq2SeqLM.from_pretrained(place, use_safetensors=True, **settings)
        pieces = tokenizer.backend_tokenizer.to_str()
    # Whatever is wrong with the user's folder, transformers shows it as any kind of error.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"caption_writer.model {name!r} cannot be loaded ({reason}); allowed: {SMALL}, or a "
            "transformers encoder-decoder with a fast tokenizer and safetensors weights"
        ) from None
    return Language(architecture=model.config.to_dict(), tokenizer=pieces), model.float()


def build_model(language: Language) -> Any:
    """The untrained network of a language."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    plain = dict(language.architecture)
    return AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(plain.pop("model_type"), **plain))


class Vocabulary:
    """Sentences to tokens and back."""

    def __init__(self, language: Language) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(language.tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def encode(self, texts: Sequence[str], max_tokens: int) -> np.ndarray:
        """Tokens `[n, L]` int64 with their end marks, filled with `IGNORED`; longer ones are cut
        before their end mark."""
        rows = [self._tokenizer.encode(text).ids for text in texts]
        rows = [
            row if len(row) <= max_tokens else [*row[: max_tokens - 1], row[-1]] for row in rows
        ]
        tokens = np.full((len(rows), max(map(len, rows), default=1)), IGNORED, dtype=np.int64)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = row
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """The sentence of some tokens, `IGNORED` ones and marks left out."""
        kept = [token for token in tokens if token != IGNORED]
        return " ".join(self._tokenizer.decode(kept, skip_special_tokens=True).split())
