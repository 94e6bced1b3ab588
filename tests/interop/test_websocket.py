"""WebSocket, with the libraries of others and with a client that speaks bytes."""

import json
from urllib.parse import quote

import pytest

from clients import CLIENTS, Aiohttp, Refused, WebsocketsSync
from support import (
    BINARY_FRAME, CLOSE, CONTINUATION, HANDSHAKE, HOST, PING, PONG, TEXT, Wire, eventually, frame,
    pattern,
)  # fmt: skip

MIB = 1024 * 1024

@pytest.fixture
def connect(testbed):
    """Connects a client of one of the kinds to a path."""
    clients = []

    def connect(kind, path, **options):
        clients.append(kind(testbed.ws_url + path, **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.end()


@pytest.fixture(params=CLIENTS)
def client(request, connect):
    """Connects a client to a path; every test with this runs with each kind."""
    return lambda path, **options: connect(request.param, path, **options)


@pytest.fixture
def wire(testbed):
    with Wire(testbed) as wire:
        yield wire


# ---- echo ----

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537, MIB, 16 * MIB]


@pytest.mark.parametrize("size", SIZES)
def test_echo_binary(client, size):
    ws, message = client("/ws"), pattern(size)
    ws.send(message)
    assert ws.receive() == message
    ws.close()


@pytest.mark.parametrize("size", SIZES)
def test_echo_text(client, size):
    # Characters of one to four bytes, cut to the size and filled up to it.
    unit = "a\u00e9\u20ac\U0001f40c"
    message = unit * (size // 10) + "z" * (size % 10)
    assert len(message.encode()) == size
    ws = client("/ws")
    ws.send(message)
    assert ws.receive() == message
    ws.close()


def test_many_messages_in_order(client):
    ws = client("/ws")
    for first in range(0, 500, 50):
        for n in range(first, first + 50):
            ws.send(f"message {n}")
        for n in range(first, first + 50):
            assert ws.receive() == f"message {n}"
    ws.close()


def test_ping_is_answered(client):
    ws = client("/ws")
    ws.ping(b"are you there")
    ws.send("yes")
    assert ws.receive() == "yes"
    ws.close()


def test_fragments_of_a_library(connect):
    ws = connect(WebsocketsSync, "/ws")
    ws.send(["a", "", "b\u00e9", "c"])
    assert ws.receive() == "ab\u00e9c"
    ws.send(iter([b"x" * 70_000, b"y"]))
    assert ws.receive() == b"x" * 70_000 + b"y"
    ws.close()


def test_nothing_is_negotiated_that_was_not_offered(client):
    # [6455-4.2.2-8] [6455-9-1]
    ws = client("/ws")
    assert ws.subprotocol is None
    # Some offer permessage-deflate; the testbed takes it with --deflate only (test_deflate.py).
    assert ws.fields.get("sec-websocket-extensions") is None
    ws.close()


# ---- the paths ----


def test_broadcast(connect):
    """One client of each library, and two more: all get what each sends, itself included."""
    clients = [connect(kind, "/broadcast") for kind in [*CLIENTS, WebsocketsSync, Aiohttp]]
    for n, sender in enumerate(clients):
        for message in (f"text of {n}", b"bytes of %d" % n, "", b""):
            sender.send(message)
            assert [client.receive() for client in clients] == [message] * len(clients)
    leaver = clients.pop(0)
    leaver.close()
    clients[0].send("after one left")
    assert [client.receive() for client in clients] == ["after one left"] * len(clients)


def test_broadcast_keeps_the_order_of_each_sender(connect):
    clients = [connect(WebsocketsSync, "/broadcast") for _ in range(4)]
    count = 200
    for n in range(count):
        for number, client in enumerate(clients):
            client.send(f"{number} {n}")
    for client in clients:
        seen = {str(number): 0 for number in range(len(clients))}
        for _ in range(count * len(clients)):
            number, n = client.receive().split()
            assert int(n) == seen[number]
            seen[number] += 1


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["chat.v1", "chat.v2"], "chat.v2"),
        (["chat.v2"], "chat.v2"),
        (["other", "chat.v1"], "chat.v1"),
        # websocket-client does not take a server that picks none of those it offered; that case
        # is below.
        ([], None),
    ],
)
def test_subprotocol(client, offered, chosen):
    ws = client("/subprotocol", subprotocols=offered)
    assert ws.subprotocol == chosen
    ws.send("hi")
    assert ws.receive() == "hi"
    ws.close()


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        # RFC 9110 §5.6.1.2: empty elements are ignored.
        (["Sec-WebSocket-Protocol: , ,chat.v1,,"], "chat.v1"),
        # RFC 6455 §11.3.4: it may appear several times.
        (["Sec-WebSocket-Protocol: chat.v1", "Sec-WebSocket-Protocol: x, chat.v2"], "chat.v2"),
        (["Sec-WebSocket-Protocol: CHAT.V2, chat.v3"], None),
    ],
)
def test_subprotocols_on_the_wire(wire, lines, chosen):
    # [6455-4.2.2-6]
    assert wire.open("/subprotocol", *lines).get("sec-websocket-protocol") == chosen
    wire.finish(1000)


def test_deny(testbed, client, tag):
    with pytest.raises(Refused) as caught:
        client(f"/deny?{tag}")
    assert caught.value.status == 403
    # A refusal is followed by a websocket.disconnect.
    told = testbed.disconnect(tag)
    assert (told["type"], told["code"], told["reason"]) == ("websocket.disconnect", 1006, "")


def test_deny_custom(testbed, client, tag):
    with pytest.raises(Refused) as caught:
        client(f"/deny-custom?{tag}")
    refused = caught.value
    assert refused.status == 401
    assert refused.fields.get("www-authenticate") == "Bearer"
    if refused.body is not None:  # aiohttp does not tell
        assert refused.body == b"log in first"
    assert testbed.disconnect(tag)["code"] == 1006


def test_deny_custom_on_the_wire(wire):
    response = wire.handshake("/deny-custom")
    assert response.status == 401
    assert response.body == b"log in first"
    assert response.get("sec-websocket-accept") is None


def test_headers(client):
    ws = client("/headers")
    assert ws.fields.get("x-accepted") == "yes"
    ws.close()


@pytest.mark.parametrize("path", ["/none", "/plaintext", "/ws/", "/"])
def test_unknown_path(client, path):
    with pytest.raises(Refused) as caught:
        client(path)
    assert caught.value.status == 404


def test_origin(testbed, client):
    # [6455-4.2.1-8] [6455-4.2.2-2] [6455-10.2-1] [6455-10.2-2]
    own = f"http://{HOST}:{testbed.port}"
    ws = client("/origin", origin=own)
    ws.close()
    for other in [None, "http://evil.example", own.replace("http", "https"), own + "0", "null"]:
        with pytest.raises(Refused) as caught:
            client("/origin", origin=other)
        assert caught.value.status == 403


def test_scope(testbed, wire):
    fields = ["Sec-WebSocket-Protocol: a, b,,", "X-One: 1", "Sec-WebSocket-Protocol: c", "X-One: 2"]
    wire.open("/%73cope?q=%20&r", *fields)
    fin, opcode, payload = wire.frame()
    assert (fin, opcode) == (True, TEXT)
    scope = json.loads(payload)
    # These and no others: there is no method.
    assert set(scope) == {
        "type", "asgi", "http_version", "scheme", "path", "raw_path", "query_string",
        "root_path", "headers", "client", "server", "state", "extensions", "subprotocols",
    }  # fmt: skip
    assert scope["type"] == "websocket"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["http_version"] == "1.1"
    assert scope["scheme"] == "ws"
    assert scope["path"] == "/scope"
    assert scope["raw_path"] == "/%73cope"
    assert scope["query_string"] == "q=%20&r"
    assert scope["root_path"] == ""
    assert scope["subprotocols"] == ["a", "b", "c"]
    # The order of all fields is kept, other than for http.
    assert scope["headers"] == [
        ["host", "test"],
        ["upgrade", "websocket"],
        ["connection", "Upgrade"],
        ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
        ["sec-websocket-version", "13"],
        ["sec-websocket-protocol", "a, b,,"],
        ["x-one", "1"],
        ["sec-websocket-protocol", "c"],
        ["x-one", "2"],
    ]
    assert scope["client"] == wire.name
    assert scope["server"] == [HOST, testbed.port]
    assert scope["state"] == {"started": True}
    assert scope["extensions"] == {"websocket.http.response": {}}
    wire.send(frame(TEXT, b"then echo"))
    assert wire.frame() == (True, TEXT, b"then echo")
    wire.finish(1000)


def test_scope_with_libraries(client):
    ws = client("/scope?q")
    scope = json.loads(ws.receive())
    assert (scope["type"], scope["query_string"], scope["subprotocols"]) == ("websocket", "q", [])
    ws.send(b"then echo")
    assert ws.receive() == b"then echo"
    ws.close()


@pytest.mark.parametrize("path", ["/error", "/panic"])
def test_failing_handler(testbed, client, tag, path):
    ws = client(f"{path}?{tag}")
    ws.send("go")
    assert ws.closed()[0] == 1011
    told = testbed.disconnect(tag)
    assert (told["path"], told["type"], told["code"]) == (path, "websocket.disconnect", 1011)


@pytest.mark.parametrize(("n", "size"), [(1000, 10_000), (300, 65_536), (2000, 0), (3, 5 * MIB)])
def test_flood(testbed, client, tag, n, size):
    query = f"n={n}&size={size}&{tag}"
    ws = client(f"/flood?{query}")
    for _ in range(n):
        message = ws.receive()
        assert len(message) == size
        assert not message.strip(b"\0")
    # Then it waits for the peer, who ends it.
    ws.close(3000)
    assert testbed.disconnect(query)["code"] == 3000


def test_flood_for_a_client_that_reads_late(testbed, tag):
    n, size = 5000, 10_000
    with Wire(testbed, receive_buffer=4096) as wire:
        wire.open(f"/flood?n={n}&size={size}&{tag}")
        assert wire.frame() == (True, BINARY_FRAME, bytes(size))
        # 50 MB are to come, and little of it waits in the server.
        assert testbed.stats()["bytes_held"] < MIB
        for _ in range(n - 1):
            assert wire.frame() == (True, BINARY_FRAME, bytes(size))
        wire.finish(1000)
    assert testbed.disconnect(f"n={n}&size={size}&{tag}")["code"] == 1000


def test_echo_holds_back_what_is_not_read(testbed, wire, tag):
    with Wire(testbed, receive_buffer=4096) as wire:
        wire.open(f"/ws?{tag}")
        wire.socket.settimeout(1)
        message, sent = frame(BINARY_FRAME, bytes(50_000)), 0
        with pytest.raises(TimeoutError):
            while sent < 100 * MIB:
                wire.send(message)
                sent += len(message)
        assert testbed.stats()["bytes_held"] < 2 * MIB
    assert testbed.disconnect(tag)["code"] == 1006


# ---- closing, and what handlers are told ----

SENDABLE = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
NOT_SENDABLE = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", SENDABLE)
def test_closed_by_the_app(testbed, wire, tag, code):
    query = f"code={code}&reason=good+by%C3%A9&{tag}"
    wire.open(f"/close?{query}")
    assert wire.close_frame() == (code, "good by\u00e9")
    wire.send(frame(CLOSE, code.to_bytes(2, "big")))
    # RFC 6455 §7.1.1: the server ends the TCP connection.
    assert wire.at_end()
    # The app's own code.
    told = testbed.disconnect(query)
    assert (told["type"], told["code"]) == ("websocket.disconnect", code)


@pytest.mark.parametrize("code", NOT_SENDABLE)
def test_code_that_may_not_be_sent(testbed, wire, tag, code):
    query = f"code={code}&{tag}"
    wire.open(f"/close?{query}")
    assert wire.close_frame()[0] == 1011
    wire.send(frame(CLOSE, b"\x03\xf3"))
    assert wire.at_end()
    assert testbed.disconnect(query)["code"] == 1011


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1008, "no"), (4321, "r\u00e9ason")])
def test_closed_by_the_app_with_libraries(client, code, reason):
    ws = client(f"/close?code={code}&reason={quote(reason)}")
    assert ws.closed() == (code, reason)


def test_close_defaults(wire):
    wire.open("/close")
    assert wire.close_frame() == (1000, "")


@pytest.mark.parametrize(
    ("reason", "cut"),
    [("x" * 123, "x" * 123), ("x" * 124, "x" * 123), ("\u00e9" * 100, "\u00e9" * 61),
     ("\U0001f40c" * 40, "\U0001f40c" * 30)],
)  # fmt: skip
def test_long_reason_is_cut_between_characters(wire, reason, cut):
    wire.open(f"/close?code=4000&reason={quote(reason)}")
    assert wire.close_frame() == (4000, cut)


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "tab closed"), (3001, "r\u00e9ason"), (4999, "x" * 123)]
)
def test_closed_by_the_peer(testbed, client, tag, code, reason):
    ws = client(f"/ws?{tag}")
    ws.close(code, reason)
    assert testbed.disconnect(tag) == {
        "path": "/ws",
        "query": tag,
        "type": "websocket.disconnect",
        "code": code,
        "reason": reason,
    }


def test_closed_by_the_peer_without_a_code(testbed, wire, tag):
    wire.open(f"/ws?{tag}")
    wire.send(frame(CLOSE))
    # RFC 6455 §7.4.1: 1005 is never on the wire.
    assert wire.close_frame() == (None, "")
    assert wire.at_end()
    told = testbed.disconnect(tag)
    assert (told["code"], told["reason"]) == (1005, "")


@pytest.mark.parametrize("way", ["close", "reset", "end"])
def test_lost_without_a_close(testbed, wire, tag, way):
    wire.open(f"/ws?{tag}")
    getattr(wire, way)()
    told = testbed.disconnect(tag)
    assert (told["code"], told["reason"]) == (1006, "")


def test_lost_in_the_middle_of_a_message(testbed, wire, tag):
    wire.open(f"/ws?{tag}")
    wire.send(frame(TEXT, b"x" * 1000)[:500])
    wire.close()
    assert testbed.disconnect(tag)["code"] == 1006


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"x", masked=False), 1002),
        (frame(3, b"x"), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CLOSE, b"x"), 1002),
        (frame(CLOSE, b"\x03\xed"), 1002),  # 1005
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xe2\x82"), 1007),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        # 65 MiB are announced: refused before they come.
        (b"\x82\xff\0\0\0\0\x04\x10\0\0" + bytes(4), 1009),
    ],
)
def test_broken_rules(testbed, wire, tag, sent, code):
    wire.open(f"/ws?{tag}")
    wire.send(sent)
    assert wire.close_frame()[0] == code
    wire.end()
    assert wire.at_end()
    # When we failed the connection: the code that we sent.
    assert testbed.disconnect(tag)["code"] == code


# ---- on the wire ----


def test_ping_between_fragments_is_answered_at_once(wire):
    wire.open("/ws")
    wire.send(frame(TEXT, b"one ", fin=False) + frame(PING, b"p" * 125))
    assert wire.frame() == (True, PONG, b"p" * 125)
    wire.send(frame(CONTINUATION, b"two"))
    assert wire.frame() == (True, TEXT, b"one two")
    wire.finish(1000)


def test_unsolicited_pong_is_ignored(wire):
    wire.open("/ws")
    wire.send(frame(PONG, b"nobody asked") + frame(TEXT, b"x"))
    assert wire.frame() == (True, TEXT, b"x")


def test_hasty_client(wire):
    """Frames behind the handshake are served after the 101."""
    wire.open("/ws", then=frame(TEXT, b"a") + frame(BINARY_FRAME, b"b") + frame(PING, b"c"))
    for expected in [(TEXT, b"a"), (BINARY_FRAME, b"b"), (PONG, b"c")]:
        assert wire.frame() == (True, *expected)


def test_byte_by_byte(wire):
    data = frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"\xac" + b"x" * 200)
    wire.open("/ws")
    for byte in data:
        wire.send(bytes([byte]))
    assert wire.frame() == (True, TEXT, b"\xe2\x82\xac" + b"x" * 200)


def test_close_with_messages_before_it(wire):
    wire.open("/ws")
    wire.send(frame(TEXT, b"last words") + frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"too late"))
    assert wire.frame() == (True, TEXT, b"last words")
    assert wire.close_frame() == (1000, "")
    wire.end()
    assert wire.at_end()


def test_upgrade_after_requests_on_one_connection(wire):
    wire.request("GET", "/plaintext")
    assert wire.response().status == 200
    wire.open("/ws", then=frame(TEXT, b"x"))
    assert wire.frame() == (True, TEXT, b"x")


@pytest.mark.parametrize(
    ("left_out", "instead", "status"),
    [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Version: 13", "X: y", 426),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X: y", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: short", 400),
    ],
)
def test_handshake_that_breaks_a_rule(wire, left_out, instead, status):
    # [6455-4.2.2-3] [6455-4.4-1] [9110-7.8-3] [9110-15.5.22-1]
    lines = [instead if line == left_out else line for line in HANDSHAKE]
    wire.request("GET", "/ws", *lines)
    response = wire.response()
    assert response.status == status
    if status == 426:
        # RFC 6455 §4.4.
        assert response.get("sec-websocket-version") == "13"
        # RFC 9110 §15.5.22 and §7.8: Upgrade, and Connection names it.
        assert response.get("upgrade") == "websocket"
        options = ",".join(response.all("connection")).lower()
        assert "upgrade" in [option.strip() for option in options.split(",")]


def test_200_websockets_at_the_same_time(testbed):
    wires = [Wire(testbed) for _ in range(200)]
    for wire in wires:
        wire.open("/ws")
    for n, wire in enumerate(wires):
        wire.send(frame(TEXT, b"%d" % n))
    for n, wire in enumerate(wires):
        assert wire.frame() == (True, TEXT, b"%d" % n)
    for wire in wires:
        wire.close()
    eventually(lambda: testbed.stats()["connections"]["now"] < 200)
