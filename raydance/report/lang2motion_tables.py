"""Tables 1 to 8 of Lang2Motion with this project's own runs, on the test tracks of a dataset.

The paper's numbers are of MeViS' test tracks, whose masks and sentences are not public, and compare
with no other data: only its times stand here, in a marked column. Tables 4 to 8 are about the
paper's own network, so their runs are of its preset. The rows of Table 2 that need video models are
left out, and Table 3 needs `--actions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from raydance.data.dataset import Dataset
from raydance.data.regrid import regrid
from raydance.errors import InputError
from raydance.evaluation.lang2motion import SAMPLES
from raydance.evaluation.track_figures import (
    KS,
    Figures,
    TrackFigures,
    decoded,
    with_overlays,
)
from raydance.evaluation.zero_shot import check_names, zero_shot
from raydance.report.paper_tables import AS_PRINTED, PaperTables, TablesRequest, runs_needed
from raydance.report.tables import Table
from raydance.systems.lang2motion.run import load
from raydance.systems.lang2motion.system import SYSTEM
from raydance.systems.lang2motion.variants import (
    DIRECT,
    DRAWN,
    GRIDS,
    MSE,
    OWN,
    PAPER,
    WITHOUT,
    grid_name,
    variants_of,
)
from raydance.systems.step import MAIN
from raydance.systems.variants import train_variants
from raydance.training.run_folder import Run

NEEDED: Final[Mapping[str, Sequence[str]]] = {
    "1": (OWN, PAPER),
    "2": (OWN, PAPER),
    "3": (OWN, PAPER),
    "4": (PAPER, *WITHOUT),
    "5": (PAPER, MSE, DIRECT),
    "6": (PAPER, *map(grid_name, GRIDS)),
    "7": (PAPER, *DRAWN),
    "8": (PAPER,),
}
"""Table -> the runs that it is made of."""

_OFFLINE: Final = "paper-offline"
_TITLES: Final = {PAPER: "preset paper", OWN: "own preset"}
_PX: Final = "px at 256"
_SIMILARITY: Final = (
    "CLIP sim: cosine of a track, by the encoder without overlays, with its sentence."
)
_ONE_SEED: Final = "One seed of each. The paper's numbers are of other data and left out."


def make(request: TablesRequest) -> list[Table]:
    """The tables that are wanted, in order, after training what they need.

    Raises:
        InputError: data that do not allow a table.
    """
    if "3" in request.wanted and not request.actions:
        raise InputError("table 3 needs --actions DATASET: tracks or motion with names")
    for place in request.actions:
        check_names(Dataset.open(place))
    return _Tables(request).make()


TABLES: Final = PaperTables(
    needed=NEEDED,
    make=make,
    left_out=lambda table, request: table == "3" and not request.actions,
    options={"actions": ("3",), "preset": ("1", "2", "3"), "paper_preset": (*NEEDED,)},
)


class _Tables:
    """The tables of one request; figures of a run are computed once."""

    def __init__(self, request: TablesRequest) -> None:
        self.request = request
        self.runs = self._train()
        self._figures: dict[str, TrackFigures] = {}

    def make(self) -> list[Table]:
        made = []
        for table in self.request.wanted:
            self.request.say(f"figures of table {table}")
            made.append(getattr(self, f"_table_{table}")())
        return made

    def _train(self) -> dict[str, Path]:
        request = self.request
        names = runs_needed(NEEDED, request.wanted)
        grids = {}
        for side in (side for side in GRIDS if grid_name(side) in names):
            request.say(f"tracks of {grid_name(side)} points")
            place = request.out / "grids" / str(side)
            place.parent.mkdir(parents=True, exist_ok=True)
            grids[side] = regrid(Dataset.open(request.datasets[MAIN]), place, side).path
        preset = request.paper_preset or _OFFLINE
        variants = variants_of(request.preset, preset, request.out, grids, request.changes)
        return train_variants(
            SYSTEM,
            {name: variants[name] for name in names},
            request.out,
            request.datasets,
            request.runner,
            changes=request.changes,
            say=request.say,
        )

    def of(self, name: str) -> TrackFigures:
        """The test tracks as a run sees them."""
        if name not in self._figures:
            found = TrackFigures(load(self.runs[name]))
            if not found.told:
                raise InputError(f"{found.dataset.path}: no test track has a sentence")
            self._figures[name] = found
        return self._figures[name]

    def _table_1(self) -> Table:
        own, paper = self.of(OWN), self.of(PAPER)
        rows = [
            ("chance", *own.chance()),
            ("track of the nearest training sentence", *own.recall_of_copies()),
            ("the CLIP alone, on overlays", *paper.recall(paper.pictures)),
            ("preset paper", *paper.recall()),
            ("preset paper, overlays at the encoder", *paper.recall(with_overlays(paper))),
            ("own preset", *own.recall()),
        ]
        ways = [f"{way}, R@{k}" for way in ("text to track", "track to text") for k in KS]
        return Table(
            number="1",
            title="Search",
            header=("%", *ways),
            rows=tuple(
                (name, *(f"{v:.1f}" for v in (*there, *back))) for name, there, back in rows
            ),
            note=f"{len(own.sentences)} sentences, {len(own.real)} test tracks. All tracks that "
            "have a sentence are right, and all sentences of a track. Overlays show the track that "
            f"is looked for; sentences alone do not. {_ONE_SEED}",
        )

    def _table_2(self) -> Table:
        own, paper = self.of(OWN), self.of(PAPER)
        prompt = own.system.prompt(own.told, own.real[:, 0])
        spread = own.system.spread(prompt, SAMPLES, seed=0)
        several = own.system.alternatives(prompt)
        still = own.real[:, :1].repeat(own.real.shape[1], axis=1)
        rows = [
            ("real tracks", own.real, None, ""),
            ("staying in place", still, None, ""),
            ("track of the nearest training sentence", own.copies, None, ""),
            ("preset paper", paper.from_sentences(), paper.median_s(), "0.7"),
            (
                "own preset, expected path",
                own.from_sentences(),
                own.median_s(kind="expected"),
                "0.7",
            ),
            ("own preset, one sample", own.system.sample(prompt, 0), own.median_s(), "0.7"),
            (
                f"own preset, best of {SAMPLES} that stand for 64 draws",
                own.nearest_of(spread),
                None,
                "",
            ),
            (f"own preset, best of {len(several)} paths", own.nearest_of(several), None, ""),
        ]
        columns = {"aj": "AJ", "oa": "OA", "ade_px": f"ADE, {_PX}", "fde_px": f"FDE, {_PX}"}
        columns |= {"ade": "ADE", "fde": "FDE", "smooth": "Smooth"}
        return Table(
            number="2",
            title="Tracks from a sentence and a start",
            header=("", *columns.values(), "CLIP sim", "seconds", f"seconds, {AS_PRINTED}"),
            rows=tuple(
                (
                    name,
                    *_shown(own.of(made), columns),
                    f"{paper.similarity(made):.2f}",
                    "-" if seconds is None else f"{seconds:.3f}",
                    printed,
                )
                for name, made, seconds, printed in rows
            ),
            note="AJ and OA as TAP-Vid's, all points called visible; ADE and FDE without unit are "
            f"of coordinates in [-1, 1]. {_SIMILARITY} It is the preset paper's for all rows. "
            f"Seconds: median, end to end, on this machine's processor. {_ONE_SEED}",
        )

    def _table_3(self) -> Table:
        rows = []
        known = ""
        for place in self.request.actions:
            dataset = Dataset.open(place)
            if dataset.manifest_hash == Run.open(self.runs[OWN]).facts["dataset"]["hash"]:
                known = f", but the runs were trained on {place.name}"
            for name in (PAPER, OWN):
                found = zero_shot(load(self.runs[name]), dataset)
                label = f"{place.name}, {found.label}: {found.num_rows} rows"
                rows += [(label, _TITLES[name], *row) for row in found.as_rows()]
        return Table(
            number="3",
            title="Names of actions from poses",
            header=("", "run", "", "names", "top-1, %", "top-5, %"),
            rows=tuple(rows),
            note=f"Only rows marked as taught learned from the poses{known}. Seen names are words "
            "of the training sentences. The paper's numbers are of NTU RGB+D and Kinetics.",
        )

    def _table_4(self) -> Table:
        return self._ablation(
            "4",
            "Ablation of the losses",
            {"recall": "R@1, %", "similarity": "CLIP sim", "ade_px": f"ADE, {_PX}"},
        )

    def _table_5(self) -> Table:
        paper = self.of(PAPER)
        forced = decoded(paper, paper.told_points, forced=True)
        columns = {"ade_px": f"ADE, {_PX}", "fde_px": f"FDE, {_PX}"}
        columns |= {"smooth": "Smooth", "similarity": "CLIP sim"}
        rows = []
        for title, name, printed in (
            ("MSE, autoregressive", MSE, "0.7"),
            ("L1, autoregressive (preset paper)", PAPER, "0.7"),
            ("L1, direct", DIRECT, "0.3"),
        ):
            seconds = self.of(name).median_s()
            rows.append((title, *_shown(self._whole(name), columns), f"{seconds:.3f}", printed))
        told = paper.of(forced) | {"similarity": paper.similarity(forced)}
        rows.append(("L1, teacher forced", *_shown(told, columns), "-", ""))
        return Table(
            number="5",
            title="Ablation of reconstruction loss and decoder",
            header=("", *columns.values(), "seconds", f"seconds, {AS_PRINTED}"),
            rows=tuple(rows),
            note="Teacher forced: every frame goes on from the true one before it, which no "
            f"generation knows. {_SIMILARITY} {_ONE_SEED}",
        )

    def _table_6(self) -> Table:
        columns = {"recall": "R@1, %", "similarity": "CLIP sim"}
        columns |= {"ade_px": f"ADE, {_PX}", "fde_px": f"FDE, {_PX}"}
        sides = sorted((*GRIDS, 6))
        names = [grid_name(side) if side in GRIDS else PAPER for side in sides]
        return Table(
            number="6",
            title="Ablation of the grid",
            header=("", "points", *columns.values()),
            rows=tuple(
                (grid_name(side), str(side * side), *_shown(self._whole(name), columns))
                for side, name in zip(sides, names)
            ),
            note="Other grids are made of the dataset's points, not tracked again; a small CLIP is "
            f"that of the preset paper. {_SIMILARITY} {_ONE_SEED}",
        )

    def _table_7(self) -> Table:
        rows = []
        for title, name in (("cyan, opacity 0.5", PAPER), *((name, name) for name in DRAWN)):
            figures = self.of(name)
            recalls = [figures.recall(points)[0][0] for points in (None, with_overlays(figures))]
            similarity = figures.similarity(figures.from_sentences())
            rows.append((title, f"{similarity:.2f}", *(f"{value:.1f}" for value in recalls)))
        return Table(
            number="7",
            title="Ablation of the overlays",
            header=("", "CLIP sim", "R@1, %", "R@1 with overlays at the encoder, %"),
            rows=tuple(rows),
            note="Colours have opacity 0.5, opacities are of cyan, on black. A small CLIP is "
            f"trained on each kind. {_SIMILARITY} {_ONE_SEED}",
        )

    def _table_8(self) -> Table:
        paper = self.of(PAPER)
        columns = {"similarity": "CLIP sim", "ade_px": f"ADE, {_PX}", "smooth": "Smooth"}
        rows = []
        for title, latents in (
            ("sentence and start", paper.told_points),
            ("picture of the first frame and start", paper.overlays[:, 0]),
            ("overlays and start", paper.pictures),
        ):
            made = decoded(paper, latents)
            told = paper.of(made) | {"similarity": paper.similarity(made)}
            rows.append((title, *_shown(told, columns)))
        return Table(
            number="8",
            title="What tracks are made from",
            header=("", *columns.values()),
            rows=tuple(rows),
            note="Datasets of tracks hold no frames: pictures show the points on black. Overlays "
            f"show the whole true path. {_SIMILARITY} {_ONE_SEED}",
        )

    def _ablation(self, number: str, title: str, columns: Mapping[str, str]) -> Table:
        names = NEEDED[number]
        return Table(
            number=number,
            title=title,
            header=("", *columns.values()),
            rows=tuple(
                (_TITLES.get(name, name), *_shown(self._whole(name), columns)) for name in names
            ),
            note=f"{_SIMILARITY} {_ONE_SEED}",
        )

    def _whole(self, name: str) -> Figures:
        """Figures of what a run decodes from sentences, with its similarity and R@1."""
        figures = self.of(name)
        made = figures.from_sentences()
        more = {"similarity": figures.similarity(made), "recall": figures.recall()[0][0]}
        return figures.of(made) | more


_PLACES: Final = {"recall": 1, "ade_px": 1, "fde_px": 1}


def _shown(figures: Figures, columns: Mapping[str, str]) -> list[str]:
    return [f"{figures[name]:.{_PLACES.get(name, 3)}f}" for name in columns]
