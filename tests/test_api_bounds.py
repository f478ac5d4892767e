"""What the HTTP API keeps out, how much it takes at once, and what it tells of itself."""

from __future__ import annotations

import http.client
import io
import logging
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from serving import TURN, plain_service, post, problem, wait_for

from raydance.client import Client
from raydance.errors import InputError
from raydance.serving.access_control import digest, read_keys
from raydance.serving.reader import Limits

pytestmark = pytest.mark.slow


def test_keys_open_the_api_and_nothing_else_does(tiny_run: Path, tmp_path: Path):
    key = "a-key-that-is-long-enough"
    (tmp_path / "keys.txt").write_text(f"# for tests\n{key}\n", encoding="utf-8")
    digests = read_keys(tmp_path / "keys.txt")
    assert key.encode() not in b"".join(digests)
    with plain_service(tiny_run, None, key_digests=digests) as url:
        assert requests.get(f"{url}/healthz", timeout=10).ok
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": f"Basic {key}"}):
            problem(requests.get(f"{url}/v1/models", headers=headers, timeout=10), 401)
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            assert requests.get(f"{url}/v1/models", headers=headers, timeout=10).ok
        assert Client(url, key=key).models()[0]["library"] is None
    (tmp_path / "short.txt").write_text("abc\n", encoding="utf-8")
    with pytest.raises(InputError, match="shorter than 16"):
        read_keys(tmp_path / "short.txt")
    (tmp_path / "foreign.txt").write_text("schlüssel-mit-umlaut\n", encoding="utf-8")
    with pytest.raises(InputError, match="other than ASCII"):
        read_keys(tmp_path / "foreign.txt")


def test_pages_elsewhere_may_not_read_answers(service_url: str):
    headers = {"Origin": "http://elsewhere.example"}
    answer = requests.get(f"{service_url}/v1/models", headers=headers, timeout=10)
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_page_that_was_named_may_read_answers(tiny_run: Path):
    home, elsewhere = "http://studio.example", "http://elsewhere.example"
    with plain_service(tiny_run, None, origins=[home]) as url:
        for origin, allowed in ((home, home), (elsewhere, None)):
            answer = requests.get(f"{url}/v1/models", headers={"Origin": origin}, timeout=10)
            assert answer.headers.get("access-control-allow-origin") == allowed
            shown = answer.headers.get("access-control-expose-headers", "")
            assert allowed is None or {"X-Raydance-Note", "X-Raydance-Residual-Cm"} <= {
                name.strip() for name in shown.split(",")
            }
            asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answer = requests.options(f"{url}/v1/generate", headers=asks, timeout=10)
            assert answer.headers.get("access-control-allow-origin") == allowed


def test_keys_are_written_nowhere(
    tiny_run: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    key, wrong = "a-key-that-is-long-enough", "a-wrong-key-of-some-length"
    with plain_service(tiny_run, None, key_digests=[digest(key)]) as url:
        for one, status in ((key, 200), (wrong, 401)):
            for headers in ({"X-API-Key": one}, {"Authorization": f"Bearer {one}"}):
                answer = requests.get(f"{url}/v1/models", headers=headers, timeout=10)
                assert answer.status_code == status and one not in answer.text
                broken = {"headers": headers, "data": b"{", "timeout": 10}
                assert one not in requests.post(f"{url}/v1/generate", **broken).text
        told = requests.get(f"{url}/metrics", headers={"X-API-Key": key}, timeout=10).text
    told += caplog.text + "".join(capfd.readouterr())
    assert caplog.records and key not in told and wrong not in told


def test_limits_hold(tiny_run: Path, take: Path):
    limits = Limits(upload_bytes=20_000, frames=40, joints=10, parse_seconds=10.0)
    with plain_service(tiny_run, None, limits=limits) as url:
        big = post(url, "/v1/convert", files={"file": ("a.bvh", b"x" * 200_000)})
        assert "larger" in problem(big, 413) or "bytes" in problem(big, 413)

        def pieces() -> Any:  # no length is told beforehand
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bvh"\r\n\r\n'
            for _ in range(50):
                yield b"x" * 10_000

        headers = {"content-type": "multipart/form-data; boundary=b"}
        problem(requests.post(f"{url}/v1/convert", data=pieces(), headers=headers, timeout=20), 413)
        assert requests.get(f"{url}/healthz", timeout=10).ok
        content = io.BytesIO()
        np.save(content, np.zeros((60, 22, 3), np.float32))
        long = post(url, "/v1/convert", files={"file": ("a.npy", content.getvalue())})
        assert "frames" in problem(long, 422)
        rows = np.zeros((10, 22, 3), np.float32)
        content = io.BytesIO()
        np.save(content, rows)
        many = post(url, "/v1/convert", files={"file": ("a.npy", content.getvalue())})
        assert "joints" in problem(many, 422)


def test_a_file_that_takes_too_long_is_given_up(tiny_run: Path, take: Path):
    limits = Limits(parse_seconds=0.001)
    with plain_service(tiny_run, None, limits=limits) as url:
        with take.open("rb") as file:
            answer = post(url, "/v1/convert", files={"file": file})
        assert "longer than 0.001 s" in problem(answer, 422)
        assert requests.get(f"{url}/healthz", timeout=10).ok


def test_a_body_that_does_not_come_keeps_nobody_out(tiny_run: Path):
    with plain_service(tiny_run, None, most_requests=3, body_s=3.0) as url:
        host, port = url.removeprefix("http://").split(":")
        slow = [socket.create_connection((host, int(port))) for _ in range(3)]
        for one in slow:
            one.sendall(
                b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000\r\n\r\n{"
            )
        wait_for(lambda: requests.get(f"{url}/v1/models", timeout=10).status_code == 503, 2)
        assert "again" in problem(requests.get(f"{url}/v1/models", timeout=10), 503)
        wait_for(lambda: requests.get(f"{url}/v1/models", timeout=10).ok, 10)
        assert slow[0].recv(100).startswith(b"HTTP/1.1 408")
        for one in slow:
            one.close()


def test_readiness_is_found_once_and_costs_nothing_after(tiny_run: Path):
    with plain_service(tiny_run, None) as url:
        started = time.monotonic()
        for _ in range(50):
            assert requests.get(f"{url}/readyz", timeout=10).ok
        assert time.monotonic() - started < 10


def test_a_fault_of_ours_is_told_as_such_and_counted(tiny_run: Path, monkeypatch: Any):
    from raydance.serving import retriever

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    with plain_service(tiny_run, None) as url:
        monkeypatch.setattr(retriever.Retriever, "map", broken)
        answer = requests.get(f"{url}/v1/map", timeout=10)
        assert "secret" not in problem(answer, 500)
        assert answer.headers["x-content-type-options"] == "nosniff"
        text = requests.get(f"{url}/metrics", timeout=10).text
        assert 'route="/v1/map",status="500"' in text


def test_too_many_at_once_are_told_to_come_back(tiny_run: Path):
    with plain_service(tiny_run, None, most_requests=2) as url:
        answers: list[requests.Response] = []

        def ask() -> None:
            answers.append(post(url, "/v1/generate", {"text": TURN, "seconds": 60}))

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        busy = [answer for answer in answers if answer.status_code == 503]
        assert busy and any(answer.ok for answer in answers)
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert busy[0].headers["retry-after"] == "1" and "again" in problem(busy[0], 503)
        assert post(url, "/v1/generate", {"text": TURN}).ok  # and it is well again


def test_nothing_is_begun_for_callers_who_have_gone(tiny_run: Path, monkeypatch: Any):
    from raydance.serving import generator

    begun: list[str] = []
    goes_on = threading.Event()
    generate = generator.Generator.answer_together

    def held(part: Any, asked: Any) -> Any:
        begun.append(asked[0][0][1])
        goes_on.wait(30)
        return generate(part, asked)

    with plain_service(tiny_run, None) as url:
        monkeypatch.setattr(generator.Generator, "answer_together", held)
        host, port = url.removeprefix("http://").split(":")
        callers = []
        for number in range(5):
            body = b'{"text": "caller %d"}' % number
            caller = socket.create_connection((host, int(port)))
            caller.sendall(
                b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            callers.append(caller)
            wait_for(lambda: in_flight(url) == len(callers) + 1, 10)  # and the one who asks
        wait_for(lambda: len(begun) == 1, 10)
        for caller in callers:
            caller.close()
        wait_for(lambda: in_flight(url) == 1, 10)
        goes_on.set()
        assert post(url, "/v1/generate", {"text": TURN}).ok
        assert begun == [begun[0], TURN]
        assert 'route="/v1/generate",status="499"} 5' in figures(url)


def figures(url: str) -> str:
    return requests.get(f"{url}/metrics", timeout=10).text


def in_flight(url: str) -> int:
    (line,) = re.findall(r"^raydance_http_requests_in_flight\{.*\} (.*)$", figures(url), re.M)
    return int(float(line))


def test_json_is_bounded_and_so_are_the_mistakes_told(service_url: str):
    headers = {"content-type": "application/json"}

    def pieces() -> Any:  # no length is told beforehand
        for _ in range(40):
            yield b" " * 100_000

    for body in (b" " * 2_000_000, pieces()):
        assert "larger than 1048576" in problem(
            post(service_url, "/v1/generate", data=body, headers=headers), 413
        )
    many = post(service_url, "/v1/generate", {"text": "x"} | {f"k{i}": 1 for i in range(9000)})
    assert "and 8980 more" in problem(many, 422) and len(many.content) < 5000
    for body in (b"[" * 100_000, b'{"text": "x", "seed": ' + b"9" * 6000 + b"}"):
        problem(post(service_url, "/v1/generate", data=body, headers=headers), 400)
    halves = b'{"text": "x", "\\ud800": 1, "model": "\\udfff"}'
    problem(post(service_url, "/v1/generate", data=halves, headers=headers), 422)


def test_head_is_get_without_the_body(service_url: str):
    for place in ("/healthz", "/v1/models", "/v1/nowhere"):
        whole = requests.get(service_url + place, timeout=60)
        line = http.client.HTTPConnection(service_url.removeprefix("http://"), timeout=60)
        line.connect()
        line.auto_open = 0  # one connection throughout: the server must find nothing wrong
        line.request("HEAD", place)
        head = line.getresponse()
        assert (head.status, head.read()) == (whole.status_code, b"")
        assert head.headers["content-length"] == str(len(whole.content))
        line.request("GET", place)
        assert line.getresponse().read() == whole.content
        line.close()
    assert 'method="HEAD",replica="",route="/v1/models",status="200"' in figures(service_url)


def test_refusals_are_counted_by_route(tiny_run: Path):
    with plain_service(tiny_run, None, key_digests=[digest("a key of some length")]) as url:
        problem(post(url, "/v1/generate", {"text": TURN}), 401)
        text = requests.get(f"{url}/metrics", headers={"X-API-Key": "a key of some length"}).text
        assert 'route="/v1/generate",status="401"' in text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_bodies_that_do_not_say_they_are_json_are_told_so(service_url: str, kind: str | None):
    for route in ("/v1/generate", "/v1/interpolate", "/v1/search"):
        headers = {} if kind is None else {"content-type": kind}
        answer = post(service_url, route, data=b'{"text": "a"}', headers=headers)
        assert "application/json" in problem(answer, 415)


def test_invented_methods_make_no_figures_of_their_own(service_url: str):
    answer = requests.request("PROPFIND", f"{service_url}/v1/models", timeout=10)
    problem(answer, 405)
    assert answer.headers["allow"] == "GET"
    assert "PROPFIND" not in requests.get(f"{service_url}/metrics", timeout=10).text
    problem(requests.get(f"{service_url}/v1/models/", allow_redirects=False, timeout=10), 404)


def test_figures_for_prometheus(service_url: str):
    requests.get(f"{service_url}/v1/models", timeout=60)
    text = requests.get(f"{service_url}/metrics", timeout=60).text
    assert 'route="/v1/models",status="200"' in text.replace('replica="",', "")
    assert "raydance_http_request_seconds_bucket" in text


def test_assets_are_compressed_and_kept(tiny_run: Path, tmp_path: Path):
    assets = tmp_path / "assets"
    assets.mkdir()
    script = "let x = 0;\n" * 5000
    (tmp_path / "index.html").write_text("<html></html>")
    (assets / "page-ABCD2345.js").write_text(script)
    (assets / "plain.txt").write_text("x")
    (tmp_path / "secret.txt").write_text("secret")
    with plain_service(tiny_run, None, page=str(tmp_path)) as url:
        page = requests.get(url, timeout=10)
        assert page.headers["cache-control"] == "no-cache"
        place = f"{url}/assets/page-ABCD2345.js"
        packed = requests.get(place, headers={"Accept-Encoding": "br, gzip"}, timeout=10)
        assert packed.headers["content-encoding"] == "gzip" and packed.text == script
        assert int(packed.headers["content-length"]) < len(script) / 20
        assert "immutable" in packed.headers["cache-control"]
        assert packed.headers["vary"] == "Accept-Encoding"
        for accepted in ("identity", "gzip;q=0", "br"):
            plain = requests.get(place, headers={"Accept-Encoding": accepted}, timeout=10)
            assert "content-encoding" not in plain.headers and plain.text == script
        named = requests.get(f"{url}/assets/plain.txt", timeout=10)
        assert named.headers["cache-control"] == "no-cache"
        for name in ("none.js", "..%2Fsecret.txt", ".."):
            answer = requests.get(f"{url}/assets/{name}", timeout=10)
            assert answer.status_code == 404 or answer.url == f"{url}/", name
            assert "secret" not in answer.text
