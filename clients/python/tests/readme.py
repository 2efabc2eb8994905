"""The code blocks of the READMEs: what they tell a user to do, tests do word for word."""

from __future__ import annotations

import re
from pathlib import Path

CLIENTS = Path(__file__).resolve().parents[2]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)


def blocks(client: str, heading: str, language: str) -> list[str]:
    """The blocks of a language under a heading of a client's README; without a language, commands."""
    text = (CLIENTS / client / "README.md").read_text()
    (section,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if language:
        return [code for name, code in FENCED.findall(section) if name == language]
    return [re.sub("^    ", "", it, flags=re.MULTILINE) for it in INDENTED.findall(FENCED.sub("", section))]
