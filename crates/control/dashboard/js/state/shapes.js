// The shapes of what the admin API answers, as its description (`/api/openapi.json`) has them; nothing here runs.

/**
 * @typedef {{concurrency?: number | null, models?: string[] | null, rpm?: number | null, tpm?: number | null}} Limits
 * @typedef {{audio_input: number, audio_output: number, cache_write: number, cache_write_1h: number, cached_input: number, input: number,
 *   images: number, output: number, reasoning: number}} Usage
 * @typedef {{created?: number | null, id: string, name: string, problem?: string | null, revision?: number | null, source: string, targets: string[],
 *   updated?: number | null}} Alias
 * @typedef {{action: string, actor: string, address?: string | null, after: any, at: number, before: any, hash: string, kind: string, number: number,
 *   subject: string, via: string}} AuditEntry
 * @typedef {{at: number, bytes: number, name: string}} Backup
 * @typedef {{amount?: string | null, created?: number | null, id: string, key?: string | null, left?: string | null, name: string,
 *   per?: string | null, problem?: string | null, reserved?: string | null, resets_at?: number | null, revision?: number | null,
 *   since?: number | null, source: string, spent?: string | null, team?: string | null, updated?: number | null}} Budget
 * @typedef {{at: number, backend?: string | null, ended: string, id: string, key?: string | null, key_name?: string | null, model?: string | null,
 *   request_bytes: number, request_cut: boolean, request_id: string, response_bytes: number, response_cut: boolean, status: number}} Captured
 * @typedef {{origin: string, path: string, value: string}} Effective
 * @typedef {{http_port?: number | null, id: string, in_flight: number, last_error?: string | null, last_lines: string[], login: any,
 *   process?: number | null, profile: string, ready: boolean, restarts: number, socket_port?: number | null, state: string, turns_heard: number,
 *   uptime_s?: number | null}} Instance
 * @typedef {{created?: number | null, enabled: boolean, expires?: string | null, former_valid_until?: string | null, id: string, key: string,
 *   last_used?: number | null, name: string, problem?: string | null, revision?: number | null, source: string, team?: string | null,
 *   updated?: number | null} & Limits} Key
 * @typedef {{audio_input?: string | null, audio_output?: string | null, cache_write?: string | null, cache_write_1h?: string | null,
 *   cached_input?: string | null, id?: string | null, image?: string | null, input?: string | null, model: string, output?: string | null,
 *   problem?: string | null, reasoning?: string | null, request?: string | null, revision?: number | null, since?: number | null, source: string,
 *   version?: string | null}} Price
 * @typedef {{at: number, attempts: number, backend?: string | null, bytes_in: number, bytes_out: number, client_addr?: string | null, cost: string,
 *   dialect_in: string, dialect_out?: string | null, error_code?: string | null, first_event_ms?: number | null, keepalive_committed: boolean,
 *   key?: string | null, model_asked: string, model_served?: string | null, outcome: string, pool?: string | null, price_version?: string | null,
 *   queue_ms: number, request_id: string, status: number, stream: boolean, tags: any[][], team?: string | null, ticket: string, total_ms: number,
 *   unpriced: boolean, usage: Usage, usage_source: string}} Receipt
 * @typedef {{instance?: string | null, place: string, problem?: string | null, signs_in_with?: string | null}} StoredAccount
 * @typedef {{created?: number | null, id: string, keys: string[], name: string, problem?: string | null, revision?: number | null, source: string,
 *   updated?: number | null} & Limits} Team
 * @typedef {{created: number, expires?: string | null, id: string, last_used?: number | null, name: string, role: string, token: string}} Token
 */

export {};
