// Drives a gateway with Vercel's `ai`, over both of its OpenAI providers: vercel_ai.mjs CASE... (rules: openai_python.py).

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, jsonSchema, streamText, tool } from "ai";
import { API_KEY, ASKED_BEFORE, BASE_URL, CITY, MODEL, QUESTION, check, run, words } from "./cases.mjs";

const compatible = createOpenAICompatible({
  name: "lockgate",
  baseURL: BASE_URL,
  apiKey: API_KEY,
  includeUsage: true,
});
const openai = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
const short = (model) => ({ model, messages: QUESTION, maxOutputTokens: 12, temperature: 0, maxRetries: 0 });

async function answered(model) {
  const { text, usage, finishReason } = await generateText(short(model));
  check(words(text) > 3 && usage.inputTokens > 0 && usage.outputTokens > 0, [text, usage, finishReason]);
  return text;
}

async function streamed(model) {
  const failures = [];
  const result = streamText({ ...short(model), onError: ({ error }) => failures.push(error) });
  const parts = [];
  for await (const part of result.textStream) parts.push(part);
  check(failures.length === 0, failures.map(String));
  const usage = await result.usage;
  check(parts.length > 3 && words(parts.join("")) > 3 && usage.outputTokens > 0, [parts, usage]);
  return parts.join("");
}

const cases = {
  generate_chat: () => answered(compatible.chatModel(MODEL)),
  stream_chat: () => streamed(compatible.chatModel(MODEL)),
  generate_openai_chat: () => answered(openai.chat(MODEL)),
  stream_openai_chat: () => streamed(openai.chat(MODEL)),
  // Only whole: the streamed `response.created` of llama.cpp lacks fields that this SDK demands, and a relay adds none.
  generate_responses: () => answered(openai.responses(MODEL)),

  async tools() {
    const messages = ASKED_BEFORE.flatMap((city, number) => {
      const call = { toolCallId: `call_${number}`, toolName: "get_weather" };
      return [
        { role: "user", content: `What is the weather in ${city}?` },
        { role: "assistant", content: [{ type: "tool-call", ...call, input: { city } }] },
        { role: "tool", content: [{ type: "tool-result", ...call, output: { type: "text", value: "sunny" } }] },
        { role: "assistant", content: "It is sunny." },
      ];
    });
    const asked = { role: "user", content: "What is the weather in Paris?" };
    const { toolCalls } = await generateText({
      ...short(compatible.chatModel(MODEL)),
      maxOutputTokens: 60,
      messages: [...messages, asked],
      tools: { get_weather: tool({ description: "Weather of a city", inputSchema: jsonSchema(CITY) }) },
    });
    check(toolCalls.length === 1 && toolCalls[0].input.city === "Paris", toolCalls);
    return JSON.stringify(toolCalls[0].input);
  },

  async embed() {
    const model = compatible.embeddingModel(MODEL);
    const { embeddings } = await embedMany({ model, values: ["A cat sat.", "Rates rose."], maxRetries: 0 });
    check(embeddings.length === 2 && embeddings.every((row) => row.length === 576), embeddings.length);
    return embeddings[0].length;
  },

  async error_is_told() {
    try {
      await generateText(short(compatible.chatModel("no-such-model")));
    } catch (error) {
      check(error.statusCode === 404 && !error.isRetryable, `${error.name} ${error.statusCode}`);
      return error.name;
    }
    throw new Error("no error for a model that is not there");
  },

  async cut() {
    const failures = [];
    const result = streamText({
      ...short(compatible.chatModel(MODEL)),
      maxOutputTokens: 1500,
      onError: ({ error }) => failures.push(error),
    });
    let text = "";
    for await (const part of result.textStream) {
      // This SDK shows the head of an answer only at its end, so it cannot name the backend.
      if (!text) console.log(JSON.stringify({ streaming_from: "any" }));
      text += part;
    }
    check(text && failures.length > 0, `a cut answer ended as if it were whole: ${text}`);
    return String(failures[0]);
  },
};

await run(cases, ["cut"]);
