"""Frozen CLIP models (Radford et al., 2021): sentences and frames in one space.

Lang2Motion reads `openai/clip-vit-base-patch32`; any CLIP of transformers can be named, on the hub
or as a folder. Offline a small one of the same class is trained on overlays and sentences
(`raydance.stages.small_clip`), written by `write_clip`, and read like any other.

Dimensions: n texts or frames, D features.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import ConfigError, InputError
from raydance.text.encoder import quiet_transformers
from raydance.text.model_files import locate

PAPER: Final = "openai/clip-vit-base-patch32"
PAD, UNKNOWN, START, END = 0, 1, 2, 3
"""Tokens of the small CLIP. The end is not 2: for that value transformers' CLIP takes the token
with the highest number for the end, as its first published weights need."""
MAX_FRAMES: Final = 100_000


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Which CLIP, and how it is used.

    Attributes:
        model: a name on the hub, or a local folder in transformers' format. Weights must be
            safetensors; a model's own code is never run.
        revision: of a model on the hub.
        batch_size: texts or frames at a time.
    """

    model: str = PAPER
    revision: str | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ConfigError("clip.model: empty; allowed: a hub name or a local folder")
        if self.batch_size < 1:
            raise ConfigError(f"clip.batch_size: {self.batch_size}; allowed: 1 and more")


class Clip:
    """A frozen CLIP.

    Attributes:
        name: equal names mean comparable features.
        dim: D.

    Raises:
        InputError: the model is not there, cannot be reached, or is no CLIP.
    """

    def __init__(self, config: ClipConfig | None = None, *, device: str = "cpu") -> None:
        from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

        self._config = config = config or ClipConfig()
        self._device = device
        place, offline = locate(config.model, config.revision)
        settings: dict[str, Any] = {"local_files_only": offline}
        if not offline and config.revision is not None:
            settings["revision"] = config.revision
        try:
            with quiet_transformers():
                self._check(place, settings)
                self._tokenizer = AutoTokenizer.from_pretrained(
                    place, trust_remote_code=False, **settings
                )
                self._processor = AutoImageProcessor.from_pretrained(
                    place, trust_remote_code=False, **settings
                )
                model = CLIPModel.from_pretrained(place, use_safetensors=True, **settings)
        except InputError:
            raise
        # Whatever is wrong with the user's folder, transformers shows it as any kind of error.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"clip.model {config.model!r} cannot be loaded ({reason}); allowed: a CLIP of "
                "transformers with a tokenizer, an image processor and safetensors weights"
            ) from None
        self._model = model.float().eval().requires_grad_(False).to(device)
        sizes: Any = model.config
        positions = int(sizes.text_config.max_position_embeddings)
        self._max_tokens = min(positions, int(self._tokenizer.model_max_length))
        self.dim = int(sizes.projection_dim)
        self.name = config.model + (f"@{config.revision}" if config.revision else "")

    def _check(self, place: str, settings: dict[str, Any]) -> None:
        """Refuse other models, of which transformers would load a part and draw the rest."""
        from transformers import AutoConfig

        kind = AutoConfig.from_pretrained(place, trust_remote_code=False, **settings).model_type
        if kind != "clip":
            raise InputError(
                f"clip.model {self._config.model!r} is of type {kind!r}; allowed: a CLIP of "
                f"transformers, such as {PAPER}"
            )

    def text_features(self, texts: Sequence[str]) -> np.ndarray:
        """`[n, D]` float32 of length 1; texts beyond the model's length are cut, with a warning.

        Raises:
            InputError: an empty text.
        """
        import torch

        for i, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise InputError(f"text {i + 1} of {len(texts)} is {text!r}; words are needed")
        distinct = list(dict.fromkeys(texts))
        lengths = [len(row) for row in self._tokens(distinct)["input_ids"]] if distinct else []
        num_long = sum(length > self._max_tokens for length in lengths)
        if num_long:
            warnings.warn(
                f"{num_long} of {len(distinct)} texts exceed {self._max_tokens} tokens; CLIP reads "
                "only their beginning",
                stacklevel=2,
            )
        rows = [np.zeros((0, self.dim), dtype=np.float32)]
        for first in range(0, len(distinct), self._config.batch_size):
            part = distinct[first : first + self._config.batch_size]
            tokens = self._tokenizer(
                part,
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                features = self._model.get_text_features(
                    input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
                )
            rows.append(_unit(features))
        number = {text: i for i, text in enumerate(distinct)}
        return np.concatenate(rows)[[number[text] for text in texts]]

    def _tokens(self, texts: Sequence[str]) -> Any:
        return self._tokenizer(list(texts), verbose=False)

    def image_features(self, frames: np.ndarray) -> np.ndarray:
        """`[n, D]` float32 of length 1, of frames `[n, H, W, 3]` uint8 RGB.

        Raises:
            InputError: something else than such frames.
        """
        import torch

        is_image = frames.ndim == 4 and frames.shape[3] == 3 and frames.dtype == np.uint8
        if not is_image or len(frames) > MAX_FRAMES or 0 in frames.shape[1:3]:
            raise InputError(
                f"frames: {frames.dtype} {frames.shape}; allowed: uint8 (n, height, width, 3), at "
                f"most {MAX_FRAMES} frames"
            )
        rows = [np.zeros((0, self.dim), dtype=np.float32)]
        for first in range(0, len(frames), self._config.batch_size):
            part = list(frames[first : first + self._config.batch_size])
            pixels = self._processor(
                images=part, return_tensors="pt", input_data_format="channels_last"
            )["pixel_values"].to(self._device)
            with torch.inference_mode():
                rows.append(_unit(self._model.get_image_features(pixel_values=pixels)))
        return np.concatenate(rows)


def _unit(features: Any) -> np.ndarray:
    """Rows of length 1; transformers 5 wraps the projected features."""
    value = getattr(features, "pooler_output", features).float()
    return (value / value.norm(dim=1, keepdim=True).clamp_min(1e-12)).cpu().numpy()


def small_tokenizer(sentences: Sequence[str], *, vocabulary: int, max_tokens: int) -> Any:
    """Byte-level pieces of words learnt from sentences, in lower case, as transformers keeps them.

    Args:
        vocabulary: pieces at most.
        max_tokens: that the model reads, start and end included.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<unk>", "<start>", "<end>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        list(sentences),
        BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=names,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", START), ("<end>", END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=names[PAD],
        unk_token=names[UNKNOWN],
        bos_token=names[START],
        eos_token=names[END],
        model_max_length=max_tokens,
    )


def write_clip(folder: Path, model: Any, tokenizer: Any) -> None:
    """A folder that `Clip` reads: weights, tokenizer, and how frames become pixels.

    Args:
        model: a `CLIPModel` of transformers.
        tokenizer: of transformers.
    """
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    size = int(model.config.vision_config.image_size)
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        CLIPImageProcessorPil(
            size={"shortest_edge": size},
            crop_size={"height": size, "width": size},
            image_mean=list(PIXEL_MEAN),
            image_std=list(PIXEL_STD),
        ).save_pretrained(folder)


PIXEL_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD: Final = (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training images."""
