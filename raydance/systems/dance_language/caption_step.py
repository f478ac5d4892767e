"""Which captions each window has, and their embeddings (Dance-Language, sections II.C and II.D).

A clip's own captions come first. The paper has only descriptions of clusters: they stand in where a
clip has none, written by a person (`raydance annotate`) or, until then, derived from kinematics and
marked so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from raydance.data.columns import read_columns, write_columns
from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.motion import augment, derived_captions, kinematics
from raydance.plain_text import sentence
from raydance.text import encoder as text
from raydance.training.run_folder import Run, load_bundle

_REFERENCE_WINDOWS = 2000


@dataclass(frozen=True, kw_only=True)
class CaptionsConfig:
    """Where a window's captions come from.

    Attributes:
        source: `auto` takes the clip's captions, and its cluster's where it has none; `cluster`
            takes only the cluster's, as the paper does.
    """

    source: Literal["auto", "cluster"] = "auto"


@dataclass
class CaptionCollection:
    """All captions of a run, mirrored ones included.

    Attributes:
        texts: unique captions; `mirror[i]` is the index of the i-th with left and right swapped.
        in_train: whether a caption belongs to a training clip (only those describe new motion).
        of_cluster: caption indices that stand for each cluster.
        written: whether a person wrote the words of that cluster.
    """

    texts: list[str] = field(default_factory=list)
    mirror: list[int] = field(default_factory=list)
    in_train: list[bool] = field(default_factory=list)
    of_cluster: dict[int, list[int]] = field(default_factory=dict)
    written: dict[int, bool] = field(default_factory=dict)
    num_uncaptioned: int = 0
    _index: dict[str, int] = field(default_factory=dict)

    def add(self, caption: str, in_train: bool) -> int:
        """Index of a caption, added together with its mirrored partner if it is new."""
        index = self._index.get(caption)
        if index is None:
            index = self._append(caption)
            partner = augment.mirror_caption(caption)
            if partner != caption:
                other = self._index.get(partner)
                other = self._append(partner) if other is None else other
                self.mirror[index], self.mirror[other] = other, index
        if in_train:
            self.in_train[index] = self.in_train[self.mirror[index]] = True
        return index

    def _append(self, caption: str) -> int:
        self._index[caption] = len(self.texts)
        self.texts.append(caption)
        self.mirror.append(len(self.texts) - 1)
        self.in_train.append(False)
        return len(self.texts) - 1

    @property
    def derived(self) -> bool:
        """Whether any window is described by words that no person wrote."""
        return self.num_uncaptioned > 0 and not all(self.written.values())

    @property
    def difficulty(self) -> list[float]:
        """Curriculum difficulty of each caption: its rank among all, in [0, 1].

        Ranks, so that half of the captions are admitted at .5 whatever a corpus is like.
        """
        raw = np.array([text.difficulty(caption) for caption in self.texts])
        return (np.argsort(np.argsort(raw, kind="stable")) / max(1, len(raw) - 1)).tolist()

    def facts(self) -> dict[str, Any]:
        """Plain data kept in the run folder."""
        return {
            "texts": self.texts,
            "mirror": self.mirror,
            "in_train": self.in_train,
            "of_cluster": {str(k): v for k, v in self.of_cluster.items()},
            "derived": sorted(
                {
                    j
                    for k, ids in self.of_cluster.items()
                    if not self.written[k]
                    for i in ids
                    for j in (i, self.mirror[i])
                }
            ),
        }


def derived_descriptions(run: Run, dataset: Dataset) -> dict[int, list[str]]:
    """Words for each cluster: the label that it stands for, where it does, and what kinematics say
    of its exemplars against the training windows."""
    tensors, _ = load_bundle(run.bundle("clusters"))
    reference: list[np.ndarray] = []
    for shard in dataset.shards("train"):
        rows = dataset.read_shard(shard, columns=["motion", "joint_mask"])
        reference.append(kinematics.descriptors(rows["motion"], rows["joint_mask"], dataset.fps))
        if sum(map(len, reference)) >= _REFERENCE_WINDOWS:
            break
    usual = derived_captions.reference_of(np.concatenate(reference))
    own = kinematics.descriptors(
        tensors["exemplar_motion"].numpy(), tensors["exemplar_mask"].numpy(), dataset.fps
    )
    cluster = tensors["exemplar_cluster"].numpy()
    names = cluster_names(run)
    return {
        int(c): [
            *([names[int(c)]] if int(c) in names else []),
            *derived_captions.derive_caption(own[cluster == c].mean(axis=0), usual),
        ]
        for c in np.unique(cluster)
    }


def cluster_names(run: Run) -> dict[int, str]:
    """The label that each cluster stands for, where clusters started from labels."""
    report = load_bundle(run.bundle("clusters"))[1]["report"]
    return {c: name for c, name in enumerate(report.get("names", ())) if name}


def annotations_path(run: Run) -> Path:
    """The sheet that a person fills in."""
    return run.path / "annotation" / "annotations.yaml"


def read_annotations(path: Path) -> dict[int, list[str]]:
    """Descriptions that a person wrote for clusters; clusters left empty are absent.

    Raises:
        InputError: not the form that `raydance annotate` writes.
    """
    if not path.exists():
        return {}
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows = data["clusters"]
        out = {int(key): row["descriptions"] or [] for key, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not an annotation sheet ({error})") from None
    for key, descriptions in out.items():
        if not isinstance(descriptions, list) or not all(isinstance(d, str) for d in descriptions):
            raise InputError(f"{path}: cluster {key}: descriptions must be a list of sentences")
    written = {k: [words for d in v if (words := sentence(d))] for k, v in out.items()}
    return {k: v for k, v in written.items() if v}


def written_for(path: Path, exemplars: Mapping[int, list[str]]) -> dict[int, list[str]]:
    """The descriptions that were written for these exemplars.

    Clusters that were found anew may be numbered anew; words for other exemplars are not theirs.

    Args:
        exemplars: cluster -> window ids.
    """
    written = read_annotations(path)
    if not written:
        return {}
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))["clusters"]
    kept = {}
    for cluster, words in written.items():
        seen = (rows.get(cluster) or rows.get(str(cluster)) or {}).get("exemplars")
        if cluster in exemplars and seen in (None, exemplars[cluster]):
            kept[cluster] = words
    return kept


def exemplars_of(run: Run) -> dict[int, list[str]]:
    """Cluster -> window ids of its exemplars."""
    tensors, facts = load_bundle(run.bundle("clusters"))
    out: dict[int, list[str]] = {}
    for cluster, window_id in zip(tensors["exemplar_cluster"].tolist(), facts["exemplar_ids"]):
        out.setdefault(cluster, []).append(window_id)
    return out


def collect_captions(run: Run, dataset: Dataset) -> CaptionCollection:
    """All captions of the dataset, and the words of each cluster where they are needed."""
    source = run.config["captions"]["source"]
    table = CaptionCollection()
    for clip in dataset.clips():
        captions = clip["captions"] if source == "auto" else []
        for caption in captions:
            table.add(caption, clip["split"] == "train")
        if not captions:
            table.num_uncaptioned += int(clip["num_windows"])
    sheet = annotations_path(run)
    written = written_for(sheet, exemplars_of(run))
    unused = len(read_annotations(sheet)) - len(written)
    if unused:
        warnings.warn(
            f"{sheet}: descriptions of {unused} clusters were written for other exemplars than "
            "now and are not used; `raydance annotate` makes a new sheet",
            stacklevel=2,
        )
    if table.num_uncaptioned or written:
        for cluster, words in derived_descriptions(run, dataset).items():
            table.written[cluster] = cluster in written
            if cluster in written or table.num_uncaptioned:
                descriptions = written.get(cluster, words)
                table.of_cluster[cluster] = [table.add(d, True) for d in descriptions]
            else:
                table.of_cluster[cluster] = []
    return table


class EmbedTexts:
    """Embeds pieces of the caption list with the frozen text encoder."""

    def __init__(self, config: text.TextConfig) -> None:
        self.encoder = text.load_text_encoder(config)

    def __call__(self, item: tuple[int, Iterable[str]]) -> tuple[int, np.ndarray]:
        """`item` is (piece number, texts); returns the number and `[n, D]` embeddings."""
        number, texts = item
        return number, self.encoder.encode(list(texts))


class CaptionIdWriter:
    """Writes the column `caption_ids` (and its mirrored partner) of shards."""

    def __init__(self, run_path: str) -> None:
        self.run = Run.open(run_path)
        _, facts = load_bundle(self.run.bundle("captions"))
        self.index = {caption: i for i, caption in enumerate(facts["texts"])}
        self.mirror = facts["mirror"]
        self.of_cluster = {int(k): v for k, v in facts["of_cluster"].items()}
        self.derived = set(facts["derived"])
        self.own_captions = self.run.config["captions"]["source"] == "auto"
        self.dataset = Dataset.open(self.run.facts["dataset"]["path"])

    def __call__(self, item: tuple[str, int]) -> Mapping[str, Any]:
        """`item` is (split, shard index)."""
        split, number = item
        shard = self.dataset.shards(split)[number]
        rows = self.dataset.read_shard(shard, columns=["window_id", "captions"])
        window_ids = list(rows["window_id"])
        path = self.run.columns("clusters") / f"{shard.name}.parquet"
        clusters = read_columns(path, ["cluster"], window_ids)["cluster"]
        ids = [self._ids(c, int(k)) for c, k in zip(rows["captions"], clusters)]
        swapped = [[self.mirror[i] for i in row] for row in ids]
        out = self.run.columns("captions") / f"{shard.name}.parquet"
        write_columns(out, window_ids, {"caption_ids": ids, "caption_ids_mirrored": swapped})
        return {"shard": shard.name}

    def _ids(self, captions: Iterable[str], cluster: int) -> list[int]:
        own = [self.index[c] for c in captions] if self.own_captions else []
        words = self.of_cluster.get(cluster, [])
        # Words that a person wrote belong to every member; derived ones only fill a gap.
        extra = [i for i in words if not own or i not in self.derived]
        return list(dict.fromkeys([*own, *extra]))
