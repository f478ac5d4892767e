"""CLIP models: any of transformers' by name or folder, and a small one that is trained."""

from __future__ import annotations

import math
import socket
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_stages import evaluate, train
from torch.nn import functional as F

from raydance.errors import ConfigError, InputError
from raydance.stages.small_clip import SmallClip, SmallClipConfig
from raydance.text.clip import END, PAD, START, Clip, ClipConfig, small_tokenizer

SENTENCES = ["a dog runs to the left", "a car drives right", "the bird flies up", "a fox sits"]
CONFIG = SmallClipConfig(
    image_size=16, patch_size=8, width=16, layers=1, heads=2, outputs=12, max_tokens=12,
    vocabulary=290, dropout=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return small_tokenizer(SENTENCES, vocabulary=290, max_tokens=12)


def built(tokenizer: Any, seed: int = 0) -> SmallClip:
    torch.manual_seed(seed)
    return SmallClip(CONFIG, len(tokenizer))


@pytest.fixture(scope="module")
def folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP as the hub holds it, with random weights."""
    place = tmp_path_factory.mktemp("clip") / "tiny"
    built(tokenizer).write(place, tokenizer)
    return place


def frames(number: int, height: int = 16, width: int = 16) -> np.ndarray:
    shape = (number, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def clip_batch(tokenizer: Any, clips: int = 8) -> dict[str, torch.Tensor]:
    """Two clips of each sentence; the colour tells which."""
    number = torch.arange(clips) % len(SENTENCES)
    tokens = tokenizer([SENTENCES[i] for i in number], padding=True, return_tensors="pt")
    colour = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]])[number]
    drawn = colour[:, None, None, None].expand(-1, 3, 16, 16, -1).to(torch.uint8)
    return {"overlay_frames": drawn, "caption_tokens": tokens["input_ids"], "caption_id": number}


def test_features_are_those_of_the_model(folder: Path, tokenizer: Any) -> None:
    clip, stage = Clip(ClipConfig(model=str(folder), batch_size=2)), built(tokenizer).eval()
    assert clip.dim == 12 and clip.name == str(folder)
    found = clip.text_features([*SENTENCES, SENTENCES[0]])
    assert found.dtype == np.float32 and np.array_equal(found[0], found[-1])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    for sentence, row in zip(SENTENCES, found):
        alone = torch.tensor([tokenizer(sentence)["input_ids"]])
        with torch.no_grad():
            expected = F.normalize(stage.text_features(alone), dim=1)[0].numpy()
        np.testing.assert_allclose(row, expected, atol=1e-5)
    pictures = frames(5)
    with torch.no_grad():
        expected = F.normalize(stage.image_features(torch.from_numpy(pictures)[:, None]), dim=1)
    np.testing.assert_allclose(clip.image_features(pictures), expected.numpy(), atol=1e-5)


def test_the_real_loading_path_reads_transformers_own_model(folder: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained(folder)
    picture = frames(1, 20, 40)
    pixels = CLIPProcessor.from_pretrained(folder).image_processor(
        images=list(picture), return_tensors="pt"
    )
    with torch.no_grad():
        found = model.get_image_features(**pixels).pooler_output
    expected = F.normalize(found, dim=1).numpy()
    clip = Clip(ClipConfig(model=str(folder)))
    np.testing.assert_allclose(clip.image_features(picture), expected, atol=1e-5)


def test_nothing_in_gives_nothing(folder: Path) -> None:
    clip = Clip(ClipConfig(model=str(folder)))
    assert clip.text_features([]).shape == (0, 12)
    assert clip.image_features(frames(0)).shape == (0, 12)


def test_long_sentences_are_cut_with_a_warning(folder: Path) -> None:
    clip = Clip(ClipConfig(model=str(folder)))
    with pytest.warns(UserWarning, match="1 of 2 texts exceed 12 tokens"):
        found = clip.text_features([SENTENCES[0] * 5, SENTENCES[1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(clip.text_features([SENTENCES[1]])[0], found[1], atol=1e-5)


def test_wrong_inputs_are_named(folder: Path) -> None:
    clip = Clip(ClipConfig(model=str(folder)))
    with pytest.raises(InputError, match="text 2 of 2 is ' '; words are needed"):
        clip.text_features(["a dog", " "])
    for bad in (frames(2)[..., :2], frames(2).astype(np.float32), frames(2)[0]):
        with pytest.raises(InputError, match=r"allowed: uint8 \(n, height, width, 3\)"):
            clip.image_features(bad)
    with pytest.raises(ConfigError, match="clip.model: empty"):
        ClipConfig(model=" ")


def test_other_models_are_refused(folder: Path, tmp_path: Path) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    CLIPTextModel(
        CLIPTextConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, vocab_size=9,
                       num_attention_heads=1, projection_dim=4)
    ).save_pretrained(tmp_path / "text")  # fmt: skip
    with pytest.raises(InputError, match="is of type 'clip_text_model'; allowed: a CLIP"):
        Clip(ClipConfig(model=str(tmp_path / "text")))
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(InputError, match="cannot be loaded"):
        Clip(ClipConfig(model=str(bare)))


def test_a_folder_needs_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert Clip(ClipConfig(model=str(folder))).dim == 12


def test_the_tokenizer_marks_start_and_end(tokenizer: Any) -> None:
    rows = tokenizer(["A Dog", "a dog runs to the left"], padding=True)["input_ids"]
    assert [row[0] for row in rows] == [START, START] and rows[0][-1] == PAD
    assert END in rows[0] and rows[1][-1] == END
    assert tokenizer.decode(rows[0], skip_special_tokens=True).strip() == "a dog"


def test_the_small_clip_learns_pictures_of_sentences(tokenizer: Any) -> None:
    stage, batch = built(tokenizer), clip_batch(tokenizer)
    before = evaluate(stage, batch)
    train(stage, batch, steps=80, lr=3e-3)
    after = evaluate(stage, batch)
    least = math.log(2)  # two clips of each sentence are right
    assert after["top1"] == 1.0
    assert after["total"] - least < 0.1 * (before["total"] - least)


def test_every_weight_of_the_small_clip_learns(tokenizer: Any) -> None:
    stage, batch = built(tokenizer).train(), clip_batch(tokenizer)
    stage.loss(stage(batch), batch, 0.0)["total"].backward()
    assert not [name for name, p in stage.named_parameters() if p.grad is None]


def test_a_clips_picture_is_the_mean_of_its_frames(tokenizer: Any) -> None:
    stage = built(tokenizer).eval()
    pictures = torch.from_numpy(frames(4)).unflatten(0, (2, 2))
    with torch.no_grad():
        alone = F.normalize(stage.image_features(pictures.flatten(0, 1)[:, None]), dim=1)
        torch.testing.assert_close(
            stage.image_features(pictures), alone.unflatten(0, (2, 2)).mean(dim=1)
        )


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ConfigError, match="small_clip.image_size: 20; a multiple of patch_size"):
        SmallClipConfig(image_size=20)
    with pytest.raises(ConfigError, match="a multiple of heads"):
        SmallClipConfig(width=10, heads=4)
