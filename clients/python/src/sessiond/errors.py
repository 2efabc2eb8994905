"""What is raised when the daemon says no, or says nothing."""

from __future__ import annotations

from typing import Any, Mapping


class SessiondError(Exception):
    """The daemon refused. Tell cases apart by ``code``, which is stable.

    Attributes:
        status: the HTTP status; 0 if there was no answer.
        code: the stable code, such as ``session_not_found``.
        detail: a sentence that says what to do.
        problem: all members of the answer, such as ``plugin`` and ``rejection``.
    """

    def __init__(self, status: int, code: str, detail: str, problem: Mapping[str, Any] | None = None):
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.problem: Mapping[str, Any] = problem or {}


class UnreachableError(SessiondError):
    """There was no answer, after all retries. A write may or may not have been done."""

    def __init__(self, detail: str):
        super().__init__(0, "unreachable", detail)
