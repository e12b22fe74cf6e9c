//! Reads the pushes of a turn as steps of an answer; never whose turn it is.

use super::fence::Fence;
use super::push::Push;
use crate::conversation::answer::Finish;
use crate::conversation::event::{Delta, Event, Opening};
use crate::failure::{Failure, FailureKind};
use crate::json::Malformed;
use crate::relay::stream::StreamEnd;
use crate::translate::EventReader;

/// A reader at the start of a turn.
#[derive(Default)]
pub(super) struct Reader {
    is_started: bool,
    open: Option<Open>,
    parts: u32,
    fence: Fence,
    /// What was said so far, for the pushes that replace it.
    said: String,
    is_filtered: bool,
    is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thought,
}

impl EventReader for Reader {
    fn read(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.is_over {
            return Ok(());
        }
        let push: Push<'_> = serde_json::from_str(data).map_err(|_| Malformed {
            at: 0,
            what: "a push that cannot be read",
            cut: false,
        })?;
        match name.unwrap_or_default() {
            "chat/answer" | "delta" => self.answer(&push, out),
            "chat/think" => self.think(push.text.as_deref().unwrap_or_default(), out),
            "chat/finish" => {
                let code = push.status_code.unwrap_or(OK);
                self.finish(code, push.reason.as_deref(), push.full_answer.as_deref(), out);
            }
            "done" => match &push.error {
                Some(error) => {
                    self.is_over = true;
                    out.push(Event::Failed(Failure::new(FailureKind::ErrorAnswer, error)));
                }
                None => self.finish(OK, None, None, out),
            },
            "session/update" => self.update(&push, out),
            // Steps of preparation, titles, whatever a later release may say: none of it is the answer.
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<Event>) -> StreamEnd {
        if self.is_over { StreamEnd::Complete } else { StreamEnd::Cut }
    }
}

/// The status of a turn that went well.
const OK: i64 = 200;

impl Reader {
    fn update(&mut self, push: &Push<'_>, out: &mut Vec<Event>) {
        let Some(update) = &push.update else { return };
        let text = update.content.as_ref().and_then(|content| content.text.as_deref()).unwrap_or_default();
        match (update.session_update.as_str(), update.r#type.as_deref()) {
            ("agent_message_chunk", _) => self.say(text, out),
            ("agent_thought_chunk", _) => self.think(text, out),
            ("notification", Some("chat_finish")) => {
                let ended = update.data.as_ref();
                let code = ended.and_then(|ended| ended.status_code).unwrap_or(OK);
                self.finish(code, ended.and_then(|ended| ended.reason.as_deref()), None, out);
            }
            _ => {}
        }
    }

    fn answer(&mut self, push: &Push<'_>, out: &mut Vec<Event>) {
        let text = push.text.as_deref().unwrap_or_default();
        self.is_filtered |= push.is_filtered == Some(true);
        if push.overwrite != Some(true) || self.said.is_empty() {
            return self.say(text, out);
        }
        // What was said cannot be taken back: a longer version goes on, another one follows on a line of its own.
        let more = match text.strip_prefix(&*self.said) {
            Some(more) => more.to_owned(),
            None => format!("\n{text}"),
        };
        self.say(&more, out);
        text.clone_into(&mut self.said);
    }

    fn say(&mut self, text: &str, out: &mut Vec<Event>) {
        self.said.push_str(text);
        let shown = self.fence.pass(text);
        self.add(Open::Text, shown, out);
    }

    fn think(&mut self, text: &str, out: &mut Vec<Event>) {
        self.add(Open::Thought, text.to_owned(), out);
    }

    fn add(&mut self, kind: Open, text: String, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.start(out);
        if self.open != Some(kind) {
            self.close(out);
            let opening = match kind {
                Open::Text => Opening::Text,
                Open::Thought => Opening::Thinking { is_summary: false, id: None },
            };
            out.push(Event::Open { part: self.parts, opening });
            self.open = Some(kind);
            self.parts += 1;
        }
        out.push(Event::Delta { part: self.parts.saturating_sub(1), delta: Delta::Text(text) });
    }

    fn finish(&mut self, code: i64, reason: Option<&str>, full: Option<&str>, out: &mut Vec<Event>) {
        self.is_over = true;
        if let Some(kind) = trouble(code) {
            let detail = format!("the turn ended with {code}: {}", reason.unwrap_or_default());
            let status = u16::try_from(code).ok();
            out.push(Event::Failed(Failure { status, ..Failure::new(kind, detail) }));
            return;
        }
        self.start(out);
        if self.said.is_empty() {
            self.say(full.unwrap_or_default(), out);
        }
        let rest = self.fence.finish();
        self.add(Open::Text, rest, out);
        self.close(out);
        let is_filtered = self.is_filtered || code != OK && code != 0;
        let finish = if is_filtered { Finish::ContentFilter } else { Finish::Stop };
        out.extend([Event::Finish(finish), Event::End]);
    }

    fn start(&mut self, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.is_started, true) {
            out.push(Event::Start { id: String::new(), model: String::new() });
        }
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            out.push(Event::Close { part: self.parts.saturating_sub(1) });
        }
    }
}

/// What a status at the end of a turn means; nothing where it is an end like any other, be it a filtered one.
fn trouble(code: i64) -> Option<FailureKind> {
    match code {
        0 | OK | 406 | 601 | 602 | 604 | 605 => None,
        401 | 403 => Some(FailureKind::Unauthorized),
        429 => Some(FailureKind::RateLimited),
        408 | 500..=599 => Some(FailureKind::Unavailable),
        _ => Some(FailureKind::ErrorAnswer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::collect::Collector;
    use crate::conversation::part::Content;

    fn read(pushes: &[(&str, &str)]) -> (Vec<Event>, StreamEnd) {
        let (mut reader, mut out) = (Reader::default(), Vec::new());
        for (method, params) in pushes {
            reader.read(Some(method), params, &mut out).expect("a push");
        }
        let end = reader.end(&mut out);
        (out, end)
    }

    #[track_caller]
    fn check(pushes: &[(&str, &str)], want: &[&str], finish: &Finish) {
        let (events, end) = read(pushes);
        assert_eq!(end, StreamEnd::Complete);
        let mut collector = Collector::default();
        events.iter().for_each(|event| collector.take(event));
        let told: Vec<String> = collector
            .answer()
            .parts
            .iter()
            .map(|part| match &part.content {
                Content::Text(text) => text.text.clone(),
                Content::Thinking(thinking) => format!("({})", thinking.text),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            (told.iter().map(String::as_str).collect::<Vec<_>>(), &collector.answer().finish),
            (want.to_vec(), finish)
        );
    }

    const FINISH: (&str, &str) = ("chat/finish", r#"{"statusCode":200,"reason":"","fullAnswer":"whole"}"#);

    #[test]
    fn an_answer_is_made_of_its_pushes() {
        let step = ("chat/process_step_callback", r#"{"step":"step_end"}"#);
        check(
            &[
                step,
                ("chat/think", r#"{"text":"hm","step":"start"}"#),
                ("chat/think", r#"{"text":"","step":"done"}"#),
                ("chat/answer", r#"{"text":"pon","overwrite":false,"extra":{"new":1}}"#),
                ("chat/answer", r#"{"text":""}"#),
                ("chat/answer", r#"{"text":"g\u00e9"}"#),
                FINISH,
                ("chat/answer", r#"{"text":"too late"}"#),
                FINISH,
            ],
            &["(hm)", "pongé"],
            &Finish::Stop,
        );
        check(&[FINISH], &["whole"], &Finish::Stop);
        check(&[("chat/answer", r#"{"text":"a"}"#), ("chat/finish", "{}")], &["a"], &Finish::Stop);
        check(&[("chat/finish", r#"{"statusCode":406}"#)], &[], &Finish::ContentFilter);
        let filtered = ("chat/answer", r#"{"text":"x","isFiltered":true}"#);
        check(&[filtered, FINISH], &["x"], &Finish::ContentFilter);
        let overwritten = |second: &'static str, want: &str| {
            check(
                &[("chat/answer", r#"{"text":"one"}"#), ("chat/answer", second), FINISH],
                &[want],
                &Finish::Stop,
            );
        };
        overwritten(r#"{"text":"one two","overwrite":true}"#, "one two");
        overwritten(r#"{"text":"other","overwrite":true}"#, "one\nother");
        let chunk = |kind: &str, text: &str| {
            format!(
                r#"{{"update":{{"sessionUpdate":"{kind}","content":{{"type":"text","text":"{text}"}}}}}}"#
            )
        };
        let ended =
            r#"{"update":{"sessionUpdate":"notification","type":"chat_finish","data":{"statusCode":200}}}"#;
        check(
            &[
                ("session/update", &chunk("agent_thought_chunk", "t")),
                ("session/update", &chunk("agent_message_chunk", "a")),
                ("session/update", &chunk("plan", "nothing")),
                ("session/update", ended),
            ],
            &["(t)", "a"],
            &Finish::Stop,
        );
        check(&[("delta", r#"{"text":"a"}"#), ("done", "{}")], &["a"], &Finish::Stop);
    }

    #[test]
    fn a_bad_end_is_a_failure_and_no_end_is_a_cut() {
        for (code, kind) in [
            (401, FailureKind::Unauthorized),
            (403, FailureKind::Unauthorized),
            (408, FailureKind::Unavailable),
            (409, FailureKind::ErrorAnswer),
            (429, FailureKind::RateLimited),
            (500, FailureKind::Unavailable),
            (90000, FailureKind::ErrorAnswer),
        ] {
            let (events, _) = read(&[("chat/finish", &format!(r#"{{"statusCode":{code}}}"#))]);
            assert!(
                matches!(&events[..], [Event::Failed(failure)] if failure.kind == kind),
                "{code}: {events:?}"
            );
        }
        let (events, _) = read(&[("done", r#"{"error":"no"}"#)]);
        assert!(matches!(&events[..], [Event::Failed(_)]));
        let (events, end) = read(&[("chat/process_step_callback", "{}"), ("session/title/update", "{}")]);
        assert!(events.is_empty() && end == StreamEnd::Cut, "preparation commits to nothing");
        let (events, end) = read(&[("chat/answer", r#"{"text":"a"}"#)]);
        assert!(!events.contains(&Event::End) && end == StreamEnd::Cut);
        let mut reader = Reader::default();
        assert!(reader.read(Some("chat/answer"), "{", &mut Vec::new()).is_err());
    }
}
