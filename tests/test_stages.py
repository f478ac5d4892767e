"""What holds for every trained stage: it learns one batch, reloads, is safe under DDP."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from small_stages import CASES, B, Case, built, evaluate, toy_batch, train

from raydance.stages.base import TrainConfig
from raydance.stages.caption_writer import CaptionWriter
from raydance.stages.contrastive import Contrastive
from raydance.stages.motion_flow import MotionFlow
from raydance.stages.motion_prior import MotionPrior
from raydance.stages.motion_to_text import MotionToText
from raydance.stages.motion_vae import MotionVae
from raydance.stages.sequence_flow import SequenceFlow
from raydance.stages.sequence_regression import SequenceRegression
from raydance.stages.text_encoder import TextEncoder
from raydance.stages.text_motion_evaluator import TextMotionEvaluator
from raydance.stages.text_to_motion import TextToMotion
from raydance.training import loop as training
from raydance.training.run_folder import load_bundle, save_bundle

every_stage = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@every_stage
def test_a_stage_learns_one_batch_and_reloads_identically(case: Case, tmp_path: Path) -> None:
    stage, batch = built(case), toy_batch()
    start = evaluate(stage, batch)["total"]

    def has_learned() -> bool:
        total = evaluate(stage, batch)["total"]
        return total - case.floor < case.falls_to * (start - case.floor)

    train(stage, batch, case.steps, case.lr, until=has_learned)
    assert has_learned()

    end = evaluate(stage, batch)
    save_bundle(tmp_path / "stage.safetensors", stage.state_dict(), {})
    again = built(case, seed=1)
    assert evaluate(again, batch) != end
    again.load_state_dict(load_bundle(tmp_path / "stage.safetensors")[0])
    assert evaluate(again, batch) == end
    for name in ("infer", "infer_captions"):
        before, after = getattr(stage, name)(batch), getattr(again, name)(batch)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)


@every_stage
def test_a_stage_names_its_terms_and_needs_only_the_columns_it_reads(case: Case) -> None:
    stage, batch = built(case), toy_batch()
    batch = {name: batch[name] for name in stage.columns_read(stage.config)}
    for mode in (True, False):
        stage.train(mode)
        for progress in (0.0, 0.5, 1.0):
            terms = stage.loss(stage(batch, progress), batch, progress)
            assert "total" in terms
            for name, value in terms.items():
                assert value.shape == () and value.isfinite(), (name, progress)
    assert isinstance(stage.warnings({name: float(v.detach()) for name, v in terms.items()}), list)


@every_stage
@pytest.mark.parametrize("size", [1, 2, B])
def test_every_trainable_parameter_gets_a_finite_gradient(case: Case, size: int) -> None:
    stage = built(case).train()  # DDP waits for ever for a parameter that takes no part
    batch = toy_batch(size)
    for progress in (0.0, 0.15, 0.5, 1.0):
        stage.zero_grad(set_to_none=True)
        stage.loss(stage(batch, progress), batch, progress)["total"].backward()
        for name, parameter in stage.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, (name, progress)
                assert parameter.grad.isfinite().all(), (name, progress)


@every_stage
def test_a_stage_learns_in_half_precision(case: Case) -> None:
    stage, batch = built(case), toy_batch()
    start = evaluate(stage, batch)["total"]
    config = TrainConfig(epochs=1)
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], case.lr)
    scheduler = training._scheduler(config, optimizer, 10)
    scaler = torch.amp.GradScaler("cpu")
    metrics = training._train_epoch(
        stage, stage, config, iter([batch] * 10), optimizer, scheduler, scaler, 1.0
    )
    assert all(math.isfinite(value) for value in metrics.values())
    assert evaluate(stage, batch)["total"] < start


@every_stage
def test_the_loss_is_pure(case: Case) -> None:
    stage, batch = built(case).train(), toy_batch()
    output = stage(batch, 0.5)
    kept_state, kept_batch = copy.deepcopy(stage.state_dict()), copy.deepcopy(batch)
    kept_output = {name: value.detach().clone() for name, value in output.items()}
    noise = torch.get_rng_state()
    first = stage.loss(output, batch, 0.5)
    second = stage.loss(output, batch, 0.5)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(noise, torch.get_rng_state())
    assert stage.training
    for kept, now in (
        (kept_state, stage.state_dict()),
        (kept_batch, batch),
        (kept_output, output),
    ):
        assert kept.keys() == now.keys()
        assert all(torch.equal(kept[name], now[name]) for name in kept)


@every_stage
def test_the_columns_added_are_those_declared(case: Case) -> None:
    stage, batch = built(case).eval(), toy_batch()
    assert tuple(stage.infer(batch)) == stage.added_names("row")
    assert tuple(stage.infer_captions(batch)) == stage.added_names("text")
    found = stage.infer(batch) | stage.infer_captions(batch)
    for column in stage.adds:
        assert found[column.name].shape[0] == B
        assert found[column.name].ndim == 1 + len(column.dims)


def test_the_names_of_stages_differ() -> None:
    stages = (
        MotionVae,
        TextEncoder,
        Contrastive,
        MotionToText,
        MotionFlow,
        TextToMotion,
        CaptionWriter,
        MotionPrior,
        SequenceFlow,
        SequenceRegression,
        TextMotionEvaluator,
    )
    assert len({stage.name for stage in stages}) == len(stages)
    assert {type(case.build()) for case in CASES} == set(stages)
