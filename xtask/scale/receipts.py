"""Fills a ledger with receipts, straight into its tables: receipts.py DATABASE COUNT DAYS. The gateway must not run.

Rows come in the order of time, the roll-ups are summed from them, indexes are made again at the end. Attempts, which are
only ever read by the id of their request, are made for the newest tenth.
"""

import random
import sqlite3
import sys
import time

DATABASE, COUNT, DAYS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
SEED = 20261121
BATCH = 50_000
MODELS = [f"model-{n:02}" for n in range(24)]
BACKENDS = [f"backend-{n:02}" for n in range(16)]
KEYS = [f"key_{n:04}" for n in range(400)]
TEAMS = [f"team-{n:02}" for n in range(20)]
RECEIPT = 39
ATTEMPT = 30
SUMS = """count(*), sum(outcome = 'completed'), sum(outcome = 'failed'), sum(outcome = 'cancelled'),
    sum(outcome = 'interrupted'), sum(queue_ms), sum(total_ms), sum(coalesce(first_event_ms, 0)),
    sum(first_event_ms IS NOT NULL), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts - 1), sum(input),
    sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning), sum(audio_input),
    sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced), sum(images)"""
ADDED = """sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed), sum(input),
    sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning), sum(audio_input),
    sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced), sum(images)"""
HOUR_MS = 3_600_000


def skewed(chance, names):
    """The first ones far more often than the last: as callers and models are used."""
    return names[int(len(names) * chance.random() ** 3)]


LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAIRS = [one + other for one in LETTERS for other in LETTERS]


def request_id(ticket):
    """As the gateway writes it: a ULID behind `req-`."""
    return "req-" + "".join([PAIRS[ticket >> shift & 1023] for shift in range(120, -1, -10)])


def rows(chance, begins, step):
    for number in range(COUNT):
        at = begins + int(number * step)
        value = at << 80 | chance.getrandbits(80)
        ticket = value.to_bytes(16, "big")
        key = skewed(chance, KEYS)
        # A program asks for one model, now and then for another, and each model is served by two backends.
        caller = int(key[4:])
        team = TEAMS[caller % len(TEAMS)]
        served = (caller * 7 + int(chance.random() * 1.2)) % len(MODELS)
        model = MODELS[served]
        backend = BACKENDS[(served * 3 + int(chance.random() * 2)) % len(BACKENDS)]
        luck = chance.random()
        status, outcome, error = (
            (200, "completed", None) if luck < 0.97
            else (503, "failed", "upstream_unavailable") if luck < 0.99
            else (499, "cancelled", "client_closed")
        )
        tags = '[["app","shop"]]' if chance.random() < 0.05 else None
        first, total = int(80 + 900 * chance.random() ** 4), int(200 + 20_000 * chance.random() ** 3)
        used = (int(3000 * chance.random()), 0, 0, 0, int(800 * chance.random()), 0, 0, 0)
        cost = used[0] * 2 + used[4] * 8
        attempts = 1 if luck < 0.98 else 2
        line = (
            ticket, request_id(value), 0, at, key, team, tags, None, model, model, backend, "primary", "openai_chat", "openai_chat", 1,
            status, outcome, error, attempts, 0, first, total, 900, 4000, *used, "provider", cost, 0, 0, "v1", 0, 0,
        )
        tried = (
            ticket, 1, at, key, team, tags, backend, "primary", "openai", model, model,
            "succeeded" if outcome == "completed" else "failed" if outcome == "failed" else "cancelled",
            status, error, first, total, *used, "provider", cost, 0, 0, "v1", 0,
        )
        yield line, tried if number >= COUNT * 9 // 10 else None


def write(connection, lines, tried):
    connection.executemany(f"INSERT INTO receipts VALUES ({','.join('?' * RECEIPT)})", lines)
    connection.executemany(f"INSERT INTO attempts VALUES ({','.join('?' * ATTEMPT)})", tried)
    connection.commit()


def main():
    began = time.monotonic()
    connection = sqlite3.connect(DATABASE)
    connection.execute("PRAGMA synchronous = OFF")
    # What is written here can be written again: no log of it is needed.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'receipts' AND sql LIKE 'CREATE INDEX%'").fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    now = int(time.time() * 1000)
    begins = now - DAYS * 24 * HOUR_MS
    lines, tried = [], []
    for line, attempt in rows(random.Random(SEED), begins, (now - begins) / COUNT):
        lines.append(line)
        if attempt:
            tried.append(attempt)
        if len(lines) == BATCH:
            write(connection, lines, tried)
            lines, tried = [], []
    write(connection, lines, tried)
    for table, span in (("hourly", HOUR_MS), ("daily", 24 * HOUR_MS)):
        bucket = f"at / {span} * {span}"
        connection.execute(
            f"INSERT INTO usage_{table} SELECT {bucket}, backend, model_served, key, team, {SUMS} FROM receipts GROUP BY 1, 2, 3, 4, 5"
        )
        connection.execute(
            f"INSERT INTO tags_{table} SELECT {bucket}, 'app', 'shop', {SUMS} FROM receipts WHERE tags IS NOT NULL GROUP BY 1"
        )
        for dimension in ("backend", "model", "key", "team"):
            connection.execute(
                f"INSERT INTO sums_{table} SELECT '{dimension}', bucket, {dimension}, {ADDED} FROM usage_{table} GROUP BY bucket, {dimension}"
            )
        connection.commit()
    connection.execute(f"INSERT INTO sums_ever SELECT dimension, 0, value, {ADDED} FROM sums_daily GROUP BY dimension, value")
    connection.execute(f"INSERT INTO sums_ever SELECT 'tag:' || tag, 0, value, {ADDED} FROM tags_daily GROUP BY tag, value")
    for _, sql in indexes:
        connection.execute(sql)
    connection.commit()
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    print(f"{COUNT} receipts in {time.monotonic() - began:.0f} s, up to {now}")


main()
