"""The webhook of `webhook.py` in the framework that most webhooks in Python are written in.

Prints the port that it listens on. It goes when its standard input ends.
"""

import os
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI, Request
from webhook import redact

app = FastAPI()


@app.post("/")
async def hook(request: Request) -> object:
    return redact(await request.json())


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=end_with_input, daemon=True).start()
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


main()
