"""Reference pages that mkdocs makes from the code when it builds the site.

- `reference/commands.md`: from the parser of the command line.
- `reference/configuration.md`: from the configuration dataclasses of the systems.
- `reference/http-api.md`: from the OpenAPI document of the service.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the code beside this file, whatever else is installed

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages; called by mkdocs."""
    from mkdocs.structure.files import File

    for name, make in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    return files


def commands_page() -> str:
    """Every command with its arguments and options."""
    import typer

    from raydance.cli import app

    group: Any = typer.main.get_command(app)
    lines = [
        "# Commands",
        "",
        "`raydance COMMAND --help` prints the same. Results go to standard output, progress to "
        "standard error; `--json` prints results for scripts.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        "| 0 | done; also `serve` after Ctrl-C or SIGTERM |",
        "| 1 | failed |",
        "| 2 | a mistake in the command or its input; one line says which |",
        "| 3 | done, but some files could not be read (`caption --strict`) |",
        "| 130, 143 | stopped by Ctrl-C, by SIGTERM |",
        "",
        "`--debug` before the command, or `RAYDANCE_DEBUG=1`, shows tracebacks.",
    ]
    with group.make_context("raydance", [], resilient_parsing=True) as context:
        for name in group.list_commands(context):
            lines += _command(name, group.get_command(context, name), context)
    return "\n".join(lines) + "\n"


def _command(name: str, command: Any, parent: Any) -> Iterator[str]:
    yield from ("", f"## {name}", "")
    text, _, examples = (command.help or "").replace("\b\n", "").partition("Example")
    yield text.strip()
    commands = [
        line.strip() for line in examples.splitlines() if "raydance" in line or "--" in line
    ]
    if commands:
        yield from ("", "```sh", *commands, "```")
    context = command.context_class(command, info_name=name, parent=parent)
    rows = [param.get_help_record(context) for param in command.get_params(context)]
    yield from ("", "| argument or option | meaning |", "|---|---|")
    for row in filter(None, rows):
        label, meaning = (" ".join(str(cell).split()).replace("|", "\\|") for cell in row)
        yield f"| `{label}` | {_plain(meaning)} |"


def _plain(text: str) -> str:
    """Text in which Markdown finds no markup but code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p[:1] == "`" else re.sub(r"([<>*_\[\]])", r"\\\1", p) for p in parts)


def configuration_page() -> str:
    """Every value of a run's configuration, with its default and meaning."""
    from raydance.systems import SYSTEMS, system_of

    lines = [
        "# Configuration",
        "",
        "What `--set a.b=value` and `--config FILE` of `raydance train` change. The defaults are "
        "those of `--preset default`. Unknown names and wrong types are refused.",
    ]
    for name in SYSTEMS:
        system = system_of(name)
        resolved = system.resolve("default")
        others = ", ".join(f"`{preset}`" for preset in system.presets)
        lines += ["", f"## {name}", "", f"Presets: {others}.", ""]
        lines += ["| value | default | meaning |", "|---|---|---|"]
        for key, default, meaning in _values(resolved):
            shown = json.dumps(default, default=str)
            lines.append(f"| `{key}` | `{shown}` | {_plain(meaning)} |")
    return "\n".join(lines) + "\n"


def _values(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """(dotted name, default, meaning) of every value; a meaning may stand for several names."""
    meanings = _attributes(type(config).__doc__ or "")
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _values(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value, meanings.get(field.name, "")


def _attributes(docstring: str) -> dict[str, str]:
    """Names and meanings in the section `Attributes:` of a docstring."""
    _, _, section = docstring.partition("Attributes:\n")
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?= {8}\w)", "\n" + section.split("\n\n")[0]):
        names, colon, meaning = entry.strip().partition(":")
        if colon and re.fullmatch(r"[\w, ]+", names):
            found |= {name.strip(): " ".join(meaning.split()) for name in names.split(",")}
    return found


def api_page() -> str:
    """Every route of the service, with its body and answers."""
    document = openapi()
    lines = [
        "# HTTP API",
        "",
        "Made from the OpenAPI document of a service of `dance-language` runs, which every service "
        "has at `/v1/openapi.json`. [For developers](../guides/developer.md) shows the requests.",
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            lines += _operation(f"{method.upper()} {path}", operation)
    lines += ["", "## Errors", "", "Errors are problem details (RFC 9457).", ""]
    lines += ["| status | meaning |", "|---|---|"]
    errors = {
        status: _cell(answer)
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status >= "3"
    }
    lines += [f"| {status} | {errors[status]} |" for status in sorted(errors)]
    lines += ["", "## Schemas"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines) + "\n"


def openapi() -> dict[str, Any]:
    """The OpenAPI document of a service; no run is loaded for it."""
    from raydance.serving.app import create_app
    from raydance.serving.application import Settings

    def no_backend() -> Any:
        raise AssertionError("the document needs no backend")

    return create_app(no_backend, Settings()).openapi()


def _operation(title: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## `{title}`", "", operation.get("description", "").strip(), "")
    parameters = operation.get("parameters", [])
    if parameters:
        yield from ("| parameter | type | meaning |", "|---|---|---|")
        for one in parameters:
            kind = _type(one.get("schema", {}))
            yield f"| `{one['name']}` ({one['in']}) | {kind} | {_cell(one)} |"
        yield ""
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        schema = body["schema"]
        if "$ref" in schema:
            yield from (f"Body, `{media}`: {_type(schema)}.", "")
        else:
            yield from (f"Body, `{media}`:", "", *_table(schema), "")
    answers = {status: _cell(answer) for status, answer in operation["responses"].items()}
    yield from (f"{status}: {words}." for status, words in answers.items() if status < "3")
    errors = ", ".join(status for status in answers if status >= "3")
    yield f"Errors: {errors}."


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"### {name}", "", _plain(schema.get("description", "")), "")
    if schema.get("properties"):
        yield from _table(schema)
    elif "enum" in schema:
        yield _type(schema)


def _table(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    yield from ("| name | type | default | meaning |", "|---|---|---|---|")
    for name, one in schema.get("properties", {}).items():
        default = "required" if name in required else f"`{json.dumps(one.get('default'))}`"
        yield f"| `{name}` | {_type(one)} | {default} | {_cell(one)} |"


def _cell(one: Mapping[str, Any]) -> str:
    return _plain(" ".join(one.get("description", "").split()).replace("|", "\\|"))


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema.get("anyOf") or schema["oneOf"])))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = str(schema.get("type", "any"))
    bounds = {"minimum": "≥", "maximum": "≤", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    return f"{kind} ({', '.join(limits)})" if limits else kind


PAGES: Mapping[str, Callable[[], str]] = {
    "commands": commands_page,
    "configuration": configuration_page,
    "http-api": api_page,
}
"""Name of a page below `reference/` -> what makes its Markdown."""
