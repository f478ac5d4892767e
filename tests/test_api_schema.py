"""The OpenAPI document and the running service against each other, by generated requests.

`schemathesis` sends what the document allows, and what it forbids, to every operation.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from serving import plain_service

from raydance.motion import synthetic
from raydance.motion.export import bvh
from raydance.serving.access_control import digest

schemathesis = pytest.importorskip("schemathesis")
from schemathesis import GenerationMode, checks  # noqa: E402 - after the check that it is there

pytestmark = pytest.mark.slow

checks.load_all_checks()
CHECKS = checks.CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "allow_header_conformance",
    ]
)
OPERATIONS = (
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "GET /v1/clips/{clip_id}",
    "DELETE /v1/jobs/{job}",
    "GET /v1/jobs/{job}",
    "GET /v1/jobs/{job}/result",
    "GET /v1/map",
    "GET /v1/models",
    "GET /v1/thumbnails/{clip_id}",
    "POST /v1/convert",
    "POST /v1/describe",
    "POST /v1/embed",
    "POST /v1/generate",
    "POST /v1/interpolate",
    "POST /v1/jobs",
    "POST /v1/search",
)
WITHOUT_INPUT = ("GET /healthz", "GET /metrics", "GET /readyz", "GET /v1/models")
EXAMPLES = int(os.environ.get("RAYDANCE_TEST_EXAMPLES", "6"))
"""Requests of each kind to each operation; more on request."""


@pytest.fixture(scope="module")
def document(service_url: str) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{service_url}/v1/openapi.json", timeout=60).json()
    return answer


def test_the_document_is_well_formed_and_names_every_operation(document: dict[str, Any]):
    schemathesis.openapi.from_dict(document).validate()
    found = {
        f"{method.upper()} {path}" for path, ways in document["paths"].items() for method in ways
    }
    assert found == set(OPERATIONS)


def test_the_document_is_a_page_too(service_url: str, document: dict[str, Any]):
    answer = requests.get(f"{service_url}/docs", timeout=60)
    assert answer.ok and answer.headers["content-type"].startswith("text/html")
    for name in OPERATIONS:
        assert f"<code>{name}</code></h2>" in answer.text
    assert "up to 2000 characters" in answer.text and "<script" not in answer.text
    assert not re.search(r"(src|href)=.(https?:)?//", answer.text)  # nothing from elsewhere
    style = requests.get(f"{service_url}/docs/style.css", timeout=60)
    assert style.headers["content-type"].startswith("text/css")


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A BVH file long enough to be described."""
    path = tmp_path_factory.mktemp("sent") / "take.bvh"
    bvh.write(path, synthetic.make_clip(synthetic.MOVEMENTS[2], 5))
    return path.read_bytes()


def operation_of(url: str, document: dict[str, Any], name: str) -> Any:
    """An operation of the document, to be asked of the service at `url`."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    method, path = name.split(" ")
    return schema[path][method]


def smaller(case: Any) -> Any:
    """The same request for at most two seconds of motion: longer ones take longer to draw."""
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("seconds"), (int, float)):
        body["seconds"] = min(body["seconds"], 2.0)
    return case


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_answers_are_as_documented(
    service_url: str, document: dict[str, Any], mode: Any, name: str
):
    if mode is GenerationMode.NEGATIVE and name in WITHOUT_INPUT:
        pytest.skip("it takes nothing that could be wrong")
    operation = operation_of(service_url, document, name)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        smaller(case).call_and_validate(checks=CHECKS, timeout=60)

    ask()


@pytest.mark.parametrize(
    "fields",
    [{}, {"fps": 30}, {"units": "cm", "up": "y"}, {"model": "tiny"}],
    ids=lambda fields: "+".join(fields) or "plain",
)
@pytest.mark.parametrize("path", ["convert", "describe", "search", "embed"])
def test_a_real_file_is_answered_as_documented(
    service_url: str, document: dict[str, Any], take: bytes, path: str, fields: dict[str, Any]
):
    operation = operation_of(service_url, document, f"POST /v1/{path}")
    sent = {"file": ("take.bvh", take)}
    answer = requests.post(f"{service_url}/v1/{path}", files=sent, data=fields, timeout=60)
    assert answer.status_code == 200, answer.text
    case = operation.Case(body={"file": take} | fields, media_type="multipart/form-data")
    case.validate_response(answer, checks=CHECKS[:-2])


def test_a_service_with_keys_says_so_and_refuses_as_documented(tiny_run: Path):
    key = "a-key-that-is-long-enough"
    with plain_service(tiny_run, None, key_digests=[digest(key)]) as url:
        refused = requests.get(f"{url}/v1/openapi.json", timeout=10)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        answer = requests.get(f"{url}/v1/openapi.json", headers={"X-API-Key": key}, timeout=10)
        document = answer.json()
        schemes = document["components"]["securitySchemes"]
        assert schemes["ApiKey"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
        for path, ways in document["paths"].items():
            is_open = path in ("/healthz", "/readyz")
            assert all(("security" in operation) != is_open for operation in ways.values()), path
        operation = operation_of(url, document, "GET /v1/models")
        for headers in ({}, {"X-API-Key": "another-key-of-enough-length"}):
            refused = operation.Case(headers=headers).call_and_validate(checks=CHECKS)
            assert refused.status_code == 401 and key not in refused.text
