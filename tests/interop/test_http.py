"""aiohttp and httpx, and a client that speaks bytes: HTTP as a conversation."""

import asyncio
import contextlib
import io
import json
import time

import aiohttp
import httpx
import pytest

from support import HOST, PATIENCE, Testbed, Wire, http_request, pattern

MIB = 1024 * 1024


@contextlib.asynccontextmanager
async def aio(testbed):
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(testbed.url, timeout=timeout) as session:
        yield session


@pytest.fixture
def hx(testbed):
    with httpx.Client(base_url=testbed.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


@pytest.fixture
def wire(testbed):
    with Wire(testbed) as wire:
        yield wire


# ---- echo ----


async def in_pieces(body, size=10_000):
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 65535, 65536, MIB, 16 * MIB])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_echo_with_aiohttp(testbed, size, framing):
    body = pattern(size)

    async def echo():
        async with aio(testbed) as session:
            data = io.BytesIO(body) if framing == "length" else in_pieces(body)
            headers = {"Content-Type": "a/b"}
            async with session.post("/echo", data=data, headers=headers) as response:
                assert response.status == 200
                assert response.headers["Content-Type"] == "a/b"
                if framing == "length":
                    assert response.headers["Content-Length"] == str(size)
                assert await response.read() == body

    asyncio.run(echo())


# httpx reads when it has sent everything. A server that holds back what is not read holds such a
# client up, so these bodies are of a size that the system's buffers take.
@pytest.mark.parametrize("size", [0, 1, 1000, 65535, 65536, 200_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_echo_with_httpx(hx, size, framing, method):
    body = pattern(size)
    pieces = (body[at : at + 10_000] for at in range(0, size, 10_000))
    response = hx.request(method, "/echo", content=body if framing == "length" else pieces)
    assert response.status_code == 200
    assert response.content == body


def test_echo_streams_while_the_body_arrives(wire):
    wire.request("POST", "/echo", "Transfer-Encoding: chunked")
    wire.send(b"5\r\nfirst\r\n")
    assert wire.head().status == 200
    assert wire.exactly(10) == b"5\r\nfirst\r\n"
    wire.send(b"6\r\nsecond\r\n")
    assert wire.exactly(11) == b"6\r\nsecond\r\n"
    wire.send(b"0\r\n\r\n")
    assert wire.exactly(5) == b"0\r\n\r\n"


def test_chunked_body_byte_by_byte(wire):
    wire.request("POST", "/echo", "Transfer-Encoding: chunked")
    for byte in b'1;ext="a;\\"b"\r\nx\r\n0a\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n':
        wire.send(bytes([byte]))
    assert wire.response().body == b"x0123456789"
    wire.request("GET", "/plaintext")
    assert wire.response().body == b"Hello, World!"


def test_echo_holds_back_what_is_not_read(testbed, tag):
    """The body is far larger than all buffers, and the client does not read: the server stops
    reading it, and holds little."""
    with Wire(testbed, receive_buffer=4096) as wire:
        size = 16 * MIB
        wire.request("POST", f"/echo?{tag}", f"Content-Length: {size}")
        wire.socket.settimeout(1)
        left = memoryview(pattern(size))
        with pytest.raises(TimeoutError):
            while left:
                left = left[wire.socket.send(left) :]
        assert testbed.stats()["bytes_held"] < MIB
    assert testbed.disconnect(tag)["type"] == "http.disconnect"


# ---- answers ----


def test_stream_with_aiohttp(testbed):
    async def stream():
        async with aio(testbed) as session:
            async with session.get("/stream?chunks=1000&size=10000") as response:
                total = 0
                async for piece in response.content.iter_any():
                    assert not piece.strip(b"x")
                    total += len(piece)
                assert total == 10_000_000

    asyncio.run(stream())


def test_stream_with_httpx(hx):
    with hx.stream("GET", "/stream?chunks=100&size=10000") as response:
        assert b"".join(response.iter_bytes()) == b"x" * 1_000_000


def test_stream_holds_back_what_is_not_read(testbed, tag):
    """A gigabyte for a client that reads its first piece only."""
    with Wire(testbed, receive_buffer=4096) as wire:
        wire.request("GET", f"/stream?chunks=100000&size=10000&{tag}")
        assert wire.head().status == 200
        assert wire.exactly(6) == b"2710\r\n"
        assert testbed.stats()["bytes_held"] < MIB
    assert testbed.disconnect(f"chunks=100000&size=10000&{tag}")["path"] == "/stream"


def test_slow_requests_at_the_same_time(testbed):
    async def all_of_them():
        async with aio(testbed) as session:

            async def one():
                async with session.get("/slow?ms=500") as response:
                    return await response.text()

            start = time.monotonic()
            assert await asyncio.gather(*(one() for _ in range(80))) == ["done"] * 80
            # One after the other they take 40 s.
            assert time.monotonic() - start < 30

    asyncio.run(all_of_them())


def test_events_with_aiohttp(testbed):
    async def events():
        async with aio(testbed) as session, session.get("/events?n=5&ms=10") as response:
            text = await response.text()
            assert text.count("data: ") == text.count("\n\n") == 5

    asyncio.run(events())


def test_trailers_on_the_wire(wire):
    wire.request("GET", "/trailers", "TE: gzip;q=0.5", "TE: Trailers", "Connection: TE")
    response = wire.response()
    assert response.body == b"checked body"
    assert [name for name, _ in response.trailers] == ["x-checksum"]
    # Nobody who did not ask for trailers gets any, on the same connection.
    wire.request("GET", "/trailers", "TE: gzip")
    response = wire.response()
    assert response.body == b"checked body"
    assert response.trailers == []


def test_half_is_cut(testbed, wire, hx):
    async def half():
        async with aio(testbed) as session, session.get("/half") as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()

    asyncio.run(half())
    with pytest.raises(httpx.RemoteProtocolError):
        hx.get("/half")
    # RFC 9112 §8: no last chunk, so that the client sees it.
    wire.request("GET", "/half")
    assert wire.head().status == 200
    assert wire.rest() == b"4\r\nhalf\r\n"


@pytest.mark.parametrize("path", ["/panic", "/error", "/nothing"])
def test_failures_are_500(hx, path):
    assert hx.get(path).status_code == 500


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/panic", "/error"])
def test_a_failed_handler_ends_the_connection(wire, method, path):
    wire.send(http_request(method, path) + http_request("GET", "/plaintext"))
    response = wire.response(method)
    assert (response.status, response.get("connection")) == (500, "close")
    # Neither the body of an answer to HEAD nor an answer to the next request.
    assert wire.at_end()


# ---- the scope ----

SCOPE_KEYS = {
    "type", "asgi", "http_version", "scheme", "path", "raw_path", "query_string", "root_path",
    "headers", "client", "server", "state", "extensions",
}  # fmt: skip


def test_scope_of_a_request(testbed, wire):
    wire.request("GET", "/scope/caf%C3%A9/a%2Fb%20c?x=%20&y+z=%C3%A9", "X-One: 1", "x-two:  2 ",
                 "X-One: 3", "X-Latin: \xe9", "X-Empty:")  # fmt: skip
    response = wire.response()
    assert response.get("content-type") == "application/json"
    scope = json.loads(response.body)
    # These and no others: the extension `tls` must be absent on plain connections.
    assert set(scope) == SCOPE_KEYS | {"method"}
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["http_version"] == "1.1"
    assert scope["method"] == "GET"
    assert scope["scheme"] == "http"
    assert scope["path"] == "/scope/caf\u00e9/a/b c"
    assert scope["raw_path"] == "/scope/caf%C3%A9/a%2Fb%20c"
    assert scope["query_string"] == "x=%20&y+z=%C3%A9"
    assert scope["root_path"] == ""
    assert scope["headers"] == [
        ["host", "test"], ["x-one", "1"], ["x-two", "2"], ["x-one", "3"], ["x-latin", "\xe9"],
        ["x-empty", ""],
    ]  # fmt: skip
    assert scope["client"] == wire.name
    assert scope["server"] == [HOST, testbed.port]
    assert scope["state"] == {"started": True}
    assert scope["extensions"] == {
        "http.response.trailers": {},
        "http.response.early_hint": {},
        "http.response.pathsend": {},
    }


def test_scope_of_http_1_0(wire):
    wire.request("GET", "/scope", version="1.0")
    assert json.loads(wire.response().body)["http_version"] == "1.0"


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query_string"),
    [
        ("/scope", "/scope", "/scope", ""),
        ("/scope?", "/scope", "/scope", ""),
        ("/scope??", "/scope", "/scope", "?"),
        ("/%73cope", "/scope", "/%73cope", ""),
        ("/scope/%2e%2E/x", "/scope/../x", "/scope/%2e%2E/x", ""),
        ("/scope//", "/scope//", "/scope//", ""),
        ("/scope/%25", "/scope/%", "/scope/%25", ""),
        ("/scope/a+b", "/scope/a+b", "/scope/a+b", ""),
        ("/scope/%F0%9F%90%8C", "/scope/\U0001f40c", "/scope/%F0%9F%90%8C", ""),
        # RFC 9112 §3.2.2: the absolute form.
        ("http://other:1/scope?q", "/scope", "/scope", "q"),
    ],
)
def test_paths_in_the_scope(wire, target, path, raw_path, query_string):
    wire.request("GET", target)
    response = wire.response()
    assert response.status == 200
    scope = json.loads(response.body)
    assert (scope["path"], scope["raw_path"]) == (path, raw_path)
    assert scope["query_string"] == query_string


def test_method_in_another_case_is_another_method(wire):
    # RFC 9110 §9.1.
    wire.request("get", "/scope")
    response = wire.response()
    assert response.status == 501
    assert b"case-sensitive" in response.body


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("POST", "/nope", 404),
        ("PUT", "/json", 405),
        ("POST", "/ws", 405),
        ("GET", "/ws", 426),
        ("GET", "/file?name=none.txt", 404),
    ],
)
def test_refusal_does_not_invite_the_body(wire, method, path, status):
    wire.request(method, path, "Content-Length: 5", "Expect: 100-continue")
    response = wire.response()
    assert (response.status, response.interim) == (status, [])
    assert "close" in response.get("connection").split(", ")


# ---- connections ----


def test_pipelined_requests_are_answered_in_order(wire):
    wire.send(b"".join(http_request("GET", f"/scope/{n}") for n in range(200)))
    for n in range(200):
        assert json.loads(wire.response().body)["path"] == f"/scope/{n}"


def test_pipelined_requests_of_all_kinds(wire):
    length, chunks = "Content-Length: 5", b"3\r\nabc\r\n0\r\n\r\n"
    kinds = [
        (http_request("GET", "/slow?ms=30"), 200, b"done"),
        (http_request("HEAD", "/plaintext"), 200, b""),
        (http_request("POST", "/echo", length, body=b"12345"), 200, b"12345"),
        (http_request("POST", "/none", length, body=b"12345"), 404, None),
        (http_request("PUT", "/echo", "Transfer-Encoding: chunked", body=chunks), 200, b"abc"),
        (http_request("GET", "/stream?chunks=30&size=9"), 200, b"x" * 270),
        # RFC 9112 §2.2: an empty line before a request is ignored.
        (b"\r\n" + http_request("GET", "/file?name=hello.txt"), 200, b"hello\n"),
    ]
    wire.send(b"".join(kind[0] for kind in kinds) * 3)
    for request, status, body in kinds * 3:
        response = wire.response("HEAD" if request.startswith(b"HEAD") else "GET")
        assert response.status == status
        if body is not None:
            assert response.body == body


def test_requests_byte_by_byte(wire):
    for _ in range(2):
        for byte in b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc":
            wire.send(bytes([byte]))
        assert wire.response().body == b"abc"


@pytest.mark.parametrize(
    "path",
    ["/", "/plaintext", "/json", "/stream?chunks=3&size=5", "/trailers", "/hints", "/slow?ms=1",
     "/file?name=big.bin", "/events?n=2&ms=1", "/scope", "/state", "/disconnects", "/stats",
     "/none", "/ws"],
)  # fmt: skip
def test_head_has_no_body_on_the_wire(wire, path):
    # A body would be read as the next answer.
    wire.send(http_request("HEAD", path, "TE: trailers") + http_request("GET", "/plaintext"))
    assert wire.response("HEAD").body == b""
    assert wire.response().body == b"Hello, World!"


def test_keep_alive_with_httpx(testbed, hx):
    hx.get("/plaintext")
    before = testbed.stats()["connections"]["ever"]
    for _ in range(20):
        assert hx.get("/plaintext").text == "Hello, World!"
    # The one more is that of the question.
    assert testbed.stats()["connections"]["ever"] == before + 1


def test_connection_close(wire):
    wire.request("GET", "/plaintext", "Connection: close")
    assert wire.response().get("connection") == "close"
    assert wire.at_end()


def test_http_1_0_ends_unless_asked_to_stay(testbed, wire):
    wire.request("GET", "/plaintext", "Connection: keep-alive", version="1.0")
    assert wire.response().get("connection") == "keep-alive"
    wire.request("GET", "/plaintext", version="1.0")
    assert wire.response().get("connection") in (None, "close")
    assert wire.at_end()


def test_nothing_behind_a_bad_request_is_read(wire):
    wire.send(b"GET / HTTP/1.1\r\n\r\nGET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n")
    response = wire.response()
    # RFC 9112 §3.2: an HTTP/1.1 request without Host.
    assert response.status == 400
    assert response.get("connection") == "close"
    assert wire.at_end()


def test_interim_responses_are_for_http_1_1(wire):
    wire.request("POST", "/echo", "Content-Length: 3", "Expect: 100-continue",
                 "Connection: keep-alive", version="1.0")  # fmt: skip
    wire.send(b"abc")
    response = wire.response()
    assert (response.interim, response.body) == ([], b"abc")
    wire.request("GET", "/hints", version="1.0")
    assert wire.response().interim == []


def test_100_continue(wire):
    wire.request("POST", "/echo", "Content-Length: 3", "Expect: 100-Continue")
    assert wire.head().status == 100
    wire.send(b"abc")
    assert wire.response().body == b"abc"
    # RFC 9110 §10.1.1: it may be left out if the body is there already.
    wire.request("POST", "/echo", "Content-Length: 3", "Expect: 100-continue", body=b"def")
    assert wire.response().body == b"def"


# ---- half-close and disconnects ----


@pytest.mark.parametrize(
    ("path", "size"),
    [("/plaintext", 13), ("/stream?chunks=10&size=5000", 50_000), ("/file?name=big.bin", MIB)],
)  # fmt: skip
def test_answer_after_a_half_close(wire, path, size):
    """After a FIN, answers that are complete are still written."""
    wire.send_and_end(http_request("GET", path))
    whole(wire, size)


@pytest.mark.parametrize(
    ("path", "size"),
    [("/slow?ms=50", 4), ("/stream?chunks=1000&size=5000", 5_000_000), ("/events?n=3&ms=30", 63)],
)
def test_unfinished_answer_after_a_half_close_that_is_no_disconnect(path, size):
    with Testbed("--half-close") as testbed, Wire(testbed) as wire:
        wire.send_and_end(http_request("GET", path))
        whole(wire, size)


@pytest.mark.parametrize("path", ["/stream?chunks=1000&size=5000", "/events?n=3&ms=10000"])
def test_half_close_while_the_answer_is_unfinished(testbed, wire, tag, path):
    """A FIN while an answer is begun and unfinished counts as leaving."""
    wire.send_and_end(http_request("GET", f"{path}&{tag}"))
    told = testbed.disconnect(f"{path.partition('?')[2]}&{tag}")
    assert told["type"] == "http.disconnect"
    assert not wire.rest().endswith(b"\r\n0\r\n\r\n")


def whole(wire, size):
    response = wire.response()
    assert response.status == 200
    assert len(response.body) == size
    assert wire.at_end()


def test_pipelined_answers_after_a_half_close(wire):
    wire.send_and_end(b"".join(http_request("GET", f"/scope/{n}") for n in range(200)))
    for n in range(200):
        assert json.loads(wire.response().body)["path"] == f"/scope/{n}"
    assert wire.at_end()


def test_half_close_while_the_answer_is_deferred(testbed, wire, tag):
    """A FIN while an answer is deferred counts as leaving."""
    wire.send_and_end(http_request("GET", f"/slow?ms=10000&{tag}"))
    told = testbed.disconnect(f"ms=10000&{tag}")
    assert told["path"] == "/slow"
    assert wire.at_end()


def test_half_close_in_the_middle_of_a_body(testbed, wire, tag):
    wire.request("POST", f"/echo?{tag}", "Content-Length: 10", body=b"half")
    wire.end()
    assert testbed.disconnect(tag)["type"] == "http.disconnect"
    assert b"half" not in wire.rest().partition(b"half")[2]


@pytest.mark.parametrize("way", ["close", "reset"])
@pytest.mark.parametrize("path", ["/slow?ms=10000", "/events?n=1000&ms=50"])
def test_early_disconnect_is_told(testbed, wire, tag, path, way):
    # Both requests are read at once: when the first is answered, the second has begun. (What is
    # still unread when an RST comes is lost.)
    wire.send(http_request("GET", "/plaintext") + http_request("GET", f"{path}&{tag}"))
    wire.response()
    getattr(wire, way)()
    path, _, query = path.partition("?")
    assert testbed.disconnect(f"{query}&{tag}") == {
        "path": path,
        "query": f"{query}&{tag}",
        "type": "http.disconnect",
        "code": None,
        "reason": "",
    }


def test_early_disconnect_of_aiohttp(testbed, tag):
    async def leave():
        async with aio(testbed) as session:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.get(f"/slow?ms=10000&{tag}"), 1)

    asyncio.run(leave())
    assert testbed.disconnect(f"ms=10000&{tag}")["path"] == "/slow"


def test_early_disconnect_of_httpx(testbed, hx, tag):
    with pytest.raises(httpx.ReadTimeout):
        hx.get(f"/slow?ms=10000&{tag}", timeout=httpx.Timeout(PATIENCE, read=0.2))
    assert testbed.disconnect(f"ms=10000&{tag}")["path"] == "/slow"


def test_no_disconnect_after_the_answer(testbed, wire, tag):
    wire.request("GET", f"/plaintext?{tag}")
    wire.response()
    # This one is told, later than the other would have been.
    wire.request("GET", f"/slow?ms=10000&behind-{tag}")
    wire.close()
    testbed.disconnect(f"ms=10000&behind-{tag}")
    assert testbed.disconnects(tag) == []


@pytest.mark.parametrize("path", ["/disconnects", "/stats"])
def test_disconnects_that_nobody_asks_for(testbed, wire, tag, path):
    """Requests for these two are never told of."""
    wire.request("GET", f"{path}?{tag}", "Content-Length: 2", body=b"x")
    wire.end()
    assert wire.at_end()
    assert testbed.disconnects(tag) == []


def test_the_last_100_disconnects_are_kept():
    with Testbed() as testbed:
        for n in range(105):
            with Wire(testbed) as wire:
                wire.request("POST", f"/echo?{n}", "Content-Length: 2", body=b"x")
                assert wire.head().status == 200
            testbed.disconnect(str(n))
        told = [int(d["query"]) for d in testbed.get_json("/disconnects")]
        assert told == list(range(5, 105))
