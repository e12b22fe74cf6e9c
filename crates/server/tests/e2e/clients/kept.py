"""Reads answers that are long in coming with OpenAI's own Python SDK, all at once.

    kept.py CASE... with BASE_URL (streams), PLAIN_URL (plain answers), API_KEY and TEXT (what is said) in the environment

Prints one JSON line per case, {"case", "ok", "detail"}; exits 1 if any failed.
"""

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import openai

TEXT = os.environ["TEXT"]
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
RESPONSE = {"model": "m", "input": "hi"}
CASES: dict[str, Callable[[], None]] = {}


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=os.environ[url], api_key=os.environ["API_KEY"], max_retries=0, timeout=120)


@case
def chat_stream() -> None:
    chunks = list(client("BASE_URL").chat.completions.create(**CHAT, stream=True))
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == TEXT, said
    assert chunks[-1].choices[0].finish_reason == "stop", chunks[-1]


@case
def responses_stream() -> None:
    events = list(client("BASE_URL").responses.create(**RESPONSE, stream=True))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == TEXT, said
    assert events[-1].type == "response.completed", events[-1]


@case
def chat() -> None:
    answer = client("PLAIN_URL").chat.completions.create(**CHAT)
    assert answer.choices[0].message.content == TEXT, answer


@case
def compact() -> None:
    answer = client("PLAIN_URL").post("/responses/compact", body=RESPONSE, cast_to=object)
    assert TEXT in json.dumps(answer), answer


def told(ask: Callable[[], object]) -> None:
    try:
        answer = ask()
    except openai.APIError as error:
        assert error.code == "upstream_error", error.code
        return
    raise AssertionError(f"a failed stream looks whole: {answer}")


@case
def chat_stream_fails() -> None:
    told(lambda: list(client("BASE_URL").chat.completions.create(**CHAT, stream=True)))


@case
def responses_stream_fails() -> None:
    told(lambda: list(client("BASE_URL").responses.create(**RESPONSE, stream=True)))


@case
def chat_fails() -> None:
    # The head has told of success, so the SDK cannot raise: the body has to be looked at.
    answer = client("PLAIN_URL").chat.completions.create(**CHAT)
    assert answer.choices is None, answer
    assert answer.model_extra["error"]["code"] == "upstream_error", answer


def outcome(name: str) -> dict:
    try:
        CASES[name]()
    except Exception as error:  # noqa: BLE001: whatever goes wrong is what the case says
        return {"case": name, "ok": False, "detail": f"{type(error).__name__}: {error}"[:500]}
    return {"case": name, "ok": True, "detail": ""}


def main() -> int:
    names = sys.argv[1:]
    with ThreadPoolExecutor(max_workers=len(names)) as threads:
        outcomes = list(threads.map(outcome, names))
    for line in outcomes:
        print(json.dumps(line), flush=True)
    return 0 if all(line["ok"] for line in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
