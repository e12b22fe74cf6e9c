"""Reads answers that are long in coming with OpenAI's and Anthropic's own Python SDKs, all at once.

    kept.py CASE... with BASE_URL (streams), PLAIN_URL (plain answers), API_KEY and TEXT (what is said) in the environment

Prints one JSON line per case, {"case", "ok", "detail"}; exits 1 if any failed.
"""

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai

TEXT = os.environ["TEXT"]
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
RESPONSE = {"model": "m", "input": "hi"}
# The gateway reaches `m` in OpenAI's dialects, `n` in Anthropic's.
MESSAGE = {"model": "n", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
CASES: dict[str, Callable[[], None]] = {}


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=os.environ[url], api_key=os.environ["API_KEY"], max_retries=0, timeout=120)


def claude(url: str) -> anthropic.Anthropic:
    base_url = os.environ[url].removesuffix("/v1")
    return anthropic.Anthropic(base_url=base_url, api_key=os.environ["API_KEY"], max_retries=0, timeout=120)


def read_chat_stream(model: str) -> None:
    chunks = list(client("BASE_URL").chat.completions.create(**CHAT | {"model": model}, stream=True))
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == TEXT, said
    assert chunks[-1].choices[0].finish_reason == "stop", chunks[-1]


@case
def chat_stream() -> None:
    read_chat_stream("m")


@case
def chat_stream_crossed() -> None:
    read_chat_stream("n")


def read_responses_stream(model: str) -> None:
    events = list(client("BASE_URL").responses.create(**RESPONSE | {"model": model}, stream=True))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == TEXT, said
    assert events[-1].type == "response.completed", events[-1]


@case
def responses_stream() -> None:
    read_responses_stream("m")


@case
def responses_stream_crossed() -> None:
    read_responses_stream("n")


@case
def chat() -> None:
    answer = client("PLAIN_URL").chat.completions.create(**CHAT)
    assert answer.choices[0].message.content == TEXT, answer


@case
def chat_crossed() -> None:
    answer = client("PLAIN_URL").chat.completions.create(**CHAT | {"model": "n"})
    assert answer.choices[0].message.content == TEXT, answer


def read_messages_stream(model: str) -> None:
    with claude("BASE_URL").messages.stream(**MESSAGE | {"model": model}) as stream:
        said = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert said == TEXT and message.content[0].text == TEXT, message
    assert message.stop_reason == "end_turn" and message.usage.output_tokens > 0, message


def read_messages(model: str) -> None:
    message = claude("PLAIN_URL").messages.create(**MESSAGE | {"model": model})
    assert message.content[0].text == TEXT and message.stop_reason == "end_turn", message


@case
def messages_stream() -> None:
    read_messages_stream("n")


@case
def messages_stream_crossed() -> None:
    read_messages_stream("m")


@case
def messages() -> None:
    read_messages("n")


@case
def messages_crossed() -> None:
    read_messages("m")


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


def told_messages_stream(model: str) -> None:
    try:
        read_messages_stream(model)
    except anthropic.APIStatusError as error:
        assert error.body["error"]["code"] == "upstream_error", error.body
        return
    raise AssertionError("a failed stream looks whole")


def told_messages(model: str) -> None:
    answer = claude("PLAIN_URL").messages.create(**MESSAGE | {"model": model})
    assert not answer.content and answer.type == "error", answer
    assert answer.model_extra["error"]["code"] == "upstream_error", answer


@case
def messages_stream_fails() -> None:
    told_messages_stream("n")


@case
def messages_stream_crossed_fails() -> None:
    told_messages_stream("m")


@case
def messages_fails() -> None:
    told_messages("n")


@case
def messages_crossed_fails() -> None:
    told_messages("m")


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
