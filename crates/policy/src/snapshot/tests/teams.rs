//! What a key may do that is in a team: of what both demand, the tighter holds.

use proptest::prelude::*;

use super::built;
use crate::access::{may_call, may_enter, may_use};
use crate::identity::{Class, Endpoint, Key};
use crate::snapshot::{KeySpec, TeamSpec};
use crate::testing::{backend, draft, key};
use crate::timestamp::Timestamp;

/// What both a key and its team demand, each out of a few.
fn demands() -> impl Strategy<Value = TeamSpec> {
    let some = |from: &'static [&'static str]| proptest::sample::subsequence(from, 0..=from.len());
    let networks = some(&["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "::/0"]);
    let endpoints = proptest::sample::subsequence(&Endpoint::ALL[..4], 0..=3);
    let class = proptest::option::of(proptest::sample::select(&Class::ALL[..]));
    (some(&["m", "n", "m*", "o"]), endpoints, networks, class, any::<bool>(), proptest::option::of(1..4_u64))
        .prop_map(|(models, endpoints, networks, priority_max, strict, body_bytes_max)| TeamSpec {
            name: "crew".into(),
            models: models.into_iter().map(str::to_owned).collect(),
            endpoints,
            ip_allow: networks.into_iter().map(|network| network.parse().expect("a network")).collect(),
            priority_max,
            strict,
            body_bytes_max,
            ..TeamSpec::default()
        })
}

proptest! {
    /// Whatever a key in a team may do, the key may do alone and its team allows to a key that is bound by nothing else.
    #[test]
    fn the_tighter_of_key_and_team_wins(own in demands(), team in demands()) {
        let bound = |name: &str, demands: &TeamSpec| KeySpec {
            models: demands.models.clone(),
            endpoints: demands.endpoints.clone(),
            ip_allow: demands.ip_allow.clone(),
            priority_max: demands.priority_max.unwrap_or(Class::Urgent),
            strict: demands.strict,
            body_bytes_max: demands.body_bytes_max,
            ..key(name)
        };
        let mut draft = draft([backend("a", &["m", "n", "o", "mm"])]);
        let member = KeySpec { team: Some("crew".into()), ..bound("member", &own) };
        draft.keys = vec![member, bound("alone", &own), bound("free", &team)];
        draft.teams = vec![team];
        let snapshot = built(draft);
        let [member, alone, free] = snapshot.identity.keys() else { panic!("three keys") };
        for model in ["m", "n", "o", "mm", "p"] {
            let may = |key: &Key| may_use(key, model).is_ok();
            prop_assert_eq!(may(member), may(alone) && may(free), "{}", model);
        }
        for endpoint in Endpoint::ALL {
            let may = |key: &Key| may_call(key, endpoint).is_ok();
            prop_assert_eq!(may(member), may(alone) && may(free), "{:?}", endpoint);
        }
        for ip in ["10.1.2.3", "10.2.0.1", "192.0.2.9", "198.51.100.1", "2001:db8::1", "::ffff:10.1.2.3"] {
            let may = |key: &Key| may_enter(key, ip.parse().expect("an address"), Timestamp(0)).is_ok();
            prop_assert_eq!(may(member), may(alone) && may(free), "{}", ip);
        }
        for class in Class::ALL {
            let got = class.capped(member.priority_max);
            prop_assert_eq!(got, class.capped(alone.priority_max).capped(free.priority_max));
        }
        prop_assert_eq!(member.strict, alone.strict || free.strict);
        let far = |key: &Key| key.body_bytes_max.unwrap_or(u64::MAX);
        prop_assert_eq!(far(member), far(alone).min(far(free)));
    }
}
