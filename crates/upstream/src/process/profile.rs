//! What is known of each sort of local program, as data: how it is started, framed, greeted and signed in; never code
//! for one of them.

use protocol::agent_rpc::Codec;

/// One sort of program.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name in settings, and the prefix of its models.
    pub name: &'static str,
    /// Its command line; `{work_dir}`, `{socket_port}` and `{http_port}` stand for the instance's own.
    pub arguments: &'static [&'static str],
    /// Whether each message has a header of its length inside of the WebSocket message.
    pub(super) framed: bool,
    /// What greets it after connecting; none: it needs no greeting.
    pub(super) greeting: Option<&'static str>,
    /// What asks it for its models; none: it has one, which needs no name.
    pub(super) models: Option<&'static str>,
    /// The words of a turn, unless settings choose others.
    pub codec: Codec,
    /// How it is signed in; none: it needs no account.
    pub(super) accounts: Option<&'static Accounts>,
    /// The port of a single instance, if the settings name none; none: a free one.
    pub socket_port: Option<u16>,
}

/// How a program is signed in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accounts {
    pub(super) status: &'static str,
    pub(super) login: &'static str,
    pub(super) logout: &'static str,
    pub(super) generate_url: &'static str,
    pub(super) callback: &'static str,
    /// Where the browser comes back to, on the instance's HTTP port.
    pub(super) callback_path: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) update_endpoint: &'static str,
    /// Its sign-in page, as far as it is known.
    pub(super) page: Page,
}

/// The marks of a sign-in page, as CSS selectors.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The frame that the form is in.
    pub(super) frame: &'static str,
    pub(super) user: &'static str,
    pub(super) password: &'static str,
    pub(super) submit: &'static str,
    /// What tells of a wrong password.
    pub(super) wrong: &'static str,
    /// What only a person may deal with, and what that is called.
    pub(super) human: &'static [(&'static str, &'static str)],
}

/// Known programs.
const PROFILES: &[Profile] = &[
    Profile {
        name: "lingma",
        arguments: &[
            "start",
            "--workDir={work_dir}",
            "--socketPort={socket_port}",
            "--httpPort={http_port}",
            "--transportType=websocket",
        ],
        framed: true,
        greeting: Some("initialize"),
        models: Some("config/queryModels"),
        codec: Codec::Chat,
        accounts: Some(&Accounts {
            status: "auth/status",
            login: "auth/login",
            logout: "auth/logout",
            generate_url: "login/generateUrl",
            callback: "login/auth_callback",
            callback_path: "/auth/callback",
            endpoint: "config/getEndpoint",
            update_endpoint: "config/updateEndpoint",
            page: Page {
                frame: "#alibaba-login-box",
                user: "#fm-login-id",
                password: "#fm-login-password",
                submit: "button.fm-submit, .fm-submit, button.password-login",
                wrong: "#login-error, .login-error-msg",
                human: &[
                    ("#nc_1_n1z", "slider"),
                    ("#baxia-dialog-content", "risk_check"),
                    ("#smsCode", "sms_code"),
                    (".organization-list", "organization"),
                ],
            },
        }),
        socket_port: Some(36510),
    },
    // For a program of one's own: `prompt` is answered by notifications `delta` and `done`.
    Profile {
        name: "simple",
        arguments: &["--port={socket_port}"],
        framed: false,
        greeting: None,
        models: None,
        codec: Codec::Simple,
        accounts: None,
        socket_port: None,
    },
];

impl Profile {
    /// The program of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// Their names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PROFILES.iter().map(|profile| profile.name)
    }
}
