"""From a sentence or a song to motion or tracks in process, without HTTP, and what its parts cost.

On one thread, asked in turns, so that whatever else the machine does slows all parts; motion also
on all threads that PyTorch takes by itself, as a caller has it (`..._all_threads_p50_ms`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.captioning import make_run
from benchmarks.training import dances, scenes
from raydance.cluster.session import ray_session
from raydance.systems.base import LocalRunner

_NUMBERS = itertools.count()
_STEPS = 8
_BATCH = 32


def _new_text() -> str:
    """A sentence that no encoder can remember."""
    return f"a dancer turns slowly {next(_NUMBERS)}"


def generation(folder: Path, num_windows: int) -> dict[str, Any]:
    """p50 in ms from a sentence to one window of motion, by the flow in 8 steps.

    `encoder_p50_ms` is the sentence encoder alone, `flow_p50_ms` the flow alone, `rest_p50_ms` what
    is left, and `ratio` the whole by the encoder. `batch_p50_ms` is for 32 sentences that are
    encoded already and made together.

    Args:
        num_windows: stands for the number of sentences: a fifth of it.
    """
    import raydance
    from raydance.systems.dance_language.generation import Request, generate

    with ray_session():
        run = make_run(folder)
    with _one_thread():
        system = raydance.load(run)
        words = system.encode_text([_new_text() for _ in range(_BATCH)])
        requests = [
            Request(
                words={name: values[i] for name, values in words.items()},
                seed=i,
                source="flow",
                steps=_STEPS,
            )
            for i in range(_BATCH)
        ]

        def answer(number: int) -> None:
            system.make(_new_text(), seed=number, source="flow", steps=_STEPS)

        count = max(20, num_windows // 5)
        found = _in_turns(
            {
                "text_to_motion": answer,
                "encoder": lambda i: system.encode_text([_new_text()]),
                "flow": lambda i: generate(system, [requests[i % _BATCH]]),
            },
            count,
        )
        found |= _in_turns({"batch": lambda i: generate(system, requests)}, 20)
    found |= _in_turns({"text_to_motion_all_threads": answer}, count)
    found |= _rest(found, "text_to_motion", "encoder", "flow")
    found["ratio"] = found["text_to_motion_p50_ms"] / found["encoder_p50_ms"]
    found["batch_motions_per_s"] = 1000.0 * _BATCH / found["batch_p50_ms"]
    return found | {"frames": system.window, "text_to_motion_target_ms": 25.0}


def generation_tracks(folder: Path, num_windows: int) -> dict[str, Any]:
    """p50 in ms from a sentence and a box to 30 frames of tracks, and overlay frames per second.

    `encoder_p50_ms` is the sentence and its mirror image, `network_p50_ms` the flow alone.

    Args:
        num_windows: stands for the number of sentences: a fifth of it.
    """
    from raydance.systems.lang2motion.system import SYSTEM
    from raydance.tracks.overlay import draw_overlays
    from raydance.tracks.synthetic import make_scenes

    changes = [f"{stage}.train.epochs=1" for stage in SYSTEM.trained]
    with ray_session():
        data = scenes(folder, 60)
    run = SYSTEM.train(folder / "run", data, SYSTEM.resolve("default", changes), LocalRunner())
    with _one_thread():
        system = SYSTEM.load(run.path)
        task, start = system.tasks["generate"], np.zeros((1, system.num_points, 2), np.float32)
        prompt = system.prompt([_new_text()], start)
        found = _in_turns(
            {
                "text_to_tracks": lambda i: task.answer(
                    [task.request({"text": _new_text()}, {"seed": i})]
                ),
                "encoder": lambda i: system.prompt([_new_text()], start),
                "network": lambda i: system.sample(prompt, i),
            },
            max(20, num_windows // 5),
        )
    found |= _rest(found, "text_to_tracks", "encoder", "network")
    tracks = [scene.track() for scene in make_scenes(20)]

    def draw(number: int) -> None:
        for _ in draw_overlays(tracks[number % len(tracks)], size=(256, 256)):
            pass

    overlays = _in_turns({"overlay": draw}, len(tracks))
    frames = 1000.0 * tracks[0].num_frames
    found["overlay_frames_per_s"] = frames / overlays["overlay_p50_ms"]
    found["overlay_frames_per_cpu_s"] = frames / overlays["overlay_cpu_ms"]
    targets = {"text_to_tracks_target_ms": 50.0, "overlay_target_frames_per_s": 200.0}
    return found | {"frames": system.num_frames} | targets


def generation_dances(folder: Path, num_windows: int) -> dict[str, Any]:
    """p50 in ms from a sentence to 120 frames and from a song's features to 240, and of these.

    `encoder_p50_ms` is the sentence alone. `features_s` are of a minute of sound.

    Args:
        num_windows: stands for the number of motions: a twentieth of it.
    """
    from raydance.music.features import music_features
    from raydance.music.synthesis import STYLES, make_song
    from raydance.systems.everything2motion.options import Condition
    from raydance.systems.everything2motion.system import SYSTEM

    changes = [f"{stage}.train.epochs=1" for stage in SYSTEM.trained]
    with ray_session():
        data = dances(folder, 0)
    run = SYSTEM.train(folder / "run", data, SYSTEM.resolve("default", changes), LocalRunner())
    song = make_song(STYLES[0].name, 60.0, 1)
    with _one_thread():
        system = SYSTEM.load(run.path)
        minute = _in_turns(
            {"features": lambda i: music_features(song.samples, song.rate, fps=system.fps)}, 5
        )
        length = round(240 / system.fps * song.rate)
        music = music_features(song.samples[:length], song.rate, fps=system.fps, num_frames=240)
        answers: dict[str, Callable[[int], Any]] = {
            "text_to_motion": lambda i: system.make(
                [Condition(num_frames=120, text=_new_text(), seed=i)]
            ),
            "music_to_dance": lambda i: system.make(
                [Condition(num_frames=240, music=music, seed=i)]
            ),
        }
        count = max(10, num_windows // 20)
        encoder = {"encoder": lambda i: system.texts.tokens([_new_text()])}
        found = _in_turns(answers | encoder, count)
    found |= _in_turns({f"{name}_all_threads": answer for name, answer in answers.items()}, count)
    found |= _rest(found, "text_to_motion", "encoder")
    found["features_s"] = minute["features_p50_ms"] / 1000.0
    found["features_cpu_s"] = minute["features_cpu_ms"] / 1000.0
    targets = {"text_to_motion_target_ms": 90.0, "music_to_dance_target_ms": 38.0}
    return found | targets | {"features_target_s": 1.0}


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _rest(found: Mapping[str, float], whole: str, *parts: str) -> dict[str, float]:
    """What is left of medians when those of their parts are taken off."""
    return {
        f"rest_{kind}": found[f"{whole}_{kind}"] - sum(found[f"{part}_{kind}"] for part in parts)
        for kind in ("p50_ms", "cpu_ms")
    }


def _in_turns(work: Mapping[str, Callable[[int], Any]], count: int) -> dict[str, float]:
    """Medians in ms of each call, after a few that load what all others find.

    `NAME_p50_ms` is what a caller waits, `NAME_cpu_ms` the processor's time, which a busy machine
    does not stretch as much.
    """
    times: dict[str, list[float]] = {}
    for i in range(-3, count):
        for name, do in work.items():
            started, begun = time.perf_counter(), time.process_time()
            do(abs(i))
            if i >= 0:
                waited, worked = time.perf_counter() - started, time.process_time() - begun
                times.setdefault(f"{name}_p50_ms", []).append(1000.0 * waited)
                times.setdefault(f"{name}_cpu_ms", []).append(1000.0 * worked)
    return {name: float(np.median(taken)) for name, taken in times.items()}
