"""Joint positions in .npy and .npz files, and the choice of a reader."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from raydance.errors import FormatError, InputError
from raydance.motion import skeleton
from raydance.motion.captions import labels_from_sidecar
from raydance.motion.formats import SUFFIXES, amass, arrays, humanml3d, joint_orders, read_clip
from raydance.motion.formats.numpy_file import NpzReader, read_npy
from raydance.motion.formats.smpl_body import SMPLH_OFFSETS, SMPLH_PARENTS
from raydance.motion.mapping import map_to_canonical
from raydance.motion.units import rest_positions


def standing(num_joints: int = 52, num_frames: int = 5) -> np.ndarray:
    """A T-pose that walks along z: `[T, J, 3]` metres, y up, feet on the floor."""
    pose = rest_positions(SMPLH_OFFSETS, SMPLH_PARENTS)
    pose[:, 1] -= pose[:, 1].min()
    motion = np.repeat(pose[None, :num_joints], num_frames, axis=0)
    motion[..., 2] += np.linspace(0, 0.2, num_frames)[:, None]
    return motion.astype(np.float32)


def test_named_archive_is_read_with_all_it_says(tmp_path: Path) -> None:
    motion = standing()
    np.savez(
        tmp_path / "a.npz",
        positions=motion,
        joint_names=np.array(joint_orders.SMPLH_JOINTS),
        parents=SMPLH_PARENTS,
        fps=30,
    )
    clip = read_clip(tmp_path / "a.npz")
    assert clip.fps == 30 and clip.clip_id == "a" and clip.parents == SMPLH_PARENTS
    np.testing.assert_allclose(clip.positions, motion, atol=1e-6)
    mapped = map_to_canonical(clip)
    assert mapped.joint_mask.all() and mapped.unmatched_source == ("left_thumb3", "right_thumb3")


@pytest.mark.parametrize(("unit", "per_metre"), [("m", 1), ("cm", 100), ("mm", 1000)])
@pytest.mark.parametrize("up", ["y", "z"])
def test_unit_and_up_axis_are_detected(tmp_path: Path, unit: str, per_metre: int, up: str) -> None:
    motion = standing(22)
    stored = motion * per_metre
    if up == "z":
        stored = np.stack((stored[..., 0], -stored[..., 2], stored[..., 1]), axis=-1)
    np.savez(tmp_path / "a.npz", motion=stored, fps=20)
    np.testing.assert_allclose(read_clip(tmp_path / "a.npz").positions, motion, atol=1e-5)


def test_given_unit_and_axis_win(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", motion=standing(22), fps=20)
    clip = read_clip(tmp_path / "a.npz", units=2.0, up="y", fps=25)
    np.testing.assert_allclose(clip.positions, 2 * standing(22), atol=1e-6)
    assert clip.fps == 25


@pytest.mark.parametrize("num_joints", sorted(joint_orders.SKELETONS))
def test_known_numbers_of_joints_have_names_and_a_tree(tmp_path: Path, num_joints: int) -> None:
    names, parents = joint_orders.SKELETONS[num_joints]
    assert len(names) == len(parents) == len(set(names)) == num_joints
    assert parents[0] == -1 and all(0 <= p < i for i, p in enumerate(parents) if i)
    np.save(tmp_path / "a.npy", standing(52)[:, np.arange(num_joints)])
    assert read_clip(tmp_path / "a.npy", fps=20, units=1, up="y").joint_names == names


def test_names_from_a_sidecar(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", standing(23))
    with pytest.raises(FormatError, match="23 joints without names; .* 17, 22, 24, 50, 52"):
        read_clip(tmp_path / "a.npy", fps=20)
    names = [*joint_orders.BODY_JOINTS, "tail"]
    (tmp_path / "a.json").write_text(json.dumps({"joint_names": names, "fps": 50, "style": "sad"}))
    clip = read_clip(tmp_path / "a.npy")
    assert clip.joint_names == tuple(names) and clip.fps == 50 and set(clip.parents) == {-1}
    assert map_to_canonical(clip).unmatched_source == ("tail",)


def test_a_sidecar_s_facts_win_over_guesses_from_the_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", standing(22) * 100)
    names = [f"Actor:{name}" for name in joint_orders.BODY_JOINTS[::-1]]
    facts = {"joint_names": names, "fps": 30, "metres_per_unit": 0.01, "up": "Y", "style": "sad"}
    (tmp_path / "a.json").write_text(json.dumps(facts))
    clip = read_clip(tmp_path / "a.npy")  # not HumanML3D's order, 20 fps and metres
    assert clip.joint_names == tuple(names) and clip.fps == 30
    np.testing.assert_allclose(clip.positions, standing(22), atol=1e-5)
    assert labels_from_sidecar(tmp_path / "a.npy") == {"style": "sad"}
    (tmp_path / "a.json").write_text(json.dumps({"fps": 30, "metres_per_unit": 0.01}))
    clip = read_clip(tmp_path / "a.npy")  # HumanML3D's names, but the rate and unit given
    assert clip.joint_names == joint_orders.BODY_JOINTS and clip.fps == 30
    np.testing.assert_allclose(clip.positions, standing(22), atol=1e-5)
    assert read_clip(tmp_path / "a.npy", fps=25, units=0.02).fps == 25  # the caller's win


def test_a_sidecar_gives_what_other_formats_assume(tmp_path: Path) -> None:
    facts = {"fps": 25, "up": "y"}
    np.save(tmp_path / "a.npy", np.zeros((3, 263), np.float32))
    (tmp_path / "a.json").write_text(json.dumps(facts))
    assert read_clip(tmp_path / "a.npy").fps == 25
    np.savez(tmp_path / "b.npz", poses=np.zeros((3, 156)), trans=np.tile([0.0, 2.0, 0.0], (3, 1)))
    (tmp_path / "b.json").write_text(json.dumps(facts))
    clip = read_clip(tmp_path / "b.npz")
    assert clip.fps == 25
    np.testing.assert_allclose(clip.positions[:, 0], [[0, 2, 0]] * 3, atol=1e-6)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"fps": "fast"}, "left out of the side-car: .*a.json: fps 'fast'"),
        ({"fps": True}, "fps True"),
        ({"fps": 10**400}, "fps 1000"),
        ({"up": "north"}, "up 'north'"),
        ({"up": ["y"]}, "up .* allowed: x, y, z"),
        ({"metres_per_unit": "cm"}, "metres_per_unit 'cm'"),
        ({"metres_per_unit": 0}, "metres_per_unit '0'"),
        (["no", "object"], "read without its side-car: .*a.json"),
    ],
)
def test_facts_that_make_no_sense_are_left_out_aloud(
    tmp_path: Path, facts: object, message: str
) -> None:
    np.save(tmp_path / "a.npy", standing(22))
    (tmp_path / "a.json").write_text(json.dumps(facts))
    with pytest.warns(UserWarning, match=message):
        assert read_clip(tmp_path / "a.npy").fps == 20


@pytest.mark.parametrize("parents", [1.5, True, "root", {"a": 1}, [-1.0] * 22, [None] * 22])
def test_parents_that_are_no_indices_are_refused(tmp_path: Path, parents: object) -> None:
    np.save(tmp_path / "a.npy", standing(22))
    names = [f"j{i}" for i in range(22)]
    (tmp_path / "a.json").write_text(json.dumps({"joint_names": names, "parents": parents}))
    with pytest.raises(FormatError, match="parents: one index per joint"):
        read_clip(tmp_path / "a.npy")


def test_any_text_may_name_a_joint(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", standing(22))
    names = ["\udc80", "a\x1b[2J", *(f"j{i}" for i in range(20))]
    (tmp_path / "a.json").write_text(json.dumps({"joint_names": names, "fps": 30}))
    assert read_clip(tmp_path / "a.npy").joint_names[:2] == ("\\x80", "a\\x1b[2J")


@pytest.mark.parametrize("order", ["COCO", "Human3.6M"])
def test_seventeen_joints_are_the_order_that_makes_a_body(tmp_path: Path, order: str) -> None:
    body = dict(zip(joint_orders.SMPLH_JOINTS, np.moveaxis(standing(), 1, 0)))
    body |= {"hip": body["pelvis"], "spine": body["spine2"], "thorax": body["neck"]}
    body["nose"] = body["head"] + [0.0, 0.02, 0.12]
    for side, sign in (("left", 1), ("right", -1)):
        body[f"{side}_eye"] = body["nose"] + [0.03 * sign, 0.03, -0.02]
        body[f"{side}_ear"] = body["nose"] + [0.07 * sign, 0.01, -0.1]
    names = {"COCO": joint_orders.COCO_JOINTS, "Human3.6M": joint_orders.HUMAN36M_JOINTS}[order]
    np.save(tmp_path / "a.npy", np.stack([body[name] for name in names], axis=1))
    clip = read_clip(tmp_path / "a.npy", fps=50)
    assert clip.joint_names == names
    mapped = map_to_canonical(clip)
    assert mapped.convention == {"COCO": "COCO (AIST++)"}.get(order, order)
    knee = mapped.positions[:, skeleton.INDEX["left_knee"]]
    np.testing.assert_allclose(knee, body["left_knee"], atol=1e-5)


def test_masked_joints_are_left_out(tmp_path: Path) -> None:
    mask = np.ones(50, bool)
    mask[skeleton.INDEX["spine3"]] = False
    motion = standing(50)
    motion[:, ~mask] = 0
    np.savez(tmp_path / "a.npz", positions=motion, fps=20, joint_mask=mask)
    clip = read_clip(tmp_path / "a.npz")
    assert len(clip.joint_names) == 49
    neck = clip.joint_names.index("neck")
    assert clip.joint_names[clip.parents[neck]] == "spine2"
    np.testing.assert_array_equal(map_to_canonical(clip).joint_mask, mask)


def test_readers_are_chosen_by_content(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.zeros((3, 263), np.float32))
    np.save(tmp_path / "joints.npy", standing(22))
    np.save(tmp_path / "other.npy", standing(24))
    np.savez(tmp_path / "amass.npz", poses=np.zeros((3, 156)), trans=np.zeros((3, 3)))
    np.savez(tmp_path / "array.npz", poses=standing(24))
    for name, reader in (
        ("features.npy", humanml3d.read),
        ("joints.npy", humanml3d.read),
        ("other.npy", arrays.read),
        ("amass.npz", amass.read),
        ("array.npz", arrays.read),
    ):
        assert SUFFIXES[Path(name).suffix](tmp_path / name) is reader, name


def test_unknown_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"suffix \.txt; .*\.bvh.*\.npz"):
        read_clip(tmp_path / "a.txt")
    with pytest.raises(FormatError, match="suffix missing"):
        read_clip(tmp_path / "walk")
    with pytest.raises(FormatError, match="no such file"):
        read_clip(tmp_path / "a.npy")
    (tmp_path / "b.npy").mkdir()
    with pytest.raises(FormatError, match="a folder"):
        read_clip(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", standing(22))
    with pytest.raises(InputError, match=r"\.amc files only"):
        read_clip(tmp_path / "c.npy", skeleton="a.asf")
    with pytest.raises(InputError, match="fps: found 0"):
        read_clip(tmp_path / "c.npy", fps=0)


def _npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin1")
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + data


def _head(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an .npy array"),
        (b"\x93NUMPY", "not an .npy array"),
        (b"ROOT Hips", "not an .npy array"),
        (_npy(_head("(3, 22, 3)", "'|O'")), "type object"),
        (_npy(_head("(3, 22, 3)", "[('a', '<f4')]")), "type"),
        (_npy(_head("(1000000000000, 22, 3)")), "more than"),
        (_npy(_head("(3000000, 22, 3)")), "needs 792000000 bytes, 0 follow"),
        (_npy(_head("(-3, 22, 3)")), "negative"),
        (_npy(_head("(3, 22, 3)"), b"\0" * 100), "needs 792 bytes, 100 follow"),
        (_npy(_head("__import__('os')")), "not an .npy array"),
        (_npy(_head("(3, 22, 3)"), b"", b"\x09\x00"), "version|not an .npy"),
        (_npy(_head("(0, 22, 3)")), "0 frames"),
        (_npy(_head("(2, 2000, 3)", "'|i1'"), b"\0" * 12000), "2000 joints"),
        (_npy(_head("(2, 66)"), b"\0" * 528), r"\[2, 66\]"),
        (_npy(_head("(1, 17, 3)", "'<c8'"), b"\0" * 408), "type complex64"),
    ],
)
def test_broken_arrays_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        read_clip(tmp_path / "a.npy", fps=20)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])
def test_values_that_no_body_has_are_located(tmp_path: Path, value: float) -> None:
    motion = standing(24)
    motion[3, 7, 1] = value
    np.save(tmp_path / "a.npy", motion)
    with pytest.raises(FormatError, match="frame 3, joint 7"):
        read_clip(tmp_path / "a.npy", fps=20)


def test_limits_and_missing_rate(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", standing(24))
    with pytest.raises(FormatError, match="5 frames; 1 to 4"):
        read_clip(tmp_path / "a.npy", fps=20, max_frames=4)
    with pytest.raises(FormatError, match="no frame rate"):
        read_clip(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", positions=standing(24), fps=np.nan)
    with pytest.raises(FormatError, match=r"\[fps\]"):
        read_clip(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", positions=standing(24), fps=0.01)
    with pytest.raises(FormatError, match="fps 0.01"):
        read_clip(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"joint_names": np.array(["a", "b"])}, "2 different joint names for 24"),
        ({"joint_names": np.array(["a"] * 24)}, "1 different joint names for 24"),
        ({"joint_names": np.zeros(24)}, "a list of text"),
        ({"parents": np.arange(24)}, "parents"),
        ({"parents": np.array([-1.5] * 24)}, "parents"),
        ({"joint_mask": np.zeros(24, bool)}, "joint_mask"),
        ({"joint_mask": np.ones(3, bool)}, "joint_mask"),
        ({"joint_names": np.array([None] * 24)}, "type object"),
    ],
)
def test_wrong_facts_are_refused(tmp_path: Path, extra: dict, message: str) -> None:
    np.savez(tmp_path / "a.npz", positions=standing(24), fps=20, **extra)
    with pytest.raises(FormatError, match=message):
        read_clip(tmp_path / "a.npz")


def test_the_motion_in_an_archive_is_found_or_asked_for(tmp_path: Path) -> None:
    motion = standing(24)
    np.savez(tmp_path / "one.npz", dance=motion, fps=20, info=np.array([{"x": 1}]))
    assert read_clip(tmp_path / "one.npz").num_frames == 5
    np.savez(tmp_path / "two.npz", a=motion, b=motion, fps=20)
    with pytest.raises(FormatError, match="several .*a, b"):
        read_clip(tmp_path / "two.npz")
    np.savez(tmp_path / "none.npz", a=motion[0], fps=20)
    with pytest.raises(FormatError, match="no .*array .found a, fps"):
        read_clip(tmp_path / "none.npz")
    np.savez(tmp_path / "flat.npz", positions=motion[0], fps=20)
    with pytest.raises(FormatError, match=r"positions: \[24, 3\]; \[T, J, 3\] is needed"):
        read_clip(tmp_path / "flat.npz")
    np.savez(tmp_path / "objects.npz", positions=np.full((5, 24, 3), {}), fps=20)
    with pytest.raises(FormatError, match="objects"):
        read_clip(tmp_path / "objects.npz")


def test_broken_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("not a zip")
    with pytest.raises(FormatError, match="not an .npz"):
        read_clip(tmp_path / "text.npz")
    np.savez_compressed(tmp_path / "cut.npz", positions=standing(24), fps=20)
    data = bytearray((tmp_path / "cut.npz").read_bytes())
    data[200:260] = b"\xff" * 60
    (tmp_path / "cut.npz").write_bytes(data)
    with pytest.raises(FormatError):
        read_clip(tmp_path / "cut.npz")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("positions.npy", "w", force_zip64=True) as member:
            member.write(_npy(_head("(1, 22, 3)"), b"\0" * 264))
            for _ in range(50):
                member.write(bytes(1 << 20))
    with NpzReader(path) as reader:  # what the header does not announce is never unpacked
        assert reader.read("positions").shape == (1, 22, 3)
    np.savez_compressed(path, positions=np.zeros((1, 1000, 3)), fps=np.zeros(3 << 20))
    with pytest.raises(FormatError, match="bytes would unpack to 25165824; above 16777216"):
        read_clip(path)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"joint_names": np.array([[1 << 30, 97]], "u4").view("U2")[0]}, "0x40000000 is no char"),
        ({"joint_names": np.array(["\ud800"])}, "0xd800 is no character"),
        ({"parents": np.array([1 << 30], "u4").view("U1")}, "parents.*0x40000000 is no char"),
        ({"joint_names": np.array(["n" * 201])}, "joint_names: 201 characters; at most 200"),
        ({"up": np.array([], "U1")}, "up nothing; allowed: x, y, z"),
        ({"up": np.array(["y", "z"])}, "up 'y', 'z'; allowed"),
        ({"metres_per_unit": 1e300}, "units: found 1e[+]300, metres per unit are needed; allowed"),
    ],
)
def test_facts_that_no_body_has_are_named(
    tmp_path: Path, more: dict[str, object], words: str
) -> None:
    facts: dict[str, object] = {"joint_names": np.array(["a"]), "fps": 20.0}
    np.savez(tmp_path / "a.npz", positions=np.zeros((2, 1, 3)), **(facts | more))  # type: ignore
    with pytest.raises(InputError, match=words):
        read_clip(tmp_path / "a.npz")


def test_text_of_either_byte_order_is_read(tmp_path: Path) -> None:
    for order in "<>":
        names = np.array([*joint_orders.SMPLH_JOINTS[:21], "Kopf\U0001f600"]).astype(f"{order}U20")
        np.savez(tmp_path / "a.npz", positions=standing(22), fps=20, joint_names=names)
        assert read_clip(tmp_path / "a.npz").joint_names[21] == "Kopf\U0001f600"


def test_turns_and_offsets_beyond_any_body_are_refused(tmp_path: Path) -> None:
    facts = {"local_quaternions_wxyz": np.ones((5, 52, 4)), "rest_offsets": np.zeros((52, 3))}
    facts["rest_offsets"][3] = 1e300
    np.savez(tmp_path / "a.npz", positions=standing(), fps=20, **facts)  # type: ignore
    with pytest.raises(FormatError, match="rest_offsets.* up to 1e[+]07 are needed"):
        read_clip(tmp_path / "a.npz")


def test_strange_archives_are_refused_by_member(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions.npy", _npy(_head("(0,)").replace("<f4", "<U0"), b""))
    with NpzReader(path) as reader, pytest.raises(FormatError, match="they have no size"):
        reader.read("positions")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("positions.npy", _npy(_head("(99, 22, 3)"), bytes(range(256)) * 103))
    data = bytearray(path.read_bytes())
    data[60:90] = b"\xff" * 30
    path.write_bytes(data)
    with NpzReader(path) as reader, pytest.raises(FormatError, match=r"positions\]: "):
        reader.read("positions")


def test_many_positions_from_few_bytes_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((30_001, 1000, 3), "i1"))
    with pytest.raises(FormatError, match="at most 30000000 joint positions"):
        arrays.read(tmp_path / "a.npy", fps=20)


def test_fortran_order_is_kept(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(24.0).reshape(2, 4, 3))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)
    with (tmp_path / "b.npy").open("wb") as file:
        np.lib.format.write_array(file, array, version=(2, 0))
    np.testing.assert_array_equal(read_npy(tmp_path / "b.npy"), array)
