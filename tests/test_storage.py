"""Copies of a store: what is copied, in which order, and what never leaves the cache."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import fs

from raydance import cli
from raydance.cluster import session
from raydance.data import storage
from raydance.errors import InputError, RaydanceError, UnreachableError

TAKE_URIS = (
    "info s3://b/x",
    "ingest s3://b/x --out set",
    "ingest tests --out s3://b/x",
    "train dance-language --local --data s3://b/x --out run",
    "train dance-language --data s3://b/x --out run",
    "train dance-language --data s3://b/x --out s3://b/x",
    "sweep beta --data s3://b/x --out sweep",
    "ablate all --data s3://b/x --out ablations",
    "caption s3://b/x --run run --out captions",
    "caption tests --run s3://b/x --out captions",
    "caption tests --run run --out s3://b/x",
    "dance s3://b/x --run run --out dances",
    "dance tests --run s3://b/x --out dances",
    "index s3://b/x --run run --out index",
    "task describe --run s3://b/x",
    "describe s3://b/x --run run",
    "generate turns --run s3://b/x --out x.npz",
    "search turns --library s3://b/x",
    "convert s3://b/x --out x.bvh",
    "serve s3://b/x --port 1 -q",
    "evaluate s3://b/x",
    "report s3://b/x --out report",
)


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    """A folder that stands for a bucket; the cache is beside it."""
    monkeypatch.setenv(storage.CACHE_VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "bucket").mkdir()
    return tmp_path / "bucket"


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def content(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.fixture
def copies(monkeypatch) -> list[str]:
    """Names in the order in which files are copied."""
    seen: list[str] = []
    original = storage._copy_all

    def watched(copy, items):
        def one(item):
            seen.append(Path(item).name)
            return copy(item)

        original(one, items)

    monkeypatch.setattr(storage, "_copy_all", watched)
    return seen


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("s3://bucket/x", True),
        ("gs://bucket/x", True),
        ("file:///x", True),
        ("x/y", False),
        ("/x/y", False),
        ("s3:/x", False),
        ("C:\\x", False),
        ("a b://x", False),
    ],
)
def test_uris_are_told_from_paths(place, expected):
    assert storage.is_uri(place) is expected


@pytest.mark.parametrize("uri", ["foo://x/y", "file://relative", "s3://"])
def test_a_place_that_cannot_be_read_is_the_users_mistake(uri, bucket):
    with pytest.raises(InputError, match=re.escape(uri)):
        storage.fetch(uri)


@pytest.mark.parametrize("silent", ["from_uri", "get_file_info"])
def test_a_store_that_does_not_answer_is_told(monkeypatch, refused, bucket, silent):
    """Its request cannot be stopped, and Python would wait for it: the command leaves at once."""
    is_over = threading.Event()

    class Silent(fs.LocalFileSystem):
        def get_file_info(self, place):
            is_over.wait(10)

    def from_uri(uri):
        return Silent(), str(is_over.wait(10) if silent == "from_uri" else bucket)

    monkeypatch.setattr(storage, "ANSWER_S", 0.05)
    monkeypatch.setattr(storage.fs, "FileSystem", SimpleNamespace(from_uri=from_uri))
    monkeypatch.setattr(os, "_exit", sys.exit)
    monkeypatch.setattr(session, "ray_session", lambda *_: pytest.fail("starts Ray first"))
    try:
        for work in (storage.names_in, storage.fetch, lambda uri: storage.publish(bucket, uri)):
            with pytest.raises(UnreachableError, match=r"s3://b/x: .*not answered in 0\.05 s"):
                work("s3://b/x")
        for command in TAKE_URIS:
            assert "s3://b/x: the store has not answered" in refused(*command.split(), code=1)
    finally:
        is_over.set()


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("gs://b/x", "gs://b/x?retry_limit_seconds=20"),
        ("gs://b/x?scheme=http", "gs://b/x?scheme=http&retry_limit_seconds=20"),
        ("gs://b/x?retry_limit_seconds=5", "gs://b/x?retry_limit_seconds=5"),
        ("s3://b/x", "s3://b/x"),
    ],
)
def test_google_gives_up_in_time(bucket, monkeypatch, uri, asked):
    """It would try for a quarter hour: half-way through a copy too, where no time is kept."""
    seen = []

    def from_uri(place):
        seen.append(place)
        raise OSError("Status(UNAVAILABLE: no host error_info={reason=, domain=})")

    monkeypatch.setattr(storage.fs, "FileSystem", SimpleNamespace(from_uri=from_uri))
    with pytest.raises(InputError, match=r"\(Status\(UNAVAILABLE: no host\)$"):
        storage.fetch(uri)
    assert seen == [asked]


def test_a_folder_is_fetched_whole_and_then_only_what_changed(bucket, copies):
    source = write(bucket / "set", a="one", sub__b="two", manifest_json="{}")
    uri = source.as_uri()
    place = storage.fetch(uri)
    assert content(place) == content(source)
    assert copies[-1] == "manifest.json" and len(copies) == 3
    assert storage.fetch(uri) == place and len(copies) == 3
    write(source, a="ONE")  # of the same size
    os.utime(source / "a", ns=(1, 1))
    storage.fetch(uri)
    assert copies[3:] == ["a"] and (place / "a").read_text() == "ONE"


def test_what_is_gone_from_the_store_goes_from_the_copy_unless_it_is_to_be_gone_on_with(bucket):
    source = write(bucket / "set", a="one", b="two")
    place = storage.fetch(source.as_uri())
    (source / "b").unlink()
    write(place, checkpoint="mine")
    storage.fetch(source.as_uri(), keep_extra=True)
    assert set(content(place)) == {"a", "b", "checkpoint"}
    storage.fetch(source.as_uri())
    assert set(content(place)) == {"a"}


def test_a_single_file_lies_beside_its_neighbours(bucket):
    source = write(bucket / "mocap", captions_json="[]", walk="w")
    folder = storage.fetch(source.as_uri())
    file = storage.fetch((source / "captions.json").as_uri())
    assert file == folder / "captions.json" and file.read_text() == "[]"


def test_stores_with_other_options_have_other_copies(bucket):
    one = storage.local_path("s3://b/x?region=eu-west-1&endpoint_override=one:1")
    two = storage.local_path("s3://b/x?region=eu-west-1&endpoint_override=two:2")
    assert one != two and one.name == two.name == "x"
    secret = storage.local_path("s3://key:password@b/x?region=eu-west-1")
    assert "password" not in str(secret)


def test_nothing_there_is_the_users_mistake(bucket):
    with pytest.raises(InputError, match="no such file or folder"):
        storage.fetch((bucket / "nothing").as_uri())


@pytest.mark.parametrize("name", ["../../escaped", "a/../../escaped", "a//b", "./a", "a\\..\\b"])
def test_no_name_leads_out_of_the_cache(bucket, monkeypatch, name):
    """A store's keys are any text; a file system's are not, so the listing is written here."""
    base = str(bucket / "set")
    write(bucket / "set", a="one")

    class Store:
        def get_file_info(self, asked):
            if isinstance(asked, str):
                return fs.FileInfo(base, fs.FileType.Directory)
            return [fs.FileInfo(f"{base}/{name}", fs.FileType.File, size=3, mtime_ns=1)]

        def open_input_stream(self, path):
            raise AssertionError("copied")

    monkeypatch.setattr(storage, "_open", lambda uri: (Store(), base))
    with pytest.raises(InputError, match="no name for a local file"):
        storage.fetch(f"file://{base}")
    assert not list(bucket.parent.rglob("escaped"))


def test_more_than_the_disk_holds_is_refused_before_anything_is_copied(bucket, monkeypatch, copies):
    source = write(bucket / "set", a="x" * 1000)
    usage = shutil.disk_usage(bucket)._replace(free=500)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="RAYDANCE_CACHE"):
        storage.fetch(source.as_uri())
    assert not copies


def test_publishing_brings_over_what_changed_and_takes_away_what_is_gone(bucket, tmp_path, copies):
    local = write(tmp_path / "local", a="one", sub__b="two", run_json="{}", checkpoints__c="no")
    write(local, **{".hidden": "no"})
    uri = (bucket / "run").as_uri()
    storage.publish(local, uri)
    assert set(content(bucket / "run")) == {"a", "sub/b", "run.json"}
    assert copies[-1] == "run.json"
    storage.publish(local, uri)
    assert len(copies) == 3  # in step: nothing again
    time.sleep(0.01)
    write(local, a="ONE")
    (local / "sub" / "b").unlink()
    storage.publish(local, uri)
    assert copies[3:] == ["a"]
    assert content(bucket / "run") == {"a": "ONE", "run.json": "{}"}


def test_what_was_fetched_is_in_step_with_the_store(bucket, copies):
    source = write(bucket / "run", a="one", run_json="{}")
    place = storage.fetch(source.as_uri())
    storage.publish(place, source.as_uri())
    assert len(copies) == 2


def test_a_half_published_dataset_has_no_manifest(bucket, tmp_path, monkeypatch):
    local = write(tmp_path / "local", a="one", manifest_json="{}")
    uri = (bucket / "set").as_uri()
    storage.publish(local, uri)
    time.sleep(0.01)
    write(local, a="changed")  # the manifest stays as it is

    def lost(copy, items):
        raise OSError("the machine is lost")

    monkeypatch.setattr(storage, "_copy_all", lost)
    with pytest.raises(RaydanceError, match="the machine is lost"):
        storage.publish(local, uri)
    assert storage.names_in(uri) == {"a"}
    monkeypatch.undo()
    storage.publish(local, uri)
    assert content(bucket / "set") == {"a": "changed", "manifest.json": "{}"}


def test_names_in_a_folder_that_is_not_there(bucket):
    assert storage.names_in((bucket / "nothing").as_uri()) == set()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(list(arguments))
    return left.value.code


@pytest.mark.parametrize("kind", ["train", "ingest"])
def test_a_uri_at_which_something_else_lies_is_refused(bucket, tiny_dataset, capfd, kind):
    taken = write(bucket / "taken", thesis="years of work").as_uri()
    data = str(tiny_dataset)
    if kind == "train":
        code = run("train", "dance-language", "--data", data, "--out", taken, "--local")
    else:
        code = run("ingest", data, "--out", taken)
    assert code == 2
    assert "not empty and not a" in capfd.readouterr().err
    assert content(bucket / "taken") == {"thesis": "years of work"}


def test_a_run_is_trained_step_by_step_into_a_uri(bucket, tiny_dataset, capfd, monkeypatch):
    """Dataset and run at URIs; the machine is lost, and another one goes on."""
    data = (bucket / "data").as_uri()
    storage.publish(Path(tiny_dataset), data)
    out = (bucket / "run").as_uri()
    given = [
        "train",
        "dance-language",
        "--data",
        data,
        "--out",
        out,
        "--local",
        "--preset",
        "quick",
    ]
    small = ["--set", "motion_vae.train.epochs=1", "--set", "motion_vae.hidden=16"]
    assert run(*given, *small, "--stage", "statistics", "--quiet") == 0
    record = json.loads((bucket / "run" / "run.json").read_text())
    assert list(record["steps"]) == ["statistics"]
    shutil.rmtree(storage.cache_folder())
    assert run(*given, *small, "--stage", "motion_basis", "--quiet") == 0
    assert run(*given, *small, "--stage", "motion_vae") == 0
    assert "statistics: done before" in capfd.readouterr().err
    published = content_names(bucket / "run")
    assert "stages/motion_vae.safetensors" in published
    assert not any(name.startswith("checkpoints") for name in published)
    capfd.readouterr()
    assert run("info", out, "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["steps"]["motion_vae"]["done"] and not facts["steps"]["clusters"]["done"]


def content_names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
