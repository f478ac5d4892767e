"""Animations for a report: real beside reconstructed motion, generated beside the nearest real.

Dimensions: T frames, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raydance.data.dataset import Dataset
from raydance.motion.render import render_gif
from raydance.report.section import Animation
from raydance.systems.dance_language.labels import LABEL_KEYS
from raydance.systems.dance_language.run import DanceLanguage
from raydance.training.run_folder import load_bundle

_SIZE = (260, 300)


@dataclass(frozen=True, kw_only=True)
class RealWindow:
    """A real window to show: `motion [T, 50, 3]` in metres and `joint_mask [50]`."""

    name: str
    motion: np.ndarray
    joint_mask: np.ndarray


def windows_to_show(
    system: DanceLanguage, dataset: Dataset | None, num: int, *, seed: int = 0
) -> list[RealWindow]:
    """Test windows of different movements; the clusters' exemplars where there is no dataset."""
    if dataset is None:
        tensors, facts = load_bundle(system.run.bundle("clusters"))
        return [
            RealWindow(
                name=f"cluster {int(tensors['exemplar_cluster'][i])}, {window_id}",
                motion=tensors["exemplar_motion"][i].numpy(),
                joint_mask=tensors["exemplar_mask"][i].numpy(),
            )
            for i, window_id in list(enumerate(facts["exemplar_ids"]))[:num]
        ]
    import json

    found: dict[str, RealWindow] = {}
    shards = dataset.shards("test")
    order = np.random.default_rng([seed, 83]).permutation(len(shards))
    for index in order:
        rows = dataset.read_shard(shards[index])
        for i in np.random.default_rng([seed, 89]).permutation(len(rows["window_id"])):
            labels = json.loads(rows["labels"][i] or "{}")
            named = next((labels[key] for key in LABEL_KEYS if labels.get(key)), "")
            name = str(named or (rows["captions"][i] or ["unnamed"])[0])
            if name not in found:
                found[name] = RealWindow(
                    name=name, motion=rows["motion"][i], joint_mask=rows["joint_mask"][i]
                )
        if len(found) >= num:
            break
    return [found[name] for name in sorted(found)][:: max(1, len(found) // num)][:num]


def draw_reconstructions(
    system: DanceLanguage, windows: Sequence[RealWindow], folder: Path
) -> list[Animation]:
    """A GIF of each window and of what the VAE makes of it."""
    import torch

    out = []
    for number, window in enumerate(windows):
        motion, mask = window.motion[None], window.joint_mask[None]
        latent = torch.from_numpy(system.encode_motion(motion, mask)["latent"])
        with torch.inference_mode():
            rebuilt = system.to_metres(system.vae.decoder(latent, system.window).numpy())[0]
        error = np.linalg.norm(rebuilt - window.motion, axis=-1)[:, window.joint_mask].mean()
        file = f"reconstruction_{number}.gif"
        _render(
            folder / file,
            [window.motion, rebuilt],
            ["real", "reconstructed"],
            system.fps,
            [window.joint_mask, window.joint_mask],
        )
        text = f"mean distance of joints {100 * error:.1f} cm"
        out.append(Animation(file=file, title=window.name.replace("_", " "), text=text))
    return out


def draw_generated(
    system: DanceLanguage, dataset: Dataset | None, sentences: Sequence[str], folder: Path
) -> list[Animation]:
    """For each sentence a GIF: the nearest real training motion, and the generated one."""
    out = []
    for number, sentence in enumerate(sentences):
        made = system.generate(sentence, seed=number)[0]
        mask = system.joint_mask
        motions, titles, masks = [made], ["generated"], [mask]
        text = f"source of the motion latent: {system.config.text_to_motion.source}"
        hit = system.search(sentence, k=1)[0]
        real = None if dataset is None else _find(dataset, hit.clip_id, hit.start_s, hit.split)
        if real is not None:
            motions, titles, masks = (
                [real.motion, made],
                ["found in the library", "generated"],
                [
                    real.joint_mask,
                    mask,
                ],
            )
            text += f"; found: {hit.clip_id} ({hit.split})"
        file = f"generated_{number}.gif"
        _render(folder / file, motions, titles, system.fps, masks)
        out.append(Animation(file=file, title=sentence, text=text))
    return out


def _find(dataset: Dataset, clip_id: str, start_s: float, split: str) -> RealWindow | None:
    for shard in dataset.shards(split):
        rows = dataset.read_shard(shard, columns=["clip_id", "start_s"])
        for i, (clip, start) in enumerate(zip(rows["clip_id"], rows["start_s"])):
            if clip == clip_id and abs(start - start_s) < 1e-4:
                arrays = dataset.read_shard(shard, columns=["motion", "joint_mask"])
                return RealWindow(
                    name=clip_id, motion=arrays["motion"][i], joint_mask=arrays["joint_mask"][i]
                )
    return None


def _render(
    path: Path,
    motions: list[np.ndarray],
    titles: list[str],
    fps: float,
    masks: list[np.ndarray],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    render_gif(path, motions, fps=fps, titles=titles, joint_mask=masks, size=_SIZE)
