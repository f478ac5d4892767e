"""The command `raydance serve`: its flags, refused or handed on."""

from __future__ import annotations

import contextlib

import pytest
from serving import free_port

from raydance.errors import RaydanceError


def test_what_has_no_nodes_is_refused(refused, monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    for flags in (
        ["--replicas-per-node", 1],
        ["--replicas", 2],
        ["--batch", 1],
        ["--encoder-apart"],
    ):
        line = refused("serve", "runs/none", "--no-ray", *flags)
        assert f"{flags[0]}: for Ray alone; leave it out, or --no-ray" in line
    for number in (0, 101, "one"):
        assert "--replicas-per-node" in refused("serve", "runs/none", "--replicas-per-node", number)
    more = ("--replicas", "2:4", "--replicas-per-node")
    assert "--replicas needs 2 of each part; give --address" in refused("serve", "x", *more, 1)
    elsewhere = (
        "serve",
        "runs/none",
        "--quiet",
        "--port",
        free_port(),
        *more,
    )  # the run is looked for next
    assert "not a finished run" in refused(*elsewhere, 2)
    assert "not a finished run" in refused(*elsewhere, 1, "--address", "auto")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert "not a finished run" in refused(*elsewhere, 1)


def test_what_cannot_be_offered_is_refused(refused, tiny_run):
    here = ("serve", "--no-page", "--quiet", "--port", free_port())
    assert "RUN or NAME=RUN" in refused(*here, f"={tiny_run}")
    assert "without a path" in refused(*here, tiny_run, "--cors", "studio.example/page")
    assert "another --host" in refused("serve", tiny_run, "--no-ray", "-q", "--host", "192.0.2.1")


def test_the_scale_is_handed_on(refused, tiny_run, monkeypatch):
    from raydance.cluster import serving, session

    wanted = {"replicas": (2, 8), "replicas_per_node": 1, "batch": 4, "encoder_apart": False}

    def build(entries: object, settings: object, scale: serving.Scale) -> None:
        raise RaydanceError(f"asked for { {name: getattr(scale, name) for name in wanted} }")

    monkeypatch.setattr(session, "ray_session", lambda *args, **more: contextlib.nullcontext())
    monkeypatch.setattr(serving, "build", build)
    command = ("serve", tiny_run, "--address", "auto", "--no-page", "--quiet")
    flags = ("--replicas", "2:8", "--replicas-per-node", 1, "--batch", 4)
    assert str(wanted) in refused(*command, *flags, code=1)
    assert "'replicas_per_node': None" in refused(*command, code=1)
    assert "'encoder_apart': True" in refused(*command, "--encoder-apart", code=1)


@pytest.mark.parametrize(
    ("flags", "variables", "way"),
    [
        ([], {}, "plain"),
        (["--no-ray"], {"RAY_ADDRESS": "auto"}, "plain"),
        (["--ray"], {}, "ray"),
        (["--replicas", "2"], {}, "ray"),
        (["--replicas", "1:3"], {}, "ray"),
        (["--batch", 4], {}, "ray"),
        (["--encoder-apart"], {}, "ray"),
        (["--address", "auto"], {}, "ray"),
        ([], {"RAY_ADDRESS": "auto"}, "ray"),
        ([], {"RAY_JOB_ID": "01000000"}, "ray"),
    ],
)
def test_ray_serves_where_something_asks_for_it(
    refused, tiny_run, monkeypatch, flags, variables, way
):
    from raydance.commands import service

    def answer(name):
        def start(*arguments: object, **more: object) -> None:
            raise RaydanceError(f"served by {name}")

        return start

    for name in ("RAY_ADDRESS", "RAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(service, "serve_plain", answer("plain"))
    monkeypatch.setattr(service, "serve_with_ray", answer("ray"))
    command = ("serve", tiny_run, "--no-page", "--quiet", "--port", free_port(), *flags)
    assert refused(*command, code=1) == f"raydance: served by {way}"
