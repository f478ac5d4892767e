"""Modules of the page by themselves, under Node: words, links, the clock, the camera, the body."""

from __future__ import annotations

import json

import numpy as np
import pytest
from page_modules import run

from raydance.motion import body_shape
from raydance.motion.skeleton import INDEX, JOINTS, PARENTS
from raydance.motion.synthetic import MOVEMENTS, make_clip


def test_the_page_says_in_words_how_a_sentence_was_understood() -> None:
    understood = [1, 0.9, 0.7, 0.5, -0.2]
    made = [
        None,
        {"source": "prior"},
        {"source": "flow", "steps": 8, "guidance": 2, "candidates": 1},
        {"source": "flow", "steps": 8, "guidance": 0, "candidates": 4},
    ]
    said = run(
        """[...d.understood.map((similarity) => m.inWords({ caption: "a turn", similarity })),
            m.inWords({ caption: "a turn", similarity: 0.5, notice: "not learned" }),
            m.inWords(null), ...d.made.map(m.madeBy)]""",
        "generate-panel",
        data={"understood": understood, "made": made},
    )
    assert said[0] == "Understood as: “a turn” (the same words)"
    assert len(set(said[:5])) == 5 and all("“a turn”" in line for line in said[:5])
    assert said[5:] == [
        "",  # a notice stands by itself
        "",
        "",
        "by the decoder, from a random start",
        "by the motion flow (8 steps, guidance 2)",
        "by the motion flow (8 steps, guidance 0, the best of 4)",
    ]


def test_the_page_says_what_a_run_was_trained_on() -> None:
    facts = {"num_clips": 283, "seconds": 1259.5, "movements": ["walk", "kick", "turn"]}
    assert run("m.trainedOn(d, 2)", "generate-panel", data=facts) == (
        "Trained on 283 recordings (21 minutes). It knows: walk, kick and 1 more."
    )
    long = facts | {"movements": ["a person walks and turns left in a masculine way"] * 9}
    assert len(run("m.trainedOn(d)", "generate-panel", data=long)) < 200, "a line, not a page"
    bare = {"num_clips": 1, "seconds": 40.0, "movements": []}
    assert run("m.trainedOn(d)", "generate-panel", data=bare) == (
        "Trained on 1 recording (40 seconds)."
    )


def test_sentences_to_try_are_what_the_run_was_trained_on() -> None:
    captions = [f"a person walks {i} times" for i in range(12)]
    models = [
        {"trained_on": {"movements": captions}},
        {"trained_on": {"movements": ["slow turn", "kick"]}},
        {"trained_on": None},
    ]
    of_captions, of_labels, unknown = run("d.map(m.examplesOf)", "generate-panel", data=models)
    assert of_captions == captions[::2]
    assert of_labels == unknown and len(unknown) == 6


def test_the_map_says_that_it_shows_a_part() -> None:
    maps = [{"points": [0] * 2, "num_windows": n, "explained": [0.4, 0.2]} for n in (2, 3)]
    whole, part = run("d.map(m.summaryOf)", "map-panel", data=maps)
    assert whole.startswith("2 moments.") and "40 % and 20 %" in whole
    assert part.startswith("2 of 3 moments.")


def test_numbers_that_cannot_be_are_refused_in_words() -> None:
    field = {"label": "Samples", "min": 1, "max": 8, "isWhole": True, "isBad": False}
    fields = [field | {"value": value} for value in ("", "3", "9", "2.5")]
    fields.append(field | {"value": "", "isBad": True})
    assert run("d.map(m.wrongNumber)", "form-check", data=fields) == [
        "",
        "",
        "Samples: 1 to 8, not 9",
        "Samples: a whole number is needed, 1 to 8",
        "Samples: a number is needed, 1 to 8",
    ]
    said = run(
        "d.map((text) => m.wrongSentence(text, 9))", "form-check", data=["a turn", " ", 10 * "a"]
    )
    assert said[0] == "" and "in words" in said[1] and "at most 9" in said[2]


def test_a_bad_link_is_repaired() -> None:
    good = "#text=a+turn&seed=7&n=2&seconds=3.5&look=side&speed=0.5&t=0.4&camera=0.100,0.200,1.500"
    assert run("m.toHash(m.fromHash(d))", "link", data=good) == good.replace(",", "%2C")
    bad = "#text=a+turn&seed=-3&n=99&seconds=x&speed=0.6&look=up&view=foo&tab=nowhere&t=&from=hat"
    bad += "&guidance=1e9&camera=1,2&clip=walk@5-2"
    state = run("m.fromHash(d)", "link", data=bad)
    assert state["text"] == "a turn" and (state["seed"], state["num_samples"]) == (0, 8)
    assert state["speed"] == 0.5 and state["guidance"] == 10
    assert (state["look"], state["layout"], state["tab"]) == ("follow", "auto", "generate")
    assert not {"seconds", "time_s", "source", "camera"} & set(state)
    assert state["clips"] == [{"clip_id": "walk", "start_s": 5}]
    assert run("m.repairs(d)", "link", data=good) == []
    said = run("m.repairs(d)", "link", data=bad)
    assert {"n is 8 in place of 99", "seconds=x is left out", "from=hat is left out"} <= set(said)


def test_only_the_marked_part_is_played() -> None:
    times = run(
        """(() => {
            const p = new m.Player();
            p.load(4, 20);
            p.seek(1); p.mark("in_s");
            p.seek(2); p.mark("out_s");
            p.play();
            const begin = p.time_s;
            const times = [0.5, 0.4, 0.3].map((step) => { p.advance(step); return p.time_s; });
            p.seek(0); p.mark("out_s");
            return [begin, ...times, p.in_s ?? "none", p.out_s];
        })()""",
        "player",
    )
    assert times == pytest.approx([1, 1.5, 1.9, 1.2, "none", 0])


def test_sharpness_is_given_back_after_a_stall() -> None:
    """A lone stall costs nothing; a slow time does, until the machine keeps up again."""
    ratios = run(
        """(() => {
            const s = new m.Sharpness(2);
            const go = (ms, num) => { for (let i = 0; i < num; i++) s.note(ms); return s.ratio; };
            return [go(16, 60), go(3000, 1), go(16, 60), go(80, 60), go(16, 1200)];
        })()""",
        "sharpness",
    )
    assert ratios[:3] == [2, 2, 2] and ratios[3] < 1 and ratios[4] == 2


def test_the_camera_goes_along_without_the_sway_of_steps() -> None:
    fps, num = 20, 100
    time_s = np.arange(num) / fps
    path = np.stack([0.5 * time_s + 0.05 * np.sin(4 * np.pi * time_s), 0 * time_s, 0 * time_s], 1)
    data = {
        "fps": fps,
        "joints": ["pelvis"],
        "parents": [-1],
        "positions": path[:, None].tolist(),
    }
    found, box = run(
        """(() => {
            const motion = new m.Motion(d);
            const follow = new m.Follow(motion);
            const found = Array.from({ length: 100 }, (_, i) => follow.at(i / 20)[0]);
            const box = m.boxAround([{ motion, place: [0, 0] }], (time_s) => follow.at(time_s));
            return [found, box];
        })()""",
        "follow",
        "motion",
        data=data,
    )
    middle = slice(20, 80)
    np.testing.assert_allclose(np.array(found)[middle], 0.5 * time_s[middle], atol=0.01)
    assert box[0] < 0.3, "the box is that of the steps, not of the path"


def test_pictures_and_page_show_the_same_body() -> None:
    motion = make_clip(MOVEMENTS[0], 0).positions[:1].astype(float)
    mask = np.ones(len(JOINTS), bool)
    data = {"joints": JOINTS, "parents": PARENTS, "pose": motion[0].ravel().tolist()}
    limbs, rings, points = run(
        """[m.limbsOf(d.joints, d.parents).filter((limb) => !limb.isHidden),
            m.RINGS, [...new m.Torso(d.joints).pointsOf(Float32Array.from(d.pose))]]""",
        "body",
        "torso",
        data=data,
    )
    np.testing.assert_allclose(rings, body_shape.RINGS)
    torso = body_shape.torso(motion, mask)[0]
    np.testing.assert_allclose(np.reshape(points, torso[0].shape), torso[0], atol=1e-5)
    drawn = body_shape.limbs(motion, mask)
    assert sorted(limb["side"] for limb in limbs) == sorted(drawn.sides)
    own = sorted(map(tuple, drawn.radii.tolist()))
    assert sorted(tuple(limb["radii"]) for limb in limbs) == own


def test_the_trunk_is_closed_and_faces_outward() -> None:
    motion = make_clip(MOVEMENTS[3], 0).positions[:5].astype(float)
    points, normals = body_shape.torso(motion, np.ones(len(JOINTS), bool))
    middle = points.mean(axis=2, keepdims=True)
    outward = ((points - middle) * normals).sum(-1)
    assert (outward[:, 2:-2] > 0.02).all()
    hips = motion[:, [INDEX["left_hip"], INDEX["right_hip"]]].mean(axis=1)
    assert (np.linalg.norm(middle[:, 3, 0] - hips, axis=-1) < 0.06).all()


def test_long_work_is_asked_for_as_a_job() -> None:
    """Pictures and long motion, whatever the route takes: JSON, a form or a query."""
    found = run(
        """[m.isLong({ format: "mp4" }), m.isLong({ format: "bvh" }), m.isLong({ seconds: 10 }),
            m.isLong({ seconds: 30 }),
            m.jobOf("v1/generate", { method: "POST", body: JSON.stringify({ text: "a turn" }) }),
            m.jobOf("v1/clips/a%20b/c?format=gif&library=true"),
            m.jobOf("v1/convert", { method: "POST", body: new FormData() })]""",
        "long-work",
    )
    assert found[:4] == [True, False, False, True]
    generate, clip, convert = found[4:]
    assert json.loads(generate["request"]["body"]) == {
        "route": "generate",
        "request": {"text": "a turn"},
    }
    assert json.loads(clip["request"]["body"]) == {
        "route": "clips/a b/c",
        "request": {"format": "gif", "library": "true"},
    }
    assert clip["request"]["headers"]["Content-Type"] == "application/json"
    assert convert["query"] == "?route=convert" and "headers" not in convert["request"]


def test_a_job_that_another_process_took_is_asked_for_at_once() -> None:
    """Its 404 stands for a service of several processes; any other failure is the reader's."""
    program = """await (async () => {
        const bare = { append() {}, addEventListener() {}, remove() {} };
        globalThis.document = { createElement: () => ({ ...bare }), getElementById: () => bare };
        const answers = [];
        for (const status of [404, 503]) {
            const asked = [];
            const begun = { json: async () => ({ id: "x", state: "running" }) };
            const send = async (path) => (asked.push(path), begun);
            const json = async () => { throw Object.assign(new Error("gone"), { status }); };
            await m.sendAsJob({ send, json }, "v1/generate", { body: "{}" })
                .catch((error) => asked.push(error.status));
            answers.push(asked);
        }
        return answers;
    })()"""
    assert run(program, "long-work") == [["v1/jobs", "v1/generate"], ["v1/jobs", 503]]
