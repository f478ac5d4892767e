"""Modules of the page of runs that declare tasks, under Node: the song's clock, tracks, forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from page_modules import run

from raydance.systems.everything2motion.options import GenerateOptions as DanceOptions
from raydance.systems.lang2motion.options import ClassifyOptions, GenerateOptions
from raydance.tracks.formats import read_tracks

AUDIO = """class Audio extends EventTarget {
    duration = 3; paused = true; ended = false; playbackRate = 1; src = ""; time_s = 0;
    get currentTime() { return this.time_s; }
    set currentTime(time_s) { this.time_s = time_s; this.ended = false; }
    play() { this.paused = false; return Promise.resolve(); }
    pause() { this.paused = true; }
    removeAttribute() { this.src = ""; }
};"""


def test_the_player_follows_the_clock_of_the_song() -> None:
    """Pause, seek, speed and loop move the song; while it plays, it says the time."""
    seen = run(
        f"""(() => {{
            {AUDIO}
            const [p, a, told] = [new m.Player(), new Audio(), []];
            const song = new m.Song(p, a, (text) => told.push(text));
            const seen = [];
            const see = () => seen.push([p.time_s, a.currentTime, !a.paused]);
            song.load(new File(["x"], "song.wav"));
            p.load(4, 20);
            p.play(); see();                                    // both begin
            p.advance(0.3); see();                              // the song is still loading
            a.currentTime = 0.7; p.advance(0.1); see();         // its clock leads
            p.seek(2); see();                                   // a seek leads the song
            p.setSpeed(0.5); p.pause(); see();                  // speed and pause
            p.play(); a.currentTime = 2.97; p.advance(0.1);     // near its end
            p.advance(0.2); see();                              // the dance outlasts it
            a.paused = a.ended = true; p.advance(2); see();     // and begins again with it
            p.seek(1); p.mark("in_s"); p.seek(2); p.mark("out_s"); p.seek(1.5);
            a.currentTime = 2.1; p.advance(0.1); see();         // a part is looped
            const speed = a.playbackRate;
            a.dispatchEvent(new Event("error"));
            p.advance(0.2); see();                              // without sound it goes on
            return {{ seen, speed, told: told.length }};
        }})()""",
        "player",
        "song",
    )
    assert seen["speed"] == 0.5 and seen["told"] == 1
    expected = [
        (0, 0, True),
        (0, 0, True),
        (0.7, 0.7, True),
        (2, 2, True),
        (2, 2, False),
        (2.97 + 0.1, 2.97, True),
        (0.07, 0.07, True),
        (1.1, 1.1, True),
        (1.2, 1.1, False),
    ]
    for found, (time_s, song_s, is_playing) in zip(seen["seen"], expected, strict=True):
        assert found[:2] == pytest.approx([time_s, song_s]) and found[2] is is_playing


def test_the_last_beat_that_was_heard() -> None:
    code = "d.map((time_s) => m.beatAt([0.5, 1, 1.5], time_s))"
    assert run(code, "beats", data=[0, 0.5, 0.99, 1, 9]) == [-1, 0, 0, 1, 2]


def test_places_and_trails_of_tracks() -> None:
    points = [[[0, 0]], [[2, 4]], [[9, 9]], [[4, 4]], [[6, 4]]]
    visible = [[True], [True], [False], [True], [True]]
    data = [{"fps": 10, "frame_size": [20, 10]}, {"points": points, "visible": visible}]
    places, trails, duration_s = run(
        """(() => {
            const t = new m.Tracks(...d);
            const at = [0.05, 0.1, 0.2, 0.35, 9];
            return [at.map((s) => t.placeAt(0, s)), [0, 0.05, 9].map((s) => t.trailTo(0, s)),
                t.duration_s];
        })()""",
        "tracks",
        data=data,
    )
    assert places == [[1, 2], [2, 4], None, [5, 4], [6, 4]] and duration_s == pytest.approx(0.4)
    assert trails[:2] == [[], [[[0, 0], [1, 2]]]]
    assert trails[2] == [[[0, 0], [2, 4]], [[4, 4], [6, 4]]], "broken where it is hidden"


def test_the_track_file_of_the_page_is_read(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0, 99, (4, 3, 2)).round(3)
    visible = np.arange(12).reshape(4, 3) % 5 > 0
    data = [
        {"fps": 12.5, "frame_size": [120, 100]},
        {"points": points.tolist(), "visible": visible.tolist()},
    ]
    text = run('new m.Tracks(...d).toFile("ball", "it rolls").text()', "tracks", data=data)
    (tmp_path / "ball.json").write_text(text, encoding="utf-8")
    (track,) = read_tracks(tmp_path / "ball.json").tracks
    np.testing.assert_allclose(track.points, points, atol=1e-3)
    assert (track.visible == visible).all() and track.frame_size == (120, 100)
    assert track.fps == 12.5 and track.captions == ("it rolls",)


def test_boxes_stay_inside_the_frame() -> None:
    boxes = run(
        """[m.boxBetween([30.4, 50], [10, 20.6], [64, 48]),
            m.boxBetween([63, -9], [99, 1], [64, 48]),
            m.boxIn([10, 20, 30, 40], [100, 100], [200, 50]), m.middleBox([256, 256])]""",
        "box",
    )
    assert boxes == [[10, 21, 30, 48], [62, 0, 64, 2], [20, 10, 60, 20], [96, 96, 160, 160]]


def test_views_and_pictures_fill_their_room() -> None:
    views, fitted = run(
        "[m.gridOf(4, 800, 600), m.fitInto({ x: 10, y: 0, width: 100, height: 100 }, [50, 25])]",
        "grid",
    )
    assert len(views) == 4 and {view["width"] for view in views} == {400}
    assert fitted == {"x": 10, "y": 25, "scale": 2}


def test_forms_follow_the_options_of_a_task() -> None:
    tasks = [
        {"options": options.model_json_schema()}
        for options in (DanceOptions, GenerateOptions, ClassifyOptions)
    ]
    dance, tracks, classify = run("d.map(m.fieldsOf)", "task-schema", data=tasks)
    assert [field["name"] for field in dance["first"]] == ["samples", "seconds", "seed", "genre"]
    by_name = {
        field["name"]: field
        for task in (dance, classify, tracks)
        for field in task["first"] + task["others"]
    }
    assert set(by_name) >= set(GenerateOptions.model_fields)
    assert (by_name["seed"]["max"], by_name["seed"]["isWhole"]) == (2**31 - 1, True)
    assert by_name["samples"]["usual"] == 1 and by_name["kind"]["choices"][0] == "sample"
    kinds = {name: field["kind"] for name, field in by_name.items()}
    assert kinds["spread"] == "flag" and kinds["labels"] == "words" and kinds["through"] == "data"
    assert kinds["genre"] == "text" and kinds["guidance"] == "number"
    written = [
        ("seed", "7"),
        ("seed", "0"),
        ("guidance", ""),
        ("spread", "false"),
        ("labels", "rolls, falls,"),
        ("through", "[[1.5, 60, 200]]"),
        ("kind", "expected"),
    ]
    read = run(
        "d.map(([field, text]) => m.valueOf(field, text) ?? null)",
        "task-schema",
        data=[(by_name[name], text) for name, text in written],
    )
    assert read == [7, None, None, False, ["rolls", "falls"], [[1.5, 60, 200]], "expected"]
    wrong = "(() => { try { m.valueOf(d, '[[1'); } catch (e) { return e.message; } })()"
    assert "Pass through" in run(wrong, "task-schema", data=by_name["through"])


def test_a_link_of_a_task_is_read_back_or_repaired() -> None:
    state = {"model": "t", "text": "a ball", "box": [1, 2, 30, 40], "options": {"samples": 3}}
    assert run("m.fromTaskHash(m.toTaskHash(d))", "task-link", data=state) == state | {
        "repaired": []
    }
    damaged = "#text=x&box=1,2,a&options={"
    assert run("m.fromTaskHash(d)", "task-link", data=damaged) == {
        "text": "x",
        "options": {},
        "repaired": ["its box", "its options"],
    }


def test_rows_of_an_answer_in_words() -> None:
    rows = [
        {"score": 0.5, "id": "s/1", "split": "train", "captions": "it rolls"},
        {"score": -0.125, "label": "falls"},
    ]
    assert run("d.map(m.rowInWords)", "table-panel", data=rows) == [
        {"title": "it rolls", "facts": "s/1 · learned from", "score": "0.50"},
        {"title": "falls", "facts": "", "score": "-0.13"},
    ]


def test_what_was_asked_for_is_said() -> None:
    asked = [{"text": "it falls"}, {"files": {"image": {"name": "a.png"}}}, {}]
    asked.append({"files": {"motion": {"name": "a.bvh"}, "drums": {"name": "a.drums"}}})
    assert run("d.map(m.noteOf)", "task-takes", data=asked) == [
        "it falls",
        "like a.png",
        "from the start alone",
        "to a.drums",
    ]


def test_a_file_of_a_task_is_asked_for_with_its_changes() -> None:
    fields = {"start_s": "0.500", "out_fps": "60", "names": "mixamo", "in_place": "true"}
    changes, none, asked, jobs = run(
        """(async () => {
            const asked = [];
            const taskTo = (name, request) => (asked.push(request), { blob: 1, name: "x" });
            const motion = { kind: "motion", fps: 20, joints: ["pelvis"], parents: [-1] };
            const answer = { ...motion, samples: [{ positions: [[[0, 1, 0]]] }] };
            const [take] = m.takesOf({ taskTo }, "generate", answer, { text: "a turn" });
            const saved = await take.save("bvh", d);
            const service = new m.Service();
            service.file = (path, request, asJob) => asJob;
            const jobs = ["mp4", "bvh"].map((format) => service.taskTo("generate", { format }));
            const files = { music: new File(["x"], "s.ogg") };
            const sent = service.taskRequest({ file: { fps: 30 }, files }).body.get("file");
            const { isWhole } = take;
            const none = m.changesOf({}) ?? null;
            return [m.changesOf(d), none, { ...asked[0], saved, isWhole, sent }, jobs];
        })()""",
        "task-takes",
        "service",
        data=fields,
    )
    assert changes == {"start_s": 0.5, "fps": 60, "names": "mixamo", "in_place": True}
    assert none is None and jobs == [True, False]
    assert asked["file"] == changes and asked["format"] == "bvh" and asked["sample"] == 0
    assert asked["saved"] == {"blob": 1} and not asked["isWhole"] and asked["sent"] == '{"fps":30}'
