"""The usual way with asyncio and aiohttp: python3 aiohttp_download.py DIR LIST. Nothing is resumed or verified."""
import asyncio
import os
import sys

import aiohttp


async def fetch(session, turns, url, directory):
    async with turns, session.get(url) as answer:
        answer.raise_for_status()
        with open(os.path.join(directory, url.rsplit("/", 1)[-1]), "wb") as file:
            async for chunk in answer.content.iter_chunked(1 << 16):
                file.write(chunk)


async def main(directory, urls):
    turns = asyncio.Semaphore(32)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        await asyncio.gather(*(fetch(session, turns, url, directory) for url in urls))


asyncio.run(main(sys.argv[1], open(sys.argv[2]).read().split()))
