// Uses the dashboard in a real browser as an operator does: dashboard.mjs CASE... Cases build on those before them.
// Environment: SITE, ADMIN_TOKEN, GATEWAY_PID, PAGES (the folder of their sources); HEALTHY_URL, LIMITED_URL
// and HANGING_URL are providers; the second always says 429, the third never says a word.

import { chromium } from "playwright-core";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { check, run } from "./cases.mjs";

const { SITE, ADMIN_TOKEN, GATEWAY_PID, PAGES: SOURCES, HEALTHY_URL, LIMITED_URL, HANGING_URL } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGES = ["", "usage", "requests", "events", "backends", "models", "instances", "playground", "keys", "captures", "audit", "settings"];
const PATIENCE_MS = 20_000;

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-US", timezoneId: "UTC" });
context.setDefaultTimeout(PATIENCE_MS);
const page = await context.newPage();

// What no case may leave behind. The two expected refusals are taken out where they are provoked.
let complaints = [];
const foreign = [];
page.on("console", (message) => {
  if (["error", "warning"].includes(message.type())) complaints.push(`${message.text()} ${message.location().url}`);
});
page.on("pageerror", (error) => complaints.push(error.stack));
context.on("request", (request) => {
  const url = new URL(request.url());
  if (url.origin !== SITE && !["data:", "blob:"].includes(url.protocol)) foreign.push(request.url());
});

const go = (path) => page.locator(`nav a[href="/dashboard/${path}"]`).click();
const button = (name) => page.getByRole("button", { name, exact: true });
const field = (name) => page.getByLabel(name, { exact: true });
const dialog = () => page.locator("dialog[open]").last();

async function until(what, holds) {
  const ends = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > ends) throw new Error(`never: ${what}`);
    await page.waitForTimeout(50);
  }
}

async function number(testId) {
  return Number((await page.getByTestId(testId).innerText()).replaceAll(",", ""));
}

let secret = "";
const chat = (model, key = secret) =>
  fetch(`${SITE}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) },
    body: JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "one two three" }] }),
  });

async function addBackend(name, url, model) {
  await go("backends");
  await button("Add backend").click();
  await field("Name").fill(name);
  await field("Address").fill(url);
  await field("Credential").fill("sk-canary-7f3a9b2c4d5e6f7a8b9c");
  await field("Requests a minute").fill("0");
  await field("Serve what its own list says").uncheck();
  await button("Add model").click();
  await field("Model").fill(model);
  await field("Input, $/M").fill("2");
  await field("Output, $/M").fill("3");
  await dialog().getByRole("button", { name: "Add backend" }).click();
  await page.getByRole("button", { name, exact: true }).waitFor();
}

async function accessible(where) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter((one) => one.effect?.getTiming().iterations === 1).map((one) => one.finished)));
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
  });
  check(found.length === 0, `${where}: ${found.join("; ")}`);
}

// What is written so in Chinese as well: names, units, words of a wire format; and what this test itself named.
const SAID_ALIKE = new RegExp(
  `(?<![A-Za-z])(?:${[
    "Lockgate|Tokens?|API|CSV|HTTP|USD|EN|UTC|Enter|Shift|Somebody|Retry-After|JSON|base64|ms|[KM]iB|LOCKGATE_[A-Z_]+",
    "lockgate[-\\w.]*|(?:req-|key_|be_)\\w+|[\\w.-]+/[\\w./-]+|(?:lg|lga|sk)-\\S+|https?:\\S+|/\\S+|rate_limited: status 429[^(]*",
    "(?:key|admin) [a-z]+|[a-z_]+(?![a-z_]| [a-z])",
  ].join("|")})(?![A-Za-z])`,
  "g",
);

// Texts of the page, or of the dialog over it, but for code.
function visibleTexts() {
  const place = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
  const texts = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.parentElement.closest("code, pre, script, noscript, datalist")) texts.push(node.data);
  }
  for (const one of place.querySelectorAll("[aria-label], [placeholder], [title]")) texts.push(...["aria-label", "placeholder", "title"].map((name) => one.getAttribute(name) ?? ""));
  return texts;
}

const cases = {
  async a_wrong_token_stays_outside() {
    await page.goto(`${SITE}/dashboard`);
    await field("Admin token").fill("wrong");
    await button("Log in").click();
    await page.getByText("This token is wrong.").waitFor();
    await accessible("the door");
    check(complaints.length === 1 && complaints[0].includes("401"), complaints);
    complaints = [];
  },

  async log_in() {
    await field("Admin token").fill(ADMIN_TOKEN);
    await button("Log in").click();
    await page.getByTestId("figures").waitFor();
    const seen = await page.evaluate(() => [document.cookie, ...Object.values({ ...localStorage }), ...Object.values({ ...sessionStorage })].join());
    check(!seen.includes(ADMIN_TOKEN) && !seen.includes("lockgate_session"), `a script can see a secret: ${seen}`);
    await page.reload();
    await page.getByTestId("figures").waitFor();
  },

  async add_a_backend() {
    await addBackend("main", HEALTHY_URL, "m");
    check(!(await page.content()).includes("sk-canary-7f3a9b2c4d5e6f7a8b9c"), "the credential is shown");
  },

  async wrong_fields_are_told_beside_them() {
    await button("Add backend").click();
    await field("Name").fill("not a name");
    await field("Address").fill("ftp://example.com");
    await field("Requests a minute").fill("-1");
    await dialog().getByRole("button", { name: "Add backend" }).click();
    await until("the field is marked", async () => (await field("Name").getAttribute("aria-invalid")) === "true");
    await dialog().getByText("must be a whole number from 0 to 10,000,000").waitFor();
    await until("it has the focus", () => field("Name").evaluate((own) => own === document.activeElement));
    complaints = complaints.filter((text) => !text.includes("422"));
    await page.keyboard.press("Escape");
    await dialog().waitFor({ state: "detached" });
  },

  async test_a_backend() {
    await button("main").click();
    await dialog().getByRole("button", { name: "Test" }).click();
    await page.getByTestId("test-report").getByText("It answers").waitFor();
  },

  async edit_a_backend_without_its_credential() {
    await dialog().getByRole("button", { name: "Edit" }).click();
    await field("Weight").fill("7");
    const sent = page.waitForRequest((request) => request.method() === "PATCH");
    await dialog().getByRole("button", { name: "Save" }).click();
    const body = (await sent).postDataJSON();
    check(JSON.stringify(body) === '{"weight":7}', body);
    await dialog().waitFor({ state: "detached" });
  },

  async let_headers_through_to_a_backend() {
    await button("main").click();
    await dialog().getByRole("button", { name: "Edit" }).click();
    await field("Also let through").fill("x-team-*, x-shop");
    const sent = page.waitForRequest((request) => request.method() === "PATCH");
    await dialog().getByRole("button", { name: "Save" }).click();
    const body = (await sent).postDataJSON();
    check(JSON.stringify(body) === '{"headers":{"allow":["x-team-*","x-shop"]}}', body);
    await dialog().waitFor({ state: "detached" });
    await button("main").click();
    await dialog().getByText("+ x-team-* · + x-shop").waitFor();
    await page.keyboard.press("Escape");
    await dialog().waitFor({ state: "detached" });
  },

  async disable_and_enable_a_backend() {
    await button("main").click();
    await dialog().getByRole("button", { name: "Disable" }).click();
    await dialog().getByText("Disabled", { exact: true }).waitFor();
    await dialog().getByRole("button", { name: "Enable" }).click();
    await dialog().getByText("Healthy", { exact: true }).waitFor();
    await page.keyboard.press("Escape");
  },

  async create_a_key() {
    await go("keys");
    await button("Create key").click();
    await field("Name").fill("app");
    await dialog().getByRole("button", { name: "Create key" }).click();
    secret = await page.getByTestId("secret").innerText();
    check(secret.length > 20, secret);
    await accessible("the secret");
    await button("I have kept it").click();
    await button("app").waitFor();
    check(!(await page.content()).includes(secret), "the secret is shown again");
  },

  async a_key_has_endpoints_tags_and_a_note() {
    await button("Create key").click();
    await field("Name").fill("tagged");
    for (const name of ["embeddings", "chat"]) await field(name).check();
    await button("Add tag").click();
    await field("Tag").fill("app");
    await field("Value").fill("shop");
    await field("Note").fill("For the shop");
    await accessible("the form of a key");
    const made = page.waitForRequest((request) => request.method() === "POST");
    await dialog().getByRole("button", { name: "Create key" }).click();
    const { endpoints, metadata, note } = (await made).postDataJSON();
    const said = JSON.stringify([endpoints, metadata, note]);
    check(said === '[["chat","embeddings"],{"app":"shop"},"For the shop"]', said);
    await button("I have kept it").click();
    await button("tagged").click();
    await dialog().getByText("app=shop").waitFor();
    await dialog().getByRole("button", { name: "Edit" }).click();
    await button("Remove app").click();
    const changed = page.waitForRequest((request) => request.method() === "PATCH");
    await dialog().getByRole("button", { name: "Save" }).click();
    const body = (await changed).postDataJSON();
    check(JSON.stringify(body) === '{"metadata":{"app":null}}', body);
    await dialog().getByRole("button", { name: "Rotate" }).waitFor();
    await dialog().getByText("app=shop").waitFor({ state: "detached" });
    await page.keyboard.press("Escape");
    await dialog().waitFor({ state: "detached" });
  },

  async rotate_a_key_with_grace() {
    await button("app").click();
    await dialog().getByRole("button", { name: "Rotate" }).click();
    await page.getByRole("dialog", { name: "Rotate app" }).getByRole("button", { name: "Rotate" }).click();
    const former = secret;
    secret = await page.getByTestId("secret").innerText();
    check(secret !== former, "the secret is the same");
    for (const key of [former, secret]) check((await chat("m", key)).status === 200, "both are taken");
    await button("I have kept it").click();
    await page.keyboard.press("Escape");
  },

  async streamed_traffic_is_counted_live() {
    await go("");
    await page.getByTestId("figures").waitFor();
    await until("the first two are counted", async () => (await number("requests")) >= 2);
    const before = await number("requests");
    for (let n = 0; n < 5; n++) {
      const answer = await chat("m");
      check(answer.status === 200 && (await answer.text()).includes("[DONE]"), answer.status);
    }
    await until("five more are counted", async () => (await number("requests")) === before + 5);
  },

  async a_budget_is_made_spent_changed_and_deleted() {
    await go("keys");
    await page.getByRole("tab", { name: "Budgets" }).click();
    await button("Create budget").click();
    await field("Its name").fill("nobody");
    await field("Amount").fill("5");
    await dialog().getByRole("button", { name: "Save" }).click();
    await dialog().getByText("there is no key `nobody`").waitFor();
    complaints = complaints.filter((text) => !text.includes("409"));
    await field("Its name").fill("app");
    await dialog().getByRole("button", { name: "Save" }).click();
    const row = page.getByRole("row").filter({ hasText: "Key app" });
    await row.getByText("$5").first().waitFor();
    check((await (await chat("m")).text()).includes("[DONE]"), "no answer");
    await until("what was spent is shown", async () => /\$0\.0+[1-9]/.test(await row.innerText()));
    await accessible("budgets");
    await row.getByRole("button", { name: "Edit Key app" }).click();
    await field("Amount").fill("7");
    const sent = page.waitForRequest((request) => request.method() === "PATCH");
    await dialog().getByRole("button", { name: "Save" }).click();
    const body = (await sent).postDataJSON();
    check(JSON.stringify(body) === '{"amount":"7"}', body);
    await row.getByText("$7").first().waitFor();
    await row.getByRole("button", { name: "Edit Key app" }).click();
    await dialog().getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog", { name: "Delete the budget?" }).getByRole("button", { name: "Delete" }).click();
    await row.waitFor({ state: "detached" });
  },

  async search_and_open_a_request() {
    const { paths } = await (await fetch(`${SITE}/api/openapi.json`)).json();
    const searches = paths["/api/admin/requests"].get.parameters.some(({ name }) => name === "model");
    await go("requests");
    await page.getByRole("cell", { name: "200 Completed" }).first().waitFor();
    await field("Model").first().fill(searches ? "m" : "");
    await page.getByRole("search").getByRole("button", { name: "Search" }).click();
    if (searches) await until("the address says what is looked for", async () => page.url().includes("model=m"));
    await page.locator("tbody button.name").first().click();
    await dialog().getByText("Timeline").waitFor();
    await dialog().getByText("main (primary)").waitFor();
    check(/\$0\.0+\d/.test(await dialog().innerText()), await dialog().innerText());
    await accessible("a request");
    await page.keyboard.press("Escape");
  },

  async usage_leads_to_the_requests_behind_it() {
    await go("usage");
    await page.getByRole("link", { name: "m", exact: true }).click();
    await page.getByRole("cell", { name: "200 Completed" }).first().waitFor();
    check(page.url().endsWith("/requests?model=m") && (await page.getByRole("search").getByLabel("Model").inputValue()) === "m", page.url());
    await page.getByRole("search").getByRole("button", { name: "Clear" }).click();
    await until("the address is clear", async () => page.url().endsWith("/requests"));
  },

  async explain_a_request() {
    await button("Explain").click();
    await dialog().getByLabel("Model").fill("m");
    await dialog().getByRole("button", { name: "Explain" }).click();
    await page.getByTestId("explanation").getByText("main").first().waitFor();
    await accessible("an explanation");
    await page.keyboard.press("Escape");
  },

  async filters_stand_back_on_a_phone() {
    await page.setViewportSize({ width: 390, height: 844 });
    const control = page.getByRole("search").getByRole("button", { name: "Filters" });
    const model = page.getByRole("search").getByLabel("Model");
    check((await control.getAttribute("aria-expanded")) === "false" && !(await model.isVisible()), "they are in the way");
    await control.focus();
    await page.keyboard.press("Enter");
    check((await control.getAttribute("aria-expanded")) === "true", "it does not say that it is open");
    await model.fill("m");
    await accessible("filters on a phone");
    await page.keyboard.press("Enter");
    await control.getByText("1 set").waitFor();
    check(!(await model.isVisible()) && (await control.evaluate((own) => own === document.activeElement)), "the focus is lost");
    await control.click();
    await page.getByRole("search").getByRole("button", { name: "Clear" }).click();
    await until("the address is clear", async () => !page.url().includes("model="));
    await page.setViewportSize({ width: 1440, height: 900 });
  },

  async a_request_is_captured_shown_and_deleted() {
    await go("captures");
    await button("Capture something").click();
    await field("Its name").fill("app");
    await accessible("a rule");
    await dialog().getByRole("button", { name: "Capture", exact: true }).click();
    await page.getByText("Key app").waitFor();
    const answer = await chat("m");
    check((await answer.text()).includes("[DONE]"), answer.status);
    const id = answer.headers.get("x-request-id");
    await page.getByText(id).waitFor();
    await page.locator("tbody button.name").first().click();
    await page.getByTestId("capture").getByText("one two three").first().waitFor();
    await page.getByTestId("capture").getByText("[DONE]").waitFor();
    await dialog().getByText(/\d headers/).first().click();
    await dialog().getByText("[hidden]").first().waitFor();
    check(!(await page.content()).includes(secret), "the key is shown");
    await accessible("a capture");
    const receipt = () => fetch(`${SITE}/api/admin/requests/${id}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    await until("its receipt is in the ledger", async () => (await receipt()).ok);
    await dialog().getByText("Show the request").click();
    await dialog().getByText("Timeline").waitFor();
    await dialog().getByRole("button", { name: "Show the capture" }).click();
    await page.getByTestId("capture").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Delete the capture" }).first().click();
    await dialog().getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByText("Nothing is captured", { exact: true }).waitFor();
    await button("End now").click();
    await page.getByText("Captured now").waitFor({ state: "detached" });
  },

  async a_cooldown_is_counted_down() {
    await addBackend("limited", LIMITED_URL, "slow");
    const answer = chat("slow");
    const row = page.getByRole("row").filter({ hasText: "limited" });
    await row.getByTestId("countdown").waitFor();
    const left = async () => Number.parseFloat(await row.getByTestId("countdown").innerText());
    const first = await left();
    await until("it counts down", async () => (await left()) < first - 1);
    await go("events");
    await page.getByRole("row").filter({ hasText: "limited" }).getByTestId("countdown").first().waitFor();
    await page.getByText("Cooldown started").first().waitFor();
    await accessible("a cooldown");
    await answer.catch(() => null);
  },

  async a_cut_shows_a_veil_that_goes() {
    await go("");
    await page.getByTestId("figures").waitFor();
    process.kill(Number(GATEWAY_PID), "SIGSTOP");
    try {
      await page.getByTestId("veil").waitFor();
      check((await page.getByTestId("veil").innerText()).includes("No data for 5 seconds"), "it does not say so");
      await accessible("the veil");
    } finally {
      process.kill(Number(GATEWAY_PID), "SIGCONT");
    }
    await page.getByTestId("veil").waitFor({ state: "detached" });
  },

  async the_queue_is_in_the_title_of_its_chart() {
    check((await page.getByTestId("queue-title").innerText()) === "Queue: 0 waiting", await page.getByTestId("queue-title").innerText());
  },

  async a_conversation_in_the_playground() {
    await go("playground");
    await field("Key").fill(secret);
    await until("models are listed", async () => (await page.getByText("models to choose from").count()) > 0);
    await field("Model").fill("m");
    await field("Your message").fill("Hello");
    await page.keyboard.press("Enter");
    await page.getByTestId("note").getByText("Receipt").waitFor();
    check((await page.getByTestId("said-assistant").innerText()).trim().length > 3, "no answer");
    check(/\$0\.0+\d/.test(await page.getByTestId("note").innerText()), await page.getByTestId("note").innerText());
    await accessible("a conversation");
  },

  async a_conversation_that_is_stopped_is_cancelled() {
    await addBackend("silent", HANGING_URL, "stuck");
    await go("playground");
    await field("Model").fill("stuck");
    await field("Your message").fill("Are you there?");
    await page.keyboard.press("Enter");
    await button("Stop").click();
    await page.getByTestId("note").getByText("Stopped").waitFor();
    await button("Send").waitFor();
    await go("requests");
    await until("its receipt says so", async () => {
      await page.getByRole("search").getByRole("button", { name: "Search" }).click();
      return (await page.getByText("Cancelled").count()) > 0;
    });
  },

  async a_local_process_is_signed_in_by_hand() {
    await go("instances");
    const row = page.getByRole("row").filter({ hasText: "inst-1" });
    await row.getByText("Signed out").waitFor();
    await row.getByText("Ready").waitFor();
    await button("inst-1").click();
    await dialog().locator("pre", { hasText: /starting component|nothing to worry about/ }).waitFor();
    check(!(await dialog().innerText()).includes("CANARY"), "a secret is among its lines");
    await accessible("an instance");
    await dialog().getByRole("button", { name: "Log in" }).click();
    await dialog().getByText("It waits for a person").waitFor();
    const url = new URL(await dialog().getByRole("link", { name: "Open the login page" }).getAttribute("href"));
    const back = (state) => `http://127.0.0.1:${url.searchParams.get("port")}/auth/callback?state=${state}&auth=a&token=t`;
    const paste = async (address) => {
      await field("The address at the end").fill(address);
      await dialog().getByRole("button", { name: "Send" }).click();
    };
    await paste(back("2-wrong"));
    await page.getByText("the instance did not take it").waitFor();
    complaints = complaints.filter((text) => !text.includes("422"));
    await paste(back(url.searchParams.get("state")));
    await dialog().getByText("Signed in", { exact: true }).waitFor();
    await dialog().getByText("Somebody (user-1)").waitFor();
    await page.keyboard.press("Escape");
  },

  async an_account_whose_process_is_no_more_is_removed() {
    await go("instances");
    const row = page.getByRole("row").filter({ hasText: "local/3" });
    await row.getByText("there is no such instance").waitFor();
    check(!(await page.content()).includes("canary-of-the-third"), "a token is shown");
    await accessible("stored accounts");
    await button("Remove local/3").click();
    await page.getByRole("dialog", { name: "Remove account" }).getByRole("button", { name: "Remove", exact: true }).click();
    await row.waitFor({ state: "detached" });
    check((await page.getByText("Accounts that serve no instance").count()) === 0, "an empty table stays");
  },

  async a_local_process_is_watched_and_started_again() {
    const row = page.getByRole("row").filter({ hasText: "inst-1" });
    const cell = (n) => row.getByRole("cell").nth(n).innerText();
    check((await cell(3)) === "0" && /\d/.test(await cell(4)) && (await cell(5)) === "0", await row.innerText());
    const stop = new AbortController();
    const body = JSON.stringify({ model: "lingma/auto", stream: true, messages: [{ role: "user", content: "wait" }] });
    const headers = { "content-type": "application/json", authorization: `Bearer ${secret}` };
    const answer = await fetch(`${SITE}/v1/chat/completions`, { method: "POST", headers, body, signal: stop.signal });
    check(answer.status === 200, await (answer.status === 200 ? "" : answer.text()));
    await until("a turn is in flight", async () => (await cell(3)) === "1");
    stop.abort();
    await until("it is in flight no more", async () => (await cell(3)) === "0");
    await button("inst-1").click();
    const process = dialog().locator("dt", { hasText: "Process" }).locator("xpath=following-sibling::dd[1]");
    const before = await process.innerText();
    await dialog().getByRole("button", { name: "Restart" }).click();
    await until("it is another process", async () => !["–", before].includes(await process.innerText()));
    await dialog().getByText("Signed in", { exact: true }).waitFor();
    await dialog().getByRole("button", { name: "Reset" }).click();
    await page.getByText("Done", { exact: true }).first().waitFor();
    await page.keyboard.press("Escape");
  },

  async a_local_process_is_given_an_account_that_nobody_sees() {
    await button("inst-2").click();
    await dialog().getByRole("button", { name: "Give an account" }).click();
    await field("Username").fill("somebody");
    await dialog().getByRole("button", { name: "Save" }).click();
    await dialog().getByText("an account is a username and a password").waitFor();
    complaints = complaints.filter((text) => !text.includes("422"));
    await field("Password").fill("canary-of-an-account");
    await dialog().getByRole("button", { name: "Save" }).click();
    await dialog().getByText("***").waitFor();
    check(!(await page.content()).includes("canary-of-an-account"), "the password is shown");
    await dialog().getByRole("button", { name: "Change account" }).click();
    await field("Username").fill("another");
    const sent = page.waitForRequest((request) => request.method() === "PATCH");
    await dialog().getByRole("button", { name: "Save" }).click();
    const body = (await sent).postDataJSON();
    check(JSON.stringify(body) === '{"username":"another"}', body);
    await dialog().getByText("another").waitFor();
    await accessible("an account");
    await dialog().getByRole("button", { name: "Remove account" }).click();
    await page.getByRole("dialog", { name: "Remove account" }).getByRole("button", { name: "Remove", exact: true }).click();
    await dialog().getByRole("button", { name: "Give an account" }).waitFor();
    await page.keyboard.press("Escape");
  },

  async settings_are_loaded_changed_and_put_back() {
    await go("settings");
    const waiting = field("Waiting at most");
    check((await waiting.inputValue()) === "500", await waiting.inputValue());
    const card = page.locator("section", { has: page.getByRole("heading", { name: "Taking on" }) });
    await waiting.fill("321");
    await card.getByRole("button", { name: "Save" }).click();
    await card.getByText("Back to the default").waitFor();
    await page.reload();
    await waiting.waitFor();
    check((await waiting.inputValue()) === "321", await waiting.inputValue());
    await card.getByText("Back to the default").click();
    await until("the default is back", async () => (await waiting.inputValue()) === "500");
  },

  async both_languages() {
    await button("中文").click();
    await page.getByRole("heading", { name: "设置", level: 1 }).waitFor();
    const left = [];
    for (const path of PAGES) {
      await go(path);
      await page.locator("#main h1").waitFor();
      const title = await page.locator("#main h1").innerText();
      if (!/[\u4e00-\u9fff]/.test(title)) left.push(title);
    }
    check(left.length === 0, left);
    check((await page.evaluate(() => document.documentElement.lang)) === "zh-Hans", "the page's language is not told");
    await button("EN").click();
    await page.getByRole("heading", { name: "Settings", level: 1 }).waitFor();
  },

  async no_english_is_left_in_chinese() {
    await page.goto(`${SITE}/dashboard`);
    await button("中文").click();
    const left = new Map();
    const look = async (where) => {
      await until("everything is loaded", async () => (await page.locator(".bones").count()) === 0);
      for (const text of await page.evaluate(visibleTexts)) for (const word of text.replaceAll(SAID_ALIKE, "").match(/[A-Za-z]{2,}/g) ?? []) left.set(word, `${where}: ${text}`);
    };
    const places = [...PAGES, "models?tab=aliases", "models?tab=prices", "keys?tab=teams", "keys?tab=budgets", "settings?tab=tokens", "settings?tab=keeping", "settings?tab=all", "backends?open=limited", "instances?open=inst-1"];
    for (const path of places) {
      await page.goto(`${SITE}/dashboard/${path}`);
      await page.locator("#main h1").waitFor();
      await look(path);
      for (const opener of (await dialog().count()) ? [] : await page.locator("#main .button.primary:enabled:has(svg), #main tbody tr:first-child button.name").all()) {
        await opener.click();
        await dialog().waitFor();
        await look(`${path}, a dialog`);
        await page.keyboard.press("Escape");
        await dialog().waitFor({ state: "detached" });
      }
    }
    await page.goto(`${SITE}/dashboard`);
    await button("EN").click();
    check(left.size === 0, [...left.values()]);
  },

  async every_text_has_its_chinese() {
    const files = readdirSync(SOURCES, { recursive: true }).filter((name) => name.endsWith(".js") && !name.endsWith("zh.js"));
    const said = files.flatMap((name) => {
      const text = readFileSync(`${SOURCES}/${name}`, "utf8");
      const named = /hot\.js$|frame.pages\.js$/.test(name) ? [...text.matchAll(/\b(?:title|about|label|hint|unit): '((?:[^'\\]|\\.)*)'/g)] : [];
      if (name.endsWith("problems.js")) named.push(...text.matchAll(/^  '(.*)',$/gm), ...text.matchAll(/^  "(.*)",$/gm));
      return [...text.matchAll(/\bt\(\s*'((?:[^'\\]|\\.)*)'/g), ...text.matchAll(/\bt\(\s*"([^"]*)"/g), ...named].map((found) => found[1]);
    });
    const chinese = readFileSync(`${SOURCES}/text/zh.js`, "utf8");
    const missing = [...new Set(said)].filter((text) => !chinese.includes(`  '${text.replaceAll(/(?<!\\)'/g, "\\'")}': `));
    check(said.length > 500 && missing.length === 0, missing);
  },

  async every_page_is_accessible_in_both_themes_and_widths() {
    for (const theme of ["Light", "Dark"]) {
      await page.setViewportSize({ width: 1440, height: 900 });
      await button(theme).click();
      for (const width of [1440, 390]) {
        await page.setViewportSize({ width, height: 900 });
        for (const path of PAGES) {
          await page.goto(`${SITE}/dashboard/${path}`);
          await page.locator("#main h1").waitFor();
          await until("everything is loaded", async () => (await page.locator(".bones").count()) === 0);
          await accessible(`${path || "overview"}, ${theme}, ${width}`);
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          check(over <= 0, `${path || "overview"} is ${over} px too wide at ${width}`);
          const cut = await page.evaluate(() => [...document.querySelectorAll(".table-box")].some((box) => box.scrollWidth > box.clientWidth));
          check(!cut || width > 390, `${path}: a table is cut off at ${width}`);
        }
      }
    }
    await page.setViewportSize({ width: 1440, height: 900 });
  },

  async the_keyboard_reaches_everything() {
    await page.goto(`${SITE}/dashboard/backends`);
    await button("main").waitFor();
    await button("main").focus();
    await page.keyboard.press("Enter");
    await dialog().getByRole("button", { name: "Close" }).waitFor();
    check(await dialog().evaluate((own) => own.contains(document.activeElement)), "the focus is not in the dialog");
    await page.keyboard.press("Escape");
    await dialog().waitFor({ state: "detached" });
    await until("the focus is where it was", () => page.evaluate(() => document.activeElement?.textContent === "main"));
  },

  async the_api_is_described_in_a_page_that_tries_it_out() {
    await page.goto(`${SITE}/api/docs`);
    const { paths, tags } = await (await fetch(`${SITE}/api/openapi.json`)).json();
    const resources = page.locator(".opblock-tag");
    await until("every resource is there", async () => (await resources.count()) === tags.length);
    for (const resource of await resources.all()) await resource.click();
    const operations = Object.values(paths).reduce((sum, item) => sum + Object.keys(item).length, 0);
    await until("every operation is there", async () => (await page.locator(".opblock").count()) === operations);
    const list = page.locator("#operations-aliases-aliases_list");
    await list.locator(".opblock-summary-control").click();
    await list.getByRole("button", { name: "Try it out" }).click();
    await list.getByRole("button", { name: "Execute" }).click();
    await list.locator(".live-responses-table .response-col_status", { hasText: "200" }).waitFor();
    await page.goto(`${SITE}/dashboard`);
    await page.getByTestId("figures").waitFor();
  },

  async a_viewer_changes_nothing() {
    const made = await page.evaluate(async () => {
      const { csrf } = await (await fetch("/api/admin/session")).json();
      const body = JSON.stringify({ name: "looker", role: "viewer" });
      const headers = { "content-type": "application/json", "x-csrf-token": csrf };
      return (await fetch("/api/admin/tokens", { method: "POST", headers, body })).json();
    });
    await button("Log out").click();
    await field("Admin token").fill(made.token ?? made.secret);
    await button("Log in").click();
    await page.getByText("Viewer", { exact: true }).waitFor();
    await go("backends");
    await button("main").waitFor();
    check((await button("Add backend").count()) === 0, "a viewer is offered to add");
    await go("settings");
    check(await field("Waiting at most").isDisabled(), "a viewer is offered to change");
    await go("keys");
    check((await button("Create key").count()) === 0, "a viewer is offered a key");
  },

  async a_logged_out_browser_is_outside() {
    await button("Log out").click();
    await field("Admin token").waitFor();
    await page.reload();
    await field("Admin token").waitFor();
  },

  async nothing_complained_and_nothing_came_from_outside() {
    // What this gateway does not offer is a 404 that its page tells of.
    const { paths } = await (await fetch(`${SITE}/api/openapi.json`)).json();
    const offered = Object.keys(paths).map((path) => new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`));
    const lacks = (text) => text.includes("404") && !offered.some((one) => one.test(new URL(text.split(" ").at(-1)).pathname));
    const left = complaints.filter((text) => !lacks(text));
    check(left.length === 0, left.slice(0, 10).join("\n"));
    check(foreign.length === 0, foreign);
  },
};

// A case that fails leaves no dialog in the way of the next.
const guarded = Object.entries(cases).map(([name, act]) => [
  name,
  () =>
    act().catch(async (problem) => {
      for (let n = 0; n < 3; n++) await page.keyboard.press("Escape");
      throw problem;
    }),
]);
await run(Object.fromEntries(guarded));
