//! What a test may want of this program, as data; the default is the happy path. Never how any of it is done.

use serde::{Deserialize, Serialize};

/// Everything that can be told to go otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent misbehaviours, as data")]
pub(crate) struct Scenario {
    /// Ends at once, with this code.
    pub(crate) exit_at_start: Option<i32>,
    /// How long after the start the ports are opened.
    pub(crate) ready_delay_ms: u64,
    /// The WebSocket port is never opened.
    pub(crate) never_ready: bool,
    pub(crate) ignores_sigterm: bool,
    /// Bare JSON ends the connection.
    pub(crate) closes_on_bare_json: bool,
    pub(crate) packing: Packing,
    /// Messages go out as binary ones.
    pub(crate) binary: bool,
    pub(crate) ack_timeout_ms: u64,
    /// Calls before `initialize` are answered.
    pub(crate) lenient: bool,
    pub(crate) logged_out_ask: LoggedOutAsk,
    /// What `auth/status` says when logged in, other than 2.
    pub(crate) status: Option<i64>,
    pub(crate) whitelist: i64,
    pub(crate) generate_url: GenerateUrl,
    /// The sign-in page is here, on the loopback, instead of far away.
    pub(crate) local_page: bool,
    pub(crate) page: Page,
    /// The credentials that the page takes.
    pub(crate) password: String,
    /// The token that `auth/login` takes.
    pub(crate) personal_token: String,
    pub(crate) sign_in: SignIn,
    pub(crate) update_endpoint: UpdateEndpoint,
    /// So many times after the start the list of models is empty.
    pub(crate) models_empty: usize,
    pub(crate) accept: Accept,
    pub(crate) max_concurrent: Option<usize>,
    /// How long after a stop its finish comes; none: never.
    pub(crate) stop_finish_ms: Option<u64>,
    /// Whether the methods `session/*` are known.
    pub(crate) sessions: bool,
    /// The first whose `when` is in the question is played; without any, the question is echoed.
    pub(crate) scripts: Vec<Script>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            exit_at_start: None,
            ready_delay_ms: 0,
            never_ready: false,
            ignores_sigterm: false,
            closes_on_bare_json: false,
            packing: Packing::default(),
            binary: false,
            ack_timeout_ms: 500,
            lenient: false,
            logged_out_ask: LoggedOutAsk::Refuse,
            status: None,
            whitelist: 3,
            generate_url: GenerateUrl::Good,
            local_page: false,
            page: Page::default(),
            password: "right".to_owned(),
            personal_token: "good-token".to_owned(),
            sign_in: SignIn::Judged,
            update_endpoint: UpdateEndpoint::Good,
            models_empty: 0,
            accept: Accept::Success,
            max_concurrent: None,
            stop_finish_ms: Some(0),
            sessions: false,
            scripts: Vec::new(),
        }
    }
}

/// How frames are packed into messages.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Packing {
    pub(crate) cut: Cut,
    /// Frames a message when they are coalesced, bytes a message when they are split.
    pub(crate) at: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cut {
    #[default]
    One,
    Coalesce,
    Split,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LoggedOutAsk {
    Refuse,
    Finish401,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GenerateUrl {
    Good,
    Refused,
    Error,
    Empty,
    Hang,
}

/// How `auth/login` is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SignIn {
    /// By what was given.
    Judged,
    /// Its backend cannot be reached.
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UpdateEndpoint {
    Good,
    Fail,
    Hang,
}

/// How an ask is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Accept {
    /// `success: true`, at once.
    Success,
    /// `isSuccess: true`, as the plugin's types have it.
    IsSuccess,
    /// After the first push.
    Late,
    Refuse,
    Error,
    Never,
}

/// What the sign-in page shows besides its form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Page {
    #[default]
    Form,
    Slider,
    Risk,
    Sms,
    Organizations,
    /// Nothing that anybody knows.
    Strange,
    /// Already signed in: it goes straight back.
    Remembered,
}

/// What is done with a question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    pub(crate) when: String,
    pub(crate) items: Vec<Item>,
}

/// One step of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do", deny_unknown_fields)]
pub(crate) enum Item {
    /// A piece of the answer.
    Say {
        text: String,
    },
    /// The same, letter by letter.
    Spell {
        text: String,
    },
    /// A long piece.
    Long {
        bytes: usize,
    },
    /// Replaces what was said.
    Overwrite {
        text: String,
    },
    /// A piece that the content filter has hit.
    Filtered {
        text: String,
    },
    Think {
        text: String,
    },
    /// A piece of somebody else's answer.
    Foreign {
        text: String,
    },
    /// A push that nobody knows.
    Unknown,
    Step {
        step: String,
    },
    Title {
        title: String,
    },
    /// Asks the client to run a tool.
    InvokeTool {
        name: String,
        r#async: bool,
    },
    ToolSync,
    /// Waits for so long.
    Pause {
        ms: u64,
    },
    /// Waits until the control endpoint says go.
    Gate,
    /// Says nothing more; the answer does not end.
    Idle,
    Finish {
        code: i64,
        #[serde(default)]
        full_answer: Option<String>,
    },
    /// The program ends where it stands.
    Crash,
    /// The connection ends, the program stays.
    DropSocket,
}
