"""Tables 1 to 5 of Everything2Motion with this project's own runs.

The paper's numbers stand in a marked column where the quantity is comparable: the times of Table 3
(on another processor), and Table 2 on AIST++ at 60 frames a second. Those of Tables 1, 4 and 5 come
from an evaluator of KIT-ML and compare with no other evaluator's. Tables 4 and 5 are about the
paper's own network, so their runs are of the preset `paper`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.evaluation.clips import read_split
from raydance.evaluation.everything2motion import features_of, music_measures
from raydance.evaluation.general import open_evaluator
from raydance.evaluation.measure import Measure
from raydance.evaluation.text_motion import (
    FIGURES,
    Replications,
    Scores,
    TextMotionProtocol,
    generator_of,
)
from raydance.report.paper_tables import AS_PRINTED, PaperTables, TablesRequest, runs_needed
from raydance.report.tables import Table
from raydance.systems import system_of
from raydance.systems.evaluator.run import Evaluator
from raydance.systems.everything2motion.options import Condition
from raydance.systems.everything2motion.run import load
from raydance.systems.everything2motion.system import SYSTEM
from raydance.systems.everything2motion.variants import (
    LATENTS,
    OWN,
    PAPER,
    WITHOUT_CLIP,
    WITHOUT_PMD,
    latent_name,
    variants_of,
)
from raydance.systems.step import MAIN
from raydance.systems.variants import train_variants

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "1": (OWN, PAPER),
    "2": (OWN, PAPER),
    "3": (OWN, PAPER),
    "4": (PAPER, WITHOUT_PMD, WITHOUT_CLIP),
    "5": (PAPER, *(latent_name(*shape) for shape in LATENTS)),
}
"""Table -> the runs that it is made of."""

_BY_EVALUATOR: Final = ("1", "4", "5")

_TEXT_FRAMES: Final = 120
_MUSIC_FRAMES: Final = 240
_TIMED: Final = 10
_AISTPP = re.compile(r"g[A-Z]{2}_s[A-Z]{2}_c\w+_d\d+_m[A-Z]{2}\d_ch\d+")
_PAPER_TABLE_2: Final = {"real": ("10.60", "7.45", "0.237"), PAPER: ("38.23", "6.68", "0.248")}
_PAPER_TABLE_3: Final = ("0.0904", "0.0384")
_NOT_COMPARABLE: Final = (
    "The paper's numbers are of another evaluator and another data set, so they are left out."
)


def make(request: TablesRequest) -> list[Table]:
    """The tables that are wanted, in order, after training what they need.

    Raises:
        InputError: data that do not allow a table.
    """
    wanted, say = request.wanted, request.say
    evaluator = _evaluator(request) if set(wanted) & set(_BY_EVALUATOR) else None
    variants = variants_of(request.preset)
    runs = train_variants(
        SYSTEM,
        {name: variants[name] for name in runs_needed(NEEDED, wanted)},
        request.out,
        request.datasets,
        request.runner,
        changes=request.changes,
        say=say,
    )
    scores: dict[str, Scores] = {}
    if evaluator is not None:
        names = runs_needed(NEEDED, [t for t in wanted if t in _BY_EVALUATOR])
        scores = _all_scores(
            {n: runs[n] for n in names}, evaluator, request.replications, "1" in wanted, say
        )
    makers = {
        "1": lambda: _table_1(scores),
        "2": lambda: _table_2(runs, say),
        "3": lambda: _table_3(runs, say),
        "4": lambda: _ablation("4", "structure", scores, NEEDED["4"]),
        "5": lambda: _ablation("5", "latent query", scores, NEEDED["5"]),
    }
    return [makers[table]() for table in wanted]


def _evaluator(request: TablesRequest) -> Evaluator:
    place = request.evaluator or request.out / "evaluator"
    if request.evaluator is None:
        plan = system_of("evaluator")
        config = plan.resolve("default", list(request.evaluator_changes))
        plan.train(place, request.datasets[MAIN], config, request.runner, say=request.say)
    return open_evaluator(place)


def _has_no_music(table: str, request: TablesRequest) -> bool:
    """Whether table 2 lacks what it is about."""
    opened = map(Dataset.open, request.datasets.values())
    return table == "2" and not any("music" in dataset.arrays for dataset in opened)


TABLES: Final = PaperTables(
    needed=NEEDED,
    make=make,
    left_out=_has_no_music,
    options={
        **dict.fromkeys(("evaluator", "evaluator_changes", "replications"), _BY_EVALUATOR),
        "preset": ("1", "2", "3"),
    },
)


def _all_scores(
    runs: Mapping[str, Path],
    evaluator: Evaluator,
    replications: Replications | None,
    has_bounds: bool,
    say: Callable[[str], None],
) -> dict[str, Scores]:
    """Figures of every run, and of real motion, chance and copies."""
    found: dict[str, Scores] = {}
    protocol: TextMotionProtocol | None = None
    for name, path in runs.items():
        say(f"measures from words: {name}")
        system = load(path)
        if protocol is None:
            dataset = Dataset.open(system.run.datasets["data"]["path"])
            protocol = TextMotionProtocol(
                evaluator, dataset, system.joint_mask, replications=replications
            )
            found |= {"real": protocol.real(), "chance": protocol.chance()}
            found |= {"copies": protocol.copies()} if has_bounds else {}
        is_whole = has_bounds and name in NEEDED["1"]
        found[name] = protocol.made(generator_of(SYSTEM, system), repeats=is_whole)
    return found


def _table_1(scores: Mapping[str, Scores]) -> Table:
    titles = {
        "real": "real test clips",
        "chance": "chance: training clips drawn at random",
        "copies": "copies: training clips of the nearest caption",
        PAPER: "E2M, preset paper",
        OWN: "E2M, own preset",
    }
    rows = [
        (title, *(_shown(scores[key], figure) for figure in FIGURES))
        for key, title in titles.items()
    ]
    return Table(
        number="1",
        title="Text to motion",
        header=("", *(name for name, _ in FIGURES.values())),
        rows=tuple(rows),
        note=f"Mean and 95 % interval over replications. {_NOT_COMPARABLE}",
    )


def _ablation(number: str, what: str, scores: Mapping[str, Scores], names: Sequence[str]) -> Table:
    shown = ["fid", "r_precision_1", "r_precision_2", "r_precision_3"]
    shown = shown[:2] if number == "4" else shown
    titles = {PAPER: "E2M, preset paper" + (" (128 x 128)" if number == "5" else "")}
    rows = [
        (titles.get(name, name), *(_shown(scores[name], figure) for figure in shown))
        for name in ("real", "chance", *[n for n in names if n != PAPER], PAPER)
    ]
    return Table(
        number=number,
        title=f"Ablation of the {what}",
        header=("", *(FIGURES[figure][0] for figure in shown)),
        rows=tuple(rows),
        note=f"One seed of each. {_NOT_COMPARABLE}",
    )


def _shown(scores: Scores, figure: str) -> str:
    if figure not in scores:
        return "-"
    mean, half_width = scores[figure]
    return f"{mean:.3f} ± {half_width:.3f}"


# Dances and times -----------------------------------------------------------------------------


def _table_2(runs: Mapping[str, Path], say: Callable[[str], None]) -> Table:
    columns = {
        "FID of geometric features (published)": "FID",
        "diversity of geometric features (published)": "Diversity",
        "beat alignment (published)": "Beat Align",
    }
    found: dict[str, dict[str, Measure]] = {}
    is_aistpp = False
    for name in NEEDED["2"]:
        say(f"measures from music: {name}")
        system = load(runs[name])
        dataset = _danced(system)
        clips = [clip["clip_id"] for clip in dataset.clips() if clip["split"] == "test"]
        is_aistpp = dataset.fps == 60.0 and all(_AISTPP.match(clip) for clip in clips)
        made = music_measures(system, read_split(dataset, "train"), read_split(dataset, "test"))
        found[name] = {measure.name: measure for measure in made}
    lacking = [column for column in columns if column not in found[OWN]]
    if lacking:
        raise InputError(f"table 2: the test dances do not allow: {', '.join(lacking)}")

    def row(title: str, key: str, of: str = OWN, printed: str = "") -> tuple[str, ...]:
        values = (getattr(found[of][column], key) for column in columns)
        own = (title, *("-" if value is None else f"{value:.3f}" for value in values))
        return (*own, *_PAPER_TABLE_2.get(printed, ("", "", ""))) if is_aistpp else own

    marked = tuple(f"{name}, {AS_PRINTED}" for name in columns.values()) if is_aistpp else ()
    return Table(
        number="2",
        title="Music to dance",
        header=("", *columns.values(), *marked),
        rows=(
            row("real test dances (FID: of training dances)", "target", printed="real"),
            row("real dances under other songs", "chance"),
            row("copies: training dances of the nearest tempo", "baseline"),
            row("E2M, preset paper", "value", PAPER, PAPER),
            row("E2M, own preset", "value"),
        ),
        note="Geometric features and beat alignment as Bailando publishes them."
        + ("" if is_aistpp else " The paper's numbers are of AIST++ at 60 fps, and are left out."),
    )


def _table_3(runs: Mapping[str, Path], say: Callable[[str], None]) -> Table:
    rows = []
    for name, title in ((PAPER, "E2M, preset paper"), (OWN, "E2M, own preset")):
        say(f"times: {name}")
        system = load(runs[name])
        text = Condition(num_frames=_TEXT_FRAMES, text="a person walks and turns around")
        tasks = [("Text2Motion", text, _PAPER_TABLE_3[0])]
        if any("music" in Dataset.open(f["path"]).arrays for f in system.run.datasets.values()):
            rows_ = read_split(_danced(system), "test")
            first = int(np.flatnonzero(rows_["has_music"])[0])
            song = features_of(rows_["music"][first], int(rows_["length"][first]), system.fps)
            music = Condition(num_frames=_MUSIC_FRAMES, music=song)
            tasks.append(("Music2Dance", music, _PAPER_TABLE_3[1]))
        for task, condition, printed in tasks:
            rows.append(
                (title, task, str(condition.num_frames), _median_s(system, condition), printed)
            )
    return Table(
        number="3",
        title="Time of one generation",
        header=("", "task", "frames", "seconds here, median", f"{AS_PRINTED} (RTX 3090)"),
        rows=tuple(rows),
        note=f"Of {_TIMED} runs after a first one, on this machine's processor.",
    )


def _median_s(system: Any, condition: Condition) -> str:
    times = []
    try:
        for _ in range(_TIMED + 1):
            started = time.perf_counter()
            system.make([condition])
            times.append(time.perf_counter() - started)
    except InputError:  # a regression makes no more frames than its training rows have
        return "- (longer than the run makes at once)"
    return f"{np.median(times[1:]):.4f}"


def _danced(system: Any) -> Dataset:
    """The run's dataset with music.

    Raises:
        InputError: it has none.
    """
    for role in ("music", "data"):
        if role in system.run.datasets:
            dataset = Dataset.open(system.run.datasets[role]["path"])
            if "music" in dataset.arrays:
                return dataset
    raise InputError("table 2 needs dances with music: give --music DATASET")
