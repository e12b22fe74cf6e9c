"""Drives a gateway with Anthropic's own Python SDK and says, case by case, whether its promises held.

    anthropic_python.py CASE... with BASE_URL, API_KEY and MODEL in the environment ("all": every one not in ALONE)

Prints one JSON line per case, {"case", "ok", "detail"}; exits 1 if any failed. `cut` first prints {"streaming_from"},
the backend's name, after the first text of a stream, so that whoever watches can kill that server just then.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable

import anthropic

BASE_URL, API_KEY = os.environ["BASE_URL"].removesuffix("/v1"), os.environ["API_KEY"]
MODEL = os.environ["MODEL"]
QUESTION = [{"role": "user", "content": "Name three colours of the rainbow."}]
# The SDK has no word for the temperature any more; servers have.
SHORT = {"model": MODEL, "messages": QUESTION, "max_tokens": 12, "extra_body": {"temperature": 0}}
WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CASES: dict[str, Callable[[], str]] = {}
# These need something to happen at the same time, or a backend that counts.
ALONE = {"counts_there", "counts_here", "cut"}


def case(function: Callable[[], str]) -> Callable[[], str]:
    CASES[function.__name__] = function
    return function


def client(**changes) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        **{"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0, "timeout": 60, **changes}
    )


def check(message, most_output: int) -> str:
    text = "".join(block.text for block in message.content if block.type == "text")
    assert message.type == "message" and message.role == "assistant" and message.model == MODEL, message
    assert len(text.split()) > 3, message
    usage = message.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) > 0, usage
    assert 0 < usage.output_tokens <= most_output, usage
    return text


@case
def models() -> str:
    listed = [model.id for model in client().models.list()]
    assert MODEL in listed, listed
    assert client().models.retrieve(MODEL).id == MODEL
    return f"{len(listed)} models"


@case
def message() -> str:
    answer = client().messages.create(**SHORT)
    assert answer.stop_reason == "max_tokens", answer
    return check(answer, 12)


@case
def message_stream() -> str:
    with client().messages.stream(**SHORT) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_message()
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds
    assert kinds.count("text") > 3, kinds
    assert answer.stop_reason == "max_tokens", answer
    return check(answer, 12)


@case
def message_async() -> str:
    async def several() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=90) as at_once:
            asks = [at_once.messages.create(**SHORT) for _ in range(4)]
            return [check(answer, 12) for answer in await asyncio.gather(*asks)]

    return asyncio.run(several())[0]


@case
def blocks_and_system() -> str:
    content = [{"type": "text", "text": "Name three colours"}, {"type": "text", "text": " of the rainbow."}]
    ask = {**SHORT, "system": [{"type": "text", "text": "You are brief."}]}
    return check(client().messages.create(**{**ask, "messages": [{"role": "user", "content": content}]}), 12)


@case
def turns() -> str:
    talk = [*QUESTION, {"role": "assistant", "content": "Red, orange and yellow."}, {"role": "user", "content": "And three more?"}]
    return check(client().messages.create(**{**SHORT, "messages": talk}), 12)


def weather_talk() -> dict:
    """A small model calls a tool when it has just seen it done."""
    messages = []
    for number, city in enumerate(["London", "Rome", "Madrid", "Berlin", "Oslo"]):
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": "get_weather", "input": {"city": city}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "sunny"}
        messages += [
            {"role": "user", "content": f"What is the weather in {city}?"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": "It is sunny."},
        ]
    messages.append({"role": "user", "content": "What is the weather in Paris?"})
    return {**SHORT, "messages": messages, "max_tokens": 60, "tools": [WEATHER]}


@case
def tools() -> str:
    answer = client().messages.create(**weather_talk())
    assert answer.stop_reason == "tool_use", answer
    call = next(block for block in answer.content if block.type == "tool_use")
    assert call.name == "get_weather" and call.input["city"] == "Paris" and call.id, call
    talk = weather_talk()
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "It rains."}
    talk["messages"] += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]},
        {"role": "user", "content": [result]},
    ]
    after = client().messages.create(**{**talk, "max_tokens": 12})
    assert after.stop_reason in ("end_turn", "max_tokens") and after.content, after
    return json.dumps(call.input)


@case
def tools_stream() -> str:
    with client().messages.stream(**weather_talk()) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_message()
    call = next(block for block in answer.content if block.type == "tool_use")
    assert kinds.count("input_json") > 0, kinds
    assert answer.stop_reason == "tool_use" and call.input["city"] == "Paris", answer
    return json.dumps(call.input)


def count() -> tuple[int, str | None]:
    answer = client().messages.with_raw_response.count_tokens(model=MODEL, messages=QUESTION)
    return answer.parse().input_tokens, answer.headers.get("x-lockgate-counted")


@case
def counts_there() -> str:
    """By the model's own server: what it then says to have read."""
    tokens, by = count()
    usage = client().messages.create(**SHORT).usage
    assert by is None and tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0), (tokens, by, usage)
    return str(tokens)


@case
def counts_here() -> str:
    tokens, by = count()
    assert by == "estimate" and tokens > 0, (tokens, by)
    return str(tokens)


@case
def leaves() -> str:
    for _ in range(3):
        stream = client().messages.create(**{**SHORT, "max_tokens": 400}, stream=True)
        next(event for event in stream if event.type == "content_block_delta")
        stream.close()
    return check(client().messages.create(**SHORT), 12)


def raises(kind: type[anthropic.APIStatusError], code: str, ask: Callable[[], object]) -> str:
    try:
        ask()
    except kind as error:
        assert error.body["type"] == "error" and error.body["error"]["code"] == code, error.body
        assert error.request_id, error.response.headers
        return code
    raise AssertionError(f"no {kind.__name__}")


@case
def errors() -> str:
    nobody, empty = {**SHORT, "model": "nobody"}, {**SHORT, "messages": []}
    return ", ".join([
        raises(anthropic.AuthenticationError, "invalid_api_key", lambda: client(api_key="wrong").messages.create(**SHORT)),
        raises(anthropic.NotFoundError, "model_not_found", lambda: client().messages.create(**nobody)),
        raises(anthropic.NotFoundError, "model_not_found", lambda: client().messages.create(**nobody, stream=True)),
        raises(anthropic.BadRequestError, "empty_messages", lambda: client().messages.create(**empty)),
    ])


@case
def cut() -> str:
    """The model's server dies in the middle: the SDK must raise, and what was read must not look whole."""
    text = ""
    try:
        stream = client().messages.create(**{**SHORT, "max_tokens": 1500}, stream=True)
        for event in stream:
            assert event.type not in ("message_delta", "message_stop"), "a cut answer that says it is finished"
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                if not text:
                    print(json.dumps({"streaming_from": stream.response.headers["x-lockgate-backend"]}), flush=True)
                text += event.delta.text
    except anthropic.APIError as error:
        assert text, "nothing was read before the cut"
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"a cut answer ended as if it were whole: {text!r}")


def main() -> None:
    wanted = sys.argv[1:]
    names = [name for name in CASES if name not in ALONE] if wanted == ["all"] else wanted
    failed = not names
    for name in names:
        try:
            line = {"case": name, "ok": True, "detail": CASES[name]()}
        except Exception as error:
            failed, line = True, {"case": name, "ok": False, "detail": f"{type(error).__name__}: {error}"}
        print(json.dumps(line), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
