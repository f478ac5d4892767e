"""Configurations: overrides, refusals that name the key in full, and the way to plain data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raydance import config
from raydance.errors import ConfigError, InputError
from raydance.stages.base import TrainConfig
from raydance.stages.clusters import ClustersConfig
from raydance.stages.contrastive import ContrastiveConfig
from raydance.stages.motion_to_text import MotionToTextConfig
from raydance.stages.motion_vae import MotionVaeConfig
from raydance.stages.text_encoder import TextEncoderConfig
from raydance.stages.text_to_motion import TextToMotionConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    lr: float = 5e-4
    steps: int = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Middle:
    inner: Inner = dataclasses.field(default_factory=lambda: Inner(lr=0.25, steps=3))
    name: str = "middle"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    flag: bool = False
    count: int | None = None
    weight: float = 1.0
    text: str = "plain"
    kind: Literal["a", "b"] = "a"
    pair: tuple[float, int] = (0.5, 2)
    many: tuple[str, ...] = ()
    middle: Middle = dataclasses.field(default_factory=Middle)

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight: {self.weight}; must not be below 0")


finite = st.floats(allow_nan=False, allow_infinity=False)
inners = st.builds(Inner, lr=finite, steps=st.integers())
samples = st.builds(
    Sample,
    flag=st.booleans(),
    count=st.none() | st.integers(),
    weight=st.floats(0, 1e300),
    text=st.text(),
    kind=st.sampled_from(["a", "b"]),
    pair=st.tuples(finite, st.integers()),
    many=st.lists(st.text(), max_size=3).map(tuple),
    middle=st.builds(Middle, inner=inners, name=st.text()),
)


@settings(max_examples=60, deadline=None)
@given(samples)
def test_a_configuration_survives_plain_data_and_json(sample: Sample) -> None:
    plain = config.to_dict(sample)
    assert config.from_dict(Sample, plain) == sample
    assert config.from_dict(Sample, json.loads(json.dumps(plain))) == sample
    assert config.override(sample, []) == sample
    assert config.merge(sample, {}) == sample
    assert config.merge(Sample(), plain) == sample


@pytest.mark.parametrize(
    "default",
    [
        ClustersConfig(),
        ContrastiveConfig(),
        MotionToTextConfig(),
        MotionVaeConfig(),
        TextEncoderConfig(),
        TextToMotionConfig(),
    ],
    ids=lambda default: type(default).__name__,
)
def test_the_configuration_of_each_stage_survives_yaml(default: Any) -> None:
    text = yaml.safe_dump(config.to_dict(default))
    assert config.from_dict(type(default), yaml.safe_load(text)) == default


@pytest.mark.parametrize(
    ("assignment", "read"),
    [
        ("flag=true", lambda c: c.flag is True),
        ("count=7", lambda c: c.count == 7),
        ("count=null", lambda c: c.count is None),
        ("weight=3", lambda c: c.weight == 3.0 and isinstance(c.weight, float)),
        ("weight=1e-3", lambda c: c.weight == 1e-3),  # YAML calls this a string
        ("weight=.5", lambda c: c.weight == 0.5),
        ("text=a=b", lambda c: c.text == "a=b"),
        ("text='7'", lambda c: c.text == "7"),
        ("kind=b", lambda c: c.kind == "b"),
        ("pair=[1e-2, 3]", lambda c: c.pair == (0.01, 3)),
        ("many=[x, y]", lambda c: c.many == ("x", "y")),
        ("middle.name=other", lambda c: c.middle.name == "other"),
        (" middle.inner.lr = 1e-2", lambda c: c.middle.inner == Inner(lr=0.01, steps=3)),
        ("middle.inner={steps: 9}", lambda c: c.middle.inner == Inner(lr=0.25, steps=9)),
        ("middle={inner: {steps: 9}}", lambda c: c.middle.inner == Inner(lr=0.25, steps=9)),
    ],
)
def test_an_override_changes_one_value(assignment: str, read: Any) -> None:
    start = Sample(count=1)
    changed = config.override(start, [assignment])
    assert read(changed)
    assert changed != start
    assert start == Sample(count=1)


def test_later_overrides_win() -> None:
    assert config.override(Sample(), ["weight=2", "weight=3"]).weight == 3.0


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("weight", ["'weight'", "a.b=value"]),
        ("=3", ["a.b=value"]),
        ("wieght=3", ["unknown key wieght", "weight"]),
        ("middle.inner.rate=3", ["unknown key middle.inner.rate", "lr, steps"]),
        ("middel.inner.lr=3", ["unknown section middel", "sections here: middle"]),
        ("middle.outer.lr=3", ["unknown section middle.outer", "sections here: inner"]),
        ("weight.x=3", ["unknown section weight"]),
        ("middle.inner={rate: 3}", ["unknown key middle.inner.rate", "lr, steps"]),
        ("middle=3", ["middle", "3", "mapping"]),
        ("middle.inner.steps=2.5", ["middle.inner.steps", "2.5", "float", "int"]),
        ("middle.inner.steps=true", ["middle.inner.steps", "True", "bool", "int"]),
        ("flag=1", ["flag", "1", "int", "bool"]),
        ("text=3", ["text", "3", "int", "str"]),
        ("weight=much", ["weight", "'much'", "float"]),
        ("weight=true", ["weight", "True", "float"]),
        ("weight=.nan", ["weight", "nan", "finite"]),
        ("weight=nan", ["weight", "nan", "finite"]),
        ("weight=.inf", ["weight", "inf", "finite"]),
        ("weight=-1", ["weight", "-1.0", "must not be below 0"]),
        ("count=few", ["count", "'few'", "int"]),
        ("kind=c", ["kind", "'c'", "a, b"]),
        ("pair=[1]", ["pair", "1 values", "2"]),
        ("pair=[1, x]", ["pair[1]", "'x'", "int"]),
        ("pair=7", ["pair", "7"]),
        ("many=[a, 3]", ["many[1]", "3", "str"]),
        ("many=[a", ["many=[a", "YAML"]),
    ],
)
def test_a_wrong_override_is_refused_by_name(assignment: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        config.override(Sample(), [assignment])
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ({"middle": {"inner": {"rate": 1}}}, "middle.inner.rate"),
        ({"middle": {1: 2, "x": 3}}, "middle.1, middle.x"),
        ([1, 2], "Sample"),
        ({"middle": None}, "middle"),
    ],
)
def test_wrong_plain_data_is_refused_by_name(data: Any, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        config.from_dict(Sample, data)


def test_a_value_that_the_configuration_itself_refuses_is_told_with_its_place() -> None:
    with pytest.raises(ConfigError, match="epochs"):
        config.override(MotionVaeConfig(), ["train.epochs=0"])
    with pytest.raises(ConfigError, match="lr"):
        config.override(TrainConfig(), ["lr=0"])
    with pytest.raises(ConfigError, match="interpretable_min_k"):
        config.override(ClustersConfig(), ["interpretable_min_k=1"])


def test_merge_keeps_what_it_does_not_name() -> None:
    merged = config.merge(MotionVaeConfig(), {"train": {"epochs": 3}, "hidden": 64})
    assert (merged.train.epochs, merged.hidden) == (3, 64)
    assert merged.train.lr == 5e-4 and merged.train.schedule == "onecycle"
    with pytest.raises(ConfigError, match="train.epoch"):
        config.merge(MotionVaeConfig(), {"train": {"epoch": 3}})


def test_load_mapping_reads_yaml_and_json_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("vae:\n  hidden: 64\n")
    assert config.load_mapping(path) == {"vae": {"hidden": 64}}
    path.write_text('{"vae": {"hidden": 32}}')
    assert config.load_mapping(path) == {"vae": {"hidden": 32}}
    for content, part in ((b"- 1\n- 2\n", "list"), (b"a: [", "YAML"), (b"\xff\xfe\x00", "c.yaml")):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=part):
            config.load_mapping(path)
    path.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="YAML"):
        config.load_mapping(path)
    with pytest.raises(ConfigError, match="absent.yaml"):
        config.load_mapping(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("a: 2001-99-99", "month"),
        ("a: " + "9" * 5000, "digits"),
        (f"a: 0x{'f' * 600}", "a whole number of 2400 bits"),
        ("[" * 5000, "recursion"),
        ("a: &a [1, *a]", "aliases that stand for more than"),
        ("\n".join(f"a{i + 1}: &a{i + 1} [{f'*a{i}, ' * 9}1]" for i in range(9)), "a1"),
        (
            "a0: &a0 [1]\n"
            + "\n".join(f"a{i + 1}: &a{i + 1} [{f'*a{i}, ' * 9}1]" for i in range(9)),
            "aliases that stand for more than",
        ),
    ],
)
def test_yaml_that_python_cannot_hold_is_refused(tmp_path: Path, content: str, part: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=part):
        config.load_mapping(path)
    with pytest.raises(InputError, match=part):
        config.read_small_yaml(path, "small", 1 << 20)
