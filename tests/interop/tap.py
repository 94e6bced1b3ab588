"""A tap: stands between a client and a server, hands on every byte, and remembers it.

What libraries tell of their compression is one thing, what is on the wire another: here it is read
from the bytes of both directions.
"""

import re
import socket
import struct
import threading
import urllib.parse
from dataclasses import dataclass

from support import CLOSE, HOST, PATIENCE, eventually


@dataclass
class Frame:
    fin: bool
    compressed: bool  # RSV1 (RFC 7692 §6)
    opcode: int
    length: int  # of the payload on the wire


class Tap:
    """Listens on a free port; `ws_url` is the way to the server through it. One client at a time."""

    def __init__(self, ws_url):
        self.server = urllib.parse.urlsplit(ws_url)
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.ws_url = f"ws://{HOST}:{self.port}"
        self.sent, self.received = bytearray(), bytearray()  # by the client, the last connection's
        self.ended = 0  # directions of the last connection that have
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Wakes the thread that accepts.
        self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self.listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.sent, self.received = bytearray(), bytearray()
            self.ended = 0
            server = socket.create_connection((HOST, self.server.port))
            ways = [(client, server, "sent"), (server, client, "received")]
            pumps = [threading.Thread(target=self._pump, args=way, daemon=True) for way in ways]
            for pump in pumps:
                pump.start()
            for pump in pumps:
                pump.join()
            client.close()
            server.close()

    def _pump(self, source, sink, name):
        try:
            while data := source.recv(1 << 18):
                getattr(self, name).extend(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # The other side is gone: so must this one.
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.ended += 1

    # ---- what went over it ----

    def field(self, which, name):
        """The values of a field of the handshake's request ("sent") or response ("received")."""
        head = bytes(getattr(self, which)).partition(b"\r\n\r\n")[0].decode("latin-1")
        values = re.findall(rf"(?im)^{re.escape(name)}:[ \t]*(.*?)[ \t]*\r?$", head)
        return ", ".join(values) if values else None

    def extension(self, which):
        """What was said of permessage-deflate, the only extension: None, or its parameters."""
        return parameters(self.field(which, "Sec-WebSocket-Extensions"))

    def frames(self, which):
        """All frames of one direction, when the connection has ended."""
        eventually(lambda: self.ended == 2)
        data = getattr(self, which).partition(b"\r\n\r\n")[2]
        frames, at = [], 0
        while at < len(data):
            first, second = data[at : at + 2]
            length, at = second & 0x7F, at + 2
            if length == 126:
                (length,) = struct.unpack_from("!H", data, at)
                at += 2
            elif length == 127:
                (length,) = struct.unpack_from("!Q", data, at)
                at += 8
            at += 4 if second & 0x80 else 0
            assert first & 0x30 == 0, "RSV2 and RSV3 are reserved"
            frames.append(Frame(bool(first & 0x80), bool(first & 0x40), first & 0x0F, length))
            at += length
        assert at == len(data), "the last frame is not whole"
        return frames

    def messages(self, which):
        """Each message of one direction, as (compressed, bytes on the wire). Along the way RSV1
        is checked to be on first frames of messages only."""
        messages = []
        for frame in self.frames(which):
            if frame.opcode >= CLOSE:
                assert not frame.compressed, "RFC 7692 §6: a control frame is not compressed"
            elif frame.opcode:
                messages.append((frame.compressed, frame.length))
            else:
                assert not frame.compressed, "RFC 7692 §6: RSV1 is on the first frame alone"
                messages[-1] = (messages[-1][0], messages[-1][1] + frame.length)
        return messages


def parameters(value):
    """The parameters of permessage-deflate in a value of Sec-WebSocket-Extensions."""
    if value is None:
        return None
    name, *rest = [part.strip() for part in value.split(";")]
    assert name == "permessage-deflate", value
    found = {}
    for part in rest:
        key, _, number = part.partition("=")
        assert key not in found, value
        found[key] = int(number) if number else True
    return found
