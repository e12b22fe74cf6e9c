-- Sums by one dimension alone: 'backend', 'model', 'key', 'team'. Where the roll-ups by all of them have thousands of rows an
-- hour, these have some hundred, and a chart walks no others. Of all time there is one bucket, 0, also by each tag
-- ('tag:NAME'): its sums do not take longer with the years. Retention leaves all of them.
CREATE TABLE sums_hourly (
    dimension TEXT NOT NULL, bucket INTEGER NOT NULL, value TEXT NOT NULL,
    requests INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,
    interrupted INTEGER NOT NULL, queue_ms INTEGER NOT NULL, total_ms INTEGER NOT NULL,
    first_event_ms INTEGER NOT NULL, first_events INTEGER NOT NULL, bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL, attempts INTEGER NOT NULL, attempts_failed INTEGER NOT NULL,
    input INTEGER NOT NULL, cached_input INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL, audio_output INTEGER NOT NULL, cost_micros INTEGER NOT NULL,
    cost_picos INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    PRIMARY KEY (dimension, bucket, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE sums_daily (
    dimension TEXT NOT NULL, bucket INTEGER NOT NULL, value TEXT NOT NULL,
    requests INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,
    interrupted INTEGER NOT NULL, queue_ms INTEGER NOT NULL, total_ms INTEGER NOT NULL,
    first_event_ms INTEGER NOT NULL, first_events INTEGER NOT NULL, bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL, attempts INTEGER NOT NULL, attempts_failed INTEGER NOT NULL,
    input INTEGER NOT NULL, cached_input INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL, audio_output INTEGER NOT NULL, cost_micros INTEGER NOT NULL,
    cost_picos INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    PRIMARY KEY (dimension, bucket, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE sums_ever (
    dimension TEXT NOT NULL, bucket INTEGER NOT NULL, value TEXT NOT NULL,
    requests INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,
    interrupted INTEGER NOT NULL, queue_ms INTEGER NOT NULL, total_ms INTEGER NOT NULL,
    first_event_ms INTEGER NOT NULL, first_events INTEGER NOT NULL, bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL, attempts INTEGER NOT NULL, attempts_failed INTEGER NOT NULL,
    input INTEGER NOT NULL, cached_input INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL, audio_output INTEGER NOT NULL, cost_micros INTEGER NOT NULL,
    cost_picos INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    PRIMARY KEY (dimension, bucket, value)
) STRICT, WITHOUT ROWID;

INSERT INTO sums_hourly SELECT 'backend', bucket, backend,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM usage_hourly GROUP BY bucket, backend;
INSERT INTO sums_hourly SELECT 'model', bucket, model,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM usage_hourly GROUP BY bucket, model;
INSERT INTO sums_hourly SELECT 'key', bucket, key,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM usage_hourly GROUP BY bucket, key;
INSERT INTO sums_hourly SELECT 'team', bucket, team,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM usage_hourly GROUP BY bucket, team;
INSERT INTO sums_daily SELECT 'backend', bucket, backend,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM usage_daily GROUP BY bucket, backend;
INSERT INTO sums_daily SELECT 'model', bucket, model,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM usage_daily GROUP BY bucket, model;
INSERT INTO sums_daily SELECT 'key', bucket, key,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM usage_daily GROUP BY bucket, key;
INSERT INTO sums_daily SELECT 'team', bucket, team,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM usage_daily GROUP BY bucket, team;
INSERT INTO sums_ever SELECT dimension, 0, value,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM sums_daily GROUP BY dimension, value;
INSERT INTO sums_ever SELECT 'tag:' || tag, 0, value,
    sum(requests), sum(completed), sum(failed), sum(cancelled), sum(interrupted), sum(queue_ms), sum(total_ms),
    sum(first_event_ms), sum(first_events), sum(bytes_in), sum(bytes_out), sum(attempts), sum(attempts_failed),
    sum(input), sum(cached_input), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
    sum(audio_input), sum(audio_output), sum(cost_micros), sum(cost_picos), sum(unpriced)
FROM tags_daily GROUP BY tag, value;
