//! Holds the door to its promises: digests only, sessions go with their token, and never more of either than allowed.

use std::sync::Arc;
use std::time::Duration;

use policy::Digester;

use super::*;
use crate::sqlite::inspection::Inspection;
use crate::sqlite::{Database, Place};
use crate::vault::{MasterKeySource, Vault};

const BOUNDS: SessionBounds =
    SessionBounds { created_since: Timestamp(0), seen_since: Timestamp(0), count_max: 3 };

fn open(folder: &tempfile::TempDir) -> Directory {
    let place = Place { path: folder.path().join("lockgate.db"), busy_timeout: Duration::from_millis(200) };
    let database = Arc::new(Database::open(place, Inspection::Skipped).expect("a database"));
    let (vault, _) =
        Vault::open(Arc::clone(&database), MasterKeySource::DataFolder, folder.path()).expect("a vault");
    Directory::new(database, &vault)
}

fn digest(text: &str) -> Digest {
    Digester::new(&[3; 32]).digest(text)
}

fn token(name: &str) -> NewToken {
    NewToken {
        id: format!("tok_{name}"),
        name: name.to_owned(),
        role: "viewer".to_owned(),
        digest: digest(name),
        masked: "lga-ab***wxyz".to_owned(),
        expires: Some(Timestamp(99)),
    }
}

fn session(name: &str, token: &str, at: i64) -> StoredSession {
    StoredSession { digest: digest(name), token: digest(token), created: Timestamp(at), seen: Timestamp(at) }
}

#[tokio::test]
async fn a_token_is_found_by_its_digest_until_it_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = open(&folder);
    let changes = directory.changes().await.expect("a count");
    let made = directory.add_token(token("ci"), 2, Timestamp(7)).await.expect("it is stored");
    assert_eq!((made.created, made.last_used, made.expires), (Timestamp(7), None, Some(Timestamp(99))));
    directory.token_used(&made.id, Timestamp(8)).await.expect("it is noted");
    let found = directory.token_of(digest("ci")).await.expect("an answer").expect("it is there");
    assert_eq!(found, StoredToken { last_used: Some(Timestamp(8)), ..made.clone() });
    assert_eq!(directory.token_of(digest("other")).await.expect("an answer"), None);

    let again = directory.add_token(NewToken { id: "x".into(), ..token("ci") }, 2, Timestamp(7)).await;
    assert!(matches!(again, Err(StoreError::Conflict { why: "exists already", .. })), "{again:?}");
    directory.add_token(token("second"), 2, Timestamp(7)).await.expect("it is stored");
    let third = directory.add_token(token("third"), 2, Timestamp(7)).await.expect_err("there are two");
    assert!(third.to_string().contains("one too many"), "{third}");
    let names: Vec<String> =
        directory.tokens().await.expect("a list").into_iter().map(|token| token.name).collect();
    assert_eq!(names, ["ci", "second"]);

    directory.remove_token(&made.id).await.expect("it is removed");
    assert_eq!(directory.token_of(digest("ci")).await.expect("an answer"), None);
    let gone = directory.remove_token(&made.id).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
    assert_eq!(directory.changes().await.expect("a count"), changes, "nothing is published for a token");
}

#[tokio::test]
async fn sessions_go_with_their_token_their_time_and_the_room_there_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = open(&folder);
    let made = directory.add_token(token("ci"), 9, Timestamp(1)).await.expect("it is stored");
    for (name, of, at) in [("a", "ci", 10), ("b", "other", 20), ("c", "other", 30)] {
        directory.add_session(session(name, of, at), BOUNDS).await.expect("it begins");
    }
    directory.session_used(digest("a"), Timestamp(40)).await.expect("it is noted");
    assert_eq!(held(&directory).await, "abc");
    directory.add_session(session("d", "ci", 50), BOUNDS).await.expect("it begins");
    assert_eq!(held(&directory).await, "acd", "the one used longest ago makes room");
    let bounds = SessionBounds { seen_since: Timestamp(40), ..BOUNDS };
    directory.add_session(session("e", "other", 60), bounds).await.expect("it begins");
    assert_eq!(held(&directory).await, "ade", "what was not used since is forgotten");
    directory.remove_token(&made.id).await.expect("it is removed");
    assert_eq!(held(&directory).await, "e", "a session ends with its token");
    directory.remove_session(digest("e")).await.expect("it ends");
    assert_eq!(held(&directory).await, "");
}

/// The sessions there are, of those that the tests begin.
async fn held(directory: &Directory) -> String {
    let mut held = String::new();
    for name in ["a", "b", "c", "d", "e"] {
        if directory.session(digest(name)).await.expect("an answer").is_some() {
            held.push_str(name);
        }
    }
    held
}
