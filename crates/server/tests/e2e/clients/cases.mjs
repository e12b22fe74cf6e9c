// Runs named cases and reports each as one JSON line; knows nothing of what they check.

export const { BASE_URL, API_KEY, MODEL } = process.env;
export const QUESTION = [{ role: "user", content: "Name three colours of the rainbow." }];

export function check(holds, what) {
  if (!holds) throw new Error(typeof what === "string" ? what : JSON.stringify(what));
}

export const words = (text) => text.trim().split(/\s+/).length;

// A small model calls a tool when it has just seen it done.
export const ASKED_BEFORE = ["London", "Rome", "Madrid", "Berlin", "Oslo"];
export const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

// `alone` names cases that "all" leaves out.
export async function run(cases, alone = []) {
  const wanted = process.argv.slice(2);
  const names = wanted.join() === "all" ? Object.keys(cases).filter((name) => !alone.includes(name)) : wanted;
  let failed = names.length === 0;
  for (const name of names) {
    let line;
    try {
      line = { case: name, ok: true, detail: String(await cases[name]()) };
    } catch (error) {
      failed = true;
      line = { case: name, ok: false, detail: `${error.constructor.name}: ${error.message}`.slice(0, 500) };
    }
    console.log(JSON.stringify(line));
  }
  process.exit(failed ? 1 : 0);
}
