// Reads answers that are long in coming with OpenAI's own Node SDK, all at once (see kept.py for the rules).

import OpenAI from "openai";

const { BASE_URL, PLAIN_URL, API_KEY, TEXT } = process.env;
const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }] };
const RESPONSE = { model: "m", input: "hi" };

const client = (baseURL) => new OpenAI({ baseURL, apiKey: API_KEY, maxRetries: 0, timeout: 120_000 });

function check(holds, what) {
  if (!holds) throw new Error(JSON.stringify(what));
}

async function all(stream) {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
}

async function told(stream) {
  let events;
  try {
    events = await all(stream);
  } catch (error) {
    check(error instanceof OpenAI.APIError && error.code === "upstream_error", `${error.code}: ${error}`);
    return;
  }
  check(false, { "a failed stream looks whole": events });
}

const CASES = {
  async chat_stream() {
    const chunks = await all(client(BASE_URL).chat.completions.create({ ...CHAT, stream: true }));
    const said = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    check(said === TEXT && chunks.at(-1).choices[0].finish_reason === "stop", chunks);
  },
  async responses_stream() {
    const events = await all(client(BASE_URL).responses.create({ ...RESPONSE, stream: true }));
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    check(deltas.map((event) => event.delta).join("") === TEXT, events);
    check(events.at(-1).type === "response.completed", events);
  },
  async chat() {
    const answer = await client(PLAIN_URL).chat.completions.create(CHAT);
    check(answer.choices[0].message.content === TEXT, answer);
  },
  async compact() {
    const answer = await client(PLAIN_URL).post("/responses/compact", { body: RESPONSE });
    check(JSON.stringify(answer).includes(TEXT), answer);
  },
  chat_stream_fails: () => told(client(BASE_URL).chat.completions.create({ ...CHAT, stream: true })),
  responses_stream_fails: () => told(client(BASE_URL).responses.create({ ...RESPONSE, stream: true })),
  async chat_fails() {
    // The head has told of success, so the SDK cannot raise: the body has to be looked at.
    const answer = await client(PLAIN_URL).chat.completions.create(CHAT);
    check(answer.choices === undefined && answer.error.code === "upstream_error", answer);
  },
};

async function outcome(name) {
  try {
    await CASES[name]();
    return { case: name, ok: true, detail: "" };
  } catch (error) {
    return { case: name, ok: false, detail: `${error.constructor.name}: ${error.message}`.slice(0, 500) };
  }
}

const outcomes = await Promise.all(process.argv.slice(2).map(outcome));
for (const line of outcomes) console.log(JSON.stringify(line));
process.exit(outcomes.every((line) => line.ok) ? 0 : 1);
