//! Plays turns: accepts or refuses an ask and pushes its answer by script, in either dialect; never thinks.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::client::{Call, Client};
use crate::scenario::{Accept, Item, LoggedOutAsk, Scenario};
use crate::world::World;

/// Serves `chat/*` and `session/*`.
pub(crate) async fn serve(call: Call) {
    let text = |name: &str| call.params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match call.method() {
        "chat/ask" => ask(call).await,
        "chat/stop" => {
            call.world.see(|stats| stats.stops += 1);
            call.world.stop(&text("requestId"));
            call.answer(json!({}));
        }
        "chat/deleteSessionById" => {
            call.world.see(|stats| stats.sessions_deleted += 1);
            call.answer(Value::Null);
        }
        "session/new" => {
            let id = format!("session-{}", call.world.stats.borrow().methods.len());
            call.answer(json!({"sessionId": id}));
        }
        "session/set_model" => call.answer(json!({})),
        "session/prompt" => prompt(call).await,
        "session/cancel" => {
            call.world.see(|stats| stats.stops += 1);
            call.world.stop(&text("sessionId"));
        }
        _ => call.fail(-32601, "unknown method"),
    }
}

async fn ask(call: Call) {
    let scenario = call.world.scenario();
    call.world.asked(call.params.clone());
    let refused = |why: &str| json!({"success": false, "errorCode": why, "errorMessage": why});
    // This one runs already.
    let is_busy = |max: usize| call.world.stats.borrow().turns_running > max as u64;
    let is_logged_in = call.world.is_logged_in();
    let turn = Turn::of(&call, Dialect::Chat);
    if !is_logged_in && scenario.logged_out_ask == LoggedOutAsk::Refuse {
        return call.answer(refused("NOT_LOGIN"));
    }
    if scenario.max_concurrent.is_some_and(is_busy) {
        return call.answer(refused("TOO_MANY"));
    }
    match scenario.accept {
        Accept::Success => call.answer(json!({"success": true, "errorCode": "", "errorMessage": ""})),
        Accept::IsSuccess => {
            call.answer(json!({"requestId": turn.request, "isSuccess": true, "errorMessage": ""}));
        }
        Accept::Late => {
            turn.step("step_start").await;
            call.answer(json!({"success": true}));
        }
        Accept::Refuse => return call.answer(refused("NO")),
        Accept::Error => return call.fail(-32603, "the backend said 404"),
        Accept::Never => {}
    }
    if is_logged_in {
        turn.play(&scenario).await;
    } else {
        turn.finish(401, "", None).await;
    }
}

async fn prompt(call: Call) {
    let scenario = call.world.scenario();
    call.world.asked(call.params.clone());
    call.answer(json!({}));
    Turn::of(&call, Dialect::Session).play(&scenario).await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Chat,
    Session,
}

/// One question and its answer.
struct Turn {
    dialect: Dialect,
    request: String,
    session: String,
    question: String,
    client: Arc<Client>,
    world: Arc<World>,
    /// What a stop rings.
    stopped: Arc<Notify>,
}

/// How playing went on.
enum Next {
    More,
    Ended,
}

impl Turn {
    fn of(call: &Call, dialect: Dialect) -> Self {
        let text = |pointer: &str| {
            call.params.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (request, question) = match dialect {
            Dialect::Chat => (text("/requestId"), text("/questionText")),
            Dialect::Session => (text("/_meta/ai-coding~1request-id"), text("/prompt/0/text")),
        };
        let turn = Self {
            dialect,
            request,
            session: text("/sessionId"),
            question,
            client: Arc::clone(&call.client),
            world: Arc::clone(&call.world),
            stopped: Arc::new(Notify::new()),
        };
        turn.world.turn_began(turn.key(), Arc::clone(&turn.stopped));
        turn
    }

    fn key(&self) -> &str {
        match self.dialect {
            Dialect::Chat => &self.request,
            Dialect::Session => &self.session,
        }
    }

    async fn play(&self, scenario: &Scenario) {
        let stopped = Arc::clone(&self.stopped);
        tokio::select! {
            () = self.script(scenario) => {}
            () = stopped.notified() => {
                if let Some(delay) = scenario.stop_finish_ms {
                    self.world.pause(delay).await;
                    self.finish(200, "cancelled", None).await;
                }
            }
            () = self.client.left() => self.world.see(|stats| stats.turns_left += 1),
        }
    }

    async fn script(&self, scenario: &Scenario) {
        let written = scenario.scripts.iter().find(|script| self.question.contains(&script.when));
        if self.dialect == Dialect::Chat && scenario.accept != Accept::Late {
            self.step("step_start").await;
        }
        self.step("step_end").await;
        match written {
            Some(script) => {
                for item in &script.items {
                    if self.client.is_gone() || matches!(self.item(item).await, Next::Ended) {
                        return;
                    }
                }
            }
            None => {
                self.title("Echo").await;
                for text in ["", "echo:", &self.question, ""] {
                    self.say(text, json!({})).await;
                }
                self.finish(200, "", None).await;
            }
        }
    }

    async fn item(&self, item: &Item) -> Next {
        match item {
            Item::Say { text } => self.say(text, json!({})).await,
            Item::Spell { text } => {
                for letter in text.chars() {
                    self.say(&letter.to_string(), json!({})).await;
                }
            }
            Item::Long { bytes } => self.say(&"x".repeat(*bytes), json!({})).await,
            Item::Overwrite { text } => self.say(text, json!({"overwrite": true})).await,
            Item::Filtered { text } => self.say(text, json!({"isFiltered": true})).await,
            Item::Think { text } => self.think(text).await,
            Item::Foreign { text } => {
                let foreign = json!({"requestId": "of-somebody-else", "sessionId": "elsewhere"});
                self.say(text, foreign).await;
            }
            Item::Unknown => self.push("something/new", json!({"requestId": self.request})).await,
            Item::Step { step } => self.step(step).await,
            Item::Title { title } => self.title(title).await,
            Item::InvokeTool { name, r#async } => {
                let params = json!({"requestId": self.request, "toolCallId": "tool-1", "name": name,
                    "parameters": {"command": "touch /never"}, "async": r#async});
                let answer = self.client.push(&self.world, "tool/invoke", params).await;
                let answer = answer.unwrap_or(Value::Null);
                self.world.see(|stats| stats.tool_replies.push(answer));
            }
            Item::ToolSync => {
                let params = json!({"sessionId": self.session, "requestId": self.request, "toolCallId": "tool-1",
                    "toolCallStatus": "REQUEST_FINISHED", "parameters": {}, "results": []});
                self.push("tool/call/sync", params).await;
            }
            Item::Pause { ms } => self.world.pause(*ms).await,
            Item::Gate => {
                let mut gates = self.world.gates.subscribe();
                let _ = gates.changed().await;
            }
            Item::Idle => std::future::pending().await,
            Item::Finish { code, full_answer } => self.finish(*code, "", full_answer.as_deref()).await,
            Item::Crash => std::process::exit(101),
            Item::DropSocket => {
                self.client.drop_socket();
                return Next::Ended;
            }
        }
        Next::More
    }

    async fn push(&self, method: &str, params: Value) {
        self.client.push(&self.world, method, params).await;
    }

    async fn step(&self, step: &str) {
        if self.dialect == Dialect::Session {
            return;
        }
        let params = json!({"requestId": self.request, "sessionId": self.session, "step": step,
            "description": "", "status": "done", "result": null, "message": ""});
        self.push("chat/process_step_callback", params).await;
    }

    async fn title(&self, title: &str) {
        let params = json!({"sessionId": self.session, "sessionTitle": title});
        self.push("session/title/update", params).await;
    }

    async fn say(&self, text: &str, besides: Value) {
        let mut params = match self.dialect {
            Dialect::Chat => json!({"requestId": self.request, "sessionId": self.session, "text": text,
                "overwrite": false, "isFiltered": false, "timestamp": 1, "extra": {"sessionType": "chat"}}),
            Dialect::Session => self.update("agent_message_chunk", text),
        };
        if let (Some(params), Some(besides)) = (params.as_object_mut(), besides.as_object()) {
            params.extend(besides.clone());
        }
        match self.dialect {
            Dialect::Chat => self.push("chat/answer", params).await,
            Dialect::Session => self.client.notify("session/update", &params),
        }
    }

    async fn think(&self, text: &str) {
        if self.dialect == Dialect::Session {
            return self.client.notify("session/update", &self.update("agent_thought_chunk", text));
        }
        for (text, step) in [(text, "start"), ("", "done")] {
            let params = json!({"requestId": self.request, "sessionId": self.session, "text": text,
                "step": step, "timestamp": 1, "extra": null});
            self.push("chat/think", params).await;
        }
    }

    fn update(&self, kind: &str, text: &str) -> Value {
        json!({"sessionId": self.session, "_meta": {"ai-coding/request-id": self.request},
            "update": {"sessionUpdate": kind, "content": {"type": "text", "text": text}}})
    }

    async fn finish(&self, code: i64, reason: &str, full_answer: Option<&str>) {
        // Whoever has read the end may ask again at once.
        self.world.turn_ended(self.key());
        if self.dialect == Dialect::Session {
            let update = json!({"sessionUpdate": "notification", "type": "chat_finish",
                "data": {"reason": reason, "statusCode": code}});
            let params = json!({"sessionId": self.session, "_meta": {"ai-coding/request-id": self.request},
                "update": update});
            return self.client.notify("session/update", &params);
        }
        let params = json!({"requestId": self.request, "sessionId": self.session, "reason": reason,
            "statusCode": code, "fullAnswer": full_answer.unwrap_or_default(), "extra": null});
        self.push("chat/finish", params).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.world.turn_ended(self.key());
    }
}
