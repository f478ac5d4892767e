"""What the API's document promises: examples that fit their schemas, limits as enforced."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from pydantic import BaseModel
from serving import TURN, post, problem

from raydance.serving import job_routes, problems, schema

pytestmark = pytest.mark.slow

MODELS = {
    name: kind
    for module in (schema, job_routes, problems)
    for name, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, BaseModel)
}
BODIES = {
    "/v1/generate": {"text": TURN},
    "/v1/search": {"text": TURN},
    "/v1/embed": {"texts": [TURN]},
    "/v1/interpolate": {
        "start": {"clip_id": "x", "start_s": 0},
        "end": {"clip_id": "x", "start_s": 0},
    },
}


@pytest.fixture(scope="module")
def document(service_url: str) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{service_url}/v1/openapi.json", timeout=60).json()
    return answer


def answers(document: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Operation, status, media type and content of every answer."""
    for path, ways in document["paths"].items():
        for method, operation in ways.items():
            for status, answer in operation["responses"].items():
                for media, content in answer.get("content", {}).items():
                    yield f"{method} {path}", status, media, content


def test_every_answer_has_an_example_of_its_schema(document: dict[str, Any]):
    seen = set()
    for name, status, media, content in answers(document):
        if "json" not in media:
            continue
        place = f"{name} {status}"
        choices = content["schema"].get("anyOf", [content["schema"]])
        kind = MODELS[choices[0]["$ref"].rpartition("/")[2]]
        kind.model_validate(content["example"], strict=True)
        assert set(content["example"]) <= set(kind.model_fields), place
        if status >= "4":
            assert content["example"]["status"] == int(status), place
        seen.add(kind.__name__)
    assert {"Generated", "Found", "Described", "Map", "Models", "JobState"} <= seen


def limited(kind: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Field, limit and a value just beyond it, of an object's numbers, texts and lists."""
    for name, field in kind["properties"].items():
        for one in field.get("anyOf", [field]):
            number = int if one.get("type") == "integer" else float
            step = 1 if number is int else 0.001
            if "maximum" in one:
                yield name, f"up to {one['maximum']:.12g}", number(one["maximum"] + step)
            if "minimum" in one:
                yield name, f"{one['minimum']:g} or more", number(one["minimum"] - step)
            if "exclusiveMinimum" in one:
                yield name, f"above {one['exclusiveMinimum']:g}", one["exclusiveMinimum"]
            if "maxLength" in one:
                yield name, f"up to {one['maxLength']}", "x" * (one["maxLength"] + 1)
            if "maxItems" in one:
                yield name, f"up to {one['maxItems']}", ["x"] * (one["maxItems"] + 1)


@pytest.mark.parametrize("path", BODIES)
def test_limits_of_bodies_are_as_documented(service_url: str, document: dict[str, Any], path: str):
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    kind = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
    found = list(limited(kind))
    assert len(found) >= 2
    for name, allowed, value in found:
        detail = problem(post(service_url, path, BODIES[path] | {name: value}), 422)
        assert detail.startswith(f"{name}: ") and f"allowed: {allowed}" in detail, (name, detail)


def test_limits_of_forms_and_queries_are_as_documented(service_url: str, document: dict[str, Any]):
    checked = 0
    for path, ways in document["paths"].items():
        form = ways.get("post", {}).get("requestBody", {}).get("content", {})
        kind = form.get("multipart/form-data", {}).get("schema", {})
        for name, allowed, value in limited({"properties": kind.get("properties", {})}):
            sent = {"file": ("a.bvh", b"x"), name: (None, str(value))}
            detail = problem(post(service_url, path, files=sent), 422)
            assert detail.startswith(f"{name}: "), (path, name, detail)
            assert allowed.split()[-1 if allowed[0] == "u" else 0] in detail, (path, name, detail)
            checked += 1
    for parameter in document["paths"]["/v1/map"]["get"]["parameters"]:
        for name, allowed, value in limited(
            {"properties": {parameter["name"]: parameter["schema"]}}
        ):
            answer = requests.get(f"{service_url}/v1/map", params={name: value}, timeout=60)
            assert f"{name}: " in problem(answer, 422) and f"allowed: {allowed}" in answer.text
            checked += 1
    assert checked > 12


def test_the_longest_motion_is_as_documented(service_url: str, document: dict[str, Any]):
    kind = document["components"]["schemas"]["Generate"]["properties"]
    (seconds,) = [one["maximum"] for one in kind["seconds"]["anyOf"] if "maximum" in one]
    facts = requests.get(f"{service_url}/v1/models", timeout=60).json()["models"][0]
    assert facts["max_frames"] == seconds * facts["fps"]
    body = {"text": TURN, "seconds": seconds, "source": "nearest"}
    sample = post(service_url, "/v1/generate", body).json()["samples"][0]
    assert sample["num_frames"] == facts["max_frames"]
