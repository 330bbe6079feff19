"""Python's websockets as a server: every message is sent back.

websocket.py ADDRESS PORT
"""

import asyncio
import sys

from websockets.asyncio.server import serve


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def main():
    async with serve(echo, sys.argv[1], int(sys.argv[2]), max_size=16 << 20):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
