// The contract in the types of JavaScript, as far as a before-append plugin needs it. The files in
// wit/ say more about each function.
//
// Where the contract says option, there is null; where it says result, there is a value, or an
// Error is thrown whose `payload` says why.

declare module "sessiond:plugin/types@0.1.0" {
  export interface SessionKey {
    app: string;
    user: string;
    session: string;
  }

  export interface TextPart {
    /** The number to pass to `setText`. */
    index: number;
    kind: "message" | "reasoning" | "tool-arguments" | "tool-result" | (string & {});
    text: string;
    callId: string | null;
    tool: string | null;
  }

  export interface StringPart {
    /** The number to pass to `setString`. */
    index: number;
    text: string;
  }

  export interface EditError {
    code: "read-only" | "invalid" | "too-large" | (string & {});
    message: string;
  }

  export class Event {
    private constructor();
    /** A new event, from JSON text. Put it in the returned list to have it stored. */
    static parse(body: string): Event;
    kind(): "event" | "state" | "summary";
    id(): string;
    /** None before the event is stored. */
    sequence(): number | null;
    dialect(): string;
    author(): string | null;
    role(): string;
    /** RFC 3339 in UTC. */
    time(): string;
    invocationId(): string | null;
    branch(): string | null;
    filterKey(): string | null;
    tag(): string | null;
    requestId(): string | null;
    isUserTurn(): boolean;
    toolCallIds(): string[];
    toolResultIds(): string[];
    /** The content: messages, reasoning, tool arguments and tool results. */
    texts(): TextPart[];
    setText(index: number, text: string): void;
    /** Every string of the body, wherever it stands. */
    strings(): StringPart[];
    /** The names of the members of every object. */
    names(): StringPart[];
    /** Every number, as the client wrote it. */
    numbers(): StringPart[];
    setString(index: number, text: string): void;
    /** The changes of state: key and JSON text. */
    state(): [string, string][];
    setState(key: string, value: string): void;
    removeState(key: string): void;
    /** The JSON text, with the edits made so far. */
    body(): string;
    setBody(body: string): void;
  }
}

declare module "sessiond:plugin/before-append@0.1.0" {
  import type { Event, SessionKey } from "sessiond:plugin/types@0.1.0";

  export interface BeforeAppend {
    beforeAppend(key: SessionKey, events: Event[]): Event[];
  }
}

declare module "sessiond:plugin/log@0.1.0" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error";

  export function log(level: Level, message: string): void;
}

declare module "sessiond:plugin/call@0.1.0" {
  /** Who asks, or null while the daemon has no tokens. */
  export function caller(): string | null;
  export function purpose(): string;
  export function requestId(): string;
  export function remainingMs(): number;
  export function attempt(): number;
}

/** Writes to the daemon's log. See sessiond.js. */
declare var console: Record<
  "trace" | "debug" | "log" | "info" | "warn" | "error",
  (...values: unknown[]) => void
>;
