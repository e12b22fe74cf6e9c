//! Teams through the API: what is made, changed and removed, and what a key of one that is gone would mean.

use serde_json::json;

use super::BASE;
use crate::testing::House;

const TEAMS: &str = "/api/admin/teams";

#[tokio::test]
async fn a_team_lives_and_dies_through_the_api() {
    let house = House::new(BASE).await;
    let body = json!({
        "name": "red", "rpm": 60, "concurrency": 2, "models": ["m"], "endpoints": ["chat"], "ip_allow": ["10.0.0.0/8"],
        "priority_max": "normal", "strict": true, "default_model": "m", "aliases": {"x": "m"}, "body_max": "1MiB",
        "metadata": {"site": "hq"}, "note": "the red ones"
    });
    let made = house.call("POST", TEAMS, &body.to_string()).await.expect(201);
    assert_eq!(made.headers["etag"], "\"1\"");
    let expected = json!({
        "rpm": 60, "tpm": null, "concurrency": 2, "models": ["m"], "endpoints": ["chat"], "ip_allow": ["10.0.0.0/8"],
        "priority_max": "normal", "strict": true, "default_model": "m", "aliases": {"x": ["m"]}, "body_max": 1_048_576,
        "metadata": {"site": "hq"}, "note": "the red ones", "source": "api", "keys": []
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&made.json[name], value, "{name}");
    }
    let key = json!({"name": "member", "team": "red", "rpm": 100});
    house.call("POST", "/api/admin/keys", &key.to_string()).await.expect(201);
    let shown = house.call("GET", &format!("{TEAMS}/red"), "").await.expect(200);
    assert_eq!(shown.json["keys"], json!(["member"]));
    let changed =
        house.call("PATCH", &format!("{TEAMS}/red"), r#"{"rpm": 30, "note": null}"#).await.expect(200);
    assert_eq!((&changed.json["rpm"], &changed.json["note"]), (&json!(30), &json!(null)));
    assert_eq!(changed.headers["etag"], "\"2\"");
    let snapshot = house.snapshot();
    assert_eq!(snapshot.identity.teams()[0].limits.rpm, Some(30));
    let member = snapshot.identity.keys().iter().find(|key| &*key.name == "member").expect("it is in force");
    assert!(member.strict && !member.models.holds("n"));
    let refused = house.call("DELETE", &format!("{TEAMS}/red"), "").await.expect(409);
    assert_eq!(refused.str("/detail"), "key member: there is no team `red`");
    house.call("PATCH", "/api/admin/keys/member", r#"{"team": null}"#).await.expect(200);
    house.call("DELETE", &format!("{TEAMS}/red"), "").await.expect(204);
    house.call("GET", &format!("{TEAMS}/red"), "").await.expect(404);
    assert!(house.snapshot().identity.teams().is_empty());
}

#[tokio::test]
async fn what_does_not_hold_is_named_and_not_stored() {
    let house = House::new(&format!("teams: [{{name: of-file, rpm: 5}}]\n{BASE}")).await;
    house.call("POST", TEAMS, r#"{"name": "red"}"#).await.expect(201);
    for (method, path, body, status, told) in [
        ("POST", TEAMS, r#"{"name": "red"}"#, 409, "another one has this name"),
        ("POST", TEAMS, r#"{"name": "of-file"}"#, 409, "the file already has the team `of-file`"),
        ("POST", TEAMS, r#"{"name": "a b", "rpm": 0, "endpoints": ["chats"]}"#, 422, "did you mean `chat`?"),
        ("POST", TEAMS, r#"{"name": "x", "default_model": "nowhere"}"#, 201, "nowhere"),
        ("POST", TEAMS, r#"{"name": "y", "secret": "s"}"#, 422, "unknown key"),
        ("POST", TEAMS, "[]", 422, "must be an object"),
        ("PATCH", "/api/admin/teams/of-file", r#"{"rpm": 1}"#, 409, "change it there"),
        ("DELETE", "/api/admin/teams/of-file", "", 409, "change it there"),
        ("PATCH", "/api/admin/teams/none", r#"{"rpm": 1}"#, 404, "there is no team"),
        ("POST", "/api/admin/keys", r#"{"name": "lost", "team": "rde"}"#, 409, "there is no team `rde`"),
    ] {
        let answer = house.call(method, path, body).await.expect(status);
        assert!(answer.text.contains(told), "{method} {path} {body}: {}", answer.text);
    }
    let listed = house.call("GET", TEAMS, "").await.expect(200);
    let names: Vec<&str> = listed.json["teams"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|team| team["name"].as_str())
        .collect();
    assert_eq!(names, ["of-file", "red", "x"]);
    let late = [("authorization", &*format!("Bearer {}", crate::testing::TOKEN)), ("if-match", "\"7\"")];
    let path = format!("{TEAMS}/red");
    house.call_with("PATCH", &path, br#"{"rpm": 1}"#.to_vec(), &late).await.expect(412);
}
