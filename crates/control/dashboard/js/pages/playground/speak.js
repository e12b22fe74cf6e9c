// Speaks OpenAI's chat with the gateway: lists models, and gives an answer piece by piece.

export class Refused extends Error {
  /** @param {string} message @param {string | null} request */
  constructor(message, request) {
    super(message);
    this.request = request;
  }
}

/** @param {string} key @returns {Record<string, string>} */
const shown = (key) => (key.trim() ? { authorization: `Bearer ${key.trim()}` } : {});

/** @param {Response} response */
async function refusal(response) {
  const said = await response.json().catch(() => null);
  return new Refused(said?.error?.message ?? `HTTP ${response.status}`, response.headers.get('x-request-id'));
}

/** @param {string} key @returns {Promise<string[]>} */
export async function models(key) {
  const response = await fetch('/v1/models', { headers: shown(key), credentials: 'omit' });
  if (!response.ok) throw await refusal(response);
  const list = await response.json();
  return list.data.map((/** @type {any} */ model) => model.id);
}

/**
 * @param {string} key @param {any} body @param {AbortSignal} signal
 * @returns {AsyncGenerator<{text?: string, usage?: any, request?: string | null}>}
 */
export async function* answer(key, body, signal) {
  const headers = { 'content-type': 'application/json', ...shown(key) };
  const response = await fetch('/v1/chat/completions', { method: 'POST', headers, body: JSON.stringify(body), signal, credentials: 'omit' });
  if (!response.ok || !response.body) throw await refusal(response);
  yield { request: response.headers.get('x-request-id') };
  for await (const data of events(response.body)) {
    if (data === '[DONE]') return;
    const said = JSON.parse(data);
    if (said.error) throw new Refused(said.error.message ?? JSON.stringify(said.error), null);
    if (said.usage) yield { usage: said.usage };
    const delta = said.choices?.[0]?.delta;
    const text = delta?.content ?? delta?.refusal ?? '';
    if (text) yield { text };
  }
}

/** The data of each event of a stream. @param {ReadableStream<Uint8Array>} stream */
async function* events(stream) {
  const reader = stream.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const whole = rest.split(/\r?\n\r?\n/);
      rest = whole.pop() ?? '';
      for (const event of whole) {
        const lines = event.split(/\r?\n/).filter((line) => line.startsWith('data:'));
        if (lines.length) yield lines.map((line) => line.slice(5).replace(/^ /, '')).join('\n');
      }
    }
  } finally {
    await reader.cancel().catch(() => null);
  }
}
