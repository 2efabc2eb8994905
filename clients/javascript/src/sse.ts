import type { WatchFrame } from "./types.js";

/** Makes frames of the text of Server-Sent Events. `cursor` is where to go on after a break. */
export class Frames {
  private kind = "";
  private data: string[] = [];
  private rest = "";

  constructor(public cursor: string | undefined) {}

  /** Takes a piece of text, and gives the frames that it ends. */
  *take(text: string): Generator<WatchFrame> {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      const frame = this.line(line.replace(/\r$/, ""));
      if (frame) yield frame;
    }
  }

  private line(line: string): WatchFrame | undefined {
    if (line === "") {
      const { kind, data } = this;
      this.kind = "";
      this.data = [];
      return data.length === 0
        ? undefined
        : { kind: kind || "message", cursor: this.cursor, data: JSON.parse(data.join("\n")) };
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "id") this.cursor = value;
    else if (name === "event") this.kind = value;
    else if (name === "data") this.data.push(value);
    return undefined;
  }
}
