"""Lines about training: what is said, when, and what is kept quiet."""

from __future__ import annotations

import io
import math

import pytest

from raydance.progress import Progress, _time


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that only pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def epoch(number: int, of: int = 100, *, stage: str = "motion_vae", total: float = 1.0, **more):
    metrics = {
        "stage": stage,
        "epoch": number,
        "epochs": of,
        "train": {"total": 2.0, "kl": 0.5},
        "validation": {"total": total, "kl": 0.25},
        "windows_per_s": 1234.5,
        "seconds": 2.0,
        "warnings": [],
    }
    return metrics | more


def test_a_line_says_epoch_losses_speed_and_time_left():
    stream = io.StringIO()
    Progress(stream)(epoch(9, 100, total=0.125))
    line = stream.getvalue()
    assert line.startswith("motion_vae: epoch 10/100 ")
    for part in ("train 2 ", "val 0.125 ", "1,234 windows/s", "3:00 left", "kl 0.25"):
        assert part in line


def test_time_left_follows_the_newest_epochs():
    stream = Terminal()
    progress = Progress(stream)
    progress(epoch(0, 11, seconds=100.0))
    for i in range(1, 10):
        progress(epoch(i, 11, seconds=1.0))
    last = stream.getvalue().split("\r\x1b[K")[-1]
    seconds = last.split(" left")[0].split()[-1]
    assert seconds in ("0:05", "0:04")  # 1 + 99 * .7 ** 9


def test_logs_get_a_line_for_every_tenth():
    stream = io.StringIO()
    progress = Progress(stream, clock=Clock())
    with progress:
        for i in range(200):
            progress(epoch(i, 200))
    lines = stream.getvalue().splitlines()
    # The first because nothing was said before; ten tenths; the summary.
    assert len(lines) == 12
    assert lines[-2].startswith("motion_vae: epoch 200/200")


def test_logs_get_a_line_after_15_seconds_in_between():
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, clock=clock)
    progress(epoch(0, 1000))
    clock.now = 14.0
    progress(epoch(1, 1000))
    assert len(stream.getvalue().splitlines()) == 1
    clock.now = 15.5
    progress(epoch(2, 1000))
    assert stream.getvalue().splitlines()[1].startswith("motion_vae: epoch 3/1000")


def test_a_terminal_has_one_line_that_is_rewritten(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    progress = Progress(stream)
    for i in range(3):
        progress(epoch(i))
    assert "\n" not in stream.getvalue()
    shown = stream.getvalue().split("\r\x1b[K")[1:]
    assert len(shown) == 3
    assert all(len(line) < 40 for line in shown)  # a full line would wrap and stay


def test_a_stage_ends_with_its_best_epoch_and_time():
    stream = io.StringIO()
    with Progress(stream) as progress:
        for i, total in enumerate([3.0, 1.5, 2.0]):
            progress(epoch(i, 100, total=total))
    assert stream.getvalue().splitlines()[-1] == "motion_vae: 3 epochs, best 1.5 at epoch 2, 0:06"


def test_a_stage_ends_with_the_best_epoch_of_those_it_checked():
    stream = io.StringIO()
    with Progress(stream) as progress:
        for i, total in enumerate([3.0, 1.5, 2.0]):
            progress(epoch(i, 3, total=total, checked=i == 2))
    assert stream.getvalue().splitlines()[-1].startswith("motion_vae: 3 epochs, best 2 at epoch 3,")


def test_the_next_stage_and_a_remark_end_the_one_before():
    stream = io.StringIO()
    progress = Progress(stream)
    progress(epoch(0))
    progress(epoch(0, stage="contrastive"))
    progress.say("library: begins")
    lines = stream.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == [
        *("motion_vae", "motion_vae", "contrastive", "contrastive", "library")
    ]
    assert lines[1].startswith("motion_vae: 1 epochs") and lines[3].startswith("contrastive: 1 ep")


def test_a_failure_leaves_the_last_line_and_no_summary():
    stream = Terminal()
    with pytest.raises(RuntimeError), Progress(stream) as progress:
        progress(epoch(4))
        raise RuntimeError
    assert stream.getvalue().endswith("\n")
    assert "best" not in stream.getvalue()


def test_quiet_keeps_warnings():
    stream = io.StringIO()
    with Progress(stream, quiet=True) as progress:
        progress.say("motion_vae: begins")
        progress(epoch(0))
        progress(epoch(1, warnings=["the KL is negative"]))
        progress.files({"files": 1, "of": 2, "windows": 3, "skipped": 0, "seconds": 1.0})
        progress.warn("no captions")
    assert stream.getvalue().splitlines() == [
        "motion_vae: epoch 2: warning: the KL is negative",
        "warning: no captions",
    ]


def test_losses_that_are_not_numbers_are_said():
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress(epoch(0, total=math.nan))
    assert "val nan" in stream.getvalue()
    assert "no finite validation loss" in stream.getvalue()


def test_ingestion_has_its_line():
    stream = io.StringIO()
    with Progress(stream, clock=Clock()) as progress:
        for i in range(1, 41):
            state = {"files": i, "of": 40, "windows": 7 * i, "skipped": i // 20, "seconds": i / 2}
            progress.files(state)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "ingest: 1/40 files, 7 windows, 0 skipped  0:20 left"
    assert lines[-1] == "ingest: 40 files, 280 windows, 2 skipped, 0:20"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0:00"), (59.6, "1:00"), (65, "1:05"), (7384, "2:03:04")]
)
def test_times(seconds, words):
    assert _time(seconds) == words
