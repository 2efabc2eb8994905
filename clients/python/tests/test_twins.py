"""The blocking client is made of the asynchronous one, so that neither has what the other lacks.

``python tests/test_twins.py`` makes it anew.
"""

import re
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "sessiond"

# What is told otherwise, in this order.
CHANGES = [
    (r'^"""The asynchronous client\. Its twin is ``Client``', '"""The blocking client. Its twin is ``AsyncClient``'),
    (r"import asyncio\n", ""),
    (r"^(import \w+\n)(?=from typing import)", r"\1import time\n"),
    (r"asyncio\.sleep", "time.sleep"),
    (r"__aenter__", "__enter__"),
    (r"__aexit__", "__exit__"),
    (r"\.(aclose|aread|aiter_lines)\(", lambda match: f".{match[1][1:]}("),
    (r"\bAsync(Client|BaseTransport|Iterator)\b", r"\1"),
    (r"\b(async|await) ", ""),
]


def blocking(text: str) -> str:
    head, rest = text.split("\n", 1)
    head = re.sub(*CHANGES[0], head)
    for pattern, new in CHANGES[1:]:
        rest = re.sub(pattern, new, rest, flags=re.MULTILINE)
    return f"{head}\n{rest}"


def test_the_clients_are_twins() -> None:
    made = blocking((SOURCE / "_async.py").read_text())
    assert made == (SOURCE / "_sync.py").read_text()


if __name__ == "__main__":
    (SOURCE / "_sync.py").write_text(blocking((SOURCE / "_async.py").read_text()))
