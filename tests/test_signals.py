"""An input beside text and music, added by one file: from files over training to motion."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import requests
import torch
from drum_adapter import DrumAdapter
from drum_signal import DRUMS
from serving import post, problem, running
from small_dataset import ingest_here
from small_recordings import walk, write_captions, write_npz
from small_stages import CONDITIONING, FEATURES, D, H, K, evaluate, toy_batch, train
from test_everything2motion import TINY, _splits

from raydance.client import Client
from raydance.data import ingest
from raydance.data.dataset import Dataset
from raydance.data.schema import MOTION, ROW_COLUMNS, TRACKS
from raydance.data.signals import SIGNALS, by_name
from raydance.data.signals.music import MUSIC
from raydance.data.signals.reading import read_signal
from raydance.errors import ConfigError, InputError
from raydance.music.dance_corpus import read_beats, write_dances
from raydance.nn.conditioning import ADAPTERS
from raydance.serving.application import Settings
from raydance.serving.reader import _LOADERS, Limits
from raydance.serving.runs import Entry
from raydance.serving.task_app import TaskBody, create_task_app
from raydance.stages.sequence_flow import SequenceFlow, SequenceFlowConfig
from raydance.systems import load_run
from raydance.systems.base import LocalRunner
from raydance.systems.everything2motion.options import GenerateOptions
from raydance.systems.everything2motion.system import SYSTEM
from raydance.systems.tasks import InputKind
from raydance.training.run_folder import Run

FPS = 20.0


@pytest.fixture(scope="module", autouse=True)
def drums() -> Iterator[None]:
    """The two lines that a file of the package would have in these tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIGNALS, DRUMS.name, DRUMS)
        patch.setitem(ADAPTERS, DRUMS.name, DrumAdapter)
        yield


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dances with songs; all but the first have drums on their beats."""
    folder = tmp_path_factory.mktemp("drums") / "dances"
    write_dances(folder, 6, 5.0)
    _splits(folder / "captions.jsonl")
    for beats in sorted(folder.glob("*.beats.json"))[1:]:
        lines = "".join(f"{time:.3f}\n" for time in read_beats(beats))
        (folder / beats.name.replace(".beats.json", ".drums")).write_text(lines)
    return folder


@pytest.fixture(scope="module")
def dataset(dances: Path) -> Dataset:
    settings = ingest.Settings(
        whole_clips=True, window=100, music=str(dances), signals={"drums": str(dances)}
    )
    captions = [dances / "captions.jsonl"]
    return Dataset.open(ingest_here([dances], captions, dances.parent / "data", settings))


@pytest.fixture(scope="module")
def run(dataset: Dataset) -> Run:
    # Without averages, which of so few steps are where they began.
    config = SYSTEM.resolve("quick", [*TINY, "sequence_flow.ema=0", "sequence_flow.train.epochs=4"])
    return SYSTEM.train(dataset.path.parent / "run", dataset.path, config, LocalRunner())


def test_events_become_a_column_at_the_frame_rate(dataset: Dataset, dances: Path) -> None:
    assert dataset.arrays["drums"] == (100, 2) and dataset.arrays["music"][0] == 100
    found = [
        row
        for split in ("train", "val", "test")
        for shard in dataset.shards(split)
        for rows in [dataset.read_shard(shard)]
        for row in zip(rows["source"], rows["drums"], rows["has_drums"])
    ]
    assert sum(not has for _, _, has in found) == 1
    for source, values, has in found:
        if not has:
            assert not values.any()
            continue
        beats = read_beats(dances / f"{Path(source).stem}.beats.json")
        frames = np.unique((beats * FPS + 1e-6).astype(int))
        assert np.abs(np.flatnonzero(values[:, 0]) - frames).max() <= 1
    (without,) = dataset.warned()
    assert "without drums: no file of its name" in without["notes"][0]


def test_a_run_with_drums_is_trained_and_generates_from_them(
    run: Run, dances: Path, tmp_path: Path, call: Any
) -> None:
    system = load_run(run.path)
    assert system.signals == ("music", "drums")
    assert isinstance(system.flow.network.conditioning.drums, DrumAdapter)
    generate = system.tasks["generate"]
    assert generate.describe()["inputs"]["drums"]["kind"] == "signal"
    hits, others = sorted(dances.glob("*.drums"))[:2]
    song = hits.with_suffix(".wav")
    made = {}
    for name, inputs in {
        "drums": {"drums": hits},
        "other drums": {"drums": others},
        "with words": {"drums": hits, "text": "the dancer turns slowly"},
        "with a song": {"drums": hits, "music": song},
        "the song": {"music": song},
    }.items():
        (answer,) = generate.answer([generate.request(inputs, {"seconds": 3.0})])
        assert answer.motion.shape == (1, 60, 50, 3) and np.isfinite(answer.motion).all()
        made[name] = answer.motion
    values = list(made.values())
    assert not any(np.array_equal(a, b) for i, a in enumerate(values) for b in values[:i])
    with pytest.raises(InputError, match="Give a sentence or music or times of drum hits"):
        generate.answer([generate.request({}, {})])
    out = tmp_path / "dance.npz"
    code, printed, told = call(
        *("generate", "--signal", f"drums={hits}", "--run", str(run.path), "--out", str(out)),
        "--json",
    )
    assert code == 0 and json.loads(printed)["files"] == [str(out)], told
    last_s = float(hits.read_text().split()[-1])  # as long as the drums
    assert np.load(out)["positions"].shape[0] == int(last_s * FPS) + 1


@pytest.fixture(scope="module")
def service_url(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose readers know drums, too, as if the package had their file."""
    folder = tmp_path_factory.mktemp("site")
    lines = ["from drum_signal import DRUMS", "from raydance.data.signals import SIGNALS"]
    (folder / "sitecustomize.py").write_text("\n".join([*lines, "SIGNALS['drums'] = DRUMS", ""]))
    limits = Limits(frames=200, upload_bytes=1000)
    app = create_task_app([Entry(name="drummed", run=str(run.path))], Settings(limits=limits))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        with running(app) as address:
            yield address


def test_drums_are_sent_over_http(service_url: str, run: Run, dances: Path, tmp_path: Path) -> None:
    hits = sorted(dances.glob("*.drums"))[0]
    with Client(service_url) as client:
        (task,) = client.models()[0]["tasks"]
        assert task["inputs"]["drums"]["kind"] == "signal"
        answer = client.task("generate", {"seconds": 3}, signals={"drums": hits})
        saved = client.task("generate", path=tmp_path / "dance.npz", signals={"drums": hits})
    generate = load_run(run.path).tasks["generate"]
    (here,) = generate.answer([generate.request({"drums": hits}, {"seconds": 3.0})])
    assert isinstance(answer, dict) and isinstance(saved, Path)
    sent = np.array(answer["samples"][0]["positions"])
    np.testing.assert_allclose(sent, here.motion[0][:, here.joint_mask], atol=1e-3)
    assert len(np.load(saved)["positions"]) == int(float(hits.read_text().split()[-1]) * FPS) + 1
    about = requests.get(f"{service_url}/v1/models", timeout=30).json()
    assert about["files"]["drums"] == [".drums"]
    document = requests.get(f"{service_url}/v1/openapi.json", timeout=30).json()
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert named <= set(document["components"]["schemas"])
    content = document["paths"]["/v1/tasks/{name}"]["post"]["requestBody"]["content"]
    fields = content["multipart/form-data"]["schema"]["properties"]
    assert fields["drums"]["format"] == fields["music"]["format"] == "binary"
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/TaskBody"}


@pytest.mark.parametrize(
    ("name", "content", "status", "told"),
    [
        ("a.drums", "0.5\nnan\n", 422, "a.drums: times of hits are finite"),
        ("a.drums", "0.5\nloud\n", 422, "a.drums: times of hits are needed"),
        ("a.drums", "0.5\n10.5\n", 422, "211 frames at 20 fps; allowed: 200"),
        ("a.drums", "1e15\n", 422, "needs more memory"),
        ("a.drums", "0.5\n" * 300, 413, "bytes"),
        ("a.wav", "0.5\n", 422, "drums: suffix .wav; allowed: .drums"),
    ],
)
def test_drums_that_cannot_be_used_are_refused(
    service_url: str, name: str, content: str, status: int, told: str
) -> None:
    answer = post(service_url, "/v1/tasks/generate", files={"drums": (name, content)})
    assert told in problem(answer, status) and "/tmp" not in answer.text


def test_windows_after_the_end_of_a_signal_have_none(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", walk(200))
    (tmp_path / "a.drums").write_text("0.5\n2.95\n")  # 60 frames
    captions = write_captions(
        tmp_path / "c.jsonl",
        {"file": "a.npz", "end_frame": 160},
        {"file": "a.npz", "start_frame": 160},
    )
    settings = ingest.Settings(window=20, signals={"drums": str(tmp_path)})
    made = Dataset.open(ingest_here([tmp_path], [captions], tmp_path / "made", settings))
    (split,) = {clip["split"] for clip in made.clips()}
    (shard,) = made.shards(split)
    rows = made.read_shard(shard)
    assert rows["has_drums"].sum() == 3 and len(rows["has_drums"]) == 10
    for start_s, clip, has, values in zip(
        rows["start_s"], rows["clip_id"], rows["has_drums"], rows["drums"]
    ):
        assert has == values.any() == (start_s < 3 and "@160" not in clip)
    (warned,) = made.warned()
    assert warned["notes"][:2] == [
        "drums ends 5.0 s before the motion",
        "read without drums: it ends at 3.0 s, the clip begins at 8.0 s",
    ]


def test_values_of_a_signal_are_frames_of_finite_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.drums"
    for values, told in (
        (np.zeros((4, 3)), "values of shape 4 x 3; needed: frames x 2 (hit, since_hit_s)"),
        (np.zeros(4), "values of shape 4;"),
        (np.zeros((0, 2)), "at least one frame"),
        (np.array([[0.0, 1.0], [0.0, np.inf]]), "since_hit_s at 0.05 s is inf"),
    ):
        wrong = dataclasses.replace(DRUMS, read=lambda *_, values=values: values)
        monkeypatch.setitem(SIGNALS, "drums", wrong)
        for given in (values, file):
            with pytest.raises(InputError, match=re.escape(told)):
                read_signal("drums", given, FPS)


def test_a_signal_takes_no_inputs_place() -> None:
    with pytest.raises(InputError, match="signals: music is given twice"), Client() as client:
        client.task("generate", music="a.wav", signals={"drums": "a.json", "music": "b.wav"})


def test_names_of_signals_stand_for_nothing_else() -> None:
    inputs = set(get_args(InputKind)) - {"music"}
    fields = {*TaskBody.model_fields, "fps", *_LOADERS} - {"music"}
    options = set(GenerateOptions.model_fields)
    columns = {*ROW_COLUMNS, *MOTION.columns, *TRACKS.columns}
    parts = _flow().network.conditioning
    attributes = {name for name in vars(parts) if not name.startswith("_")}
    attributes |= {*parts._modules, *parts._parameters} - {"music", "drums"}
    names = inputs | fields | options | attributes | {column.name for column in columns}
    for name in {*names, "has_x", "music_encoder", "Drums", "drum-hits", ""}:
        with pytest.raises(ConfigError, match=re.escape(f"signal {name!r}: ")):
            dataclasses.replace(DRUMS, name=name)
    with pytest.raises(ConfigError, match="columns are: .*joint_mask"):
        dataclasses.replace(DRUMS, name="labels")
    with pytest.raises(ConfigError, match="must be unique"):
        by_name(DRUMS, MUSIC, dataclasses.replace(DRUMS, help="other drums"))
    with pytest.raises(ConfigError, match="signal 'train': networks have an attribute"):
        SequenceFlow(_flow().config, torch.ones(2, K), D, {"train": 2})


def test_every_adapter_gets_gradients_in_every_batch_so_that_ranks_agree() -> None:
    batch = _batch()
    for silent in ("has_drums", "has_music"):
        flow = _flow().train()
        torch.nn.init.normal_(flow.network.output.weight)
        one = batch | {silent: torch.zeros_like(batch[silent])}
        flow.loss(flow(one), one, 0.0)["total"].backward()
        without = [n for n, p in flow.network.named_parameters() if p.grad is None]
        assert not without


def test_motion_is_learned_from_a_further_signal_alone() -> None:
    batch = _batch()
    flow = _flow(music_dropout=0.0, genre_dropout=1.0)
    torch.manual_seed(0)
    train(flow, batch, 40, 1e-2)
    told = evaluate(flow, batch)["total"]
    order = torch.randperm(len(batch["drums"]), generator=torch.Generator().manual_seed(1))
    untold = evaluate(flow, batch | {"drums": batch["drums"][order]})["total"]
    assert told < 0.8 * untold


def _batch() -> dict[str, torch.Tensor]:
    """What the toy batch tells by music or words, told by drums."""
    batch = toy_batch()
    caption = batch["caption_id"]
    sound = torch.randn(4, 1, 2, generator=torch.Generator().manual_seed(5))
    nothing = torch.zeros_like(batch["has_music"])
    return batch | {
        "drums": sound[caption].expand(-1, batch["music"].shape[1], -1).clone(),
        "has_drums": ~nothing,
        "has_music": nothing,
        "has_text": nothing,
    }


def _flow(**changes: Any) -> SequenceFlow:
    config = SequenceFlowConfig(
        width=H, num_blocks=1, dropout=0.0, ema=0.9, conditioning=CONDITIONING, **changes
    )
    return SequenceFlow(config, torch.ones(2, K), D, {"music": FEATURES, "drums": 2})
