//! An alert is signed, tried again where that may help, and given up.

use std::sync::Mutex;

use policy::Amount;
use serde_json::Value;
use tokio::time::Instant;

use super::*;
use crate::testing::House;

const SECRET: &str = "alert-secret-0123456789";

/// Answers as it was told to, then with 200; keeps what came, and when.
#[derive(Default)]
struct Receiver {
    answers: Mutex<Vec<Result<u16, Unposted>>>,
    came: Mutex<Vec<(Duration, Letter)>>,
    began: Mutex<Option<Instant>>,
}

impl Courier for Receiver {
    fn post(&self, letter: Letter) -> Posting<'_> {
        let began = *self.began.lock().expect("no panic").get_or_insert_with(Instant::now);
        self.came.lock().expect("no panic").push((began.elapsed(), letter));
        let mut answers = self.answers.lock().expect("no panic");
        let answer = if answers.is_empty() { Ok(200) } else { answers.remove(0) };
        let answer = answer.map(|status| StatusCode::from_u16(status).expect("a status"));
        Box::pin(std::future::ready(answer))
    }
}

fn crossed(percent: u8) -> Crossed {
    let budget = "key app/day".into();
    Crossed { budget, percent, spent: Amount(1_500_000_000_000), amount: Amount(3_000_000_000_000) }
}

/// Delivers these, and gives what came at a receiver that answers so.
async fn delivered(config: &str, answers: Vec<Result<u16, Unposted>>, all: &[Crossed]) -> Vec<(u64, Letter)> {
    let house = House::new(config).await;
    let receiver = Arc::new(Receiver { answers: Mutex::new(answers), ..Receiver::default() });
    let (sender, crossings) = mpsc::channel(all.len().max(1));
    for crossed in all {
        sender.try_send(crossed.clone()).expect("room");
    }
    drop(sender);
    tokio::time::pause();
    deliver(crossings, house.publisher.clone(), Arc::clone(&receiver) as Arc<dyn Courier>).await;
    tokio::time::resume();
    let came = receiver.came.lock().expect("no panic");
    came.iter().map(|(at, letter)| (at.as_secs(), letter.clone())).collect()
}

fn config() -> String {
    format!("alerts: {{webhook: 'https://hooks.example.com/t0ken', secret: {SECRET}}}\n")
}

#[tokio::test]
async fn an_alert_says_what_was_crossed_and_proves_where_it_comes_from() {
    let came = delivered(&config(), Vec::new(), &[crossed(50)]).await;
    let [(_, letter)] = came.as_slice() else { panic!("one letter, not {came:?}") };
    let body: Value = serde_json::from_str(&letter.body).expect("JSON");
    assert_eq!((&body["event"], &body["percent"]), (&"budget_crossed".into(), &50.into()));
    assert_eq!((&body["spent"], &body["amount"]), (&"1.5".into(), &"3".into()));
    assert_eq!(body["at"], "2026-06-01T00:00:00Z");
    let signature = letter.signature.as_deref().expect("it is signed");
    let (time, signed) = signature.split_once(",v1=").expect("both parts");
    let message = format!("{}.{}", time.trim_start_matches("t="), letter.body);
    assert_eq!(signed, Secret::from(SECRET).sign(message.as_bytes()));
    assert_eq!(letter.url.expose(), "https://hooks.example.com/t0ken");
    assert!(!format!("{letter:?}").contains("t0ken") && !letter.body.contains(SECRET));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let unreached = || Err(Unposted::Unreached("nobody there".to_owned()));
    for (answers, at) in [
        (vec![Ok(503), unreached(), Ok(429)], &[0, 1, 6, 31][..]),
        (vec![Ok(500), Ok(500), Ok(500), Ok(500), Ok(500), Ok(500)], &[0, 1, 6, 31, 151]),
        (vec![Ok(404)], &[0]),
        (vec![Ok(302)], &[0]),
        (vec![Err(Unposted::NoAddress)], &[0]),
    ] {
        let told = format!("{answers:?}");
        let came = delivered(&config(), answers, &[crossed(80)]).await;
        assert_eq!(came.iter().map(|(at, _)| *at).collect::<Vec<_>>(), at, "{told}");
        let same = came.iter().all(|(_, letter)| letter.body == came[0].1.body);
        assert!(same, "a receiver can tell a repetition by its id: {told}");
    }
}

#[tokio::test]
async fn nobody_is_told_where_nobody_wants_to_be() {
    assert!(delivered("", Vec::new(), &[crossed(50), crossed(80)]).await.is_empty());
    let unsigned =
        delivered("alerts: {webhook: 'http://127.0.0.1:1/x?y=1'}", Vec::new(), &[crossed(50)]).await;
    assert_eq!(unsigned[0].1.signature, None);
}
