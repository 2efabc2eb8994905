"""A stand-in for a model: speaks OpenAI's Responses and Chat Completions APIs, and follows a script.

On a user's turn it calls the tool `look`, if it may; on the tool's result it tells what it was shown.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


def responses(request: Json) -> Json:
    items = request["input"]
    if items[-1].get("type") == "function_call_output" or not request.get("tools"):
        calls = sum(it.get("type") == "function_call" for it in items)
        text = f"items: {len(items)}; calls: {calls}"
        output: Json = {
            "type": "message",
            "id": f"msg_{len(items)}",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
    else:
        output = {
            "type": "function_call",
            "id": f"fc_{len(items)}",
            "call_id": f"call_{len(items)}",
            "name": "look",
            "arguments": '{"word": "it"}',
            "status": "completed",
        }
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "total_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {
        "id": f"resp_{len(items)}",
        "object": "response",
        "created_at": 1,
        "model": "scripted",
        "status": "completed",
        "output": [output],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }


def completions(request: Json) -> Json:
    messages = request["messages"]
    message: Json
    if messages[-1]["role"] == "tool" or not request.get("tools"):
        calls = sum(bool(it.get("tool_calls")) for it in messages)
        message = {"role": "assistant", "content": f"items: {len(messages)}; calls: {calls}"}
    else:
        call = {
            "id": f"call_{len(messages)}",
            "type": "function",
            "function": {"name": "look", "arguments": '{"word": "it"}'},
        }
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": f"chat_{len(messages)}",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        speak = responses if self.path.endswith("/responses") else completions
        body = json.dumps(speak(request)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def start() -> ThreadingHTTPServer:
    """Serves on a free port, until it is shut down."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{serving.server_port}/v1", flush=True)
    serving.serve_forever()
