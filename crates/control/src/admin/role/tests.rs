//! Every route with every role: who may is who the description says.

use serde_json::{Value, json};

use super::Role;
use crate::admin::openapi;
use crate::testing::{House, TOKEN};

#[tokio::test]
async fn each_route_opens_to_its_role_and_those_above_and_to_nobody_else() {
    let house = House::new("").await;
    let mut tokens = vec![(Role::Admin, TOKEN.to_owned())];
    for role in [Role::Viewer, Role::Operator] {
        let body = json!({"name": role.name(), "role": role}).to_string();
        let made = house.call("POST", "/api/admin/tokens", &body).await.expect(201);
        tokens.push((role, made.str("/token").to_owned()));
    }
    let document = openapi();
    let paths = document["paths"].as_object().expect("paths");
    let mut walked = [0; 3];
    for (path, method, operation) in paths.iter().flat_map(|(path, item)| {
        item.as_object().expect("methods").iter().map(move |(method, operation)| (path, method, operation))
    }) {
        let Some(least) = least(operation) else {
            assert_eq!(
                (method.as_str(), path.as_str()),
                ("post", "/api/admin/session"),
                "only the way in is open"
            );
            continue;
        };
        walked[Role::ALL.iter().position(|role| *role == least).expect("all are there")] += 1;
        assert!(least > Role::Viewer || method == "get" || path == "/api/admin/session", "{method} {path}");
        let path = path.replace("{id}", "none").replace("{name}", "none");
        let method = method.to_uppercase();
        let nobody = house.call_with(&method, &path, b"{}".to_vec(), &[]).await.expect(401);
        assert_eq!(nobody.str("/code"), "unauthorized");
        for (role, token) in &tokens {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str())];
            let answer = house.call_with(&method, &path, b"{}".to_vec(), &headers).await;
            let refused = answer.status == 403 && answer.str("/code") == "forbidden";
            assert_eq!(refused, *role < least, "{method} {path} as {}: {}", role.name(), answer.text);
            assert_ne!(answer.status, 401, "{method} {path}");
        }
    }
    assert!(walked.iter().all(|count| *count > 2), "{walked:?}");
}

/// The least role that may call an operation, as it is described; none when everybody may.
fn least(operation: &Value) -> Option<Role> {
    let schemes = operation.get("security")?.as_array()?;
    let roles: Vec<Role> = schemes
        .iter()
        .filter_map(|scheme| scheme.as_object()?.values().next()?.pointer("/0")?.as_str())
        .filter_map(Role::named)
        .collect();
    assert!(roles.len() == 2 && roles[0] == roles[1], "a token and a session may the same: {operation}");
    roles.first().copied()
}

#[test]
fn roles_are_known_by_their_names_and_stand_in_order() {
    for role in Role::ALL {
        assert_eq!(Role::named(role.name()), Some(role));
        assert_eq!(serde_json::to_value(role).expect("a word"), role.name());
    }
    assert_eq!(Role::named("root"), None);
    assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
}
