"""A server made from aiohttp, for our client: see ../test_client.py.

aiohttp_server.py OPTIONS
"""

import asyncio
import json
import sys

from aiohttp import WSMsgType, web

OPTIONS = json.loads(sys.argv[1])


def say(line):
    print(line, file=sys.stderr, flush=True)


async def serve(request):
    ws = web.WebSocketResponse(
        compress=OPTIONS["deflate"] is not None, protocols=["chat.v2"], max_msg_size=0,
        autoping=False,
    )  # fmt: skip
    await ws.prepare(request)
    match request.path:
        case "/close":
            await ws.close(code=4001, message=b"moved")
        case "/drop":
            request.transport.abort()
        case "/ping":
            await ws.ping(b"p" * 125)
    async for message in ws:
        match message.type:
            case WSMsgType.TEXT:
                await ws.send_str(message.data)
            case WSMsgType.BINARY:
                await ws.send_bytes(message.data)
            case WSMsgType.PING:
                await ws.pong(message.data)
            case WSMsgType.PONG if message.data == b"p" * 125:
                await ws.send_str("pong came")
    say(f"closed {ws.close_code}")
    return ws


async def refuse(_):
    raise web.HTTPForbidden(text="not you\n")


async def elsewhere(_):
    raise web.HTTPFound("/echo")


async def main():
    app = web.Application()
    app.router.add_get("/refuse", refuse)
    app.router.add_get("/elsewhere", elsewhere)
    app.router.add_get("/{name}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    say(f"listening on ws://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


asyncio.run(main())
