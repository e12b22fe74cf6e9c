// Drives a gateway with OpenAI's own Node SDK: openai_node.mjs CASE... (see openai_python.py for the rules).

import OpenAI from "openai";
import { API_KEY, ASKED_BEFORE, BASE_URL, CITY, MODEL, QUESTION, check, run, words } from "./cases.mjs";

const client = (changes = {}) =>
  new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY, maxRetries: 0, timeout: 60_000, ...changes });
const SHORT = { model: MODEL, messages: QUESTION, max_tokens: 12, temperature: 0 };
const RESPONSE = { model: MODEL, input: "Name three colours.", max_output_tokens: 12, temperature: 0 };
const TALK = {
  model: MODEL,
  temperature: 0,
  max_tokens: 60,
  tools: [{ type: "function", function: { name: "get_weather", description: "Weather of a city", parameters: CITY } }],
  messages: [
    ...ASKED_BEFORE.flatMap((city, number) => [
      { role: "user", content: `What is the weather in ${city}?` },
      {
        role: "assistant",
        content: "",
        tool_calls: [
          {
            id: `call_${number}`,
            type: "function",
            function: { name: "get_weather", arguments: JSON.stringify({ city }) },
          },
        ],
      },
      { role: "tool", tool_call_id: `call_${number}`, content: "sunny" },
      { role: "assistant", content: "It is sunny." },
    ]),
    { role: "user", content: "What is the weather in Paris?" },
  ],
};

function checkUsage(usage, mostOutput) {
  check(usage && usage.prompt_tokens > 0 && usage.completion_tokens > 0 && usage.completion_tokens <= mostOutput, usage);
  check(usage.total_tokens === usage.prompt_tokens + usage.completion_tokens, usage);
}

async function all(stream) {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
}

async function raises(kind, code, ask) {
  try {
    await ask();
  } catch (error) {
    check(error instanceof kind && error.code === code, `${error.constructor.name} ${error.code}: ${error.message}`);
    check(error.requestID, "an error without an id");
    return `${kind.name} ${error.code}`;
  }
  throw new Error(`no ${kind.name}`);
}

const cases = {
  async models() {
    const listed = (await all(client().models.list())).map((model) => model.id);
    check(listed.includes(MODEL), listed);
    check((await client().models.retrieve(MODEL)).id === MODEL, "retrieve");
    return listed.length;
  },

  async chat() {
    const { data: answer, request_id } = await client().chat.completions.create(SHORT).withResponse();
    check(answer.model === MODEL && answer.choices[0].finish_reason === "length", answer);
    check(words(answer.choices[0].message.content) > 3 && request_id?.startsWith("req-"), [answer, request_id]);
    checkUsage(answer.usage, 12);
    return answer.choices[0].message.content;
  },

  async chat_stream() {
    const chunks = await all(client().chat.completions.create({ ...SHORT, stream: true }));
    check(chunks.every((chunk) => !chunk.usage && chunk.choices.length === 1), "usage that nobody asked for");
    const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
    check(words(text) > 3 && chunks.length > 8 && chunks.at(-1).choices[0].finish_reason === "length", chunks);
    return text;
  },

  async chat_stream_usage() {
    const ask = { ...SHORT, stream: true, stream_options: { include_usage: true } };
    const chunks = await all(client().chat.completions.create(ask));
    check(chunks.at(-1).choices.length === 0, chunks.at(-1));
    checkUsage(chunks.at(-1).usage, 12);
    return chunks.at(-1).usage.total_tokens;
  },

  async tools() {
    const { choices } = await client().chat.completions.create(TALK);
    const call = choices[0].message.tool_calls?.[0];
    check(choices[0].finish_reason === "tool_calls" && JSON.parse(call.function.arguments).city === "Paris", choices);
    return call.function.arguments;
  },

  async tools_stream() {
    const runner = client().chat.completions.stream(TALK);
    const call = (await runner.finalChatCompletion()).choices[0].message.tool_calls?.[0];
    check(call?.function.name === "get_weather" && JSON.parse(call.function.arguments).city === "Paris", call);
    return call.function.arguments;
  },

  async embeddings() {
    const answer = await client().embeddings.create({ model: MODEL, input: ["A cat sat.", "Rates rose."] });
    const [cat, rates] = answer.data.map((row) => row.embedding);
    check(cat.length === 576 && rates.length === 576 && cat[0] !== rates[0] && answer.usage.prompt_tokens > 4, answer.usage);
    return answer.usage.prompt_tokens;
  },

  async responses() {
    const answer = await client().responses.create(RESPONSE);
    check(answer.status === "completed" && words(answer.output_text) > 3, answer);
    check(answer.usage.output_tokens > 0 && answer.usage.output_tokens <= 12, answer.usage);
    return answer.output_text;
  },

  async responses_stream() {
    const events = await all(client().responses.create({ ...RESPONSE, stream: true }));
    const text = events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");
    check(events[0].type === "response.created" && events.at(-1).type === "response.completed", events.map((e) => e.type));
    check(words(text) > 3, text);
    return text;
  },

  async errors() {
    const nobody = { ...SHORT, model: "no-such-model" };
    const found = [
      await raises(OpenAI.AuthenticationError, "invalid_api_key", () =>
        client({ apiKey: "wrong" }).chat.completions.create(SHORT),
      ),
      await raises(OpenAI.NotFoundError, "model_not_found", () => client().chat.completions.create(nobody)),
      await raises(OpenAI.BadRequestError, "empty_messages", () =>
        client().chat.completions.create({ ...SHORT, messages: [] }),
      ),
    ];
    return found.join(", ");
  },

  async leaves() {
    for (let turn = 0; turn < 6; turn++) {
      const stream = await client().chat.completions.create({ ...SHORT, max_tokens: 400, stream: true });
      for await (const _chunk of stream) break;
    }
    return cases.chat();
  },

  async cut() {
    let text = "";
    try {
      const ask = { ...SHORT, max_tokens: 1500, stream: true };
      const { data: stream, response } = await client().chat.completions.create(ask).withResponse();
      for await (const chunk of stream) {
        check(!chunk.choices[0].finish_reason, "a cut answer that says it is finished");
        if (chunk.choices[0].delta.content && !text) {
          console.log(JSON.stringify({ streaming_from: response.headers.get("x-lockgate-backend") }));
        }
        text += chunk.choices[0].delta.content ?? "";
      }
    } catch (error) {
      check(text, "nothing was read before the cut");
      check(error instanceof OpenAI.APIError, `${error.constructor.name}: ${error.message}`);
      return `${error.constructor.name}: ${error.message}`;
    }
    throw new Error(`a cut answer ended as if it were whole: ${text}`);
  },
};

await run(cases, ["cut"]);
