"""How far a sentence lies within what a run learned to understand.

The cosine to the nearest caption alone does not tell: a sentence encoder finds something similar
for any words. So the share of a sentence's words that the training captions hold counts too. Both
make one score in [0, 1] by a logistic regression, fitted on examples of the validation split.

Dimensions: N sentences, U captions, D sentence embedding.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from raydance.data import index
from raydance.plain_text import one_line
from raydance.systems.dance_language.foreign_sentences import FOR_FITTING

THRESHOLD: Final = 0.5
"""Below it a sentence is not understood: classes weigh alike, so errors of both kinds do."""

_WORD: Final = re.compile(r"[^\W_]+")
_FUNCTION_WORDS: Final = frozenset(
    "a an the and or but then with without while as of in on at to from by for into onto out off "
    "is are was were be been being it its his her hers their theirs they he she him them i you we "
    "me us my your our this that these those there here someone somebody person persons people "
    "human man men woman women boy girl guy lady performer dancer dancers figure character one two "
    "both each again some any very so not no do does did doing done has have had having s t around "
    "about who which what when where if also just only".split()
)
_SUFFIXES: Final = ("ingly", "edly", "ings", "ing", "ies", "ed", "es", "ly", "s", "e", "y")
_MOST_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True)
class Understood:
    """How a sentence was understood.

    Attributes:
        caption: the nearest caption of a training clip.
        similarity: the cosine between both, in [-1, 1].
        understanding: how far the sentence lies within what the run learned, in [0, 1]; None where
            the run was trained before runs could tell.
        unknown_words: its words that no training caption has.
        notice: what the caller should know; empty where every word of the sentence is known and it
            lies within what the run learned.
    """

    caption: str
    similarity: float
    understanding: float | None = None
    unknown_words: tuple[str, ...] = ()
    notice: str = ""

    @property
    def nearest(self) -> str:
        """The nearest caption, as people read it."""
        return f"understood as: {self.caption} ({self.similarity:.2f})"

    @property
    def line(self) -> str:
        """How it was understood, as people read it."""
        if not self.notice:
            return self.nearest
        is_known = self.understanding is not None and self.understanding >= THRESHOLD
        return f"{'partly' if is_known else 'not'} understood: {self.notice}"


def content_words(text: str) -> list[str]:
    """The words of a sentence that say what moves and how, in lower case, of any script."""
    return [word for word in _WORD.findall(text.lower()) if word not in _FUNCTION_WORDS]


def stem(word: str) -> str:
    """A word without its English ending, so that "kicks" is known where "kicking" is.

    At least three letters stay, and a letter doubled before the ending is single again.
    """
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
                word = word[:-1]
            break
    return word


class Vocabulary:
    """The words of captions, each with how rare it is.

    Args:
        counts: stem -> captions that hold it.
        num_captions: U.
    """

    def __init__(self, counts: Mapping[str, int], num_captions: int) -> None:
        self.counts = dict(counts)
        self.num_captions = num_captions

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        """The vocabulary of captions."""
        sets = [{stem(word) for word in content_words(text)} for text in texts]
        return cls(Counter(word for words in sets for word in words), len(sets))

    def unknown(self, text: str) -> list[str]:
        """A sentence's content words that no caption has, each once, as they are written."""
        words = dict.fromkeys(content_words(text))
        return [word for word in words if not self.counts.get(stem(word))]

    def coverage(self, text: str, without: Mapping[str, int] | None = None) -> float:
        """The share of a sentence's content words that captions hold, in [0, 1].

        Rare words weigh more (their inverse document frequency), unknown ones most: of "a person
        does cartwheels slowly", "cartwheels" decides. 0 for a sentence without content words.

        Args:
            without: captions to be left out of the count, for each stem.
        """
        known = total = 0.0
        for word in map(stem, content_words(text)):
            count = self.counts.get(word, 0) - (without or {}).get(word, 0)
            weight = math.log((self.num_captions + 2) / (max(count, 0) + 1))
            total += weight
            known += weight if count > 0 else 0.0
        return known / total if total > 0 else 0.0


class Understanding:
    """The score of a run, as it is kept in the run folder.

    Args:
        vocabulary: of the training captions.
        weights: of coverage and similarity.
        bias: added to their weighted sum, before the logistic function.
    """

    def __init__(self, vocabulary: Vocabulary, weights: Sequence[float], bias: float) -> None:
        self.vocabulary = vocabulary
        self.weights = (float(weights[0]), float(weights[1]))
        self.bias = float(bias)

    def score(self, coverage_N: np.ndarray, similarity_N: np.ndarray) -> np.ndarray:
        """`[N]` in [0, 1], of `coverage` and the cosine to the nearest caption."""
        sums = self.weights[0] * coverage_N + self.weights[1] * similarity_N + self.bias
        return 1.0 / (1.0 + np.exp(-np.clip(sums, -50, 50)))

    def judge(self, text: str, caption: str, similarity: float) -> Understood:
        """How a sentence was understood whose nearest caption is known."""
        coverage = self.vocabulary.coverage(text)
        score = float(self.score(np.array([coverage]), np.array([similarity]))[0])
        unknown = tuple(self.vocabulary.unknown(text))
        return Understood(
            caption=caption,
            similarity=similarity,
            understanding=score,
            unknown_words=unknown,
            # A sentence like a caption may still hold the word that matters to whoever wrote it.
            notice=notice(text, caption, unknown) if unknown or score < THRESHOLD else "",
        )

    def as_data(self) -> dict[str, Any]:
        """JSON numbers and words."""
        vocabulary = self.vocabulary
        return {
            "words": vocabulary.counts,
            "captions": vocabulary.num_captions,
            "weights": list(self.weights),
            "bias": self.bias,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Understanding:
        """What `as_data` gave."""
        vocabulary = Vocabulary(data["words"], data["captions"])
        return cls(vocabulary, data["weights"], data["bias"])


def notice(text: str, caption: str, unknown: Sequence[str]) -> str:
    """Why a sentence was not understood, in plain words."""
    if unknown:
        named = [f"'{one_line(word)[:30]}'" for word in unknown[:_MOST_NAMED]]
        more = len(unknown) - len(named)
        if more:
            named.append(f"{more} more")
        listed = " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
        are = "were not among the words" if len(unknown) > 1 else "was not among the words"
        reason = f"{listed} {are} that this run learned"
    elif content_words(text):
        reason = "this run learned no caption like this sentence"
    else:
        reason = "the text holds no word that this run learned"
    return f"{reason}; understood as: {caption}"


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Sentences in and out of the vocabulary of a run, as the score sees them.

    Attributes:
        texts: N sentences.
        is_known: `[N]` bool, whether they lie within it.
        coverage, similarity: `[N]`, see `Understanding.score`.
    """

    texts: list[str]
    is_known: np.ndarray
    coverage: np.ndarray
    similarity: np.ndarray


def examples(
    captions: Sequence[str],
    base: Sequence[str],
    base_embedding_UD: np.ndarray,
    encode: Any,
    *,
    foreign: Sequence[str] = FOR_FITTING,
    most: int = 60,
    seed: int = 0,
) -> Examples:
    """Examples from held-out captions: whole ones, parts, and what a run without them would miss.

    In the vocabulary are captions and parts of one to four content words; each is compared with
    the base without itself. Out of it are the `foreign` sentences, the parts' words with their
    letters shuffled, and parts compared with a base that lacks all captions with their words.

    Args:
        captions: of a held-out split.
        base: U training captions, and their `base_embedding_UD`.
        encode: sentences -> `[N, D]`.
        most: captions that are used.
    """
    rng = np.random.default_rng([seed, 83])
    vocabulary = Vocabulary.of(base)
    chosen = sorted(set(captions))
    if len(chosen) > most:
        chosen = [chosen[i] for i in sorted(rng.choice(len(chosen), most, replace=False))]
    parts = [_part(caption, rng) for caption in chosen]
    shuffled = [_shuffled(part, rng) for part in parts[::2]]
    strange = [t for t in [*foreign, *shuffled] if not t.strip() or vocabulary.coverage(t) < 0.99]
    texts = [*chosen, *parts, *strange, *parts]
    unique = list(dict.fromkeys(texts))
    rows = dict(zip(unique, index.unit(encode(unique))))
    embedding_UD = index.unit(base_embedding_UD)
    stems = [{stem(word) for word in content_words(text)} for text in base]
    coverage, similarity, known = [], [], []
    for number, text in enumerate(texts):
        cosine_U = embedding_UD @ rows[text]
        is_own = number < len(chosen) + len(parts)
        is_held_out = number >= len(texts) - len(parts)
        without: Counter[str] = Counter()
        if is_own:
            source = chosen[number % len(chosen)]
            left_out = np.array([caption == source for caption in base])
            without.update({stem(w) for w in content_words(source)} if left_out.any() else ())
        elif is_held_out:
            words = {stem(word) for word in content_words(text)}
            left_out = np.array([bool(words & own) for own in stems])
            without.update({word: vocabulary.counts.get(word, 0) for word in words})
        else:
            left_out = np.zeros(len(base), bool)
        cosine_U = cosine_U[~left_out]
        if len(cosine_U) == 0:
            continue
        known.append((text, is_own))
        coverage.append(vocabulary.coverage(text, without))
        similarity.append(float(cosine_U.max()))
    return Examples(
        texts=[text for text, _ in known],
        is_known=np.array([own for _, own in known], bool),
        coverage=np.array(coverage),
        similarity=np.array(similarity),
    )


def fit(base: Sequence[str], found: Examples) -> Understanding | None:
    """The score of a run from examples; None without examples of both kinds.

    Args:
        base: the training captions.
    """
    if len(set(found.is_known.tolist())) < 2:
        return None
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(class_weight="balanced", C=10.0)
    model.fit(np.stack([found.coverage, found.similarity], axis=1), found.is_known)
    return Understanding(Vocabulary.of(base), model.coef_[0], model.intercept_[0])


def _part(caption: str, rng: np.random.Generator) -> str:
    """One to four content words of a caption in a row, with what stands between them."""
    places = [m for m in _WORD.finditer(caption) if m.group().lower() not in _FUNCTION_WORDS]
    if not places:
        return caption
    count = int(rng.integers(1, min(4, len(places)) + 1))
    first = int(rng.integers(0, len(places) - count + 1))
    return caption[places[first].start() : places[first + count - 1].end()]


def _shuffled(text: str, rng: np.random.Generator) -> str:
    words = ["".join(rng.permutation(list(word))) for word in text.split()]
    return " ".join(words)
