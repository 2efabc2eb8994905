/** The daemon refused. Tell cases apart by `code`, which is stable. */
export class SessiondError extends Error {
  constructor(
    /** The HTTP status; 0 if there was no answer. */
    readonly status: number,
    /** The stable code, such as `session_not_found`. */
    readonly code: string,
    /** A sentence that says what to do. */
    readonly detail: string,
    /** All members of the answer, such as `plugin` and `rejection`. */
    readonly problem: Record<string, unknown> = {},
    options?: { cause?: unknown },
  ) {
    super(`${code}: ${detail}`, options);
    this.name = "SessiondError";
  }
}

/** There was no answer, after all retries. A write may or may not have been done. */
export class UnreachableError extends SessiondError {
  constructor(detail: string, cause?: unknown) {
    super(0, "unreachable", detail, {}, { cause });
    this.name = "UnreachableError";
  }
}

export function problemOf(status: number, body: string): SessiondError {
  try {
    const problem = JSON.parse(body);
    if (typeof problem.code === "string" && typeof problem.detail === "string") {
      return new SessiondError(status, problem.code, problem.detail, problem);
    }
  } catch {
    // Not the daemon's words.
  }
  return new SessiondError(status, `http_${status}`, body.slice(0, 200) || "an answer without a body");
}
