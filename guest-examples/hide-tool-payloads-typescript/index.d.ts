// The part of the contract that this plugin uses, in types. The files in wit/ say more.

declare module "sessiond:plugin/types@0.1.0" {
  export interface SessionKey {
    app: string;
    user: string;
    session: string;
  }

  export interface TextPart {
    index: number;
    kind: "message" | "reasoning" | "tool-arguments" | "tool-result" | (string & {});
    text: string;
    callId: string | null;
    tool: string | null;
  }

  export interface StringPart {
    index: number;
    text: string;
  }

  export class Event {
    private constructor();
    dialect(): string;
    texts(): TextPart[];
    setText(index: number, text: string): void;
    strings(): StringPart[];
    setString(index: number, text: string): void;
    body(): string;
  }

  export class Session {
    private constructor();
    eventCount(): number;
    events(start: number, count: number): Event[];
  }
}

declare module "sessiond:plugin/after-get@0.1.0" {
  import type { Session, SessionKey } from "sessiond:plugin/types@0.1.0";

  export interface AfterGet {
    afterGet(key: SessionKey, session: Session): void;
  }
}

declare module "sessiond:plugin/log@0.1.0" {
  export function log(level: "trace" | "debug" | "info" | "warn" | "error", message: string): void;
}
