"""Spaces of sweeps: what they may touch, what they suggest, and where a configuration lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest

from raydance import config as configs
from raydance.errors import InputError, RaydanceError
from raydance.systems import SYSTEMS, system_of
from raydance.systems.dance_language import objectives
from raydance.systems.dance_language.objectives import OBJECTIVES
from raydance.systems.dance_language.search import SPACES
from raydance.systems.dance_language.system import SYSTEM
from raydance.systems.engine import Plan
from raydance.systems.search import Objective, Range, measure, nested, search_of
from raydance.systems.shared_steps import copy_steps
from raydance.training.run_folder import Run, load_bundle, save_bundle
from tuning import results


def leaves(data: dict, above: str = "") -> dict[str, object]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    out: dict[str, object] = {}
    for key, value in data.items():
        path = f"{above}{key}"
        out |= leaves(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return out


def suggestions(name: str, num: int = 30) -> list[dict[str, object]]:
    """What a space suggests to random trials."""
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(sampler=sampler)
    return [SPACES[name].suggest(study.ask()) for _ in range(num)]


@pytest.fixture(autouse=True, scope="module")
def quiet_optuna():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize("name", SPACES)
def test_suggestions_are_configurations_and_touch_only_what_the_space_names(name):
    space = SPACES[name]
    assert space.name == name
    base = SYSTEM.resolve("quick")
    before = leaves(configs.to_dict(base))
    assert set(space.parameters) <= set(before)
    seen = set()
    for values in suggestions(name):
        after = leaves(configs.to_dict(configs.merge(base, nested(values))))
        changed = {key for key in after if after[key] != before[key]}
        assert changed <= set(values) <= set(space.parameters)
        assert all(after[key] == values[key] for key in values)
        seen |= changed
    assert seen == set(space.parameters)  # none is there for nothing


@pytest.mark.parametrize("name", SPACES)
def test_shared_steps_do_not_depend_on_what_is_swept(name, tiny_run):
    space = SPACES[name]
    run = Run.open(tiny_run)
    base = SYSTEM.config_of(run)
    for values in suggestions(name, 8):
        config = configs.to_dict(configs.merge(base, nested(values)))
        plan = Plan.of(SYSTEM, Run(run.path, run.facts, config))
        for step in space.shared_steps:
            assert plan.is_done(step), step


@pytest.mark.parametrize("name", SPACES)
def test_steps_follow_the_order_of_training_and_suffice(name):
    space = SPACES[name]
    steps = [*space.shared_steps, *space.steps]
    assert steps == sorted(set(steps), key=SYSTEM.step_names.index)
    assert all(OBJECTIVES[goal.name] is goal for goal in space.goals)
    if space.pruned_by is not None:
        assert len(space.objectives) == 1 and space.pruned_by[0] in space.steps
    assert all(set(SYSTEM.step(step).needs) <= set(steps) for step in steps)
    # Every parameter belongs to a step that is trained.
    assert {key.partition(".")[0] for key in space.parameters} <= set(space.steps)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != SYSTEM.name])
def test_every_system_declares_spaces_and_claims_that_fit_its_configuration(name):
    system = system_of(name)
    search, base = search_of(system), system.resolve("quick")
    sampler = optuna.samplers.RandomSampler(seed=1)
    for key, space in search.spaces.items():
        assert key == space.name and space.point_of(configs.to_dict(base)) is not None
        assert {part.partition(".")[0] for part in space.parameters} <= set(space.steps)
        for _ in range(5):
            configs.merge(base, nested(space.suggest(optuna.create_study(sampler=sampler).ask())))
    for key, claim in search.claims.items():
        assert key == claim.name and claim.measures
        made = [
            configs.merge(base, nested({**claim.common, **values}))
            for values in claim.variants.values()
        ]
        assert all(a != b for i, a in enumerate(made) for b in made[:i])
        for config in made:
            trained = {*claim.shared_steps, *claim.steps} & set(system.steps_of(config))
            for step in trained:
                assert set(system.step(step).needs) <= trained


def test_what_does_not_matter_is_not_asked():
    for values in suggestions("contrastive"):
        is_triplet = values["contrastive.loss"] == "triplet"
        assert ("contrastive.margin" in values) == is_triplet
        assert ("contrastive.temperature" in values) != is_triplet


def test_a_configuration_has_its_point_in_a_space():
    quick = configs.to_dict(SYSTEM.resolve("quick"))
    assert SPACES["beta"].point_of(quick) == {
        "motion_vae.beta_shape": "linear",
        "motion_vae.beta_start": 0.0,
        "motion_vae.beta_end": 0.002,
        "motion_vae.beta_warmup": 0.4,
    }
    default = configs.to_dict(SYSTEM.resolve("default"))
    assert default["clusters"]["num_clusters"] is None
    assert SPACES["clusters"].point_of(default) is None  # K is chosen by itself there


def test_dotted_keys_are_nested_and_ranges_are_closed():
    assert nested({"a.b.c": 1, "a.d": 2, "e": 3}) == {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
    assert Range(1.0, 2.0).allows(2) and not Range(1.0, 2.0).allows(2.1)
    assert not Range(1.0, 2.0).allows(None)


def trial(number: int, *values: float) -> optuna.trial.FrozenTrial:
    found = optuna.trial.create_trial(values=list(values))
    found.number = number
    return found


def test_the_front_and_its_compromise_by_hand():
    down, up = (
        Objective(name=d, title=d, direction=d, measure=lambda run: {})  # type: ignore[arg-type]
        for d in ("minimize", "maximize")
    )
    trials = [
        trial(0, 1.0, 0.0),  # cheapest
        trial(1, 5.0, 10.0),  # richest
        trial(2, 2.0, 7.0),  # scaled (.25, .3): nearest to the ideal
        trial(3, 3.0, 6.0),  # beaten by 2
        trial(4, 2.0, 7.0),  # equal to 2
    ]
    front = results.pareto_front(trials, [down, up])
    assert [t.number for t in front] == [0, 2, 1]
    best = results.compromise(front, [down, up])
    assert best is not None and best.number == 2
    assert [t.number for t in results.pareto_front([trial(0, 1.0), trial(1, 3.0)], [up])] == [1]
    assert results.compromise([], [up]) is None


def test_the_difference_of_configurations_gives_the_other_again():
    quick = SYSTEM.resolve("quick")
    other = SYSTEM.resolve("quick", ["motion_vae.beta_end=0.1", "seed=4"])
    found = results.difference(configs.to_dict(quick), configs.to_dict(other))
    assert found == {"seed": 4, "motion_vae.beta_end": 0.1}
    assert configs.merge(quick, nested(found)) == other


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_of_a_run_are_finite_and_repeat(name, tiny_run):
    found = measure(tiny_run, [OBJECTIVES[name]])
    assert set(found) == {name} and np.isfinite(found[name])
    assert measure(tiny_run, [OBJECTIVES[name]]) == found


def test_measures_are_in_their_range(tiny_run):
    found = measure(tiny_run, list(OBJECTIVES.values()))
    assert 0 < found["mrr"] <= 1 and -1 <= found["silhouette"] <= 1 and found["stability"] <= 1
    assert 0 <= found["text_cosine"] <= 2 and found["kl"] > 0
    # A body is a few decimetres wide: an untrained network is neither right nor kilometres off.
    assert 3 < found["reconstruction_cm"] < 300 and 3 < found["generated_cm"] < 300


def test_derived_captions_do_not_count(tiny_run, tmp_path):
    run = Run.open(tiny_run)
    config = SYSTEM.config_of(run)
    copy_steps(SYSTEM, run.path, tmp_path / "other", config, SYSTEM.step_names[:5])
    other = Run.open(tmp_path / "other")
    tensors, facts = load_bundle(other.bundle("captions"))
    facts["derived"] = list(range(len(facts["texts"])))
    save_bundle(other.bundle("captions"), tensors, facts)
    with pytest.raises(InputError, match="no validation window has a written caption"):
        objectives._written_ids(other)
    # The link was replaced, not written through.
    assert len(load_bundle(run.bundle("captions"))[1]["derived"]) < len(facts["texts"])


def test_a_diverged_training_is_no_result(tiny_run, tmp_path):
    run = Run.open(tiny_run)
    copy_steps(
        SYSTEM,
        run.path,
        tmp_path / "other",
        SYSTEM.config_of(run),
        SYSTEM.step_names[:3],
    )
    path = Run.open(tmp_path / "other").bundle("motion_vae")
    tensors, facts = load_bundle(path)
    save_bundle(path, {name: value * float("nan") for name, value in tensors.items()}, facts)
    with pytest.raises(RaydanceError, match="reconstruction error, cm is nan"):
        measure(tmp_path / "other", [OBJECTIVES["reconstruction_cm"]])


def test_shared_files_are_linked_and_steps_that_differ_are_not_taken(tiny_run, tmp_path):
    own = SYSTEM.config_of(Run.open(tiny_run))
    config = configs.merge(own, {"clusters": {"num_clusters": 4}})
    given = copy_steps(SYSTEM, tiny_run, tmp_path / "run", config, SYSTEM.step_names[:5])
    assert given == ["statistics", "motion_basis", "motion_vae"]
    weights = Path("stages/motion_vae.safetensors")
    assert (tmp_path / "run" / weights).samefile(tiny_run / weights)
    assert copy_steps(SYSTEM, tiny_run, tmp_path / "run", config, SYSTEM.step_names[:5]) == []
