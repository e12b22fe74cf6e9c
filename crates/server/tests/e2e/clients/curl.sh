#!/usr/bin/env bash
# Drives a gateway with curl: BASE_URL, API_KEY and MODEL in the environment; one JSON line per case; 1 if any failed.
set -uo pipefail

failed=0
ask() { curl --silent --show-error --max-time 60 -H "authorization: Bearer $API_KEY" -H "content-type: application/json" "$@"; }
short() { printf '{"model":"%s","messages":[{"role":"user","content":"Say hello."}],"max_tokens":8,"temperature":0%s}' "$MODEL" "$1"; }

# case NAME TEXT: ok if what came in on standard input holds TEXT.
case_holds() {
  local name=$1 wanted=$2 got
  got=$(cat)
  if grep --quiet --fixed-strings -- "$wanted" <<<"$got"; then
    printf '{"case":"%s","ok":true,"detail":"%s bytes"}\n' "$name" "${#got}"
  else
    failed=1
    printf '{"case":"%s","ok":false,"detail":"no %s in %s"}\n' "$name" "${wanted//\"/\\\"}" "$(tr -d '\n\r"\\' <<<"${got:0:300}")"
  fi
}

ask "$BASE_URL/models" | case_holds models "\"id\":\"$MODEL\""
ask "$BASE_URL/chat/completions" -d "$(short '')" | case_holds chat '"finish_reason":"length"'
ask "$BASE_URL/chat/completions" -d "$(short ',"stream":true')" -N | case_holds chat_stream 'data: [DONE]'
ask "${BASE_URL%/v1}/chat/completions" -d "$(short '')" | case_holds chat_without_v1 '"object":"chat.completion"'
ask "${BASE_URL%/v1}/openai/v1/chat/completions" -d "$(short '')" | case_holds chat_under_openai '"object":"chat.completion"'
ask "$BASE_URL/chat/completions" -d "$(short ',"stream":true')" -N -D - -o /dev/null | case_holds stream_headers 'text/event-stream'
ask "$BASE_URL/chat/completions" -d "$(short '')" --http2-prior-knowledge | case_holds chat_http2 '"object":"chat.completion"'
ask "$BASE_URL/chat/completions" -d '{"model":' | case_holds broken_json '"code":"invalid_json"'
ask "$BASE_URL/chat/completions" -d "{\"model\":\"a\",$(short '' | tail -c +2)" | case_holds model_twice '"type":"invalid_request_error"'
curl --silent --max-time 10 "$BASE_URL/models" | case_holds no_key '"code":"missing_api_key"'
exit "$failed"
