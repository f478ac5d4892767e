"""Samples in a report: what a run answers to a few test captions, by its own tasks.

A task that needs a sentence and nothing else is asked; its motion or tracks are drawn, its rows are
shown. Systems whose samples need more declare sections of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raydance.data.dataset import Dataset
from raydance.motion.render import render_gif
from raydance.report import page
from raydance.report.section import Animation, ReportContext, Section
from raydance.report.tables import Table
from raydance.systems.tasks import Answer, LoadedSystem, MotionAnswer, Task, TracksAnswer
from raydance.tracks.export import write_track

_NUM_SENTENCES = 4
_MAX_FRAMES = 200


def sample_sections(loaded: LoadedSystem, context: ReportContext) -> list[Section]:
    """A section for each task that a sentence alone is enough for."""
    sentences = list(context.sentences) or captions_of(context.dataset)
    sections = []
    for task in loaded.tasks.values():
        needed = {name for name, wanted in task.inputs.items() if not wanted.is_optional}
        if "text" in task.inputs and needed <= {"text"} and sentences:
            answers = task.answer([task.request({"text": text}, {}) for text in sentences])
            shown = "".join(_shown(task, sentences, answers, context.out / "samples"))
            sections.append(Section(f"task-{task.name}", f"{task.name}: {task.help}", shown))
    return sections


def captions_of(dataset: Dataset | None, num: int = _NUM_SENTENCES) -> list[str]:
    """Different captions of test rows, spread over the split."""
    if dataset is None:
        return []
    clips = [clip for clip in dataset.clips() if clip["split"] == "test" and clip["captions"]]
    known = list(dict.fromkeys(clip["captions"][0] for clip in clips))
    return known[:: max(1, len(known) // num)][:num]


def _shown(task: Task, sentences: Sequence[str], answers: Sequence[Answer], folder: Path) -> str:
    pictures, tables = [], []
    for number, (text, answer) in enumerate(zip(sentences, answers)):
        facts = ", ".join(
            f"{key.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in answer.facts.items()
        )
        if isinstance(answer, MotionAnswer | TracksAnswer):
            file = f"{task.name}_{number}.gif"
            folder.mkdir(parents=True, exist_ok=True)
            _draw(answer, folder / file)
            pictures.append(Animation(file=file, title=text, text=facts))
        else:
            rows = [tuple(map(_cell, row.values())) for row in answer.rows]
            header = tuple(answer.rows[0]) if answer.rows else ()
            tables.append(Table(number="", title=text, header=header, rows=tuple(rows)))
    return page.animations(pictures, folder.name) + "".join(map(page.table, tables))


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _draw(answer: MotionAnswer | TracksAnswer, file: Path) -> None:
    if isinstance(answer, MotionAnswer):
        motion = answer.motion[0, :_MAX_FRAMES]
        render_gif(file, [motion], fps=answer.fps, joint_mask=[answer.joint_mask], size=(260, 300))
    else:
        write_track(file, answer.as_track(0, file.stem))
