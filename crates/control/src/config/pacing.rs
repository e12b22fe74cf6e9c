//! What a checked file means for cooldowns, breakers, adaptive rates, hedging and probes; it never decides what they do.

use policy::{
    Adaptive, AdaptiveSettings, BreakerRules, CooldownGrowth, CooldownRules, HedgeRules, ProbeRules,
    RateWindow, RetreatRules, RetryAfter,
};

use super::file;
use super::quantity::{Count, Span};

pub(crate) fn cooldown(typed: Option<&file::Cooldown>) -> CooldownRules {
    let rules = CooldownRules::default();
    let Some(typed) = typed else { return rules };
    CooldownRules {
        base: typed.base.map_or(rules.base, |span| span.0),
        max: typed.max.map_or(rules.max, |span| span.0),
        growth: match typed.growth {
            Some(file::Growth::Linear) => CooldownGrowth::Linear,
            Some(file::Growth::Exponential) => CooldownGrowth::Exponential,
            None => rules.growth,
        },
        retry_after: match typed.retry_after {
            Some(file::RetryAfter::Provider) => RetryAfter::Provider,
            Some(file::RetryAfter::Longest) => RetryAfter::Longest,
            None => rules.retry_after,
        },
        precheck: typed.precheck.map_or(rules.precheck, |span| span.0),
    }
}

pub(crate) fn rate_window(typed: Option<file::RateWindow>) -> RateWindow {
    match typed {
        Some(file::RateWindow::Minute) => RateWindow::Minute,
        Some(file::RateWindow::Bucket) => RateWindow::Bucket,
        None => RateWindow::default(),
    }
}

pub(crate) fn breaker(typed: Option<&file::Breaker>) -> BreakerRules {
    let rules = BreakerRules::default();
    let Some(typed) = typed else { return rules };
    BreakerRules {
        failures: or(typed.failures, rules.failures),
        share_percent: percent(typed.share_percent, rules.share_percent),
        calls_min: or(typed.calls_min, rules.calls_min),
        window: typed.window.map_or(rules.window, |span| span.0),
        base: typed.base.map_or(rules.base, |span| span.0),
        max: typed.max.map_or(rules.max, |span| span.0),
    }
}

pub(crate) fn adaptive(typed: Option<&file::Adaptive>) -> AdaptiveSettings {
    AdaptiveSettings {
        mode: match typed.and_then(|typed| typed.mode) {
            Some(file::AdaptiveMode::Off) => Adaptive::Off,
            Some(file::AdaptiveMode::Headers) => Adaptive::Headers,
            Some(file::AdaptiveMode::Retreat) => Adaptive::Retreat,
            Some(file::AdaptiveMode::Learned) => Adaptive::Learned,
            None => Adaptive::default(),
        },
        retreat: retreat(typed.and_then(|typed| typed.retreat.as_ref())),
    }
}

fn retreat(typed: Option<&file::Retreat>) -> RetreatRules {
    let rules = RetreatRules::default();
    let Some(typed) = typed else { return rules };
    RetreatRules {
        window: typed.window.map_or(rules.window, |Span(length)| length),
        enter_percent: percent(typed.enter_percent, rules.enter_percent),
        again_percent: percent(typed.again_percent, rules.again_percent),
        factor_percent: percent(typed.factor_percent, rules.factor_percent),
        floor_rpm: or(typed.floor_rpm, rules.floor_rpm),
        calm_percent: percent(typed.calm_percent, rules.calm_percent),
        calm_for: typed.calm_for.map_or(rules.calm_for, |Span(length)| length),
        step_rpm: or(typed.step_rpm, rules.step_rpm),
        alert_percent: percent(typed.alert_percent, rules.alert_percent),
        samples_min: or(typed.samples_min, rules.samples_min),
    }
}

pub(crate) fn hedging(typed: Option<&file::Hedging>, default: HedgeRules) -> HedgeRules {
    let Some(typed) = typed else { return default };
    let percent = |count: Count<0, 100>| u8::try_from(count.0).unwrap_or(u8::MAX);
    HedgeRules {
        enabled: typed.enabled.unwrap_or(default.enabled),
        quantile_percent: typed.quantile.map_or(default.quantile_percent, |share| share.0),
        spend_max_percent: typed.spend_max_percent.map_or(default.spend_max_percent, percent),
    }
}

/// A timeout ends with its interval.
pub(crate) fn probe(typed: Option<&file::Probe>, default: ProbeRules) -> ProbeRules {
    let interval = typed.and_then(|p| p.interval).map_or(default.interval, |span| span.0);
    ProbeRules {
        enabled: typed.and_then(|p| p.enabled).unwrap_or(default.enabled),
        interval,
        timeout: typed.and_then(|p| p.timeout).map_or(default.timeout, |span| span.0).min(interval),
    }
}

fn or<const MIN: u64, const MAX: u64>(typed: Option<Count<MIN, MAX>>, otherwise: u32) -> u32 {
    typed.map_or(otherwise, Count::get32)
}

fn percent<const MAX: u64>(typed: Option<Count<1, MAX>>, otherwise: u8) -> u8 {
    typed.and_then(|count| u8::try_from(count.0).ok()).unwrap_or(otherwise)
}
