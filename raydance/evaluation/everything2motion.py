"""Figures of Everything2Motion on clips that were not trained on: from words, and from music.

From words: a classifier that the run never saw names windows of generated motion, made as long as
the test clip and cut at the same places; beside it stand copies of the training clip whose caption
is nearest. From music: how well the dance's beats fall on the song's (Bailando's beat alignment,
over the music's beats), beside the real dance, a training dance of the nearest tempo, and other
songs of the test split; and how the dances compare as a set (`dance_features`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from raydance.data.dataset import Dataset
from raydance.evaluation.clips import long_enough, read_split, rows_by_caption
from raydance.evaluation.dance_features import NUM_JOINTS, feature_measures
from raydance.evaluation.measure import Measure
from raydance.evaluation.motion_classifier import MotionClassifier
from raydance.metrics.dance import beat_alignment
from raydance.metrics.dance_features import Exact
from raydance.metrics.distribution import fid
from raydance.metrics.motion import jitter
from raydance.motion import windows
from raydance.motion.contacts import clean_samples
from raydance.motion.patch_basis import HOP
from raydance.music.features import NAMES, MusicFeatures
from raydance.systems.everything2motion.options import Condition
from raydance.systems.everything2motion.run import Everything2Motion

MOST_CLIPS: Final = 200
_WINDOW: Final = 50
_STRIDE: Final = 20
_BATCH: Final = 16
_BEAT, _TEMPO = NAMES.index("beat"), NAMES.index("tempo_bpm")


def measures_of(
    system: Everything2Motion, datasets: Mapping[str, Dataset], split: str = "test"
) -> list[Measure]:
    """All figures that a split of the datasets allows."""
    measures: list[Measure] = []
    for dataset in datasets.values():
        test = read_split(dataset, split)
        training = read_split(dataset, "train")
        is_danced = "music" in dataset.arrays and test["has_music"].any()
        if any(test["captions"]) and not (is_danced and len(datasets) > 1):
            measures += text_measures(system, training, test)
        if is_danced:
            measures += music_measures(system, training, test)
    return measures


# From words -----------------------------------------------------------------------------------


def names_of(rows: Mapping[str, Any]) -> list[str]:
    """What each clip shows: its movement or content label, else its first caption."""
    names = []
    for labels, captions in zip(rows["labels"], rows["captions"]):
        known = json.loads(labels or "{}")
        label = next((known[key] for key in ("movement", "content") if known.get(key)), "")
        names.append(str(label) or (captions[0] if captions else ""))
    return names


def windows_in(lengths: np.ndarray) -> list[tuple[int, int]]:
    """(row, first frame) of the windows in clips of these lengths."""
    return [
        (row, int(first))
        for row, length in enumerate(lengths)
        for first in range(0, int(length) - _WINDOW + 1, _STRIDE)
    ]


def cut(
    motion: Sequence[np.ndarray] | np.ndarray,
    joint_mask: np.ndarray,
    places: Sequence[tuple[int, int]],
) -> tuple[np.ndarray, np.ndarray]:
    """Windows `[N, 50, J, 3]` and masks `[N, J]` at places of clips `[B, T, J, 3]`."""
    parts = np.stack([motion[row][first : first + _WINDOW] for row, first in places])
    masks = np.stack([joint_mask[row] for row, _ in places])
    return windows.normalise_window(parts, masks), masks


def text_measures(
    system: Everything2Motion, training: Mapping[str, Any], test: Mapping[str, Any]
) -> list[Measure]:
    """How motion made from the captions of test clips compares with theirs."""
    fps = system.fps
    learned, learned_places = names_of(training), windows_in(training["length"])
    motion, mask = cut(training["motion"], training["joint_mask"], learned_places)
    judge = MotionClassifier.fit(
        motion,
        mask,
        [learned[row] for row, _ in learned_places],
        [f"{training['window_id'][row]}@{first}" for row, first in learned_places],
    )
    rows = [i for i, words in enumerate(test["captions"]) if words and names_of(test)[i] in learned]
    rows = [i for i in rows if test["length"][i] >= _WINDOW][:MOST_CLIPS]
    if not rows:
        return []
    chosen = {name: [values[i] for i in rows] for name, values in test.items()}
    lengths = np.array(chosen["length"])
    places = windows_in(lengths)
    names = [names_of(chosen)[row] for row, _ in places]
    real, real_mask = cut(np.stack(chosen["motion"]), np.stack(chosen["joint_mask"]), places)
    captions = [words[0] for words in chosen["captions"]]
    made = generated(system, captions, lengths)
    # Without joints that the test data lack: the judge would see what it never saw.
    known = system.joint_mask & (np.mean(chosen["joint_mask"], axis=0) > 0.5)
    made = [np.where(known[:, None], motion, 0.0) for motion in made]
    fake, fake_mask = cut(made, np.broadcast_to(known, (len(made), len(known))), places)
    copies = copied(system, training, captions, lengths)
    copy, copy_mask = cut(copies["motion"], copies["joint_mask"], places)
    rng = np.random.default_rng(0)
    sample = rng.choice(len(motion), min(len(motion), 4 * len(real)), replace=False)
    seen = judge.features(motion[sample], mask[sample])
    truth, found = judge.features(real, real_mask), judge.features(fake, fake_mask)
    far = fid(truth, seen)
    rough = jitter(real, fps=fps, joint_mask=real_mask)
    return [
        Measure(
            group="text to motion",
            name="recognised by an independent judge",
            value=judge.accuracy(fake, fake_mask, names),
            chance=100.0 / len(set(learned)),
            baseline=judge.accuracy(copy, copy_mask, names),
            target=judge.accuracy(real, real_mask, names),
        ),
        Measure(
            group="text to motion",
            name="Frechet distance to test motion over that of training motion",
            unit="x",
            better="lower",
            value=fid(truth, found) / far,
            baseline=fid(truth, judge.features(copy, copy_mask)) / far,
            target=1.0,
        ),
        Measure(
            group="text to motion",
            name="jitter over that of real motion",
            unit="x",
            better="target",
            value=jitter(fake, fps=fps, joint_mask=fake_mask) / rough,
            baseline=jitter(copy, fps=fps, joint_mask=copy_mask) / rough,
            target=1.0,
            is_main=False,
        ),
    ]


def generated(
    system: Everything2Motion, captions: Sequence[str], lengths: np.ndarray, seed: int = 0
) -> list[np.ndarray]:
    """Motion `[T, J, 3]` for each caption, each of its own length, as `generate` gives it."""
    out: list[np.ndarray] = [np.zeros(0)] * len(captions)
    # Alike lengths together, made as long as the longest of them.
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        num_frames = int(lengths[rows].max())
        conditions = [
            Condition(num_frames=num_frames, text=captions[i], seed=seed + int(i)) for i in rows
        ]
        for i, motion in zip(rows, _made(system, conditions)):
            out[i] = motion
    return out


def _made(system: Everything2Motion, conditions: Sequence[Condition]) -> np.ndarray:
    """Motion `[B, T, J, 3]` with clean feet, which is what users get by default."""
    joints = system.joints_of(conditions[0].music is not None)
    return clean_samples(system.make(conditions), system.fps, joints)[0]


def copied(
    system: Everything2Motion,
    training: Mapping[str, Any],
    captions: Sequence[str],
    lengths: np.ndarray,
) -> dict[str, Any]:
    """For each caption a training clip that has it, or the nearest one, and is long enough."""
    owners = rows_by_caption(training["captions"])
    every = list(range(len(training["length"])))
    rng = np.random.default_rng(0)
    rows = []
    for caption, length in zip(captions, lengths):
        nearest = caption if caption in owners else system.texts.nearest(caption)[0]
        own = owners.get(nearest) or every
        rows.append(long_enough(own, training["length"], int(length), rng))
    return {"motion": training["motion"][rows], "joint_mask": training["joint_mask"][rows]}


# From music -----------------------------------------------------------------------------------


def features_of(row: np.ndarray, length: int, fps: float) -> MusicFeatures:
    """Features `[T, F]` of a stored row as a song of its own."""
    values = row[:length]
    beats = np.flatnonzero(values[:, _BEAT] > 0.5) / fps
    tempo = float(np.median(values[:, _TEMPO]))
    return MusicFeatures(
        values=values, fps=fps, beats_s=beats, tempo_bpm=tempo, duration_s=length / fps
    )


def music_measures(
    system: Everything2Motion, training: Mapping[str, Any], test: Mapping[str, Any]
) -> list[Measure]:
    """How dances made for test songs keep their beats."""
    fps = system.fps
    rows = [i for i in range(len(test["length"])) if test["has_music"][i]]
    rows = [i for i in rows if test["length"][i] >= 4 * _WINDOW // 2][:MOST_CLIPS]
    if not rows:
        return []
    songs = [features_of(test["music"][i], int(test["length"][i]), fps) for i in rows]
    real = [test["motion"][i][: int(test["length"][i])] for i in rows]
    length = min(len(motion) for motion in real)
    conditions = [
        Condition(num_frames=length, music=song, seed=number) for number, song in enumerate(songs)
    ]
    made: list[np.ndarray] = []
    for start in range(0, len(conditions), _BATCH):
        made += list(_made(system, conditions[start : start + _BATCH]))
    danced = [i for i in range(len(training["length"])) if training["has_music"][i]]
    tempos = np.array([np.median(training["music"][i][:, _TEMPO]) for i in danced])
    nearest = [danced[int(np.abs(tempos - song.tempo_bpm).argmin())] for song in songs]
    copies = [training["motion"][i] for i in nearest]

    def scores_of(
        motions: Sequence[np.ndarray], heard: Sequence[MusicFeatures], exact: Exact = "fixed"
    ) -> np.ndarray:
        scores = [
            beat_alignment(
                song.beats_s[song.beats_s < length / fps],
                motion[:length][:, system.joint_mask],
                fps=fps,
                exact=exact,
            )
            for motion, song in zip(motions, heard)
        ]
        return np.array(scores)

    def alignment(
        motions: Sequence[np.ndarray], heard: Sequence[MusicFeatures], exact: Exact = "fixed"
    ) -> float:
        return float(np.nanmean(scores_of(motions, heard, exact)))

    as_set: list[Measure] = []
    joints = np.array([test["joint_mask"][i] for i in rows]) & system.joint_mask
    if joints[:, :NUM_JOINTS].all():
        seen = [training["motion"][i][:length] for i in danced if training["length"][i] >= length]
        real_part, copied_part = ([m[:length] for m in motions] for motions in (real, copies))
        as_set = feature_measures(made, real_part, copied_part, seen, fps=fps)
    else:
        system.notes.append("dances lack joints that FID of dance features needs: left out")
    turned = [*songs[1:], songs[0]]
    own, other = alignment(made, songs), alignment(made, turned)
    each, real_each = scores_of(made, songs), scores_of(real, songs)
    order = np.argsort([song.tempo_bpm for song in songs], kind="stable")
    thirds = [
        Measure(
            group="music to motion",
            name=f"beat alignment, {name} third",
            unit="",
            value=float(np.nanmean(each[part])),
            target=float(np.nanmean(real_each[part])),
            is_main=False,
        )
        for name, part in zip(("slow", "middle", "fast"), np.array_split(order, 3))
        if len(part)
    ]
    return [
        Measure(
            group="music to motion",
            name="beat alignment",
            unit="",
            value=own,
            chance=alignment(real, turned),
            baseline=alignment(copies, songs),
            target=alignment(real, songs),
        ),
        Measure(
            group="music to motion",
            name="beat alignment under the test split's other songs",
            unit="",
            better="lower",
            value=other,
            target=alignment(real, turned),
            is_main=False,
        ),
        Measure(
            group="music to motion",
            name="own songs over other songs",
            unit="x",
            value=own / max(other, 1e-9),
            target=alignment(real, songs) / max(alignment(real, turned), 1e-9),
        ),
        Measure(
            group="music to motion",
            name="acceleration where parts join over that elsewhere",
            unit="x",
            better="target",
            value=seam_ratio(system, made, songs),
            target=1.0,
        ),
        *thirds,
        Measure(
            group="music to motion",
            name="beat alignment (published)",
            unit="",
            value=alignment(made, songs, "published"),
            chance=alignment(real, turned, "published"),
            baseline=alignment(copies, songs, "published"),
            target=alignment(real, songs, "published"),
            is_main=False,
        ),
        *as_set,
    ]


def seam_ratio(
    system: Everything2Motion, motions: Sequence[np.ndarray], songs: Sequence[MusicFeatures]
) -> float:
    """Mean acceleration within two frames of a join of parts over that of all other frames."""
    config = system.config.sequence_flow
    near: list[float] = []
    far: list[float] = []
    for motion, song in zip(motions, songs):
        clock = system.clock_of(song, len(motion))
        joins = range(
            config.most_patches, clock.num_ticks // HOP, config.most_patches - config.most_before
        )
        known = motion[:, system.joint_mask]
        size = np.linalg.norm(np.diff(known, n=2, axis=0), axis=-1).mean(axis=1)
        at_join = np.zeros(len(size), dtype=bool)
        for patch in joins:
            frame = round(float(clock.frames_at(np.array([patch * HOP]))[0]))
            at_join[max(0, frame - 3) : frame + 2] = True
        near += size[at_join].tolist()
        far += size[~at_join].tolist()
    return float(np.mean(near)) / max(float(np.mean(far)), 1e-9) if near else float("nan")
