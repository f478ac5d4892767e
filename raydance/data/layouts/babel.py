"""BABEL (A. Punnakkal et al., 2021): words for segments of AMASS recordings.

`train.json`, `val.json`, `test.json` and `extra_*.json` name a recording (`feat_p`), labels of the
whole (`seq_ann`) and, for most, of segments in seconds (`frame_ann`). Segments are taken where
there are any. AMASS itself lies below the same folders, in any edition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from raydance.data.file_search import FoundFile
from raydance.data.layouts import amass
from raydance.data.layouts.base import Layout, Notes, Tree, read_small_json
from raydance.motion.captions import CaptionRow
from raydance.plain_text import sentence

_FILES: Final = {
    "train": ("train.json", "extra_train.json"),
    "val": ("val.json", "extra_val.json"),
    "test": ("test.json",),
}
_TRANSITION: Final = "transition"


def _matches(tree: Tree) -> bool:
    path = tree.named("train.json", "val.json")
    if path is None:
        return False
    data = read_small_json(path, Notes())
    return isinstance(data, Mapping) and any(
        isinstance(entry, Mapping) and "babel_sid" in entry for entry in list(data.values())[:3]
    )


def _read(tree: Tree) -> tuple[Iterable[FoundFile], Notes]:
    notes = Notes()
    annotated = _annotations(tree, notes)
    files = list(amass.motions(tree, Notes()))
    if not files:
        notes.add("missing: the recordings of AMASS (*_poses.npz or *_stageii.npz)")
    there = {file.recording for file in files}
    for key in annotated.keys() - there:
        notes.count("annotated recordings are not below these folders", key)
    return _with_annotations(files, annotated, notes), notes


def _annotations(tree: Tree, notes: Notes) -> dict[str, tuple[str, list[Mapping[str, Any]]]]:
    """Recording -> its split and what was said about it."""
    found: dict[str, tuple[str, list[Mapping[str, Any]]]] = {}
    missing = []
    for split, names in _FILES.items():
        for name in names:
            path = tree.named(name)
            if path is None:
                missing.append(name)
                continue
            data = read_small_json(path, notes)
            for entry in data.values() if isinstance(data, Mapping) else ():
                place = entry.get("feat_p") if isinstance(entry, Mapping) else None
                if not isinstance(place, str):
                    notes.count("entries name no recording (feat_p)", name)
                    continue
                known, entries = found.setdefault(amass.key_of(place), (split, []))
                if known != split:
                    notes.count(f"recordings of {known} are in {split} as well", place)
                    continue
                entries.append(entry)
    if missing:
        notes.add(f"missing: {', '.join(missing)}")
    return found


def _with_annotations(
    files: Iterable[FoundFile],
    annotated: Mapping[str, tuple[str, list[Mapping[str, Any]]]],
    notes: Notes,
) -> Iterator[FoundFile]:
    for file in files:
        if file.recording is None or file.recording not in annotated:
            notes.count("recordings of AMASS are not in BABEL and left out", file.name)
            continue
        split, entries = annotated[file.recording]
        rows = tuple(row for entry in entries for row in _rows(file.path, entry, notes))
        if not rows:
            notes.count("recordings have no labels and stay without captions", file.name)
        yield replace(file, split=split, rows=rows)


def _rows(motion: Path, entry: Mapping[str, Any], notes: Notes) -> Iterator[CaptionRow]:
    segments = [*_labels(entry, "frame_ann"), *_labels(entry, "frame_anns")]
    if not segments:
        whole = [*_labels(entry, "seq_ann"), *_labels(entry, "seq_anns")]
        texts = tuple(dict.fromkeys(text for label in whole for text in _texts(label)))
        if texts:
            kinds = list(dict.fromkeys(kind for label in whole for kind in _kinds(label)))
            yield CaptionRow(file=motion, captions=texts, labels=_action(kinds))
        return
    for label in segments:
        begin, end = _time(label.get("start_t")), _time(label.get("end_t"))
        texts, kinds = tuple(_texts(label)), _kinds(label)
        if begin is None or end is None or begin >= end or not texts:
            notes.count("segments have no words or no times and are left out", motion.stem)
        elif kinds == [_TRANSITION] or texts == (_TRANSITION,):
            notes.count("segments are transitions between two others and left out", motion.stem)
        else:
            labels = _action(kinds)
            yield CaptionRow(file=motion, captions=texts, span_s=(begin, end), labels=labels)


def _labels(entry: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """The labels of one annotation, or of each in a list of them; some are null."""
    annotations = entry.get(key)
    for annotation in annotations if isinstance(annotations, list) else [annotations]:
        labels = annotation.get("labels") if isinstance(annotation, Mapping) else None
        yield from (x for x in labels if isinstance(x, Mapping)) if isinstance(labels, list) else ()


def _texts(label: Mapping[str, Any]) -> Iterator[str]:
    """The annotator's words, and the tidied ones where they differ."""
    found = (label.get("raw_label"), label.get("proc_label"))
    words = [sentence(text) for text in found if isinstance(text, str)]
    yield from dict.fromkeys(filter(None, words))


def _kinds(label: Mapping[str, Any]) -> list[str]:
    kinds = label.get("act_cat")
    return [sentence(x) for x in kinds if isinstance(x, str)] if isinstance(kinds, list) else []


def _action(kinds: list[str]) -> dict[str, str]:
    return {"action": ", ".join(kinds)} if kinds else {}


def _time(value: Any) -> float | None:
    """Seconds, if the value can be some."""
    return float(value) if type(value) in (int, float) and 0.0 <= value < 1e6 else None


BABEL = Layout(title="BABEL", matches=_matches, read=_read)
