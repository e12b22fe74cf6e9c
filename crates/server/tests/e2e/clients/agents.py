"""Lets each Python client work with tools over several turns, through whatever upstream the model name stands for.

    agents.py CASE... with BASE_URL (without a path), API_KEY and MODELS (comma-separated) in the environment ("all": every one)

Prints one JSON line per case and model, {"case", "ok", "detail"}; exits 1 if any failed. The model calls `get_weather`
twice at once, then once more, then says what it heard.
"""

import json
import os
import sys
from collections.abc import Callable

import anthropic
import openai
from google import genai
from google.genai import types as google
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

BASE_URL, API_KEY, MODELS = os.environ["BASE_URL"], os.environ["API_KEY"], os.environ["MODELS"].split(",")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION = "What is the weather?"
TURNS_MAX = 6
CASES: dict[str, Callable[[str], str]] = {}


def case(function: Callable[[str], str]) -> Callable[[str], str]:
    CASES[function.__name__] = function
    return function


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


def check(text: str) -> str:
    assert text.startswith("The tools said:"), text
    for number in range(3):
        assert f"sunny in lockgate-{number}" in text, text
    return text


def openai_client() -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=60)


CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": SCHEMA}}


def chat_loop(ask: Callable[[list], openai.types.chat.ChatCompletionMessage]) -> str:
    messages = [{"role": "developer", "content": "Use the tool."}, {"role": "user", "content": QUESTION}]
    for _ in range(TURNS_MAX):
        message = ask(messages)
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            return check(message.content)
        for call in message.tool_calls:
            said = get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
    raise AssertionError("the model never came to an end")


@case
def openai_chat(model: str) -> str:
    return chat_loop(lambda messages: openai_client().chat.completions.create(
        model=model, messages=messages, tools=[CHAT_TOOL], reasoning_effort="low").choices[0].message)


@case
def openai_chat_stream(model: str) -> str:
    def ask(messages: list):
        with openai_client().chat.completions.stream(
            model=model, messages=messages, tools=[CHAT_TOOL], stream_options={"include_usage": True}
        ) as stream:
            for _ in stream:
                pass
            answer = stream.get_final_completion()
        assert answer.usage.total_tokens == 30, answer.usage
        assert answer.choices[0].finish_reason in ("stop", "tool_calls"), answer
        return answer.choices[0].message

    return chat_loop(ask)


RESPONSES_TOOL = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}


def responses_loop(ask: Callable[[list], openai.types.responses.Response]) -> str:
    items: list = [{"role": "user", "content": QUESTION}]
    for _ in range(TURNS_MAX):
        answer = ask(items)
        assert answer.status == "completed" and answer.usage.total_tokens == 30, answer
        items += [item.model_dump(exclude_none=True, exclude={"status"}) for item in answer.output]
        calls = [item for item in answer.output if item.type == "function_call"]
        if not calls:
            return check(answer.output_text)
        for call in calls:
            said = get_weather(**json.loads(call.arguments))
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": said})
    raise AssertionError("the model never came to an end")


@case
def openai_responses(model: str) -> str:
    return responses_loop(lambda items: openai_client().responses.create(
        model=model, instructions="Use the tool.", input=items, tools=[RESPONSES_TOOL], store=False,
        reasoning={"effort": "low", "summary": "auto"}, include=["reasoning.encrypted_content"]))


@case
def openai_responses_stream(model: str) -> str:
    def ask(items: list):
        with openai_client().responses.stream(
            model=model, input=items, tools=[RESPONSES_TOOL], store=False, include=["reasoning.encrypted_content"]
        ) as stream:
            numbers = [event.sequence_number for event in stream]
            assert numbers == list(range(len(numbers))), numbers
            return stream.get_final_response()

    return responses_loop(ask)


def anthropic_client() -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=60)


MESSAGES_TOOL = {"name": "get_weather", "description": "Weather", "input_schema": SCHEMA}
THINKING = {"type": "enabled", "budget_tokens": 1024}


def messages_loop(ask: Callable[[list], anthropic.types.Message]) -> str:
    messages: list = [{"role": "user", "content": QUESTION}]
    for _ in range(TURNS_MAX):
        answer = ask(messages)
        assert answer.usage.input_tokens == 20 and answer.usage.output_tokens == 10, answer.usage
        messages.append({"role": "assistant", "content": answer.content})
        calls = [block for block in answer.content if block.type == "tool_use"]
        if not calls:
            assert answer.stop_reason == "end_turn", answer
            return check("".join(block.text for block in answer.content if block.type == "text"))
        assert answer.stop_reason == "tool_use", answer
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": get_weather(**call.input)} for call in calls]
        messages.append({"role": "user", "content": results})
    raise AssertionError("the model never came to an end")


@case
def anthropic_messages(model: str) -> str:
    return messages_loop(lambda messages: anthropic_client().messages.create(
        model=model, max_tokens=4096, system="Use the tool.", messages=messages, tools=[MESSAGES_TOOL], thinking=THINKING))


@case
def anthropic_messages_stream(model: str) -> str:
    def ask(messages: list):
        with anthropic_client().messages.stream(
            model=model, max_tokens=4096, messages=messages, tools=[MESSAGES_TOOL], thinking=THINKING
        ) as stream:
            for _ in stream:
                pass
            return stream.get_final_message()

    return messages_loop(ask)


@case
def anthropic_count_tokens(model: str) -> str:
    counted = anthropic_client().messages.count_tokens(model=model, messages=[{"role": "user", "content": QUESTION}])
    assert counted.input_tokens > 0, counted
    return str(counted.input_tokens)


@case
def google_genai(model: str) -> str:
    client = genai.Client(api_key=API_KEY, http_options=google.HttpOptions(base_url=BASE_URL))
    answer = client.models.generate_content(
        model=model, contents=QUESTION,
        config=google.GenerateContentConfig(tools=[get_weather], system_instruction="Use the tool."))
    assert answer.usage_metadata.prompt_token_count == 20, answer.usage_metadata
    return check(answer.text)


@case
def google_genai_stream(model: str) -> str:
    client = genai.Client(api_key=API_KEY, http_options=google.HttpOptions(base_url=BASE_URL))
    config = google.GenerateContentConfig(
        tools=[get_weather], thinking_config=google.ThinkingConfig(include_thoughts=True))
    chunks = list(client.models.generate_content_stream(model=model, contents=QUESTION, config=config))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    text = "".join(part.text or "" for part in parts if not part.thought)
    assert str(chunks[-1].candidates[0].finish_reason) == "FinishReason.STOP", chunks[-1]
    return check(text)


def langchain_loop(model) -> str:
    agent = create_agent(model=model, tools=[get_weather], system_prompt="Use the tool.")
    said = agent.invoke({"messages": [{"role": "user", "content": QUESTION}]})["messages"][-1]
    return check(said.text)


@case
def langchain_openai(model: str) -> str:
    return langchain_loop(ChatOpenAI(model=model, base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0))


@case
def langchain_openai_stream(model: str) -> str:
    return langchain_loop(
        ChatOpenAI(model=model, base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, streaming=True))


@case
def langchain_openai_responses(model: str) -> str:
    return langchain_loop(ChatOpenAI(
        model=model, base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, use_responses_api=True,
        output_version="responses/v1", store=False, include=["reasoning.encrypted_content"]))


@case
def langchain_anthropic(model: str) -> str:
    return langchain_loop(ChatAnthropic(
        model=model, base_url=BASE_URL, api_key=API_KEY, max_retries=0, max_tokens=4096, thinking=THINKING))


def main() -> None:
    wanted = sys.argv[1:]
    names = list(CASES) if wanted == ["all"] else wanted
    failed = not names
    for name in names:
        for model in MODELS:
            try:
                line = {"case": f"{name} {model}", "ok": True, "detail": CASES[name](model)}
            except Exception as error:
                failed, line = True, {"case": f"{name} {model}", "ok": False, "detail": f"{type(error).__name__}: {error}"[:900]}
            print(json.dumps(line), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
