"""A trained Everything2Motion run at work: motion from a sentence, from music, or from both.

With music, codes count ticks of its beats instead of frames (`BeatClock`).

Dimensions: B motions, T frames, P patches, K values of a code, F values of a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raydance.data.signals import signal_of
from raydance.data.signals.reading import read_signal
from raydance.errors import ArtifactError, InputError
from raydance.motion import windows
from raydance.motion.clip import Clip
from raydance.motion.contacts import clean_samples
from raydance.motion.joint_rotations import reaching_feet, turned
from raydance.motion.local_frames import from_local, rotations_from_local
from raydance.motion.patch_basis import HOP, LENGTH, num_patches
from raydance.motion.rotations import orthonormal_six
from raydance.music.beat_clock import BeatClock
from raydance.music.features import NAMES, MusicFeatures, beat_columns
from raydance.music.songs import song_features
from raydance.stages.motion_prior import MotionPrior
from raydance.stages.sequence_flow import SequenceFlow
from raydance.stages.sequence_regression import SequenceRegression
from raydance.systems.base import load_stage
from raydance.systems.everything2motion import patches
from raydance.systems.everything2motion.clip_rows import clip_row, genre_number, local_of
from raydance.systems.everything2motion.options import (
    MAX_SECONDS,
    Condition,
    GenerateOptions,
    signal_columns,
)
from raydance.systems.everything2motion.run_texts import RunTexts
from raydance.systems.everything2motion.system import (
    build_stage,
    config_of,
    genres_of,
    signals_of,
)
from raydance.systems.tasks import Input, MotionAnswer, Task, TaskRequest
from raydance.training.run_folder import Run, load_bundle


class Everything2Motion:
    """The generator of one run.

    Args:
        run: a finished run.

    Attributes:
        notes: what its evaluation could not measure.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.notes: list[str] = []
        self.config = config_of(run)
        self.bases = patches.bases_of(run)
        self.local_mean, self.local_std = patches.local_statistics(run)
        self.joint_masks = patches.joints_of(run)
        has_rotations = self.config.patch_basis.rotations
        self.rotation_masks = patches.joints_of(run, "rotation_mask") if has_rotations else {}
        self.joint_mask = np.any(list(self.joint_masks.values()), axis=0)
        self.fps = float(run.facts["dataset"]["fps"])
        self.genres, self.signals = genres_of(run), signals_of(run)
        usual_s = self.config.sequence_flow.most_patches * HOP / self.fps
        self.texts = RunTexts(run, self.config.texts, usual_s)
        self.device = torch.device("cpu")
        self.flow: SequenceFlow | None = None
        self.prior: MotionPrior | None = None
        self.regression: SequenceRegression | None = None
        if self.config.motion_prior.enabled:
            self.prior = self._stage("motion_prior", MotionPrior)
        if self.config.head == "flow":
            self.flow = self._stage("sequence_flow", SequenceFlow)
        else:
            self.regression = self._stage("sequence_regression", SequenceRegression)

    def _stage(self, name: str, kind: type) -> Any:
        stage = load_stage(self.run, name, build_stage)
        assert isinstance(stage, kind)
        return stage

    def to(self, device: torch.device) -> Everything2Motion:
        """Let the networks work on another device; arrays come and go as before."""
        for stage in (self.flow, self.prior, self.regression):
            if stage is not None:
                stage.to(device)
        self.device = device
        return self

    @cached_property
    def _has_music(self) -> bool:
        """Whether it was trained with music."""
        return bool(load_bundle(self.run.bundle("genres"))[1]["has_music"])

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What the run can do."""
        generate = Task(
            name="generate",
            help="Motion from a sentence, from music, or from both",
            inputs={
                "text": Input(
                    kind="text",
                    help="a sentence about movement",
                    is_optional=True,
                    is_learned=any(self.texts.facts["in_train"]),
                ),
                "music": Input(
                    kind="music", help="a song", is_optional=True, is_learned=self._has_music
                ),
                **{
                    name: Input(kind="signal", help=signal_of(name).help, is_optional=True)
                    for name in self.signals
                    if name != "music"
                },
                "motion": Input(kind="motion", help="a motion to go on from", is_optional=True),
            },
            output="motion",
            Options=GenerateOptions,
            answer=self._answer,
        )
        return {generate.name: generate}

    def _answer(self, requests: Sequence[TaskRequest]) -> list[Any]:
        return [self._generate(request) for request in requests]

    def _generate(self, request: TaskRequest) -> MotionAnswer:
        inputs, options = request.inputs, request.options
        text, song = inputs.get("text"), inputs.get("music")
        signals = {
            name: read_signal(name, inputs[name], self.fps)
            for name in self.signals
            if name in inputs and name != "music"
        }
        if text is None and song is None and not signals:
            others = "".join(f" or {signal_of(n).help}" for n in self.signals if n != "music")
            raise InputError(f"what shall move? Give a sentence or music{others}")
        notices: list[str] = []
        music = None
        if song is not None:
            is_read = isinstance(song, MusicFeatures)
            music = song if is_read else song_features(str(song), self.fps)
            if not self._has_music:
                notices.append("this run was trained without music: the song changes nothing")
        seconds = options.seconds
        if seconds is None:
            lasting = [len(values) / self.fps for values in signals.values()]
            lasting = [music.duration_s] if music else lasting
            seconds = min(lasting[0], MAX_SECONDS) if lasting else self.texts.seconds_of(text or "")
        num_frames = max(HOP, round(seconds * self.fps))
        genre = -1
        if options.genre is not None:
            if options.genre not in self.genres:
                known = ", ".join(self.genres) or "none"
                raise InputError(f"genre: {options.genre!r}; this run knows: {known}")
            genre = genre_number(options.genre, self.genres)
        heard = music if self._has_music else None
        before = None
        if "motion" in inputs:
            clock = self.clock_of(heard, num_frames)
            before = self.codes_before(inputs["motion"], clock, heard is not None)
        motion, rotations = self.make_posed(
            [
                Condition(
                    num_frames=num_frames,
                    text=text,
                    music=heard,
                    signals=signals,
                    genre=genre,
                    seed=options.seed + 7919 * i,
                    before=before,
                )
                for i in range(options.samples)
            ],
            steps=options.steps,
            guidance=options.guidance,
        )
        facts: dict[str, Any] = {"source": self.config.head, "seconds": num_frames / self.fps}
        joints = self.joints_of(heard is not None)
        if rotations is None and self.rotation_masks:
            notices.append("without rotations: some joints have none in the training data")
        if options.clean_feet:
            motion, reports = clean_samples(motion, self.fps, joints)
            facts["feet"] = [asdict(report) for report in reports]
            if rotations is not None:
                posed = zip(rotations, motion)
                rotations = np.stack([reaching_feet(six, one, joints) for six, one in posed])
        if text is not None:
            caption, similarity = self.texts.nearest(text)
            facts |= {"understood_as": caption, "similarity": similarity}
        if music is not None:
            facts["tempo_bpm"] = music.tempo_bpm
        beats = music.beats_s[music.beats_s < seconds].tolist() if music is not None else []
        return MotionAnswer(
            motion=motion,
            joint_mask=joints,
            rotations=rotations,
            fps=self.fps,
            facts=facts,
            notices=notices,
            beats_s=beats,
        )

    def clock_of(self, music: MusicFeatures | None, num_frames: int) -> BeatClock:
        """What patches of a motion count."""
        if music is None or self.config.patch_basis.clock == "frames":
            return BeatClock.of_frames(num_frames)
        values = music.values[:num_frames]
        if len(values) < num_frames:  # after a song's end its beat goes on
            beats = beat_columns(music.beats_s, self.fps, num_frames)
            first = NAMES.index("tempo_bpm")
            values = np.zeros((num_frames, len(NAMES)))
            values[:, first : first + beats.shape[1]] = beats
        return BeatClock.of_music(values, self.fps)

    def codes_before(self, clip: Clip, clock: BeatClock, has_music: bool) -> np.ndarray:
        """Codes `[G, K]` of the end of a clip, whose every frame is known.

        Args:
            clock: of the motion that goes on from it; the last half overlap is told twice.
            has_music: whether that motion is to music.

        Raises:
            InputError: a skeleton that cannot be mapped, or too short.
        """
        if self.flow is None or self.config.sequence_flow.prior != "basis":
            raise InputError("this run cannot go on from a motion; one with the patch basis can")
        num_frames = windows.num_resampled(clip.num_frames, clip.fps, self.fps)
        lead = (LENGTH - HOP) // 2
        # As much as the network has learned to go on from, or less where the clip is short.
        for given in range(self.config.sequence_flow.most_before, 0, -1):
            frames = clock.frames_at(np.arange(-(given + 1) * HOP, lead))
            frames = frames - frames[-1] + num_frames - 1
            if frames[0] >= 0:
                break
        else:
            raise InputError(
                f"{clip.clip_id}: {num_frames / self.fps:.1f} s; to go on from it, "
                f"{(num_frames - frames[0]) / self.fps:.1f} s are needed"
            )
        rows = clip_row(clip, self.fps, frames, self.config.patch_basis.rotations)
        in_beats = np.array([self.is_in_beats(has_music)])
        length = np.array([len(frames)])
        codes = patches.codes_of(self.bases, *local_of(rows), length, in_beats)
        return codes[0, 1 : 1 + given]

    def joints_of(self, has_music: bool) -> np.ndarray:
        """`[J]` bool: joints of motion that is made with music, or without."""
        return self.joint_masks[patches.clock_name(self.is_in_beats(has_music))]

    def is_in_beats(self, has_music: bool) -> bool:
        """Whether codes of a motion are those of patches of beats."""
        return has_music and self.config.patch_basis.clock == "beats"

    def make(self, conditions: Sequence[Condition], **options: Any) -> np.ndarray:
        """The motion of `make_posed`."""
        return self.make_posed(conditions, **options)[0]

    def make_posed(
        self,
        conditions: Sequence[Condition],
        *,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Motion `[B, T, 50, 3]`, metres, y up, of conditions of one length.

        Args:
            steps, guidance: of the flow; the run's own by default.

        Returns:
            Motion, and rotations of its joints, `[B, T, 50, 6]`, where the run has all of them.
        """
        num_frames = conditions[0].num_frames
        assert all(one.num_frames == num_frames for one in conditions)
        clocks = [self.clock_of(one.music, num_frames) for one in conditions]
        before = conditions[0].before
        num_given = 0 if before is None else len(before) * HOP
        with torch.inference_mode():
            if self.flow is not None:
                local = self._flow_local(conditions, clocks, num_given, steps, guidance)
            else:
                local = self._regression_local(conditions, num_frames)

        def in_frames(values: np.ndarray) -> np.ndarray:
            ticks = zip(clocks, values[:, num_given:])
            frames = np.stack([clock.to_frames(row[: clock.num_ticks]) for clock, row in ticks])
            return np.where(mask[:, None, :, None], frames, 0.0).astype(np.float32)

        mask = np.stack([self.joints_of(one.music is not None) for one in conditions])
        motion, rotations = in_frames(from_local(local)), None
        if self.rotation_masks and all(self._is_posed(one.music is not None) for one in conditions):
            six = orthonormal_six(in_frames(rotations_from_local(local)))
            faced = windows.heading(motion[:, 0], mask)
            rotations = turned(six, -faced[:, None])
        # A motion begins where the first frame is, which need not be the first tick.
        return windows.normalise_window(motion, mask), rotations

    def _is_posed(self, has_music: bool) -> bool:
        """Whether all joints of a motion have rotations in the training data."""
        clock = patches.clock_name(self.is_in_beats(has_music))
        return bool(self.rotation_masks[clock][self.joint_masks[clock]].all())

    def batch_of(
        self, conditions: Sequence[Condition], clocks: Sequence[BeatClock], num_given: int = 0
    ) -> dict[str, Tensor]:
        """Conditions as the networks read them, after `num_given` ticks that are known."""
        said = [one.text or "" for one in conditions]
        tokens, mask = self.texts.tokens(said)
        lengths = num_given + np.array([clock.num_ticks for clock in clocks], dtype=np.int64)
        arrays = signal_columns(conditions, clocks, self.signals, num_given)
        arrays |= {
            "text_tokens": tokens,
            "text_mask": mask,
            "has_text": np.array([bool(text) for text in said]),
            "genre": np.array([one.genre for one in conditions], dtype=np.int64),
            "length": lengths,
        }
        return {name: torch.from_numpy(a).to(self.device) for name, a in arrays.items()}

    def _flow_local(
        self,
        conditions: Sequence[Condition],
        clocks: Sequence[BeatClock],
        num_given: int,
        steps: int | None,
        guidance: float | None,
    ) -> np.ndarray:
        """Values of frames `[B, ticks, F]`, those that are given first."""
        assert self.flow is not None
        total = num_given + max(clock.num_ticks for clock in clocks)
        count = num_patches(total)
        noise = np.stack(
            [
                np.random.default_rng([one.seed, 11]).standard_normal(
                    (count, self.flow.num_codes), dtype=np.float32
                )
                for one in conditions
            ]
        )
        noise_BPK = torch.from_numpy(noise).to(self.device)
        before_BGK = noise_BPK[:, :0]
        if num_given:
            stacked = np.stack([one.before for one in conditions if one.before is not None])
            before_BGK = torch.from_numpy(stacked).to(self.device)
        batch = self.batch_of(conditions, clocks, num_given)
        codes_BPK = self.flow.go_on(batch, noise_BPK, before_BGK, steps=steps, guidance=guidance)
        prior = self.config.sequence_flow.prior
        if prior == "mp_vae":
            assert self.prior is not None
            local_BTF = self.prior.decode(codes_BPK, total)
            return local_BTF.cpu().numpy() * self.local_std + self.local_mean
        codes = codes_BPK[..., : self.bases["frames"].num_components].cpu().numpy()
        in_beats = np.array([self.is_in_beats(one.music is not None) for one in conditions])
        return patches.decoded(self.bases, codes, in_beats, total)

    def _regression_local(self, conditions: Sequence[Condition], num_frames: int) -> np.ndarray:
        assert self.regression is not None
        most = 8 * len(self.regression.queries)
        if num_frames > most:
            raise InputError(
                f"{num_frames} frames; this run's regression makes at most {most} at once"
            )
        clocks = [BeatClock.of_frames(num_frames) for _ in conditions]
        batch = self.batch_of(conditions, clocks)
        count = -(-num_frames // 8) * 8
        before = torch.zeros(len(conditions), self.config.sequence_regression.before, 1)
        before = before.expand(-1, -1, len(self.local_mean)).to(self.device)
        nothing = torch.zeros(len(conditions), dtype=torch.bool, device=self.device)
        made_BTF = self.regression.make(batch, count, before, nothing)[:, :num_frames]
        return made_BTF.cpu().numpy() * self.local_std + self.local_mean


def load(path: str | Path) -> Everything2Motion:
    """Open a finished run.

    Raises:
        ArtifactError: not a run, damaged, or not finished.
    """
    run = Run.open(path)
    config = config_of(run)
    last = "sequence_flow" if config.head == "flow" else "sequence_regression"
    if last not in run.facts["steps"]:
        raise ArtifactError(f"{path}: not finished; train it again with the same command")
    return Everything2Motion(run)
