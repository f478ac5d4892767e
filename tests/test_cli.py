"""The command line: help, exit codes, one line for a mistake, and what `info` says of a file."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from command_line import NAMES, understand

import raydance
from raydance import cli
from raydance.commands import output
from raydance.errors import FormatError, InputError, RaydanceError
from raydance.motion import skeleton

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Tail
  {
    OFFSET 0 -90 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -10 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.05
0 100 0 0 0 0 0 0 0
0 100 0 0 0 0 0 0 0
"""


# Help


def test_help_names_every_command(call):
    code, out, _ = call("--help")
    assert code == 0
    listed = re.findall(r"^  (\w+)  ", out.split("Commands:")[1], re.MULTILINE)
    assert listed == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_help_of_every_command_has_an_example(call, name):
    code, out, err = call(name, "--help")
    assert (code, err) == (0, "")
    examples = out.split("Example")[1].split("Arguments:")[0]
    assert f"    raydance {name} " in examples


def test_every_example_is_understood():
    for command in cli.COMMANDS:
        text = (command.__doc__ or "").replace("\\\n", " ")
        for line in re.findall(r"^ +raydance (.+)$", text, re.MULTILINE):
            understand(line.split(" > ")[0])


def test_version(call):
    assert call("--version") == (0, f"raydance {raydance.__version__}\n", "")


def test_importing_the_commands_is_light():
    check = (
        "import sys, raydance.cli\n"
        "heavy = {'torch', 'ray', 'numpy', 'scipy', 'transformers', 'pyarrow', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# Mistakes


def test_mistakes_in_the_options(refused):
    assert "--data" in refused("train", "dance-language")
    assert "raydance train --help" in refused("train", "dance-language")
    assert "frobnicate" in refused("frobnicate")
    assert "--frob" in refused("info", "--frob")
    assert "--window" in refused("ingest", "x", "--out", "y", "--window", "seven")


def test_files_that_are_not_there(refused, tmp_path):
    for name in ("describe", "info"):
        run = ["--run", tmp_path] if name == "describe" else []
        assert "no such file" in refused(name, tmp_path / "walk.bvh", *run)
    assert "no such file" in refused("ingest", tmp_path / "none", "--out", tmp_path / "d")
    assert ".bvh" in refused("info", tmp_path / "walk.xyz")


def test_folders_that_are_not_ours(refused, tmp_path, npz):
    (tmp_path / "notes.txt").write_text("mine")
    for arguments in (
        ["info", tmp_path],
        ["describe", npz, "--run", tmp_path],
        ["search", "a turn", "--run", tmp_path],
        ["generate", "a turn", "--run", tmp_path, "--out", tmp_path / "a.gif"],
        ["train", "dance-language", "--data", tmp_path, "--out", tmp_path / "run"],
    ):
        assert str(tmp_path) in refused(*arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt"]


def test_configurations_that_do_not_exist(refused, tmp_path):
    def line(*more: object) -> str:
        return refused("train", "dance-language", "--data", tmp_path, "--out", tmp_path, *more)

    assert "default, paper, quick" in line("--preset", "huge")
    assert "motion_vae.hiden" in line("--set", "motion_vae.hiden=3")
    assert "a.b=value" in line("--set", "seed")
    assert "seed" in line("--set", "seed=early")
    assert "none.yaml" in line("--config", tmp_path / "none.yaml")
    assert "dance-language" in refused("train", "ballet", "--data", tmp_path, "--out", tmp_path)


def test_values_out_of_range(refused, npz, tmp_path):
    assert "-k 0" in refused("describe", npz, "--run", tmp_path, "-k", 0)
    assert "furlong" in refused("info", npz, "--units", "furlong")
    assert "x, y, z" in refused("info", npz, "--up", "w")
    generate = ("generate", "a turn", "--run", tmp_path, "--out")
    assert ".npz, .bvh, .glb, .gif, .mp4" in refused(*generate, tmp_path / "a.fbx")
    assert "unit is for .bvh" in refused(*generate, tmp_path / "a.glb", "--unit", "m")
    assert "limits is for .npz" in refused(*generate, tmp_path / "a.gif", "--no-limits")
    convert = ("convert", npz, "--out", tmp_path / "a.bvh")
    assert "allowed: m, cm" in refused(*convert, "--out-unit", "feet")
    assert "allowed: y, z" in refused(*convert, "--out-up", "x")
    assert "not both" in refused("search", "a turn", "--motion", npz, "--run", tmp_path)
    assert "sentence" in refused("search", "--run", tmp_path)


def test_folders_to_write_have_names_in_utf8(refused, npz, tmp_path):
    out = ("--out", f"{tmp_path}/h\udced")
    for arguments in (
        ["ingest", npz],
        ["caption", tmp_path, "--run", tmp_path],
        ["train", "dance-language", "--data", tmp_path],
        ["sweep", "beta", "--data", tmp_path],
        ["quickstart"],
    ):
        assert refused(*arguments, *out).endswith(
            "h\\xed: a name that is not UTF-8; choose another --out"
        )


def test_a_line_of_a_broken_file_is_named(refused, tmp_path):
    path = tmp_path / "walk.bvh"
    path.write_text(BVH.replace("0 100 0 0 0 0 0 0 0\n", "0 100 0\n"))
    assert re.search(r"walk\.bvh line \d+: ", refused("info", path))


# Errors of every kind


class RemoteError(InputError):
    """Looks like Ray's wrapper: an instance of what it wraps, with the traceback as its text."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("Traceback (most recent call last):\n  File ...")
        self.cause = cause


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (FormatError("a.bvh", "66 values", 41), 2, "a.bvh line 41: 66 values"),
        (InputError("two\n  lines"), 2, "two lines"),
        (RaydanceError("a worker was lost"), 1, "a worker was lost"),
        (RemoteError(InputError("no windows")), 2, "no windows"),
        (chained(RuntimeError("task failed"), InputError("no windows")), 2, "no windows"),
        (chained(RaydanceError("outer"), InputError("inner")), 1, "outer"),
        (OSError(errno.EACCES, "Permission denied", "/x"), 2, "/x: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 1, "/x: No space left on device"),
        (KeyboardInterrupt(), 130, "stopped"),
        (
            UnicodeEncodeError("utf-8", "h\udced", 1, 2, "surrogates not allowed"),
            2,
            "h\\xed: not UTF-8; give it another name",
        ),
    ],
)
def test_errors_become_a_line_and_a_code(refused, monkeypatch, npz, error, code, line):
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("raydance.motion.formats.read_clip", fail)
    assert refused("info", npz, code=code) == f"raydance: {line}"


def test_sigterm_ends_a_command_as_ctrl_c_does(refused, monkeypatch, npz):
    before = signal.getsignal(signal.SIGTERM)

    def terminate(*args: object, **kwargs: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("raydance.motion.formats.read_clip", terminate)
    assert refused("info", npz, code=143) == "raydance: stopped"
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_interrupt_within_an_exec_ends_with_the_code_too(npz, tmp_path):
    (tmp_path / "stopping.py").write_text(
        "from raydance import cli\n"
        "from raydance.motion import formats\n"
        "formats.read_clip = lambda *_, **__: exec('raise KeyboardInterrupt')\n"
        f"cli.main(['info', {str(npz)!r}])\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "stopping"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert (done.returncode, done.stderr) == (130, "raydance: stopped\n")


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch, npz):
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("raydance.motion.formats.read_clip", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["info", str(npz)])


def test_debug_shows_the_traceback(call, monkeypatch, tmp_path):
    monkeypatch.setenv("RAYDANCE_DEBUG", "1")
    code, _, err = call("info", tmp_path / "walk.bvh")
    assert code == 2
    assert "Traceback" in err and err.splitlines()[-1].startswith("raydance: ")


def test_a_reader_that_leaves_is_no_error(npz):
    command = [sys.executable, "-m", "raydance", "info", str(npz)]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert "Traceback" not in done.stderr and "Error" not in done.stderr


def test_a_full_disk_under_the_output_is_a_line(npz):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    command = [sys.executable, "-m", "raydance", "info", str(npz)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "raydance: No space left on device\n")


class Terminal(io.TextIOWrapper):
    """Standard output in some encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_text_is_printed_on_any_terminal(monkeypatch, encoding):
    text = "é \U0001f483 \udced \ud83d \x1b[2J\x9b\u2028\n"
    monkeypatch.setattr(sys, "stdout", Terminal(encoding))
    output.accept_any_text()
    output.print_lines(text, "é")
    shown = sys.stdout.text
    assert len(shown.splitlines()) == 2 and "\x1b" not in shown and "\x9b" not in shown
    assert shown.splitlines()[1] == ("\\xe9" if encoding == "ascii" else "é")
    monkeypatch.setattr(sys, "stdout", Terminal(encoding))
    output.print_json({text: text})
    assert json.loads(sys.stdout.text) == {text: text}
    assert "\x9b" not in sys.stdout.text


def test_names_of_every_kind_in_mistakes_and_warnings(refused, tmp_path):
    line = refused("info", f"{tmp_path}/h\udced\x1b[2J\nx.bvh")
    assert line.endswith("/h\\xed\\x1b[2J x.bvh: no such file")
    warning = cli._one_line_warning("two\nlines \x1b[2J", UserWarning, "", 0)
    assert warning == "raydance: warning: two lines \\x1b[2J\n"


# What a file holds


def test_info_of_an_array_file(call, npz):
    code, out, err = call("info", npz, "--json")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert (facts["kind"], facts["format"]) == ("file", "arrays")
    assert (facts["frames"], facts["fps"], facts["seconds"]) == (60, 20.0, 3.0)
    assert (facts["unit"], facts["up"]) == ("cm", "y")
    thumbs = [name for name in skeleton.JOINTS if "thumb" in name]
    assert facts["mapping"]["missing"] == thumbs
    assert facts["mapping"]["matched"]["left_knee"] == "left_knee"
    assert call("info", npz)[1].count("\n") > 46  # a line for each joint that was matched


def test_info_obeys_what_is_given(call, npz):
    facts = json.loads(call("info", npz, "--fps", 60, "--units", 0.01, "--json")[1])
    assert (facts["fps"], facts["seconds"], facts["unit"]) == (60.0, 1.0, "given")


def test_info_says_why_a_skeleton_cannot_be_mapped(call, tmp_path):
    path = tmp_path / "tail.bvh"
    path.write_text(BVH)
    facts = json.loads(call("info", path, "--json")[1])
    assert facts["format"] == "bvh" and facts["mapping"] is None
    code, out, _ = call("info", path)
    assert code == 0 and "cannot be mapped" in out and "no left_hip" in out


def test_a_mapping_file_decides_alone(call, refused, npz, tmp_path):
    mapping = tmp_path / "mine.yaml"
    chosen = [j for j in skeleton.JOINTS[:22] if j != "left_hip"]
    mapping.write_text("".join(f"{j}: {j}\n" for j in chosen) + "left_hip: right_hip\n")
    facts = json.loads(call("info", npz, "--mapping", mapping, "--json")[1])
    assert facts["mapping"]["convention"] == "given"
    assert facts["mapping"]["matched"]["left_hip"] == "right_hip"
    assert len(facts["mapping"]["missing"]) == 28
    mapping.write_text("left_hipp: left_hip\n")
    assert "did you mean left_hip?" in refused("info", npz, "--mapping", mapping)
