"""Miniature copies of public data sets, written with the procedural dancer."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from raydance.motion import synthetic
from raydance.motion.clip import Clip
from raydance.motion.export import bvh
from raydance.motion.formats.joint_orders import COCO_JOINTS
from raydance.motion.formats.kit import KIT_JOINTS
from raydance.motion.formats.smpl_body import BODY_JOINTS
from raydance.motion.skeleton import INDEX


def dancer(number: int = 0) -> Clip:
    """A clip of the procedural dancer, 20 frames per second, y up, metres."""
    return synthetic.make_clip(synthetic.MOVEMENTS[number % len(synthetic.MOVEMENTS)], number)


def joints(names: Iterable[str], number: int = 0) -> np.ndarray:
    """`[T, J, 3]` float32 of the dancer's joints of these names; heels are near the ankles."""
    clip = dancer(number)

    def of(name: str) -> np.ndarray:
        if not name.endswith("_heel"):
            return clip.positions[:, clip.joint_names.index(name)]
        return clip.positions[:, clip.joint_names.index(f"{name[:-5]}_ankle")] - [0, 0.05, 0]

    assert INDEX["pelvis"] == clip.joint_names.index("pelvis")
    return np.stack([of(name) for name in names], axis=1).astype(np.float32)


def coco() -> np.ndarray:
    """`[T, 17, 3]` metres: COCO's keypoints, the face's all at the head."""
    return joints(
        "head" if name.split("_")[-1] in ("nose", "eye", "ear") else name for name in COCO_JOINTS
    )


def features(positions: np.ndarray) -> np.ndarray:
    """HumanML3D's features `[T, 12 J - 1]` of a body whose root stays above the origin."""
    num_joints = positions.shape[1]
    out = np.zeros((len(positions), 12 * num_joints - 1), np.float32)
    out[:, 3] = positions[:, 0, 1]
    local = positions[:, 1:] - positions[:, :1] * [1, 0, 1]
    out[:, 4 : 4 + 3 * (num_joints - 1)] = local.reshape(len(positions), -1)
    return out


def save(path: Path, content: Any) -> Path:
    """A file of text, JSON, an array, arrays, or a pickle, by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, content)
    elif path.suffix == ".npz":
        np.savez(path, **content)
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(content))
    elif path.suffix == ".json":
        path.write_text(json.dumps(content))
    elif path.suffix == ".bvh":
        bvh.write(path, content)
    else:
        path.write_text(content)
    return path


def _lists(folder: Path, splits: Mapping[str, Iterable[str]], name: str = "{}.txt") -> None:
    for split, names in splits.items():
        save(folder / name.format(split), "".join(f"{n}\n" for n in names))


def guo(folder: Path, body: Iterable[str] = BODY_JOINTS, unit: float = 1.0) -> Path:
    """HumanML3D, or KIT-ML with its joints: five motions, one of them mirrored."""
    body = tuple(body)
    for number, name in enumerate(("000001", "000002", "000003", "M000001", "000009")):
        positions = joints(body, number) / unit
        save(folder / f"new_joints/{name}.npy", positions.astype(np.float32))
        save(folder / f"new_joint_vecs/{name}.npy", features(positions))
        save(folder / f"texts/{name}.txt", f"walks {name}.#walk/VERB#0.0#0.0\n")
    words = "turns left#turn/VERB left/ADV#0.0#0.0\nspins#spin/VERB#nan#nan\n"
    save(folder / "texts/000001.txt", words + "first part#part/NOUN#0.5#2.0\n\nno times\n")
    (folder / "texts/000003.txt").unlink()
    splits = {"train": ["000001", "000003"], "val": ["000002"], "test": ["M000001"]}
    _lists(folder, splits)
    _lists(folder, {"train_val": ["000001", "000002"], "all": ["000001"]})
    size = 12 * len(body) - 1
    for name in ("Mean", "Std"):
        save(folder / f"{name}.npy", np.ones(size, np.float32))
    return folder


def kit(folder: Path) -> Path:
    return guo(folder, KIT_JOINTS, unit=0.001)


AIST_NAMES = tuple(f"gBR_sBM_cAll_d04_mBR{number}_ch0{number + 1}" for number in range(4))


def aistpp(folder: Path) -> Path:
    """Four sequences: one to ignore, one in no split, one as keypoints alone."""
    rng = np.random.default_rng(0)
    for name in AIST_NAMES[:3]:
        motion = {
            "smpl_poses": np.tile(rng.normal(0, 0.1, 72), (300, 1)),
            "smpl_trans": np.tile([0.0, 90.0, 0.0], (300, 1)),
            "smpl_scaling": np.array([93.0]),
        }
        save(folder / f"motions/{name}.pkl", motion)
    for name in AIST_NAMES:
        points = {"keypoints3d_optim": coco() * 100.0, "keypoints3d": np.zeros((2, 17, 3))}
        save(folder / f"keypoints3d/{name}.pkl", points)
        save(folder / f"keypoints2d/{name}.pkl", {"keypoints2d": np.zeros((9, 2, 17, 3))})
    splits = {"train": [AIST_NAMES[0], AIST_NAMES[1]], "val": [], "test": [AIST_NAMES[3]]}
    _lists(folder / "splits", splits, "crossmodal_{}.txt")
    save(folder / "ignore_list.txt", f"{AIST_NAMES[1]}\n")
    save(folder / "music/mBR0.wav", "RIFF")
    return folder


def finedance(folder: Path) -> Path:
    """Two dances, one with labels and music."""
    for name in ("001", "002"):
        rows = np.tile([1.0, 0, 0, 0, 1.0, 0], 52)
        columns = np.concatenate(([0.0, 0.9, 0.0], rows))
        save(folder / f"motion/{name}.npy", np.tile(columns, (120, 1)).astype(np.float32))
        save(folder / f"music_npy/{name}.npy", np.zeros((120, 35), np.float32))
    save(folder / "label_json/001.json", {"name": "a song", "style1": "Modern", "style2": "Jazz"})
    save(folder / "music_wav/001.wav", "RIFF")
    return folder


def amass(folder: Path) -> Path:
    """One recording in two editions, one more, and the files that hold bodies."""
    poses = np.tile(np.random.default_rng(0).normal(0, 0.05, 165), (600, 1))
    trans = np.tile([0.0, 0.0, 0.9], (600, 1))
    smplh = {
        "poses": poses[:, :156],
        "trans": trans,
        "mocap_framerate": 120.0,
        "betas": np.ones(16),
    }
    smplx = {"poses": poses, "trans": trans, "mocap_frame_rate": 60.0, "gender": np.array("female")}
    save(folder / "smplh/MPI_HDM05/bk/HDM_bk_01 - walk_poses.npz", smplh)
    save(folder / "smplh/MPI_HDM05/bk/shape.npz", {"betas": np.ones(16)})
    save(folder / "smplx/HDM05/bk/HDM_bk_01_-_walk_stageii.npz", smplx)
    save(folder / "smplx/HDM05/bk/female_stagei.npz", {"betas": np.ones(16)})
    save(folder / "smplx/CMU/86/86_08_stageii.npz", smplx)
    return folder


def _segment(begin: float, end: float, raw: str, tidy: str, kinds: list[str]) -> dict[str, Any]:
    words = {"raw_label": raw, "proc_label": tidy, "act_cat": kinds}
    return {**words, "start_t": begin, "end_t": end, "seg_id": raw}


def babel(folder: Path) -> Path:
    """Annotations of segments, of a whole, and of a recording that is not there; with AMASS."""
    amass(folder / "amass")
    segments = [
        _segment(0.0, 3.0, "walks around", "walk", ["walk"]),
        _segment(3.0, 3.5, "transition", "transition", ["transition"]),
        _segment(3.5, 99.0, "stand", "stand", ["stand", "wait"]),
    ]
    first = {
        "babel_sid": 1,
        "feat_p": "MPI_HDM05/MPI_HDM05/bk/HDM_bk_01 - walk_poses.npz",
        "seq_ann": {"labels": [{"raw_label": "walks", "proc_label": "walk", "act_cat": ["walk"]}]},
        "frame_ann": {"labels": segments},
    }
    whole = {"labels": [{"raw_label": "punch", "proc_label": "punch", "act_cat": ["fight"]}]}
    second = {"babel_sid": 2, "feat_p": "CMU/CMU/86/86_08_poses.npz", "seq_ann": whole}
    absent = {"babel_sid": 3, "feat_p": "KIT/KIT/3/gone_poses.npz", "seq_ann": whole}
    release = folder / "babel_v1.0_release"
    save(release / "train.json", {"1": first, "3": absent})
    save(release / "val.json", {"2": second | {"frame_ann": None}})
    return folder


def style100(folder: Path) -> Path:
    for name in ("Aeroplane/Aeroplane_FW", "Aeroplane/Aeroplane_ID", "OldMan/OldMan_TR1"):
        save(folder / f"{name}.bvh", at_60_fps(dancer(1)))
    head = "STYLE_NAME,FW_START,FW_STOP,ID_START,ID_STOP\n"
    save(folder / "Frame_Cuts.csv", f"{head}Aeroplane,30,210,N/A,N/A\nOldMan,,,,\n")
    about = 'Style Name,Description,Stochastic\nAeroplane,"Arms held out, as wings",No\n'
    save(folder / "Dataset_List.csv", about)
    return folder


def at_60_fps(clip: Clip) -> Clip:
    """The same frames, played three times as fast."""
    return Clip(**{**clip.__dict__, "fps": 60.0})


def lafan1(folder: Path) -> Path:
    for number in (1, 2, 5):
        save(folder / f"fallAndGetUp1_subject{number}.bvh", dancer(2))
    save(folder / "notes.bvh", dancer(2))
    return folder


def bandai(folder: Path) -> Path:
    for name in ("dataset-1_walk-left_not-confident_001", "dataset-2_run_old_012"):
        save(folder / f"data/{name}.bvh", dancer(3))
        save(folder / f"data/{name}.json", {"content": 4, "style": 5})
    return folder
