"""A TCP proxy on 127.0.0.1 that holds back each direction by some milliseconds, and counts HTTP requests.

    python slow_proxy.py LISTEN_PORT TARGET_PORT MILLISECONDS

Throughput is not limited: chunks wait side by side. Writes the number of requests so far to standard output
at SIGUSR1. Ends at SIGTERM.
"""

import asyncio
import signal
import sys
from contextlib import suppress

LISTEN, TARGET, DELAY = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) / 1000
requests = 0


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool) -> None:
    global requests
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1024)

    async def send() -> None:
        while True:
            due, data = await waiting.get()
            if (left := due - loop.time()) > 0:
                await asyncio.sleep(left)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    sending = asyncio.create_task(send())
    try:
        while data := await reader.read(1 << 18):
            requests += data.count(b" HTTP/1.1\r\n") if count else 0
            await waiting.put((loop.time() + DELAY, data))
    except ConnectionError:
        pass
    await waiting.put((loop.time() + DELAY, b""))
    with suppress(ConnectionError):
        await sending


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", TARGET, limit=1 << 18)
    await asyncio.gather(pump(reader, back, count=True), pump(there, writer, count=False))


async def main() -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: sys.stdout.write(f"{requests}\n") and sys.stdout.flush())
    server = await asyncio.start_server(accept, "127.0.0.1", LISTEN, limit=1 << 18, backlog=1024)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with server:
        await stop.wait()


asyncio.run(main())
