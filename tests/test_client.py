"""The client: every question of the service, its async twin, and files of clips."""

from __future__ import annotations

import asyncio
import inspect
import zipfile
from pathlib import Path

import numpy as np
import pytest
from serving import TURN

from raydance.client import AsyncClient, Client, ServiceError
from raydance.motion.clip import Clip
from raydance.motion.formats import read_clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(service_url: str) -> Client:
    return Client(service_url)


def test_a_generated_clip_saves_itself(client: Client, tmp_path: Path):
    clip = client.generate(TURN, seed=1)[0]
    written = clip.save(tmp_path / "turn.npz")
    assert written.residual is None
    np.testing.assert_allclose(
        read_clip(tmp_path / "turn.npz").positions, clip.positions, atol=1e-4
    )
    assert clip.save(tmp_path / "turn.bvh").residual is not None


def test_several_sentences(client: Client, tmp_path: Path):
    one, other = client.make_all([TURN, "sharp kicks"], num_samples=2, seed=3)
    assert len(one.clips) == len(other.clips) == 2 and other.clips[0].captions == ("sharp kicks",)
    path = client.save([TURN, "sharp kicks"], tmp_path / "both.zip", format="npz")
    assert len(zipfile.ZipFile(path).namelist()) == 3


def test_clips_of_the_library(client: Client, tmp_path: Path):
    points = client.map(4)["points"]
    places = [(point["clip_id"], point["start_s"]) for point in points[:2]]
    between = client.interpolate(*places, steps=3)
    assert len(between) == 3 and between[0].num_frames == between[2].num_frames
    assert client.clip(places[0][0], end_s=1.0).duration_s == pytest.approx(1.0, abs=0.06)
    picture = client.thumbnail(places[0][0], tmp_path / "strip.png")
    assert picture.read_bytes()[1:4] == b"PNG"


def test_files_are_converted(client: Client, take: Path, tmp_path: Path):
    clip = client.convert(take)
    assert isinstance(clip, Clip) and clip.num_frames > 20
    saved = client.convert(take, tmp_path / "take.glb", fps=30.0)
    assert isinstance(saved, Path) and saved.read_bytes()[:4] == b"glTF"


def test_jobs(client: Client, take: Path, tmp_path: Path):
    job = client.start("generate", {"text": TURN, "format": "gif"})
    assert job.save(tmp_path / "turn.gif").read_bytes()[:3] == b"GIF"
    assert job.state()["state"] == "done"
    described = client.start_with_file("describe", "file", take, k=1).wait().json()
    assert len(described["segments"][0]["captions"]) == 1
    job.cancel()
    with pytest.raises(ServiceError, match="no job") as error:
        job.state()
    assert error.value.type == "not-found"
    with pytest.raises(ServiceError, match="seconds: 100; allowed: up to 60") as error:
        client.start("generate", {"text": TURN, "seconds": 100}).wait()
    assert error.value.type == "invalid-value" and error.value.status == 422


def test_the_async_twin_asks_at_once(service_url: str, tmp_path: Path):
    async def ask() -> list[list[Clip]]:
        async with AsyncClient(service_url) as client:
            job = await client.start("generate", {"text": TURN, "format": "npz"})
            await job.save(tmp_path / "turn.npz")
            return await asyncio.gather(*(client.generate(TURN, seed=seed) for seed in range(3)))

    found = asyncio.run(ask())
    np.testing.assert_allclose(
        read_clip(tmp_path / "turn.npz").positions, found[0][0].positions, atol=2e-3
    )
    assert not np.allclose(found[0][0].positions, found[1][0].positions)


def test_the_twin_has_every_method_with_its_arguments():
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            twin = inspect.signature(getattr(AsyncClient, name))
            assert list(twin.parameters.values()) == list(
                inspect.signature(method).parameters.values()
            ), name
