"""What words say of motion, in closed form: the mean motion of a sentence, and words read back.

A flow alone memorises the motions of each training caption, and cannot combine words that it never
saw together. A linear map can: what a style adds to one movement, it adds to every movement. Where
most captions belong to one motion only, a linear map predicts held-out captions badly, and its
errors cost more than it gains; then all sentences have the same mean. Read backwards, the same
statistics tell which of several motions says a sentence best, of new sentences too.

Dimensions: B rows, D sentence embedding, K coefficients, F folds.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

_FOLDS: Final = 5
_PENALTIES: Final = 10.0 ** np.arange(-6.0, 2.1, 0.5)
"""Relative to the number of rows; the largest leaves nearly the mean of all sentences."""
_LEAST_SPREAD: Final = 0.05
_TRUSTED: Final = 0.7
"""Share of the variance of held-out captions, in metres, that must be explained."""
_WHITENING: Final = 0.1
"""Added to the variances of embeddings, relative to the largest, before they are evened out."""
_READING: Final = "reading."
"""Before the names of a `WordReading`'s tensors, beside those of a `SentenceMean`."""


class WordReading(nn.Module):
    """What motion says in words: coefficients taken to whitened sentence embeddings. Fixed.

    The embedding that belongs to coefficients is their covariance with embeddings, applied to them.
    It keeps apart what a movement and its style add, as the mean of a sentence does.

    Args:
        weight: `[K, D]`, from coefficients to whitened embeddings.
        whitening: `[D, D]`, of embeddings.
        text_mean, found_mean: `[D]` and `[K]`, of what it was fitted to.
    """

    weight: Tensor
    whitening: Tensor
    text_mean: Tensor
    found_mean: Tensor

    def __init__(
        self, weight: Tensor, whitening: Tensor, text_mean: Tensor, found_mean: Tensor
    ) -> None:
        super().__init__()
        arrays = {"weight": weight, "whitening": whitening}
        arrays |= {"text_mean": text_mean, "found_mean": found_mean}
        for name, value in arrays.items():
            self.register_buffer(name, value, persistent=False)

    def agreement(self, found_BK: Tensor, text_D: Tensor) -> Tensor:
        """How well motions say a sentence, `[B]`: cosines of whitened embeddings."""
        read_BD = (found_BK - self.found_mean) @ self.weight
        said_D = (text_D - self.text_mean) @ self.whitening
        return torch.nn.functional.cosine_similarity(read_BD, said_D[None], dim=1)


class SentenceMean(nn.Module):
    """Mean coefficients of a sentence, and how far coefficients lie from them. Fixed.

    Args:
        weight: `[D, K]`.
        bias: `[K]`.
        spread: `[K]`, standard deviation of coefficients around the mean.
        reading: words read back from motion; None where they are not.
    """

    weight: Tensor
    bias: Tensor
    spread: Tensor

    def __init__(
        self, weight: Tensor, bias: Tensor, spread: Tensor, reading: WordReading | None = None
    ) -> None:
        super().__init__()
        for name, value in (("weight", weight), ("bias", bias), ("spread", spread)):
            self.register_buffer(name, value, persistent=False)
        self.reading = reading

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> SentenceMean:
        """From what `fit_sentence_mean` and `fit_reading` give together."""
        read = {
            name.removeprefix(_READING): tensor
            for name, tensor in tensors.items()
            if name.startswith(_READING)
        }
        fixed = {name: tensors[name] for name in ("weight", "bias", "spread")}
        return cls(**fixed, reading=WordReading(**read) if read else None)

    @classmethod
    def zero(cls, text_dim: int, components: int) -> SentenceMean:
        """All sentences alike."""
        weight = torch.zeros(text_dim, components)
        return cls(weight, torch.zeros(components), torch.ones(components))

    def forward(self, text_BD: Tensor) -> Tensor:
        """`[B, K]`, in float32 under mixed precision too: small spreads amplify rounding."""
        with torch.autocast(text_BD.device.type, enabled=False):
            return text_BD.float() @ self.weight + self.bias


@dataclass
class _Sums:
    """Of the rows of one fold."""

    count: float
    text_D: np.ndarray
    found_K: np.ndarray
    squares_K: np.ndarray
    text_DD: np.ndarray
    both_DK: np.ndarray

    @classmethod
    def of(cls, text_BD: np.ndarray, found_BK: np.ndarray) -> _Sums:
        return cls(
            float(len(text_BD)),
            text_BD.sum(axis=0),
            found_BK.sum(axis=0),
            np.square(found_BK).sum(axis=0),
            text_BD.T @ text_BD,
            text_BD.T @ found_BK,
        )

    def __add__(self, other: _Sums) -> _Sums:
        mine, theirs = vars(self), vars(other)
        return _Sums(**{name: value + theirs[name] for name, value in mine.items()})

    def errors(self, weight_DK: np.ndarray, bias_K: np.ndarray) -> np.ndarray:
        """Sum of the squared errors of each coefficient, `[K]`."""
        products_K = ((self.text_DD @ weight_DK - 2.0 * self.both_DK) * weight_DK).sum(axis=0)
        crossed_K = bias_K * (self.text_D @ weight_DK - self.found_K)
        return self.squares_K + products_K + 2.0 * crossed_K + self.count * np.square(bias_K)


class _Fit:
    """Ridge regressions on the same rows with any penalty."""

    def __init__(self, sums: _Sums) -> None:
        self.count = sums.count
        self.text_D, self.found_K = sums.text_D / sums.count, sums.found_K / sums.count
        spread_DD = sums.text_DD - sums.count * np.outer(self.text_D, self.text_D)
        both_DK = sums.both_DK - sums.count * np.outer(self.text_D, self.found_K)
        self.values_D, self.vectors_DD = np.linalg.eigh(spread_DD)
        self.rotated_DK = self.vectors_DD.T @ both_DK

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Weight `[D, K]` and bias `[K]`."""
        shrunk_D = np.maximum(self.values_D, 0.0) + penalty * self.count
        weight_DK = self.vectors_DD @ (self.rotated_DK / shrunk_D[:, None])
        return weight_DK, self.found_K - self.text_D @ weight_DK

    def reading(self) -> dict[str, np.ndarray]:
        """Arguments of a `WordReading`."""
        evened_D = np.maximum(self.values_D, 0.0) + _WHITENING * self.values_D.max()
        scaled_DD = self.vectors_DD / np.sqrt(evened_D / self.count)
        covariance_DK = self.rotated_DK / self.count
        return {
            "weight": covariance_DK.T @ scaled_DD.T,
            "whitening": scaled_DD @ self.vectors_DD.T,
            "text_mean": self.text_D,
            "found_mean": self.found_K,
        }


def fit_sentence_mean(
    batches: Iterable[Mapping[str, Tensor]], scale_K: np.ndarray
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Fitted to batches of `text_embedding` `[B, D]` and `coefficients` `[B, K]`, in one pass.

    The penalty is the one with the least error in metres on held-out captions (five folds by
    caption; other captions of the same motion, and its mirror image, may be in other folds). If
    too little of their variance is explained, the mean is the same for all sentences.

    Args:
        scale_K: standard deviation of each component in metres.

    Returns:
        Arguments of a `SentenceMean`; and facts: whether it is used, and the share of the variance
        of held-out captions, in metres, that it explains.
    """
    folds: dict[int, _Sums] = {}
    for batch in batches:
        text_BD, found_BK = _arrays(batch)
        fold_B = np.array([_fold(row_D) for row_D in text_BD])
        for fold in np.unique(fold_B):
            here = fold_B == fold
            sums = _Sums.of(text_BD[here], found_BK[here])
            folds[fold] = folds[fold] + sums if fold in folds else sums
    first, *others = folds.values()
    total = sum(others, start=first)
    penalty, explained = _best_penalty(list(folds.values()), np.square(scale_K))
    facts = {"is_used": explained >= _TRUSTED, "explained": explained}
    if not facts["is_used"]:
        zero = SentenceMean.zero(*total.both_DK.shape)
        return dict(zero.named_buffers()), facts
    weight_DK, bias_K = _Fit(total).solve(penalty)
    left_K = total.errors(weight_DK, bias_K) / total.count
    spread_K = np.sqrt(np.maximum(left_K, _LEAST_SPREAD**2))
    arrays = {"weight": weight_DK, "bias": bias_K, "spread": spread_K}
    tensors = {name: torch.from_numpy(value).float() for name, value in arrays.items()}
    return tensors, facts


def fit_reading(batches: Iterable[Mapping[str, Tensor]], frames: int) -> dict[str, Tensor]:
    """What words are read from motion with, fitted to full windows in one pass.

    Coefficients of shorter clips are guessed in part, and mirrored and varied windows make words
    of new sentences harder to tell apart.

    Args:
        batches: `text_embedding` `[B, D]`, `coefficients` `[B, K]` and `length` `[B]`, as recorded.
        frames: of a full window.

    Returns:
        Arguments of a `WordReading`, as `SentenceMean.of` takes them; none if full windows have one
        sentence.
    """
    total: _Sums | None = None
    for batch in batches:
        text_BD, found_BK = _arrays(batch)
        is_full = batch["length"].numpy() == frames
        sums = _Sums.of(text_BD[is_full], found_BK[is_full])
        total = total + sums if total else sums
    fit = _Fit(total) if total and total.count else None
    if fit is None or fit.values_D.max() < 1e-9 * fit.count:
        return {}
    return {_READING + name: torch.from_numpy(one).float() for name, one in fit.reading().items()}


def _arrays(batch: Mapping[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    return batch["text_embedding"].double().numpy(), batch["coefficients"].double().numpy()


def _fold(row_D: np.ndarray) -> int:
    """Of a caption: the same for all of its rows, whatever rounding did to them."""
    return zlib.crc32(np.round(row_D * 1000.0).astype(np.int32).tobytes()) % _FOLDS


def _best_penalty(folds: list[_Sums], importance_K: np.ndarray) -> tuple[float, float]:
    """The penalty with the least error on held-out folds, and the share that it explains."""
    wrong_P = np.zeros(len(_PENALTIES))
    plain = 1e-12
    for number, held_out in enumerate(folds if len(folds) > 1 else ()):
        first, *others = folds[:number] + folds[number + 1 :]
        fit = _Fit(sum(others, start=first))
        plain += held_out.errors(np.zeros_like(fit.rotated_DK), fit.found_K) @ importance_K
        wrong_P += [held_out.errors(*fit.solve(one)) @ importance_K for one in _PENALTIES]
    if len(folds) == 1:
        return float(_PENALTIES[-1]), 0.0
    best = int(np.argmin(wrong_P))
    return float(_PENALTIES[best]), float(1.0 - wrong_P[best] / plain)
