"""What a body shows of wrong guesses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_recordings import only_job
from standing_body import INDEX, NAMES, PARENTS, stand, to_z_up

from raydance.data.ingest import Settings, read_job
from raydance.motion import body_check
from raydance.motion.clip import Clip
from raydance.motion.mapping import MappedMotion, map_to_canonical


def mapped(positions: np.ndarray, names: tuple[str, ...] = NAMES) -> MappedMotion:
    clip = Clip(
        clip_id="x",
        source="x.bvh",
        fps=20,
        joint_names=names,
        parents=PARENTS if len(names) == len(PARENTS) else (-1,) * len(names),
        positions=positions.astype(np.float32),
    )
    return map_to_canonical(clip)


def test_a_standing_body_is_not_doubted() -> None:
    assert body_check.doubts(mapped(stand())) == []
    assert not body_check.hips_coincide(mapped(stand()))
    assert body_check.left_out(mapped(stand())) == ""


@pytest.mark.parametrize(
    ("joint", "onto", "doubt"),
    [
        ("left_hip", "right_hip", "the hips coincide"),
        ("left_knee", "left_hip", "limbs of no length: left thigh"),
        ("right_wrist", "right_elbow", "limbs of no length: right forearm"),
        ("left_elbow", "pelvis", "the upper arms differ"),
        ("pelvis", "left_foot", "m from the hips (is it a root on the floor?)"),
    ],
)
def test_a_joint_in_another_s_place_is_doubted(joint: str, onto: str, doubt: str) -> None:
    motion = stand()
    motion[:, INDEX[joint]] = motion[:, INDEX[onto]]
    assert any(doubt in found for found in body_check.doubts(mapped(motion)))


def test_limbs_that_change_their_length_are_doubted() -> None:
    motion = stand()
    motion[:, INDEX["left_ankle"], 1] += 0.15 * np.sin(np.arange(len(motion)))
    found = body_check.doubts(mapped(motion))
    assert any("change their length: left shin" in doubt for doubt in found)


def test_a_lying_dancer_and_heights_of_nobody_are_doubted() -> None:
    lying = body_check.doubts(mapped(to_z_up(stand())))
    assert lying == ["the head is not above the feet in any frame (is another axis up?)"]
    upside_down = body_check.doubts(mapped(-stand()))  # keypoints in a picture: y points down
    assert upside_down == lying
    for factor, is_doubted in ((0.2, True), (0.6, False), (1.4, False), (3.0, True)):
        found = body_check.doubts(mapped(factor * stand()))
        assert any("m tall, judged by its legs" in doubt for doubt in found) == is_doubted


def test_limbs_that_are_left_out_are_named() -> None:
    names = tuple(
        {"left_knee": "Gelenk A", "right_knee": "Gelenk B"}.get(name, name) for name in NAMES
    )
    motion = mapped(stand(), names)
    assert motion.num_body_joints == 20
    found = body_check.left_out(motion)
    assert found.startswith("no left_knee, right_knee among the joints; left out: Gelenk A, Gele")
    # A source that has no such joints leaves nothing out.
    kept = [i for i, name in enumerate(NAMES) if "knee" not in name]
    lacking = mapped(stand()[:, kept], tuple(NAMES[i] for i in kept))
    assert body_check.left_out(lacking) == ""


def _ingested(folder: Path, motion: np.ndarray, **facts: object) -> dict:
    np.save(folder / "a.npy", motion.astype(np.float32))
    (folder / "a.json").write_text(json.dumps({"fps": 20, **facts}))
    settings = Settings(fps=20, window=10, stride=10)
    return read_job(only_job(folder / "a.npy"), settings).record


def test_ingestion_notes_doubts_and_refuses_hips_in_one_place(tmp_path: Path) -> None:
    names = [*NAMES[:4], "Gelenk A", "Gelenk B", *NAMES[6:]]
    record = _ingested(tmp_path, stand(40), joint_names=names)
    assert record["status"] == "read"
    assert [note.split(" among")[0] for note in record["notes"]] == ["no left_knee, right_knee"]

    motion = stand(40)
    motion[:, INDEX["left_hip"]] = motion[:, INDEX["right_hip"]]
    record = _ingested(tmp_path, motion, joint_names=list(NAMES))
    assert record["status"] == "skipped" and "both hips are in one place" in record["reason"]


def test_a_guessed_order_that_makes_no_body_is_doubted(tmp_path: Path) -> None:
    # 22 joints without names are taken for HumanML3D's; here they are in another order.
    motion = stand(40)[:, ::-1]
    assert any(
        "differ" in note or "length" in note for note in _ingested(tmp_path, motion)["notes"]
    )


def test_info_tells_doubts_and_what_was_left_out(call, tmp_path: Path) -> None:
    names = [*NAMES[:4], "Gelenk A", "Gelenk B", *NAMES[6:]]
    _ingested(tmp_path, to_z_up(stand()), joint_names=names, up="y")
    code, out, _ = call("info", tmp_path / "a.npy")
    assert code == 0
    assert "doubt: no left_knee, right_knee among the joints; left out: Gelenk A" in out
    assert "doubt: the head is not above the feet in any frame" in out
    assert "unmatched joints of the file: Gelenk A, Gelenk B" in out
