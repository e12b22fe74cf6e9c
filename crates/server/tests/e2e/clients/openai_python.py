"""Drives a gateway with OpenAI's own Python SDK and says, case by case, whether its promises held.

    openai_python.py CASE... with BASE_URL, API_KEY and MODEL in the environment ("all": every one not in ALONE)

Prints one JSON line per case, {"case", "ok", "detail"}; exits 1 if any failed. `cut` first prints {"streaming_from"},
the backend's name, after the first text of a stream, so that whoever watches can kill that server just then.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable

import openai

BASE_URL, API_KEY, MODEL = os.environ["BASE_URL"], os.environ["API_KEY"], os.environ["MODEL"]
QUESTION = [{"role": "user", "content": "Name three colours of the rainbow."}]
SHORT = {"model": MODEL, "messages": QUESTION, "max_tokens": 12, "temperature": 0}
CASES: dict[str, Callable[[], str]] = {}
# These need something to happen at the same time, or a gateway set up for them.
ALONE = {"served_by", "limits", "cut"}


def case(function: Callable[[], str]) -> Callable[[], str]:
    CASES[function.__name__] = function
    return function


def client(**changes) -> openai.OpenAI:
    return openai.OpenAI(**{"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0, "timeout": 60, **changes})


def check_usage(usage, most_output: int) -> None:
    assert usage is not None, "no usage"
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= most_output, usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage


@case
def models() -> str:
    listed = [model.id for model in client().models.list()]
    assert MODEL in listed, listed
    assert client().models.retrieve(MODEL).id == MODEL
    return f"{len(listed)} models"


@case
def chat() -> str:
    answer = client().chat.completions.create(**SHORT)
    choice = answer.choices[0]
    assert answer.model == MODEL and choice.finish_reason == "length", answer
    assert len(choice.message.content.split()) > 3, answer
    check_usage(answer.usage, 12)
    return choice.message.content


@case
def chat_stream() -> str:
    chunks = list(client().chat.completions.create(**SHORT, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks), "usage that nobody asked for"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(text.split()) > 3 and len(chunks) > 8, chunks
    assert chunks[-1].choices[0].finish_reason == "length", chunks[-1]
    assert {chunk.model for chunk in chunks} == {MODEL}, chunks[0]
    return text


@case
def chat_stream_usage() -> str:
    chunks = list(client().chat.completions.create(**SHORT, stream=True, stream_options={"include_usage": True}))
    assert not chunks[-1].choices, chunks[-1]
    check_usage(chunks[-1].usage, 12)
    return str(chunks[-1].usage.total_tokens)


@case
def chat_async() -> str:
    async def several() -> list[str]:
        async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=90) as several_at_once:
            asks = [several_at_once.chat.completions.create(**SHORT) for _ in range(4)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*asks)]

    texts = asyncio.run(several())
    assert len(texts) == 4 and all(len(text.split()) > 3 for text in texts), texts
    return texts[0]


@case
def chat_stream_async() -> str:
    async def read() -> str:
        async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=90) as reader:
            stream = await reader.chat.completions.create(**SHORT, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    text = asyncio.run(read())
    assert len(text.split()) > 3, text
    return text


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def weather_talk() -> dict:
    """A small model calls a tool when it has just seen it done."""
    messages = []
    for number, city in enumerate(["London", "Rome", "Madrid", "Berlin", "Oslo"]):
        call = {"name": "get_weather", "arguments": json.dumps({"city": city})}
        messages += [
            {"role": "user", "content": f"What is the weather in {city}?"},
            {"role": "assistant", "content": "", "tool_calls": [{"id": f"call_{number}", "type": "function", "function": call}]},
            {"role": "tool", "tool_call_id": f"call_{number}", "content": "sunny"},
            {"role": "assistant", "content": "It is sunny."},
        ]
    messages.append({"role": "user", "content": "What is the weather in Paris?"})
    return {"model": MODEL, "messages": messages, "tools": TOOLS, "temperature": 0, "max_tokens": 60}


@case
def tools() -> str:
    choice = client().chat.completions.create(**weather_talk()).choices[0]
    assert choice.finish_reason == "tool_calls", choice
    call = choice.message.tool_calls[0]
    assert call.function.name == "get_weather" and json.loads(call.function.arguments)["city"] == "Paris", call
    return call.function.arguments


@case
def tools_stream() -> str:
    with client().chat.completions.stream(**weather_talk()) as stream:
        kinds = [event.type for event in stream]
        choice = stream.get_final_completion().choices[0]
    call = choice.message.tool_calls[0]
    assert kinds.count("tool_calls.function.arguments.delta") > 3, kinds
    assert choice.finish_reason == "tool_calls" and json.loads(call.function.arguments)["city"] == "Paris", call
    return call.function.arguments


@case
def json_schema() -> str:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "London"]}}, "required": ["city"]}
    shape = {"type": "json_schema", "json_schema": {"name": "place", "schema": {**schema, "additionalProperties": False}}}
    answer = client().chat.completions.create(**{**SHORT, "max_tokens": 40}, response_format=shape)
    place = json.loads(answer.choices[0].message.content)
    assert place["city"] in ("Paris", "London"), place
    return str(place)


@case
def completions() -> str:
    ask = {"model": MODEL, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
    answer = client().completions.create(**ask)
    check_usage(answer.usage, 8)
    streamed = "".join(chunk.choices[0].text for chunk in client().completions.create(**ask, stream=True))
    assert "Paris" in answer.choices[0].text and "Paris" in streamed, (answer, streamed)
    return answer.choices[0].text


@case
def embeddings() -> str:
    texts = ["A cat sat on the mat.", "Interest rates rose again."]
    together = client().embeddings.create(model=MODEL, input=texts)
    assert [len(row.embedding) for row in together.data] == [576, 576], together.data
    assert [row.index for row in together.data] == [0, 1] and together.usage.prompt_tokens > 10, together.usage

    def one(text: str, **how) -> list[float]:
        return client().embeddings.create(model=MODEL, input=text, **how).data[0].embedding

    def alike(a: list[float], b: list[float]) -> float:
        size = sum(x * x for x in a) ** 0.5 * sum(x * x for x in b) ** 0.5
        return sum(x * y for x, y in zip(a, b, strict=True)) / size

    # The SDK asks for base64 by default and turns it back into numbers. Alone, because in a batch llama.cpp's pooling
    # lets one text colour the other.
    cat, plain, rates = one(texts[0]), one(texts[0], encoding_format="float"), one(texts[1])
    assert alike(cat, plain) > 0.999 > alike(cat, rates), f"mixed up: {alike(cat, plain)}, {alike(cat, rates)}"
    return f"{alike(cat, plain):.4f} > {alike(cat, rates):.4f}"


RESPONSE = {"model": MODEL, "input": "Name three colours.", "max_output_tokens": 12, "temperature": 0}


@case
def responses() -> str:
    answer = client().responses.create(**RESPONSE)
    assert answer.status == "completed" and len(answer.output_text.split()) > 3, answer
    assert answer.usage.input_tokens > 0 and 0 < answer.usage.output_tokens <= 12, answer.usage
    return answer.output_text


@case
def responses_stream() -> str:
    events = list(client().responses.create(**RESPONSE, stream=True))
    kinds = [event.type for event in events]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    assert len(text.split()) > 3 and events[-1].response.output_text == text, (text, events[-1])
    return text


@case
def headers() -> str:
    asked = client().chat.completions.with_raw_response.create(**SHORT, extra_headers={"x-request-id": "e2e.python-1"})
    assert asked.headers["x-request-id"] == "e2e.python-1", asked.headers
    minted = client().chat.completions.with_raw_response.create(**SHORT)
    assert minted.headers["x-request-id"].startswith("req-"), minted.headers
    assert minted.headers["x-lockgate-backend"] and minted.headers["x-lockgate-attempts"] == "1", minted.headers
    assert minted.parse().choices[0].message.content
    return minted.headers["x-lockgate-backend"]


def raises(kind: type[openai.APIStatusError], code: str, ask: Callable[[], object]) -> str:
    try:
        ask()
    except kind as error:
        assert error.code == code, (error.code, error.body)
        assert error.response.headers["x-request-id"], "an error without an id"
        return f"{kind.__name__} {error.code}"
    raise AssertionError(f"no {kind.__name__}")


@case
def errors() -> str:
    nobody, empty = {**SHORT, "model": "no-such-model"}, {**SHORT, "messages": []}
    return ", ".join([
        raises(openai.AuthenticationError, "invalid_api_key", lambda: client(api_key="wrong").chat.completions.create(**SHORT)),
        raises(openai.NotFoundError, "model_not_found", lambda: client().chat.completions.create(**nobody)),
        raises(openai.NotFoundError, "model_not_found", lambda: client().chat.completions.create(**nobody, stream=True)),
        raises(openai.BadRequestError, "empty_messages", lambda: client().chat.completions.create(**empty)),
    ])


@case
def leaves() -> str:
    """Goes away in the middle of an answer; a gateway that then keeps the slot cannot serve the next."""
    for _ in range(6):
        with client().chat.completions.create(**{**SHORT, "max_tokens": 400}, stream=True) as stream:
            next(iter(stream))
    return chat()


@case
def served_by() -> str:
    """One small answer, and who gave it."""
    answer = client().chat.completions.with_raw_response.create(**{**SHORT, "max_tokens": 2})
    assert answer.parse().choices[0].message.content, answer.text
    return answer.headers["x-lockgate-backend"]


@case
def limits() -> str:
    """Twelve at once: how many each backend answered, and what those who got nothing were told."""

    async def one(asker: openai.AsyncOpenAI) -> str:
        try:
            answer = await asker.chat.completions.with_raw_response.create(**{**SHORT, "max_tokens": 2})
        except openai.APIStatusError as error:
            assert error.status_code in (429, 503), error
            assert int(error.response.headers["retry-after"]) >= 1, error.response.headers
            assert int(error.response.headers["retry-after-ms"]) > 0, error.response.headers
            return str(error.code)
        return answer.headers["x-lockgate-backend"]

    async def twelve() -> list[str]:
        async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=90) as asker:
            return await asyncio.gather(*(one(asker) for _ in range(12)))

    outcomes = asyncio.run(twelve())
    return json.dumps({outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))})


@case
def cut() -> str:
    """The model's server dies in the middle: the SDK must raise, and what was read must not look whole."""
    text = ""
    try:
        ask = {**SHORT, "max_tokens": 1500}
        answer = client().chat.completions.with_raw_response.create(**ask, stream=True)
        for chunk in answer.parse():
            assert not chunk.choices[0].finish_reason, "a cut answer that says it is finished"
            if chunk.choices[0].delta.content:
                if not text:
                    print(json.dumps({"streaming_from": answer.headers["x-lockgate-backend"]}), flush=True)
                text += chunk.choices[0].delta.content
    except openai.APIError as error:
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
