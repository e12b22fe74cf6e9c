// Lets each Node client work with tools over several turns: agents.mjs CASE... (rules and environment: agents.py).

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { API_KEY, BASE_URL, CITY, check, run } from "./cases.mjs";

const MODELS = process.env.MODELS.split(",");
const QUESTION = "What is the weather?";
const TURNS_MAX = 6;
const getWeather = ({ city }) => `sunny in ${city}`;

function told(text) {
  const all = [0, 1, 2].every((number) => text.includes(`sunny in lockgate-${number}`));
  check(text.startsWith("The tools said:") && all, text);
  return text;
}

const openai = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY, maxRetries: 0 });
const chatTool = { type: "function", function: { name: "get_weather", description: "Weather", parameters: CITY } };

async function chatLoop(ask) {
  const messages = [{ role: "user", content: QUESTION }];
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    const message = await ask(messages);
    messages.push(message);
    if (!message.tool_calls?.length) return told(message.content);
    for (const call of message.tool_calls) {
      const content = getWeather(JSON.parse(call.function.arguments));
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
  throw new Error("the model never came to an end");
}

const anthropic = new Anthropic({ baseURL: BASE_URL, apiKey: API_KEY, maxRetries: 0 });
const messagesTool = { name: "get_weather", description: "Weather", input_schema: CITY };

async function messagesLoop(ask) {
  const messages = [{ role: "user", content: QUESTION }];
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    const answer = await ask({
      max_tokens: 4096,
      messages,
      tools: [messagesTool],
      thinking: { type: "enabled", budget_tokens: 1024 },
    });
    messages.push({ role: "assistant", content: answer.content });
    const calls = answer.content.filter((block) => block.type === "tool_use");
    if (!calls.length) return told(answer.content.find((block) => block.type === "text").text);
    const result = (call) => ({ type: "tool_result", tool_use_id: call.id, content: getWeather(call.input) });
    messages.push({ role: "user", content: calls.map(result) });
  }
  throw new Error("the model never came to an end");
}

const weather = tool({ description: "Weather", inputSchema: jsonSchema(CITY), execute: async (city) => getWeather(city) });
const vercelAsk = (model) => ({
  model,
  system: "Use the tool.",
  prompt: QUESTION,
  tools: { get_weather: weather },
  stopWhen: stepCountIs(TURNS_MAX),
  maxRetries: 0,
});

async function vercel(model) {
  const { text, steps, totalUsage } = await generateText(vercelAsk(model));
  check(steps.length === 3 && totalUsage.inputTokens === 60, [steps.length, totalUsage]);
  return told(text);
}

async function vercelStream(model) {
  const failures = [];
  const result = streamText({ ...vercelAsk(model), onError: ({ error }) => failures.push(error) });
  for await (const part of result.fullStream) if (part.type === "error") failures.push(part.error);
  check(failures.length === 0, failures.map(String));
  return told(await result.text);
}

const viaOpenai = createOpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY });
const viaCompatible = createOpenAICompatible({ name: "lockgate", baseURL: `${BASE_URL}/v1`, apiKey: API_KEY });
const viaAnthropic = createAnthropic({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY });
const viaGoogle = createGoogleGenerativeAI({ baseURL: `${BASE_URL}/v1beta`, apiKey: API_KEY });
const google = new GoogleGenAI({ apiKey: API_KEY, httpOptions: { baseUrl: BASE_URL } });

const clients = {
  openai_chat: (model) =>
    chatLoop(async (messages) => {
      const answer = await openai.chat.completions.create({ model, messages, tools: [chatTool] });
      return answer.choices[0].message;
    }),
  openai_chat_stream: (model) =>
    chatLoop(async (messages) => {
      const stream = openai.chat.completions.stream({ model, messages, tools: [chatTool] });
      return (await stream.finalChatCompletion()).choices[0].message;
    }),
  openai_responses_stream: async (model) => {
    const input = [{ role: "user", content: QUESTION }];
    const tools = [{ type: "function", name: "get_weather", parameters: CITY, strict: false }];
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      const stream = openai.responses.stream({
        model, input, tools, store: false, include: ["reasoning.encrypted_content"],
      });
      const answer = await stream.finalResponse();
      input.push(...answer.output);
      const calls = answer.output.filter((item) => item.type === "function_call");
      if (!calls.length) return told(answer.output_text);
      for (const call of calls) {
        const output = getWeather(JSON.parse(call.arguments));
        input.push({ type: "function_call_output", call_id: call.call_id, output });
      }
    }
    throw new Error("the model never came to an end");
  },
  anthropic_messages: (model) => messagesLoop((ask) => anthropic.messages.create({ model, ...ask })),
  anthropic_messages_stream: (model) =>
    messagesLoop((ask) => anthropic.messages.stream({ model, ...ask }).finalMessage()),
  google_genai_stream: async (model) => {
    const contents = [{ role: "user", parts: [{ text: QUESTION }] }];
    const declarations = [{ name: "get_weather", description: "Weather", parametersJsonSchema: CITY }];
    const config = { tools: [{ functionDeclarations: declarations }] };
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      const parts = [];
      for await (const chunk of await google.models.generateContentStream({ model, contents, config })) {
        parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []).filter((part) => part.text !== ""));
      }
      contents.push({ role: "model", parts });
      const calls = parts.filter((part) => part.functionCall);
      if (!calls.length) return told(parts.map((part) => part.text ?? "").join(""));
      const result = ({ functionCall: { id, name, args } }) => ({
        functionResponse: { ...(id && { id }), name, response: { output: getWeather(args) } },
      });
      contents.push({ role: "user", parts: calls.map(result) });
    }
    throw new Error("the model never came to an end");
  },
  vercel_chat: (model) => vercel(viaOpenai.chat(model)),
  vercel_chat_stream: (model) => vercelStream(viaOpenai.chat(model)),
  vercel_compatible_stream: (model) => vercelStream(viaCompatible.chatModel(model)),
  vercel_responses: (model) => vercel(viaOpenai.responses(model)),
  vercel_responses_stream: (model) => vercelStream(viaOpenai.responses(model)),
  vercel_anthropic: (model) => vercel(viaAnthropic(model)),
  vercel_anthropic_stream: (model) => vercelStream(viaAnthropic(model)),
  vercel_google: (model) => vercel(viaGoogle(model)),
  vercel_google_stream: (model) => vercelStream(viaGoogle(model)),
};

const cases = Object.entries(clients).flatMap(([name, client]) =>
  MODELS.map((model) => [`${name} ${model}`, () => client(model)]),
);
await run(Object.fromEntries(cases));
