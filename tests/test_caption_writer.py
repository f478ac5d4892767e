"""Written captions: the language, its probabilities, models from a folder, and a whole run."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import raydance
from raydance import cli
from raydance.errors import ArtifactError, ConfigError, InputError
from raydance.evaluation.protocol import evaluate
from raydance.stages.caption_writer import CaptionWriter, CaptionWriterConfig
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language.system import SYSTEM
from raydance.systems.dance_language.writer_step import Writer
from raydance.text.language_model import (
    IGNORED,
    Language,
    Vocabulary,
    build_model,
    load_language,
    small_language,
)
from raydance.training.run_folder import Run

CAPTIONS = (
    "a person swings the left arm",
    "someone kicks twice",
    "a dancer turns, slowly",
    "a person swings the right arm",
)
CONFIG = CaptionWriterConfig(
    states=2, width=32, layers=1, dropout=0.0, noise=0.0, max_tokens=24, vocabulary=320
)
Z = 6


@pytest.fixture(scope="module")
def language() -> Language:
    return small_language(CAPTIONS, vocabulary=320, width=32, layers=1, dropout=0.0)


@pytest.fixture(scope="module")
def taught(language: Language) -> tuple[CaptionWriter, torch.Tensor]:
    """A writer that knows four motions by heart, and these motions."""
    torch.manual_seed(0)
    stage = CaptionWriter(CONFIG, Z, language)
    motion = torch.randn(4, Z)
    tokens = torch.from_numpy(Vocabulary(language).encode(CAPTIONS, 24))
    batch = {"motion_embedding": motion, "caption_tokens": tokens}
    optimizer = torch.optim.AdamW(stage.parameters(), 1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        stage.loss(stage(batch), batch, 1.0)["total"].backward()
        optimizer.step()
    return stage.eval(), motion


# The language ----------------------------------------------------------------------------------


def test_sentences_come_back_from_their_tokens_even_with_words_never_seen(language) -> None:
    vocabulary = Vocabulary(language)
    texts = [*CAPTIONS, "Über-élan: 3 pirouettes!"]
    tokens = vocabulary.encode(texts, 200)
    assert [vocabulary.decode(row) for row in tokens] == texts
    ends = (tokens == language.architecture["eos_token_id"]).sum(axis=1)
    assert ends.tolist() == [1] * len(texts)
    short = vocabulary.encode([CAPTIONS[0]], 4)
    assert short.shape == (1, 4) and short[0, -1] == language.architecture["eos_token_id"]


def test_the_same_captions_give_the_same_language(language) -> None:
    again = small_language(CAPTIONS, vocabulary=320, width=32, layers=1, dropout=0.0)
    assert again == language and json.loads(json.dumps(again.architecture))


# The stage -------------------------------------------------------------------------------------


def test_the_loss_by_hand(language) -> None:
    stage = CaptionWriter(CONFIG, Z, language)
    batch = {"caption_tokens": torch.tensor([[5, 6, 1], [7, 1, IGNORED]])}
    terms = stage.loss({"logits": torch.zeros(2, 3, 50)}, batch, 1.0)
    assert float(terms["total"]) == pytest.approx(math.log(50))
    assert float(terms["sentence"]) == pytest.approx(2.5 * math.log(50))  # 3 and 2 tokens
    sure = torch.full((2, 3, 50), -1e9)
    for place, token in (((0, 0), 5), ((0, 1), 6), ((0, 2), 1), ((1, 0), 7), ((1, 1), 9)):
        sure[place][token] = 0.0
    assert float(stage.loss({"logits": sure}, batch, 1.0)["token_accuracy"]) == pytest.approx(0.8)


def test_motions_known_by_heart_get_their_sentences(taught, language) -> None:
    stage, motion = taught
    vocabulary = Vocabulary(language)
    written = stage.write(motion, 3)
    assert [vocabulary.decode(rows[0][0]) for rows in written] == list(CAPTIONS)
    for rows in written:
        values = [value for _, value in rows]
        assert len(rows) == 3 and values == sorted(values, reverse=True) and values[0] <= 0.0
        assert math.exp(values[0]) > 0.5 and sum(map(math.exp, values)) <= 1.0 + 1e-4


def test_a_log_probability_is_the_sum_over_the_tokens(taught) -> None:
    stage, motion = taught
    tokens, value = stage.write(motion[:1], 2)[0][1]
    tokens = [token for token in tokens if token != IGNORED]
    states = stage.states(motion[:1])
    before, total = [stage.model.config.decoder_start_token_id], 0.0
    with torch.no_grad():
        for token in tokens:
            logits = stage.model(
                inputs_embeds=states, decoder_input_ids=torch.tensor([before])
            ).logits[0, -1]
            total += float(logits.log_softmax(0)[token])
            before.append(token)
    assert value == pytest.approx(total, abs=1e-3)


def test_impossible_settings_are_refused() -> None:
    for change, found in (
        ({"width": 30}, "width: 30"),
        ({"states": 0}, "states and layers"),
        ({"vocabulary": 100}, "vocabulary: 100"),
    ):
        with pytest.raises(ConfigError, match=found):
            CaptionWriterConfig(**change)


# A model from a folder -------------------------------------------------------------------------


def write_folder(folder: Path, kind: str) -> Path:
    """Random weights of a small encoder-decoder, as the hub holds them."""
    from tokenizers import Tokenizer
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        PreTrainedTokenizerFast,
        T5Config,
        T5ForConditionalGeneration,
    )

    own = small_language(CAPTIONS, vocabulary=320, width=16, layers=1, dropout=0.0)
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(own.tokenizer), pad_token="<pad>", eos_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(3)
    if kind == "t5":
        plain = {k: v for k, v in own.architecture.items() if k != "model_type"}
        T5ForConditionalGeneration(T5Config(**plain)).save_pretrained(folder)
    else:
        BartForConditionalGeneration(
            BartConfig(
                vocab_size=own.architecture["vocab_size"], d_model=16, encoder_layers=1,
                decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
                encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
                pad_token_id=0, bos_token_id=2, eos_token_id=1, decoder_start_token_id=1,
                forced_eos_token_id=None,
            )
        ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_a_model_from_a_folder_is_built_again_without_it(kind: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / kind, kind)
    language, model = load_language(str(folder))
    stage = CaptionWriter(CONFIG, Z, language, model).eval()
    shutil.rmtree(folder)
    plain = json.loads(json.dumps({"a": language.architecture, "t": language.tokenizer}))
    again = CaptionWriter(CONFIG, Z, Language(architecture=plain["a"], tokenizer=plain["t"])).eval()
    motion = torch.randn(2, Z)
    again.load_state_dict(stage.state_dict())
    assert again.write(motion, 2) == stage.write(motion, 2)
    assert (
        Vocabulary(language).decode(Vocabulary(language).encode(CAPTIONS[:1], 40)[0])
        == (CAPTIONS[0])
    )


def test_what_is_no_encoder_decoder_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    folder = tmp_path / "bert"
    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    with pytest.raises(InputError, match="caption_writer.model .* cannot be loaded"):
        load_language(str(folder))
    with pytest.raises(InputError, match="no such folder"):
        load_language(str(tmp_path / "no where"))


def test_the_small_model_has_the_architecture_that_it_says(language) -> None:
    model = build_model(language)
    assert model.config.model_type == "t5" and model.config.num_decoder_layers == 1
    assert 259 < language.architecture["vocab_size"] <= 320  # bytes, marks, and what was learnt
    assert model.get_input_embeddings().weight.shape == (language.architecture["vocab_size"], 32)


# A whole run -----------------------------------------------------------------------------------

GROUP = "captions written"
SMALL = {
    "enabled": True,
    "states": 2,
    "width": 16,
    "layers": 1,
    "vocabulary": 400,
    "max_tokens": 12,
}


def add_writer(tiny_run: Path, out: Path, **changes: object) -> tuple[Run, list[str]]:
    """The tiny run with a writer that has learnt to write something, and what was said."""
    shutil.copytree(tiny_run, out)
    run = Run.open(out)
    config = SYSTEM.config_of(run)
    train = replace(config.caption_writer.train, epochs=12)
    writer = CaptionWriterConfig(**{**SMALL, **changes}, train=train)
    config = replace(config, caption_writer=writer)
    said: list[str] = []
    dataset = run.facts["dataset"]["path"]
    return SYSTEM.train(out, dataset, config, LocalRunner(), say=said.append), said


@pytest.fixture(scope="module")
def written_run(tiny_run, tmp_path_factory) -> tuple[Path, list[str]]:
    run, said = add_writer(tiny_run, tmp_path_factory.mktemp("writer") / "run")
    return run.path, said


@pytest.fixture(scope="module")
def motion_file(tiny_dataset: Path) -> Path:
    return min((tiny_dataset.parent / "clips").glob("*.npz"))


def test_a_writer_is_added_without_training_anything_else(written_run) -> None:
    path, said = written_run
    assert [line for line in said if line.endswith("begins")] == ["caption_writer: begins"]
    run = Run.open(path)
    assert run.facts["steps"]["caption_writer"]["model"] == "small"
    assert run.metrics("caption_writer").exists()


def test_a_run_writes_about_a_clip_and_its_windows(written_run, motion_file) -> None:
    from raydance.motion.formats import read_clip

    system = raydance.load(written_run[0])
    clip = read_clip(motion_file)
    segments = system.write(clip, num=2)
    windows = system.describe(clip)
    assert [(s.start_s, s.end_s) for s in segments] == [(s.start_s, s.end_s) for s in windows]
    sentences = [s for part in segments for s in part.sentences]
    assert sentences and all(s.log_probability <= 0.0 for s in sentences)
    assert {s.origin for s in sentences} == {"written by the model"}
    known = set(system.captions.texts)
    assert all(s.novel for s in sentences if s.text not in known)
    assert system.write(clip, num=2) == segments  # a beam search has no noise
    with pytest.raises(InputError, match="num: 0; allowed: 1 to 10"):
        system.write(clip, num=0)


def test_novel_means_in_no_training_caption(written_run) -> None:
    run = Run.open(written_run[0])
    writer = Writer(run)
    texts = raydance.load(run.path).captions.texts
    ids = writer._vocabulary.encode([texts[0], "moonwalks over the bridge"], 200).tolist()
    known, strange = writer._sentences([(ids[0], -1.0), (ids[1], -2.0)])
    assert (known.text, known.novel) == (" ".join(texts[0].split()), False)
    assert (strange.novel, strange.log_probability) == (True, -2.0)


def test_the_command_says_who_wrote(written_run, tiny_run, motion_file) -> None:
    command = CliRunner()
    arguments = ["describe", str(motion_file), "--written", "-k", "1", "--run"]
    plain = command.invoke(cli.app, [*arguments, str(written_run[0])])
    assert plain.exit_code == 0 and "[written by the model" in plain.stdout
    found = command.invoke(cli.app, [*arguments, str(written_run[0]), "--json"])
    assert json.loads(found.stdout)["rows"][0]["sentences"][0]["log_probability"] <= 0.0
    with pytest.raises(ArtifactError, match="caption_writer.enabled=true"):
        raydance.load(tiny_run).write(None, 1)  # said before the clip is looked at


def test_an_evaluation_sets_writing_beside_retrieval(written_run, tiny_run) -> None:
    groups = {
        path: [m for m in evaluate(path, num_generated=2)["measures"] if m["group"] == GROUP]
        for path in (written_run[0], tiny_run)
    }
    assert groups[tiny_run] == []
    named, novel, _ = groups[written_run[0]]
    assert named["target"] > named["chance"] and 0.0 <= named["value"] <= 100.0
    assert novel["baseline"] == 0.0


def test_a_writer_that_began_in_a_folder_needs_it_no_more(tiny_run, tmp_path) -> None:
    folder = write_folder(tmp_path / "t5", "t5")
    run, _ = add_writer(tiny_run, tmp_path / "run", model=str(folder), max_tokens=40)
    shutil.rmtree(folder)
    stage = Writer(Run.open(run.path)).stage
    assert stage.model.config.d_model == 16
    assert len(stage.write(torch.randn(1, stage.states[0].in_features), 2)[0]) == 2


def test_a_language_model_that_is_not_there_is_refused_before_training(
    tiny_dataset, tmp_path
) -> None:
    config = SYSTEM.resolve(
        "quick", ["caption_writer.enabled=true", f"caption_writer.model={tmp_path}/no where"]
    )
    with pytest.raises(InputError, match="no such folder"):
        SYSTEM.train(tmp_path / "run", tiny_dataset, config, LocalRunner())
    assert not (tmp_path / "run").exists()


def test_the_stage_is_off_by_default_and_says_so(tiny_run) -> None:
    run = Run.open(tiny_run)
    config = SYSTEM.config_of(run)
    assert "caption_writer" not in SYSTEM.steps_of(config)
    with pytest.raises(InputError, match="caption_writer.enabled=true"):
        SYSTEM.train(
            tiny_run, run.facts["dataset"]["path"], config, LocalRunner(), only="caption_writer"
        )


def test_tokens_are_those_of_every_caption(written_run) -> None:
    from raydance.training.run_folder import load_bundle

    run = Run.open(written_run[0])
    tensors, facts = load_bundle(run.bundle("caption_writer_captions"))
    texts = load_bundle(run.bundle("captions"))[1]["texts"]
    assert tensors["caption_tokens"].shape[0] == len(texts)
    vocabulary = Vocabulary(Language(**facts["language"]))
    full = vocabulary.encode(texts, 200)
    assert [vocabulary.decode(row) for row in full] == [" ".join(t.split()) for t in texts]
    assert np.array_equal(full[:, :3], tensors["caption_tokens"].numpy()[:, :3])
