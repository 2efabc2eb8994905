// An agent of the OpenAI Agents SDK: run as `openai-agent.js DAEMON MODEL TEXT`.
import { Agent, OpenAIResponsesModel, run, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";

import { SessiondSession } from "sessiond/openai-agents";

const [url, model, text] = process.argv.slice(2);
setTracingDisabled(true);
const look = tool({
  name: "look",
  description: "Looks a word up.",
  parameters: z.object({ word: z.string() }),
  execute: async ({ word }) => `found ${word}`,
});
const client = new OpenAI({ baseURL: model, apiKey: "none" });
const agent = new Agent({ name: "bot", model: new OpenAIResponsesModel(client, "scripted"), tools: [look] });
const session = new SessiondSession({ sessionId: "s1", user: "ann", url });
console.log((await run(agent, text, { session })).finalOutput);
