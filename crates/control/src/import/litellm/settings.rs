//! Decides what LiteLLM's settings of router, library and proxy are here; never what a deployment is.

use super::super::Fate;
use super::super::written::Flow;
use super::{Alias, Import, scalar, seconds};
use crate::config::tree::{Entry, Origin, Path, Value};

/// The parts of one budget, which stand apart.
#[derive(Default)]
pub(super) struct Budget {
    amount: Option<(String, Origin, Path)>,
    duration: Option<String>,
}

impl Import {
    pub(super) fn router_settings(&mut self, fields: &[Entry], path: &Path) {
        for field in fields {
            let path = path.then(field.key.as_str());
            match field.key.as_str() {
                "routing_strategy" => self.strategy(field, &path),
                "model_group_alias" => self.group_aliases(field, &path),
                "allowed_fails" => self.count(field, &path, "failures"),
                "cooldown_time" => self.cooldown(field, &path),
                _ => self.common(field, &path),
            }
        }
    }

    pub(super) fn litellm_settings(&mut self, fields: &[Entry], path: &Path) {
        for field in fields {
            let path = path.then(field.key.as_str());
            let text = scalar(&field.node);
            match field.key.as_str() {
                "max_budget" => match text.filter(|text| is_amount(text)) {
                    Some(amount) => self.budget.amount = Some((amount, field.origin.clone(), path)),
                    None => self.unsupported(field, &path, "is no amount"),
                },
                "budget_duration" => {
                    self.budget.duration = text;
                    self.kept(field, &path, "the period of the gateway's budget");
                }
                "drop_params" => {
                    let note = "what a backend's dialect cannot say is left out and named in `x-lockgate-dropped`; `strict: true` on a \
                                key refuses it instead";
                    self.changed(field, &path, note);
                }
                "upperbound_key_generate_params" | "default_key_generate_params" => {
                    self.unsupported(
                        field,
                        &path,
                        "give keys, or a team of them, their limits and a budget: see docs/keys.md",
                    );
                }
                _ => self.common(field, &path),
            }
        }
    }

    pub(super) fn general_settings(&mut self, fields: &[Entry], path: &Path) {
        for field in fields {
            let path = path.then(field.key.as_str());
            let text = scalar(&field.node).unwrap_or_default();
            match field.key.as_str() {
                "master_key" => {
                    if let Some(secret) = self.secret(field, &path, "LITELLM_MASTER_KEY") {
                        let mut key = Flow::default();
                        key.text("name", "master");
                        key.text("key", &secret);
                        self.keys.push(key);
                        let note = "a key for requests; what opens the admin API is made at the first start";
                        self.changed(field, &path, note);
                    }
                }
                "global_max_parallel_requests" if is_count(&text) => {
                    self.limits.raw("max_in_flight", text);
                    self.kept(field, &path, "`limits.max_in_flight`");
                }
                "database_url" | "database_connection_pool_limit" | "store_model_in_db" => {
                    self.unsupported(
                        field,
                        &path,
                        "keys and records are kept in the gateway's own data folder",
                    );
                }
                _ => self.common(field, &path),
            }
        }
    }

    /// What may stand in several places.
    fn common(&mut self, field: &Entry, path: &Path) {
        match field.key.as_str() {
            "num_retries" => self.retries(field, path),
            "timeout" | "request_timeout" => self.deadline(field, path, "total"),
            "stream_timeout" => self.deadline(field, path, "first_event"),
            "fallbacks" => self.fallbacks(field, path),
            _ => self.unknown(field, path),
        }
    }

    fn strategy(&mut self, field: &Entry, path: &Path) {
        let (strategy, fate) = match scalar(&field.node).as_deref() {
            Some("simple-shuffle") => ("weighted", Fate::Kept),
            Some("least-busy") => ("least_in_flight", Fate::Kept),
            Some("latency-based-routing") => ("latency", Fate::Kept),
            Some("cost-based-routing") => ("cost", Fate::Kept),
            Some("usage-based-routing" | "usage-based-routing-v2") => ("least_in_flight", Fate::Changed),
            Some(_) | None => return self.unknown(field, path),
        };
        self.strategy = Some(strategy);
        self.note(&field.origin, path, fate, format!("the strategy `{strategy}` of the pool `primary`"));
    }

    fn group_aliases(&mut self, field: &Entry, path: &Path) {
        let Value::Map(aliases) = &field.node.value else { return self.unknown(field, path) };
        for alias in aliases {
            let path = path.then(alias.key.as_str());
            let target = match &alias.node.value {
                Value::Map(fields) => {
                    let model = fields.iter().find(|field| field.key == "model");
                    model.and_then(|model| scalar(&model.node))
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                    scalar(&alias.node)
                }
            };
            match target {
                Some(target) => {
                    let origin = alias.origin.clone();
                    self.aliases.push(Alias { name: alias.key.clone(), targets: vec![target], origin, path });
                }
                None => self.unknown(alias, &path),
            }
        }
    }

    /// `[{a: [b, c]}, ..]`.
    fn fallbacks(&mut self, field: &Entry, path: &Path) {
        let Value::List(groups) = &field.node.value else { return self.unknown(field, path) };
        for (index, group) in groups.iter().enumerate() {
            let path = path.then(index);
            let Value::Map(entries) = &group.value else {
                self.note(&group.origin, &path, Fate::Unsupported, "is no fallback");
                continue;
            };
            for entry in entries {
                let path = path.then(entry.key.as_str());
                match &entry.node.value {
                    Value::List(targets) if entry.key != "*" => {
                        let targets = targets.iter().filter_map(scalar).collect();
                        let origin = entry.origin.clone();
                        self.fallbacks.push(Alias { name: entry.key.clone(), targets, origin, path });
                    }
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Text(_)
                    | Value::List(_)
                    | Value::Map(_) => {
                        self.unsupported(entry, &path, "give each model its own: `aliases: {a: [a, b]}`");
                    }
                }
            }
        }
    }

    fn retries(&mut self, field: &Entry, path: &Path) {
        let Some(retries) = scalar(&field.node).and_then(|text| text.parse::<u32>().ok()) else {
            return self.unknown(field, path);
        };
        if !self.retry.is_empty() {
            return self.changed(field, path, "is said twice; the first one was taken");
        }
        let attempts = retries.saturating_add(1).min(20);
        self.retry.raw("attempts_max", attempts);
        let note = format!("`retry.attempts_max: {attempts}`, the first attempt included");
        if attempts <= retries { self.changed(field, path, note) } else { self.kept(field, path, note) }
    }

    fn deadline(&mut self, field: &Entry, path: &Path, name: &str) {
        let time = scalar(&field.node).as_deref().and_then(seconds);
        match time {
            Some(time) if !self.deadlines.holds(name) => {
                self.deadlines.raw(name, time);
                self.kept(field, path, format!("`deadlines.{name}`"));
            }
            Some(_) => self.changed(field, path, "is said twice; the first one was taken"),
            None => self.unsupported(field, path, "is no time that can be kept"),
        }
    }

    fn count(&mut self, field: &Entry, path: &Path, name: &str) {
        let text = scalar(&field.node).unwrap_or_default();
        if !is_count(&text) || text.len() > 3 {
            return self.unknown(field, path);
        }
        self.breaker.raw(name, text);
        self.changed(field, path, format!("`breaker.{name}`: failures in a row, not in a minute"));
    }

    fn cooldown(&mut self, field: &Entry, path: &Path) {
        let Some(time) = scalar(&field.node).as_deref().and_then(seconds) else {
            return self.unknown(field, path);
        };
        self.cooldown.raw("base", &time);
        // No rest is shorter than the first one.
        self.cooldown.raw("max", "24h");
        self.changed(field, path, "`cooldown.base`; each further rest in a row is longer");
    }

    /// LiteLLM's budget of the whole proxy.
    pub(super) fn close_budget(&mut self) {
        let Some((amount, origin, path)) = self.budget.amount.take() else { return };
        let (per, fate) = match self.budget.duration.as_deref() {
            None => ("total", Fate::Kept),
            Some("1h") => ("hour", Fate::Kept),
            Some("24h" | "1d") => ("day", Fate::Changed),
            Some("7d" | "1w") => ("week", Fate::Changed),
            Some("30d" | "31d" | "1mo") => ("month", Fate::Changed),
            Some(_) => {
                let note = "the period is none of hour, day, week and month; write the budget that is meant";
                return self.note(&origin, &path, Fate::Unsupported, note);
            }
        };
        let mut budget = Flow::default();
        budget.raw("amount", amount);
        budget.raw("per", per);
        self.budgets.push(budget);
        let note = format!("a budget of the whole gateway per {per} of the calendar, in UTC");
        self.note(&origin, &path, fate, note);
    }
}

fn is_count(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|count| (1..=1_000_000).contains(&count))
}

fn is_amount(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.parse::<policy::Amount>().is_ok_and(|amount| amount > policy::Amount::ZERO) && digits <= 18
}
