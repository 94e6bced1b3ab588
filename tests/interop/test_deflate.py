"""permessage-deflate (RFC 7692), with the libraries of others and with a client that speaks bytes.

What was compressed is read from the wire (tap.py), not from what an end tells.
"""

import contextlib
import itertools
import random
import zlib

import pytest

from clients import (
    CLIENTS, Aiohttp, GoGorilla, NodeWs, Oneport, WebsocketsAsyncio, WebsocketsSync,
)  # fmt: skip
from payloads import FAR, NOISE, SMALL, THRESHOLD
from support import (
    BINARY_FRAME, CONTINUATION, PING, PONG, RSV1, RSV2, RSV3, TEXT, Testbed, Wire, eventually,
    frame, pattern,
)  # fmt: skip
from tap import Tap, parameters

MIB = 1024 * 1024


class Server(Testbed):
    """A testbed and the tap before it."""

    def __init__(self, mode):
        self.mode = mode
        super().__init__("--workers", "2", *MODES[mode])
        self.tap = Tap(self.ws_url)


MODES = {"plain": [], "deflate": ["--deflate"], "takeover": ["--deflate=takeover"]}


@pytest.fixture(scope="module")
def servers():
    """One for each mode, when first asked for. After all tests nothing is left in them."""
    started = {}
    with contextlib.ExitStack() as stack:

        def server(mode):
            if mode not in started:
                started[mode] = stack.enter_context(Server(mode))
                stack.enter_context(started[mode].tap)
            return started[mode]

        yield server
        for testbed in started.values():
            eventually(lambda testbed=testbed: testbed.stats()["connections"]["now"] == 1)
            assert testbed.stats()["bytes_held"] == 0


@pytest.fixture(params=["deflate", "takeover"])
def server(request, servers):
    return servers(request.param)


@pytest.fixture
def deflating(servers):
    return servers("deflate")


@pytest.fixture
def wire(server):
    with Wire(server) as wire:
        yield wire


@contextlib.contextmanager
def client_of(server, kind, deflate, path="/ws"):
    """A client through the tap."""
    client = kind(server.tap.ws_url + path, deflate=deflate)
    try:
        yield client
    finally:
        client.end()


# ---- what is agreed ----


def expected_answer(mode, offer):
    """RFC 7692 §7.1, and what our server wants: nothing kept unless it is told to."""
    if mode == "plain" or offer.get("server_max_window_bits") == 8:
        return None
    answer = {}
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        if mode == "deflate" or offer.get(name):
            answer[name] = True
    # §7.1.2.1: who asks for it is answered, even if it asks for the largest.
    if "server_max_window_bits" in offer:
        answer["server_max_window_bits"] = offer["server_max_window_bits"]
    # §7.1.2.2: True says only that the server may ask.
    if offer.get("client_max_window_bits", True) is not True and offer["client_max_window_bits"] < 15:
        answer["client_max_window_bits"] = offer["client_max_window_bits"]
    return answer


def keeps(answer, name):
    return answer is not None and name not in answer


@pytest.mark.parametrize("client_forgets", [False, True])
@pytest.mark.parametrize("server_forgets", [False, True])
def test_every_combination_of_websockets(server, server_forgets, client_forgets):
    noise = NOISE[:300]
    sent = [SMALL, SMALL, FAR, noise, SMALL]
    for server_bits in [None, *range(8, 16)]:
        # 8 is not in it: zlib cannot compress with it. Node does, below.
        for client_bits in [None, True, *range(9, 16)]:
            offer = {
                "server_no_context_takeover": server_forgets,
                "client_no_context_takeover": client_forgets,
                "server_max_window_bits": server_bits,
                "client_max_window_bits": client_bits,
            }
            with client_of(server, WebsocketsSync, offer) as client:
                for message in sent:
                    client.send(message)
                # One that goes too far back fails: its windows are as large as agreed.
                assert [client.receive() for _ in sent] == sent, offer
                client.close()
            offered = server.tap.extension("sent")
            assert offered == {name: value for name, value in offer.items() if value}
            answer = server.tap.extension("received")
            assert answer == expected_answer(server.mode, offered), offer

            for direction, by in (("sent", "client"), ("received", "server")):
                messages = server.tap.messages(direction)
                assert len(messages) == len(sent)
                if answer is None:
                    assert not any(compressed for compressed, _ in messages)
                    continue
                first, again = messages[0], messages[1]
                assert first[0] and again[0] and messages[2][0], (offer, direction)
                assert first[1] < len(SMALL)
                if keeps(answer, f"{by}_no_context_takeover"):
                    assert again[1] < first[1] / 2, "it refers to the message before"
                else:
                    assert again == first
            if answer is not None:
                # Noise does not shrink: ours goes as it is.
                assert messages[3] == (False, len(noise))


#: Each library with what it can ask for.
VARIANTS = [
    (WebsocketsSync, {}),
    (WebsocketsSync, {"client_max_window_bits": True}),
    (WebsocketsSync, {"server_no_context_takeover": True, "client_max_window_bits": 12}),
    (WebsocketsAsyncio, {"server_max_window_bits": 9, "client_max_window_bits": 9}),
    (WebsocketsAsyncio, {"client_no_context_takeover": True, "server_max_window_bits": 8}),
    (Aiohttp, {}),
    (Aiohttp, {"server_max_window_bits": 9}),
    (Aiohttp, {"server_max_window_bits": 12}),
    (NodeWs, {}),
    (NodeWs, {"client_max_window_bits": True}),
    (NodeWs, {"client_max_window_bits": 8}),
    (NodeWs, {"client_max_window_bits": 8, "client_no_context_takeover": True}),
    (NodeWs, {"client_max_window_bits": 11, "server_max_window_bits": 10}),
    (NodeWs, {"server_no_context_takeover": True, "client_no_context_takeover": True}),
    (NodeWs, {"server_max_window_bits": 8}),
    (GoGorilla, {}),
]
variants = pytest.mark.parametrize(
    ("kind", "offer"),
    VARIANTS,
    ids=[
        "-".join([kind.__name__, *(f"{name}={value}" for name, value in offer.items())])
        for kind, offer in VARIANTS
    ],
)

SIZES = [0, 1, THRESHOLD - 1, THRESHOLD, THRESHOLD + 1, 1000, 65535, 65536, 65537, MIB]


@variants
def test_echo(server, kind, offer):
    """Texts, bytes, and what does not shrink, around every size that means something."""
    sent = []
    for size in SIZES:
        unit = "a\u00e9\u20ac\U0001f40c"
        sent.append(unit * (size // 10) + "z" * (size % 10))
        sent.append(pattern(size))
        sent.append(NOISE[:size])
    with client_of(server, kind, offer) as client:
        for message in sent:
            client.send(message)
            assert client.receive() == message
        client.close()
    offered = server.tap.extension("sent")
    answer = server.tap.extension("received")
    assert answer == expected_answer(server.mode, offered)

    received = server.tap.messages("received")
    assert len(received) == len(sent)
    for message, (compressed, length) in zip(sent, received):
        size = len(message.encode() if isinstance(message, str) else message)
        # Nothing short, nothing that does not shrink; and with a small window what counts from 0
        # to 250 does not.
        if answer is None or size < THRESHOLD or message == NOISE[:size]:
            assert (compressed, length) == (False, size)
        elif isinstance(message, str):
            assert compressed and length < size
        else:
            assert length < size if compressed else length == size
        if answer is not None and size > 1000 and answer.get("server_max_window_bits", 15) > 9:
            assert compressed == (message != NOISE[:size])
    # Theirs were compressed as well.
    by_them = any(compressed for compressed, _ in server.tap.messages("sent"))
    assert by_them == (answer is not None)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_compressed_that_was_not_agreed_to(servers, mode, kind):
    server = servers(mode)
    offers = [False] if mode != "plain" else [None, False]
    for offer in offers:
        with client_of(server, kind, offer) as client:
            for message in ("x" * 1000, bytes(70_000)):
                client.send(message)
                assert client.receive() == message
            client.close()
        assert server.tap.extension("received") is None
        both = server.tap.messages("sent") + server.tap.messages("received")
        assert len(both) == 4
        assert not any(compressed for compressed, _ in both)


MANY = [
    (WebsocketsSync, {"client_max_window_bits": True}),
    (WebsocketsAsyncio, {"server_max_window_bits": 10, "client_max_window_bits": 9}),
    (Aiohttp, {}),
    (NodeWs, {"client_max_window_bits": 8}),
    (NodeWs, {}),
    (GoGorilla, {}),
]


@pytest.mark.parametrize(("kind", "offer"), MANY)
def test_many_in_a_row(server, kind, offer):
    """Each refers to what came before, among them some that are not compressed."""
    chance = random.Random(1)
    with client_of(server, kind, offer) as client:
        for n in range(400):
            size = chance.choice([10, 100, 127, 128, 200, 1000, 5000, 40_000])
            at = chance.randrange(len(FAR) - size)
            message = NOISE[n * 300 :][:size] if n % 5 == 0 else FAR[at : at + size]
            client.send(message)
            assert client.receive() == message, n
        client.close()
    assert len(server.tap.messages("received")) == 400


@pytest.mark.parametrize("takeover", [False, True])
def test_every_window_of_our_own_client(server, takeover):
    for bits in range(9, 16):
        with client_of(server, Oneport, {"takeover": takeover, "window_bits": bits}) as client:
            for message in (SMALL, SMALL, FAR, NOISE[:300], SMALL):
                client.send(message)
                assert client.receive() == message
            client.close()
        answer = server.tap.extension("received")
        assert answer.get("server_max_window_bits", 15) == bits
        kept = takeover and server.mode == "takeover"
        assert kept == ("server_no_context_takeover" not in answer)
        assert kept == ("client_no_context_takeover" not in answer)
        for direction in ("sent", "received"):
            first, again, large, noise, _ = server.tap.messages(direction)
            assert first[0] and again[0] and large[0] and noise == (False, 300)
            assert again[1] < first[1] / 2 if kept else again == first


def test_what_does_not_shrink_again_and_again(deflating):
    """It leaves nothing behind in the compressor that all of a worker share."""
    offer = {"client_max_window_bits": True}
    with client_of(deflating, WebsocketsSync, offer) as client:
        for n in range(4000):
            noise = NOISE[n * 256 : (n + 1) * 256]
            client.send(noise)
            assert client.receive() == noise, n
        client.send(SMALL)
        assert client.receive() == SMALL
        client.close()
    *noisy, small = deflating.tap.messages("received")
    assert noisy == [(False, 256)] * 4000
    assert small[0] and small[1] < len(SMALL)


def test_fragments_of_a_library(server):
    with client_of(server, WebsocketsSync, {"client_max_window_bits": True}) as client:
        pieces = [FAR[at : at + 1000].hex() for at in range(0, 20_000, 1000)]
        client.send(pieces)
        assert client.receive() == "".join(pieces)
        client.send(iter([b"x" * 70_000, b"", b"y", NOISE]))
        assert client.receive() == b"x" * 70_000 + b"y" + NOISE
        client.close()
    fragments = server.tap.frames("sent")
    assert fragments[0].compressed and not fragments[0].fin
    assert len(fragments) > 20


# ---- on the wire ----

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


def packed(message, bits=15, level=6):
    """A message as it goes over the wire (RFC 7692 §7.2.1)."""
    engine = zlib.compressobj(level, wbits=-bits)
    data = engine.compress(message) + engine.flush(zlib.Z_SYNC_FLUSH)
    assert data.endswith(b"\0\0\xff\xff")
    return data[:-4]


def unpacked(data):
    return zlib.decompressobj(wbits=-15).decompress(data + b"\0\0\xff\xff")


@pytest.mark.parametrize(
    ("offers", "taken"),
    [
        (["permessage-deflate"], {}),
        (["PERMESSAGE-DEFLATE"], {}),
        (["permessage-deflate; server_max_window_bits=15"], {"server_max_window_bits": 15}),
        (["permessage-deflate; client_max_window_bits=15"], {}),
        (["permessage-deflate; server_max_window_bits=8"], None),
        (["permessage-deflate; server_max_window_bits=16"], None),
        (["permessage-deflate; server_max_window_bits=010"], None),
        (["permessage-deflate; server_max_window_bits"], None),
        (["permessage-deflate; client_max_window_bits=7"], None),
        (["permessage-deflate; server_no_context_takeover=1"], None),
        (["permessage-deflate; client_no_context_takeover; client_no_context_takeover"], None),
        (["permessage-deflate; level=9"], None),
        (["permessage-bzip2"], None),
        (["permessage-deflate; level=9, permessage-deflate"], {}),
        (
            ["x; y=1", 'permessage-deflate; level="9"', "permessage-deflate;server_max_window_bits=9"],
            {"server_max_window_bits": 9},
        ),
        (
            ['permessage-deflate; server_max_window_bits="1\\1"; client_max_window_bits=8'],
            {"server_max_window_bits": 11, "client_max_window_bits": 8},
        ),
    ],
)
def test_offers(server, wire, offers, taken):
    response = wire.open("/ws", *(f"Sec-WebSocket-Extensions: {offer}" for offer in offers))
    answer = parameters(response.get("sec-websocket-extensions"))
    if taken is not None and server.mode == "deflate":
        taken = {**taken, "server_no_context_takeover": True, "client_no_context_takeover": True}
    assert answer == taken
    # Declined or not, messages go.
    wire.send(frame(TEXT, b"plain"))
    assert wire.frame() == (True, TEXT, b"plain")
    if taken is not None:
        wire.send(frame(BINARY_FRAME, packed(SMALL), reserved=RSV1))
        fin, reserved, opcode, payload = wire.any_frame()
        assert (fin, reserved, opcode, unpacked(payload)) == (True, RSV1, BINARY_FRAME, SMALL)
    wire.finish(1000)


@pytest.mark.parametrize("offer", ["permessage-deflate;", "permessage-deflate; a=", "a b", "; x"])
def test_an_offer_outside_the_grammar(wire, offer):
    # RFC 6455 §9.1: "the recipient of such malformed data MUST immediately fail the connection".
    assert wire.handshake("/ws", f"Sec-WebSocket-Extensions: {offer}").status == 400


def test_fragments_with_a_ping_between(wire):
    wire.open("/ws", OFFER)
    data = packed(FAR)
    half = len(data) // 2
    wire.send(frame(BINARY_FRAME, data[:half], fin=False, reserved=RSV1) + frame(PING, b"p" * 125))
    # A control frame is never compressed, however long.
    assert wire.frame() == (True, PONG, b"p" * 125)
    wire.send(frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, data[half:]))
    message, last = b"", False
    while not last:
        last, reserved, opcode, payload = wire.any_frame()
        assert (reserved, opcode) == ((0, CONTINUATION) if message else (RSV1, BINARY_FRAME))
        message += payload
    assert unpacked(message) == FAR
    # RFC 7692 §6: it is chosen message by message.
    wire.send(frame(TEXT, b"x" * 500, fin=False) + frame(CONTINUATION, b"y"))
    fin, reserved, opcode, payload = wire.any_frame()
    assert (fin, reserved, opcode, unpacked(payload)) == (True, RSV1, TEXT, b"x" * 500 + b"y")
    wire.finish(1000)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        # RFC 7692 §7.2.3: the examples.
        (b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"Hello"),
        (b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", b"Hello"),
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", b"Hello"),
        (b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", b"Hello"),
        (b"\x00", b""),
        (b"", b""),
    ],
)
def test_what_a_compressed_message_may_be(wire, data, message):
    wire.open("/ws", OFFER)
    for _ in range(3):
        wire.send(frame(TEXT, data, reserved=RSV1))
        assert wire.frame() == (True, TEXT, message)
    wire.finish(1000)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"x", reserved=RSV2), 1002),
        (frame(TEXT, b"x", reserved=RSV3), 1002),
        (frame(TEXT, packed(b"x"), reserved=RSV1 | RSV2), 1002),
        (frame(PING, b"x", reserved=RSV1), 1002),
        (frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"x", reserved=RSV1), 1002),
        (
            frame(TEXT, packed(b"x"), fin=False, reserved=RSV1)
            + frame(CONTINUATION, b"x", reserved=RSV1),
            1002,
        ),
        (frame(BINARY_FRAME, b"\xff\xff\xff", reserved=RSV1), 1007),
        # It refers to what was never sent.
        (frame(BINARY_FRAME, b"\xf2\x00\x11\x00\x00", reserved=RSV1), 1007),
        (frame(TEXT, packed(b"\xff"), reserved=RSV1), 1007),
        (frame(TEXT, packed(b"\xe2\x82"), reserved=RSV1), 1007),
    ],
)
def test_broken_rules(server, wire, tag, sent, code):
    wire.open(f"/ws?{tag}", OFFER)
    wire.send(sent)
    assert wire.close_frame()[0] == code
    wire.end()
    assert wire.at_end()
    assert server.disconnect(tag)["code"] == code


def test_rsv1_without_an_agreement(testbed):
    with Wire(testbed) as wire:
        wire.open("/ws", OFFER)
        wire.send(frame(TEXT, packed(b"x"), reserved=RSV1))
        assert wire.close_frame()[0] == 1002


def test_a_client_that_was_told_to_forget_may_not_refer_back(deflating):
    with Wire(deflating) as wire:
        wire.open("/ws", OFFER)
        engine = zlib.compressobj(wbits=-15)
        for n in range(2):
            data = engine.compress(SMALL) + engine.flush(zlib.Z_SYNC_FLUSH)
            wire.send(frame(TEXT, data[:-4], reserved=RSV1))
            if n == 0:
                assert unpacked(wire.any_frame()[3]) == SMALL
        assert wire.close_frame()[0] == 1007


# ---- groups ----


def test_broadcast(server):
    """Members with other parameters, and without any, all get what each sends."""
    offers = [
        (WebsocketsSync, False),
        (WebsocketsSync, {"client_max_window_bits": True}),
        (WebsocketsSync, {"server_max_window_bits": 9}),
        (WebsocketsSync, {"server_max_window_bits": 9, "server_no_context_takeover": True}),
        (WebsocketsAsyncio, {"server_max_window_bits": 12, "client_no_context_takeover": True}),
        (Aiohttp, {}),
        (Aiohttp, {"server_max_window_bits": 10}),
        (NodeWs, {"client_max_window_bits": 8}),
        (NodeWs, False),
        (GoGorilla, {}),
    ]
    with contextlib.ExitStack() as stack:
        taps = [stack.enter_context(Tap(server.ws_url)) for _ in offers]
        clients = [
            kind(tap.ws_url + "/broadcast", deflate=offer)
            for tap, (kind, offer) in zip(taps, offers)
        ]
        sent = [SMALL, "short", FAR, NOISE[:70_000], SMALL.decode() * 30, SMALL, b""]
        try:
            for sender, message in itertools.product(clients, sent):
                sender.send(message)
                for client in clients:
                    assert client.receive() == message
            for client in clients:
                client.close()
        finally:
            for client in clients:
                client.end()
        for tap, (_, offer) in zip(taps, offers):
            got = tap.messages("received")
            assert len(got) == len(sent) * len(clients)
            for message, (compressed, length) in zip(itertools.cycle(sent), got):
                shrinks = len(message) >= THRESHOLD and message != NOISE[:70_000]
                if offer is False or not shrinks:
                    assert (compressed, length) == (False, len(message))
                else:
                    assert compressed and length < len(message)


# ---- bombs ----


def bomb(size, end=b""):
    """So many zeros, a multiple of a MiB, a thousandth of that on the wire: one block after the
    other, each of which refers to nothing before it."""
    engine = zlib.compressobj(9, wbits=-15)
    block = engine.compress(bytes(MIB)) + engine.flush(zlib.Z_FULL_FLUSH)
    return block * (size // MIB) + packed(end)


def test_bomb():
    """1 GiB of zeros in a MiB: refused with 1009 after at most the limit for messages, by a server
    whose memory tells that it never had more, and which serves on."""
    limit = 64 * MIB  # the default
    data = bomb(1024 * MIB)
    assert len(data) < 2 * MIB
    with Server("deflate") as server, server.tap:
        # What it holds when it has had large messages of the usual kind.
        with client_of(server, WebsocketsSync, {"client_max_window_bits": True}) as client:
            client.send(NOISE)
            assert client.receive() == NOISE
        before = server.memory("VmHWM")
        for n in range(8):
            with Wire(server) as wire:
                wire.open("/ws", OFFER)
                if n % 2:
                    pieces = [data[at : at + 10_000] for at in range(0, len(data), 10_000)]
                    wire.send(frame(BINARY_FRAME, pieces[0], fin=False, reserved=RSV1))
                    for piece in pieces[1:-1]:
                        wire.send(frame(CONTINUATION, piece, fin=False))
                    wire.send(frame(CONTINUATION, pieces[-1]))
                else:
                    wire.send(frame(BINARY_FRAME, data, reserved=RSV1))
                assert wire.close_frame() == (1009, "message too big")
                wire.end()
                assert wire.at_end()
            if n == 0:
                first = server.memory("VmHWM")
        print(f"VmHWM {before >> 10} KiB, {first >> 10} KiB, {server.memory('VmHWM') >> 10} KiB")
        # The message up to its limit, and what came over the wire.
        assert first - before < limit + 8 * MIB
        # Seven more cost nothing more, whatever worker they meet.
        assert server.memory("VmHWM") - first < 8 * MIB
        # And it is given back.
        eventually(lambda: server.memory("VmRSS") - before < 8 * MIB)
        with client_of(server, WebsocketsSync, {"client_max_window_bits": True}) as client:
            client.send(SMALL)
            assert client.receive() == SMALL


def test_a_message_as_large_as_the_limit(deflating):
    with Wire(deflating) as wire:
        wire.open("/ws", OFFER)
        wire.send(frame(BINARY_FRAME, bomb(64 * MIB), reserved=RSV1))
        fin, reserved, opcode, payload = wire.any_frame()
        assert (fin, reserved, opcode) == (True, RSV1, BINARY_FRAME)
        assert len(unpacked(payload)) == 64 * MIB
        wire.send(frame(BINARY_FRAME, bomb(64 * MIB, b"x"), reserved=RSV1))
        assert wire.close_frame()[0] == 1009
