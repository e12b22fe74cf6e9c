// Takes the pictures of docs/dashboard: dashboard_pictures.mjs FOLDER. Starts the binary that LOCKGATE names with three
// simulated providers and a pool of the program that FAKE_LINGMA names, lets bounded traffic run, and photographs every page
// in both themes; it judges nothing.

import { chromium } from "playwright-core";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FOLDER = process.argv[2];
const { LOCKGATE, FAKE_LINGMA } = process.env;
const TOKEN = "lga-pictures-0123456789abcdef";
const PORT = 9477;
const SITE = `http://127.0.0.1:${PORT}`;
const WARM_MS = 75_000;
const WORDS = "A lock gate holds the water back until both sides are level and then it opens without a sound".split(" ");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A provider with a pace of its own; every so often it says 429 for a while.
function provider(port, { first, between, limitedFrom }) {
  const began = Date.now();
  http
    .createServer(async (request, response) => {
      if (request.method === "GET") {
        response.setHeader("content-type", "application/json");
        return response.end(JSON.stringify({ object: "list", data: [] }));
      }
      let body = "";
      for await (const chunk of request) body += chunk;
      if (limitedFrom && Date.now() - began > limitedFrom) {
        response.writeHead(429, { "retry-after": "45", "content-type": "application/json" });
        return response.end(JSON.stringify({ error: { message: "Rate limit reached for requests", type: "requests", code: "rate_limit_exceeded" } }));
      }
      const { model } = JSON.parse(body);
      await sleep(first * (0.6 + Math.random()));
      response.writeHead(200, { "content-type": "text/event-stream" });
      const send = (choices, more = {}) => response.write(`data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 0, model, choices, ...more })}\n\n`);
      const length = 24 + Math.floor(Math.random() * 90);
      for (let n = 0; n < length && !response.destroyed; n++) {
        send([{ index: 0, delta: { content: `${WORDS[n % WORDS.length]} ` }, finish_reason: null }]);
        await sleep(between * Math.random() * 2);
      }
      send([{ index: 0, delta: {}, finish_reason: "stop" }]);
      const prompt = 400 + Math.floor(Math.random() * 2600);
      send([], { usage: { prompt_tokens: prompt, completion_tokens: length * 9, total_tokens: prompt + length * 9, prompt_tokens_details: { cached_tokens: Math.floor(prompt * 0.4) } } });
      response.end("data: [DONE]\n\n");
    })
    .listen(port, "127.0.0.1");
}

// Three local processes: two are signed in, the third waits for a person.
const lingma = (data) => `  - {name: lingma, kind: process, models: {lingma-auto: {native: auto, price: {input: 0, output: 0}}}, process: {program: "${FAKE_LINGMA}", start: boot, instances: 3, work_dir: "${data}/work", environment: {FAKE_LINGMA_SCENARIO: "${data}/scenario.json"}}}
`;
const SCENARIO = { scripts: [{ when: "lock gates", items: [...WORDS, ...WORDS].flatMap((word) => [{ do: "say", text: `${word} ` }, { do: "pause", ms: 90 }]).concat({ do: "finish", code: 200 }) }] };

const CONFIG = (data) => `
listen: 127.0.0.1:${PORT}
metrics_listen: 127.0.0.1:0
admin: {token: ${TOKEN}}
probe: {enabled: false}
limits: {queue_max: 200}
teams: [{name: product, rpm: 6000, concurrency: 200}, {name: research, tpm: 4000000}, {name: partners, models: ["gpt-*"]}]
keys:
  - {name: web, key: lk-pictures-web-0123456789abcdef, team: product, rpm: 6000, models: ["*"], priority_max: urgent}
  - {name: mobile, key: lk-pictures-mobile-0123456789ab, team: product, rpm: 6000, priority_max: urgent}
  - {name: batch, key: lk-pictures-batch-0123456789abcd, team: research}
backends:
  - {name: nvidia-a, kind: nvidia, base_url: "http://127.0.0.1:9481/v1", api_key: nvapi-pictures-0123456789, limits: {rpm: 600, concurrency: 12}, models: {deepseek-v4: {native: deepseek-ai/deepseek-v4-pro, price: {input: 1, cached_input: 0.25, output: 4}, context: 128000, max_output: 4096}, qwen-max: {native: qwen/qwen-max, price: {input: 0.8, output: 2.4}, max_output: 4096}}}
  - {name: nvidia-b, kind: nvidia, base_url: "http://127.0.0.1:9482/v1", api_key: nvapi-pictures-9876543210, limits: {rpm: 600, concurrency: 12}, models: {deepseek-v4: {native: deepseek-ai/deepseek-v4-pro, price: {input: 1, cached_input: 0.25, output: 4}, context: 128000, max_output: 4096}}}
  - {name: openrouter, kind: openrouter, base_url: "http://127.0.0.1:9483/v1", api_key: sk-or-pictures-0123456789, pool: fallback, limits: {rpm: 300}, models: {deepseek-v4: {native: deepseek/deepseek-v4, price: {input: 1.2, output: 4.6}, max_output: 4096}, gpt-4o: {native: openai/gpt-4o, price: {input: 2.5, cached_input: 1.25, output: 10}, max_output: 4096}}}
${lingma(data)}aliases: {smart: [deepseek-v4, gpt-4o]}
budgets: [{key: web, amount: 2, per: day}, {team: research, amount: 1, per: day}, {amount: 250, per: month}]
`;
const KEYS = ["lk-pictures-web-0123456789abcdef", "lk-pictures-mobile-0123456789ab", "lk-pictures-batch-0123456789abcd"];
const pick = (list) => list[Math.floor(Math.random() * list.length)];

async function ask() {
  const headers = { "content-type": "application/json", authorization: `Bearer ${pick(KEYS)}`, "x-priority": pick(["urgent", "high", "normal", "normal", "normal", "low"]) };
  const body = JSON.stringify({ model: pick(["deepseek-v4", "deepseek-v4", "qwen-max", "gpt-4o", "smart", "lingma-auto", "lingma-auto", Math.random() < 0.1 ? "gpt-9" : "deepseek-v4"]), stream: true, messages: [{ role: "user", content: "Tell me about lock gates." }] });
  const answer = await fetch(`${SITE}/v1/chat/completions`, { method: "POST", headers, body }).catch(() => null);
  await answer?.text().catch(() => null);
}

async function admin(method, path, body) {
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const answer = await fetch(`${SITE}/api/admin/${path}`, { method, headers, body: body && JSON.stringify(body) });
  return answer.json().catch(() => null);
}

const PAGES = ["overview", "usage", "requests", "events", "backends", "models", "instances", "playground", "keys", "captures", "audit", "settings"];

async function photograph(browser, { theme, width, height, language, names }) {
  const context = await browser.newContext({ viewport: { width, height }, locale: "en-US", timezoneId: "UTC" });
  await context.addInitScript(([theme, language]) => {
    localStorage.setItem("lockgate-theme", theme);
    localStorage.setItem("lockgate-language", language);
  }, [theme, language]);
  const page = await context.newPage();
  await page.goto(`${SITE}/dashboard`);
  const suffix = [theme, width === 1440 ? "" : String(width), language === "en" ? "" : language].filter(Boolean).join("-");
  const shoot = (name) => page.screenshot({ path: `${FOLDER}/${name}-${suffix}.png` });
  if (names.includes("login")) await shoot("login");
  await page.locator("input").fill(TOKEN);
  await page.keyboard.press("Enter");
  await page.getByTestId("figures").waitFor();
  const see = async (path, ready = async () => {}) => {
    await page.goto(`${SITE}/dashboard/${path}`);
    await page.locator("#main h1").waitFor();
    await ready();
    await page.waitForTimeout(1600);
  };
  for (const name of names.filter((name) => PAGES.includes(name))) {
    await see(name === "overview" ? "" : name, async () => {
      if (name !== "playground") return;
      await page.locator("input[type=password]").fill(KEYS[0]);
      await page.waitForTimeout(800);
      await page.getByRole("textbox").nth(0).fill("What does a lock gate do?");
      await page.keyboard.press("Enter");
      await page.getByTestId("note").waitFor();
    });
    await shoot(name);
  }
  if (names.includes("request")) {
    await see("requests");
    await page.locator("tbody tr", { hasText: "×2" }).or(page.locator("tbody tr")).first().locator("button.name").click();
    await page.waitForTimeout(900);
    await shoot("request");
  }
  if (names.includes("capture")) {
    await see("captures");
    await page.locator("tbody tr", { hasText: "200" }).first().locator("button.name").click();
    await page.getByTestId("capture").waitFor();
    await page.waitForTimeout(900);
    await shoot("capture");
  }
  if (names.includes("backend")) {
    await see("backends?open=nvidia-b");
    await shoot("backend");
  }
  if (names.includes("instance")) {
    await see("instances?open=inst-3");
    await shoot("instance");
  }
  await context.close();
}

const data = mkdtempSync(`${tmpdir()}/lockgate-pictures-`);
mkdirSync(FOLDER, { recursive: true });
writeFileSync(`${data}/lockgate.yaml`, CONFIG(data));
writeFileSync(`${data}/scenario.json`, JSON.stringify(SCENARIO));
for (const name of ["inst-1", "inst-2"]) {
  const cache = join(data, "work", name, "cache");
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, "user"), "fake-lingma: logged in");
}
provider(9481, { first: 350, between: 30 });
provider(9482, { first: 500, between: 36, limitedFrom: WARM_MS - 12_000 });
provider(9483, { first: 700, between: 26 });
const gateway = spawn(LOCKGATE, ["serve", "--config", "lockgate.yaml"], { cwd: data, env: { LOCKGATE_DATA_DIR: `${data}/data` }, stdio: ["ignore", "inherit", "inherit"] });
let going = true;
try {
  await sleep(2500);
  await admin("POST", "captures/rules", { key: "web", lasts: "1h" });
  await admin("POST", "keys", { name: "partner", team: "partners", rpm: 120, models: ["gpt-*"], expires: "2027-06-30T00:00:00Z" });
  await admin("POST", "backends", { name: "lab", kind: "openai_compatible", base_url: "http://127.0.0.1:9499/v1", api_key: "sk-lab-0123456789", pool: "fallback", enabled: false, models: { "llama-70b": { native: "llama-3.3-70b" } } });
  await admin("POST", "instances/inst-3/login");
  const traffic = (async () => {
    for (let n = 0; going && n < 3000; n++) {
      ask();
      await sleep(60 + 90 * (1 + Math.sin(n / 40)));
    }
  })();
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const watcher = await browser.newPage();
  await watcher.goto(`${SITE}/dashboard`);
  await watcher.locator("input").fill(TOKEN);
  await watcher.keyboard.press("Enter");
  await sleep(WARM_MS);
  const every = [...PAGES, "login", "request", "capture", "backend", "instance"];
  for (const theme of ["dark", "light"]) await photograph(browser, { theme, width: 1440, height: 900, language: "en", names: every });
  await photograph(browser, { theme: "light", width: 390, height: 844, language: "en", names: ["overview", "backends", "requests"] });
  await photograph(browser, { theme: "dark", width: 1440, height: 900, language: "zh", names: ["overview", "events"] });
  going = false;
  await traffic;
  await browser.close();
} finally {
  gateway.kill("SIGKILL");
  rmSync(data, { recursive: true, force: true });
}
process.exit(0);
