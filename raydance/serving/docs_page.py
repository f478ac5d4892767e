"""`/docs`: the API's document as a page for people, made here, without scripts or other servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c1c1c; background: #fff; }
h2 { margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem; }
h3 { margin: 1.2rem 0 .3rem; font-size: 1rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { background: #f4f4f4; padding: .7rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0;
  border-bottom: 1px solid #e4e4e4; }
summary { cursor: pointer; }
@media (prefers-color-scheme: dark) {
  body { color: #e8e8e8; background: #161616; } pre { background: #242424; }
  th, td, h2 { border-color: #3a3a3a; } a { color: #8ab4f8; } }
"""
_BOUNDS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
    "minLength": "{} characters or more",
    "maxLength": "up to {} characters",
    "minItems": "{} values or more",
    "maxItems": "up to {} values",
    "default": "default {}",
}


def add_docs(app: FastAPI) -> None:
    """Offer the page at `/docs`."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(render(app.openapi()), headers={"Cache-Control": "no-cache"})

    @app.get("/docs/style.css", include_in_schema=False)
    async def style() -> Response:
        return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "no-cache"})


def render(document: Mapping[str, Any]) -> str:
    """An OpenAPI document as HTML."""
    info = document["info"]
    schemas = document.get("components", {}).get("schemas", {})
    operations = [
        (method.upper(), path, operation)
        for path, ways in document["paths"].items()
        for method, operation in ways.items()
    ]
    links = "".join(
        f'<li><a href="#{_anchor(method, path)}"><code>{method} {escape(path)}</code></a> '
        f"{escape(_first_sentence(operation))}</li>"
        for method, path, operation in operations
    )
    parts = "".join(_operation(*one, schemas) for one in operations)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])} API</title>"
        '<link rel="stylesheet" href="docs/style.css"></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}: the HTTP API</h1>"
        f"<p>{escape(info.get('description', ''))} In full, for programs: "
        '<a href="v1/openapi.json"><code>/v1/openapi.json</code></a>.</p>'
        f"<ul>{links}</ul>{parts}</body></html>"
    )


def _first_sentence(operation: Mapping[str, Any]) -> str:
    return str(operation.get("description", operation.get("summary", ""))).split(". ")[0]


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}{path}".replace("/", "-").replace("{", "").replace("}", ""), quote=True)


def _operation(
    method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> str:
    html = f'<h2 id="{_anchor(method, path)}"><code>{method} {escape(path)}</code></h2>'
    html += f"<p>{escape(operation.get('description', ''))}</p>"
    if parameters := operation.get("parameters"):
        rows = "".join(
            _row(one["name"], one["schema"] | _description(one), schemas, one.get("required"))
            for one in parameters
        )
        html += f"<h3>Parameters</h3><table>{rows}</table>"
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        html += f"<h3>Body: <code>{escape(media)}</code></h3>"
        html += _table(content["schema"], schemas) + _example(content)
    html += "<h3>Answers</h3>"
    for status, answer in operation["responses"].items():
        html += f"<p><b>{escape(status)}</b> {escape(answer.get('description', ''))}</p>"
        for media, content in answer.get("content", {}).items():
            table = _table(content.get("schema", {}), schemas) if status < "3" else ""
            inner = table + _example(content)
            if inner:
                html += f"<details><summary><code>{escape(media)}</code></summary>{inner}</details>"
    return html


def _description(parameter: Mapping[str, Any]) -> dict[str, str]:
    return {"description": parameter["description"]} if "description" in parameter else {}


def _example(content: Mapping[str, Any]) -> str:
    if "example" not in content:
        return ""
    return f"<pre>{escape(json.dumps(content['example'], indent=1))}</pre>"


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas that a reference or a choice stands for."""
    for one in schema.get("anyOf", [schema]):
        name = str(one.get("$ref", "")).rpartition("/")[2]
        yield schemas.get(name, one) if name else one


def _table(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """The fields of an object."""
    html = ""
    for one in _resolved(schema, schemas):
        required = one.get("required", ())
        rows = "".join(
            _row(name, field, schemas, name in required)
            for name, field in one.get("properties", {}).items()
        )
        html += f"<table>{rows}</table>" if rows else ""
    return html


def _row(
    name: str, field: Mapping[str, Any], schemas: Mapping[str, Any], is_required: bool | None
) -> str:
    words = [_kind(field, schemas), "required" if is_required else ""]
    for one in (field, *field.get("anyOf", ())):
        words += [
            text.format(json.dumps(one[key]))
            for key, text in _BOUNDS.items()
            if one.get(key) is not None
        ]
    told: Callable[[str], str] = escape
    return (
        f"<tr><td><code>{told(name)}</code></td>"
        f"<td>{told('; '.join(filter(None, words)))}</td>"
        f"<td>{told(str(field.get('description', '')))}</td></tr>"
    )


def _kind(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    kinds = []
    for one in field.get("anyOf", [field]):
        if "enum" in one:
            kinds.append(", ".join(map(str, one["enum"])))
        elif "$ref" in one:
            kinds.append(str(one["$ref"]).rpartition("/")[2])
        elif one.get("type") == "array":
            kinds.append(f"list of {_kind(one.get('items', {}), schemas) or 'values'}")
        elif one.get("type") not in (None, "null"):
            kinds.append(str(one.get("format") or one["type"]))
    return " or ".join(kinds)
