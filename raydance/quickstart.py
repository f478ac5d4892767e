"""`raydance quickstart`: everything once, on the embedded corpus, through Ray.

Corpus, dataset, training of every stage, the paper's choices at the same length beside it,
evaluation on the test split, captions, generated motion, pictures and a report. Each phase leaves
its result in the folder and is not done again, so a killed quickstart goes on where it was.

The paper's choices are trained as briefly as the other run and on the same motion VAE: the paper
trains about ten times as long, so their column says what they give here, not what it would give.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydance import config as configs
from raydance import quickstart_music
from raydance.data.dataset import Dataset
from raydance.errors import ArtifactError, InputError
from raydance.files import read_json, write_json
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language import system as dance_language
from raydance.systems.dance_language.config import PAPER_CHOICES
from raydance.systems.dance_language.system import SYSTEM
from raydance.systems.engine import Plan
from raydance.systems.shared_steps import copy_steps
from raydance.training.run_folder import Run

if TYPE_CHECKING:
    from raydance.cluster.train import RayRunner
    from raydance.systems.dance_language.run import DanceLanguage

Say = Callable[[str], None]

SENTENCES = (
    "a person swings the left arm in big circles",
    "someone punches forward fast and hard",
    "a dancer sinks into a deep squat and rises slowly",
)
"""What the quickstart generates motion from; none is a caption of the corpus."""

_PAPER_NOTE = (
    "the column `paper preset` has the paper's losses and inputs (hardest-pair triplet over frozen "
    "latents, no side features, K = 3, motion latents from the prior), trained as briefly as this "
    "run and on the same motion VAE; its text encoder lacks the last ReLU of eq. 11, as this run's "
    "does; the paper trains about ten times as long"
)
_CHANGES = ("contrastive.train.epochs=22",)  # the corpus needs no more, and a newcomer waits
_FLOW = "motion_flow"
_SHARED_STEPS = ("statistics", "motion_basis", "motion_vae")
_MARK = "quickstart.json"
_NUM_SEEN = 3


def quickstart(
    out: str | Path,
    say: Say = print,
    *,
    report: Callable[[dict[str, Any]], None] = lambda metrics: None,
    workers: int = 1,
    num_clips_per_movement: int = 22,
    overrides: list[str] | None = None,
    music: bool = False,
) -> dict[str, Any]:
    """Do everything once.

    Args:
        out: the folder; may hold an earlier quickstart, which is gone on with.
        say: told what happens.
        report: told the metrics of every epoch.
        workers: DDP workers of each stage.
        num_clips_per_movement: size of the corpus.
        overrides: `a.b=value` changes to the preset `quick`.
        music: also train `everything2motion` and dance to a song.

    Returns:
        Paths, seconds of each phase, and the short figures; plain data.

    Raises:
        InputError: `out` holds something else.
    """
    from raydance.cluster.session import ray_session

    place = Path(out).resolve()
    _claim(place)
    quick = SYSTEM.resolve("quick", [*_CHANGES, *(overrides or ())])
    phases = _Phases(say)
    with phases("corpus: a procedural dancer, no recordings"):
        _corpus(place / "corpus", num_clips_per_movement)
    with ray_session(num_cpus=None):
        from raydance.cluster.train import RayRunner

        with phases("ingest"):
            say(_ingest(place / "corpus", place / "dataset"))
        runner = RayRunner(workers, report=report)
        with phases("train: the run and the paper's choices"):
            _train(place, quick, runner, say, flow_beside=workers == 1)
        danced = quickstart_music.dance(place, runner, phases, say) if music else {}
    with phases("evaluate"):
        result = _evaluate(place, say)
    with phases("describe and generate"):
        _describe(place, result, say)
        _generate(place, say)
    with phases("draw and report"):
        pictures = _draw(place, result) | danced
    return _finish(place, result, pictures, phases, say)


def _train(
    place: Path,
    quick: dance_language.DanceLanguageConfig,
    runner: RayRunner,
    say: Say,
    flow_beside: bool,
) -> None:
    """Train the run, and the paper's choices.

    Args:
        flow_beside: train the flow, the longest stage, in another process as soon as there is what
            it builds on: one worker leaves a processor of two idle.
    """
    from raydance.cluster.background import begin

    run, flow = place / "run", place / "flow_run"
    waits: list[Callable[[], None]] = []
    flow_beside = flow_beside and quick.motion_flow.enabled

    def look() -> None:
        """Begin with the flow, once."""
        done = Run.open(run).facts["steps"]
        if not waits and set(_below_flow(place, quick)) <= set(done) and _FLOW not in done:
            waits.append(begin(_train_flow, place, quick))

    SYSTEM.train(
        run,
        place / "dataset",
        quick,
        runner,
        but=(_FLOW,) if flow_beside else (),
        say=say,
        saved=look if flow_beside else lambda: None,
    )
    say("the paper's choices: begins")
    waits.append(begin(_train_paper_choices, place, quick))
    for wait in waits:
        wait()
    if flow_beside and _FLOW not in Run.open(run).facts["steps"]:
        copy_steps(SYSTEM, flow, run, quick, (_FLOW,))
        say(f"{_FLOW}: {Run.open(run).facts['steps'][_FLOW]['seconds']:.0f} s, beside the others")
    shutil.rmtree(flow, ignore_errors=True)


def _below_flow(place: Path, quick: dance_language.DanceLanguageConfig) -> list[str]:
    needed = Plan.of(SYSTEM, Run.open(place / "run")).needed(_FLOW)
    return [name for name in SYSTEM.steps_of(quick) if name in needed]


def _train_flow(place: Path, quick: dance_language.DanceLanguageConfig) -> None:
    copy_steps(SYSTEM, place / "run", place / "flow_run", quick, _below_flow(place, quick))
    SYSTEM.train(place / "flow_run", place / "dataset", quick, LocalRunner(), only=_FLOW)


def _train_paper_choices(place: Path, quick: dance_language.DanceLanguageConfig) -> None:
    paper = paper_choices(quick)
    copy_steps(SYSTEM, place / "run", place / "paper_run", paper, _SHARED_STEPS)
    SYSTEM.train(place / "paper_run", place / "dataset", paper, LocalRunner())


class _Phases:
    """Times phases and says so."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str) -> _Phases:
        self.name = name
        return self

    def __enter__(self) -> None:
        self.say(f"== {self.name}")
        self.started = time.monotonic()

    def __exit__(self, *exc: object) -> None:
        spent = time.monotonic() - self.started
        self.seconds[self.name.partition(":")[0]] = round(spent, 1)
        if exc[0] is None:
            self.say(f"== {self.name.partition(':')[0]}: {spent:.0f} s")


def _claim(place: Path) -> None:
    """Take an empty folder, or one that a quickstart began."""
    if place.is_file() or (
        place.is_dir() and any(place.iterdir()) and not (place / _MARK).exists()
    ):
        raise InputError(f"{place}: not empty and not a quickstart; choose another --out")
    place.mkdir(parents=True, exist_ok=True)
    if not (place / _MARK).exists():
        write_json(place / _MARK, {})


def _corpus(folder: Path, num_clips_per_movement: int) -> None:
    from raydance.motion import synthetic

    # The captions are written last: with them the corpus is whole.
    if not (folder / "captions.jsonl").exists():
        synthetic.write_corpus(folder, num_clips_per_movement)


def _ingest(corpus: Path, dataset: Path) -> str:
    from raydance.cluster.data import ingest

    try:
        Dataset.open(dataset)
    except ArtifactError:
        shutil.rmtree(dataset, ignore_errors=True)
        ingest([corpus], dataset, captions=[corpus / "captions.jsonl"])
    counts = Dataset.open(dataset).manifest["counts"]
    return ", ".join(
        f"{split}: {c['windows']} windows of {c['recordings']} clips" for split, c in counts.items()
    )


def paper_choices(
    quick: dance_language.DanceLanguageConfig,
) -> dance_language.DanceLanguageConfig:
    """The paper's choices for as many epochs as `quick` has, its learning rate halved as often."""
    paper = configs.merge(quick, PAPER_CHOICES)
    epochs = quick.contrastive.train.epochs
    long = paper.contrastive.train
    period = max(1, round(long.period * epochs / long.epochs))
    train = replace(long, epochs=epochs, period=period)
    return replace(paper, contrastive=replace(paper.contrastive, train=train))


def _evaluate(place: Path, say: Say) -> dict[str, Any]:
    from raydance import evaluation

    file = place / "evaluation.json"
    runs = {"paper preset": place / "paper_run", "this run": place / "run"}
    marks = {name: Run.open(path).facts["steps"] for name, path in runs.items()}
    if file.exists():
        kept = read_json(file, "the evaluation")
        if kept.get("marks") == marks:
            result: dict[str, Any] = kept["result"]
            say(evaluation.as_text(result))
            return result
    result = evaluation.compare(runs, place / "dataset")
    result["evaluations"]["this run"]["notes"].append(_PAPER_NOTE)
    write_json(file, {"marks": marks, "result": result})
    say(evaluation.as_text(result))
    return result


def _describe(place: Path, result: Mapping[str, Any], say: Say) -> None:
    say("captions found for test clips:")
    rows = result["evaluations"]["this run"]["examples"]
    for row in rows[:: max(1, len(rows) // _NUM_SEEN)][:_NUM_SEEN]:
        say(f"  {row['window_id']}")
        say(f"    written: {row['captions'][0]}")
        say(f"    found:   {row['found'][0]['text']}")


def _generate(place: Path, say: Say) -> None:
    from raydance.motion.clip import generated_clip
    from raydance.motion.export import bvh
    from raydance.systems.dance_language.run import load

    system = load(place / "run")
    folder = place / "generated"
    folder.mkdir(exist_ok=True)
    for number, sentence in enumerate(SENTENCES):
        motion = system.generate(sentence, seed=number)[0]
        file = folder / f"sentence_{number + 1}.bvh"
        bvh.write(file, generated_clip(motion, system.joint_mask, system.fps, file.stem, sentence))
        say(f"  {sentence!r}: {file}")


def _draw(place: Path, result: Mapping[str, Any]) -> dict[str, Path]:
    from raydance.report import write_report
    from raydance.systems.dance_language.run import load

    page = write_report(
        place / "run", place / "report", place / "dataset", generated=SENTENCES, result=result
    )
    return {"report": page, **write_pictures(load(place / "run"), place)}


def write_pictures(system: DanceLanguage, place: Path) -> dict[str, Path]:
    """The few pictures that a newcomer opens first, as PNG and GIF."""
    from raydance.report import plots, tables
    from raydance.report.dance_language import cluster_report, draw_clusters
    from raydance.systems.base import history
    from raydance.training.kept_epoch import checks_of

    folder = place / "pictures"
    folder.mkdir(exist_ok=True)
    stages = tables.stages_of(system.run)
    figure, axes = plots.new_figure(3.0 * len(stages), 3.2, columns=len(stages))
    checks = checks_of(system.run.config)
    for axis, stage in zip(axes, stages):
        plots.draw_losses([axis], stage, history(system.run, stage), checks[stage])
        axis.set_title(tables.STAGES[stage][0], fontsize=10)
    plots.save_png(figure, folder / "losses.png")
    figure, axes = plots.new_figure(7.2, 3.6)
    plots.draw_silhouette(axes[0], cluster_report(system.run))
    plots.save_png(figure, folder / "silhouette.png")
    figure, axes = plots.new_figure(10.4, 4.6, columns=2)
    draw_clusters(system, axes)
    plots.save_png(figure, folder / "clusters.png")
    shutil.copy2(place / "report" / "motion" / "generated_0.gif", folder / "motion.gif")
    return {name: folder / file for name, file in _PICTURES.items()}


_PICTURES = {
    "real and generated motion": "motion.gif",
    "loss curves": "losses.png",
    "silhouette": "silhouette.png",
    "clusters": "clusters.png",
}


def _finish(
    place: Path,
    result: Mapping[str, Any],
    pictures: Mapping[str, Path],
    phases: _Phases,
    say: Say,
) -> dict[str, Any]:
    total = sum(phases.seconds.values())
    where = {
        **{name: str(path) for name, path in pictures.items()},
        "generated motion": str(place / "generated"),
        "run": str(place / "run"),
        "run with the paper's choices": str(place / "paper_run"),
        "dataset": str(place / "dataset"),
        "corpus": str(place / "corpus"),
    }
    say("")
    width = max(map(len, where))
    for name, path in where.items():
        say(f"{name.ljust(width)}  {path}")
    say(f"done in {total:.0f} s; all data are a procedural dancer's, not recordings")
    facts = {
        "out": str(place),
        "seconds": phases.seconds | {"total": round(total, 1)},
        "where": where,
        "measures": [
            {key: row[key] for key in ("group", "name", "unit", "chance", "baseline", "values")}
            for row in result["rows"]
            if row["is_main"]
        ],
        "not_better_than_baseline": result["losses"],
        "is_synthetic": True,
    }
    write_json(place / _MARK, json.loads(json.dumps(facts)))
    return facts
