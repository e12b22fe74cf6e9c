//! The same dialect in and out keeps every byte but those of the fields the gateway owns, whatever else a client or an
//! upstream writes; what is read off the fields is tested beside the code.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::{Dialect, Edits, Segments, inspect_answer, outline, rename_model, rewrite};

/// White space between tokens, as pretty printers and hand-written clients leave it.
fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string serialises")),
        r#""(\\u[0-9a-fA-F]{4}|\\[nrtbf"/\\]|[a-z ]|é|😀){0,12}""#,
    ]
}

/// Numbers that a reader by value would spoil, among others.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
        Just("1e400".to_owned()),
        Just("0.10000000000000000001".to_owned()),
        Just("-0.0".to_owned()),
        Just("18446744073709551616".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![string(), number(), "(true|false|null)"];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let list = vec((space(), inner.clone(), space()), 0..5).prop_map(|items| {
            let items: Vec<String> =
                items.into_iter().map(|(before, item, after)| before + &item + &after).collect();
            format!("[{}]", items.join(","))
        });
        let object = vec((space(), string(), space(), inner), 0..5).prop_map(|fields| {
            let fields: Vec<String> =
                fields.into_iter().map(|(a, key, b, value)| format!("{a}{key}{b}:{value}")).collect();
            format!("{{{}}}", fields.join(","))
        });
        prop_oneof![list, object]
    })
}

/// A field the gateway does not know, with names that come close to those it does.
fn unknown() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        string(),
        Just("\"Model\"".to_owned()),
        Just("\"models\"".to_owned()),
        Just("\"top_k\"".to_owned())
    ];
    let unknown = name.prop_filter("a name the gateway knows", |name| {
        let name: Result<String, _> = serde_json::from_str(name);
        !name.is_ok_and(|name| {
            ["model", "user", "text", "input", "tools", "stream", "id"].contains(&name.as_str())
        })
    });
    (unknown, value())
}

#[derive(Debug, Clone)]
struct Body {
    fields: Vec<(String, String)>,
    spaces: Vec<String>,
}

impl Body {
    fn render(&self) -> String {
        let space = |number: usize| self.spaces[number % self.spaces.len()].as_str();
        let fields = self.fields.iter().enumerate().map(|(number, (key, value))| {
            format!(
                "{}{key}{}:{}{value}{}",
                space(number),
                space(number + 1),
                space(number + 2),
                space(number + 3)
            )
        });
        format!("{}{{{}}}{}", space(0), fields.collect::<Vec<_>>().join(","), space(1))
    }

    /// The same body with another value for one field.
    fn with(&self, key: &str, value: &str) -> Body {
        let mut body = self.clone();
        for field in body.fields.iter_mut().filter(|field| field.0 == key) {
            field.1 = value.to_owned();
        }
        body
    }
}

/// A body with the given fields somewhere among unknown ones.
fn body(own: Vec<(&'static str, BoxedStrategy<String>)>) -> impl Strategy<Value = Body> {
    let own: Vec<_> =
        own.into_iter().map(|(key, value)| value.prop_map(move |value| (key.to_owned(), value))).collect();
    (own, vec(unknown(), 0..6), vec(space(), 1..6)).prop_flat_map(|(own, unknown, spaces)| {
        let fields = Just(own.into_iter().chain(unknown).collect::<Vec<_>>()).prop_shuffle();
        fields.prop_map(move |fields| Body { fields, spaces: spaces.clone() })
    })
}

fn joined(segments: Segments) -> String {
    String::from_utf8(segments.concat()).expect("an edited text is a text")
}

const MODEL: &str = r#""model""#;
const OPTIONS: &str = r#""stream_options""#;

fn request() -> impl Strategy<Value = Body> {
    let content =
        prop_oneof![string(), Just("null".to_owned()), value().prop_map(|part| format!("[{part}]"))];
    let messages = (content, value())
        .prop_map(|(content, x)| format!(r#"[{{"role":"user","content":{content},"x":{x}}}]"#));
    let options = prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        value().prop_map(|x| format!(r#"{{ "x":{x} , "include_usage" : false}}"#)),
    ];
    body(vec![
        (r#""messages""#, messages.boxed()),
        (MODEL, prop_oneof![string(), Just("null".to_owned())].boxed()),
        (r#""stream""#, Just("true".to_owned()).boxed()),
        (OPTIONS, options.boxed()),
    ])
}

fn usage_asked(options: &str) -> String {
    match options {
        "null" => r#"{"include_usage":true}"#.to_owned(),
        "{}" => r#"{"include_usage":true}"#.to_owned(),
        other => format!("{} : true}}", other.strip_suffix(" : false}").expect("it was made so")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn p08_a_request_changes_in_the_fields_the_gateway_owns(request in request()) {
        let text = Bytes::from(request.render());
        let found = outline(Dialect::OpenAiChat, &text).unwrap();
        let untouched = rewrite(&text, &found, &Edits::default());
        prop_assert_eq!(untouched.as_slice(), std::slice::from_ref(&text));

        let options = request.fields.iter().find(|field| field.0 == OPTIONS).unwrap().1.clone();
        let expected = request.with(MODEL, r#""native/😀""#).with(OPTIONS, &usage_asked(&options));
        let edited = joined(rewrite(&text, &found, &Edits { model: Some("native/😀"), ask_usage: true, ..Edits::default() }));
        prop_assert_eq!(&edited, &expected.render());

        let again = outline(Dialect::OpenAiChat, edited.as_bytes()).unwrap();
        prop_assert_eq!(again.model.unwrap().name, "native/😀");
        prop_assert!(again.usage_asked);
    }

    #[test]
    fn p08_missing_fields_are_put_in_front(rest in body(vec![(r#""stream""#, Just("true".to_owned()).boxed())])) {
        let text = Bytes::from(rest.render());
        let found = outline(Dialect::OpenAiCompletions, &text).unwrap();
        let edited = joined(rewrite(&text, &found, &Edits { model: Some("native"), ask_usage: true, ..Edits::default() }));
        let fields = r#"{"model":"native","stream_options":{"include_usage":true},"#;
        prop_assert_eq!(edited, rest.render().replacen('{', fields, 1));
    }

    #[test]
    fn p08_an_answer_changes_in_its_model_only(answer in body(vec![
        (r#""choices""#, value().prop_map(|x| format!(r#"[{{"message":{{"content":"a","x":{x}}}}}]"#)).boxed()),
        (MODEL, string().boxed()),
    ])) {
        let text = Bytes::from(answer.render());
        let found = inspect_answer(Dialect::OpenAiChat, &text);
        prop_assume!(found.is_ok());
        let renamed = joined(rename_model(&text, found.unwrap().model.as_ref(), "alias"));
        prop_assert_eq!(renamed, answer.with(MODEL, r#""alias""#).render());
    }

    #[test]
    fn a_known_field_written_twice_is_refused_wherever_it_stands(request in request(), which in 0..4_usize, escaped in any::<bool>(), at in any::<prop::sample::Index>()) {
        let mut twice = request;
        let known = ["model", "messages", "stream", "stream_options"][which];
        let letters = known.chars().map(|letter| if escaped { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() });
        let key = format!("\"{}\"", letters.collect::<String>());
        let value = twice.fields.iter().find(|field| field.0 == format!("\"{known}\"")).unwrap().1.clone();
        let at = at.index(twice.fields.len() + 1);
        twice.fields.insert(at, (key, value));
        let error = outline(Dialect::OpenAiChat, twice.render().as_bytes()).unwrap_err();
        prop_assert_eq!((error.code(), error.param()), ("invalid_request", Some(known)));
    }

    #[test]
    fn arbitrary_bytes_harm_nothing(bytes in vec(any::<u8>(), 0..200)) {
        for &dialect in Dialect::ALL {
            let refused = outline(dialect, &bytes).is_err();
            let parses = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok();
            prop_assert!(refused || parses);
        }
    }
}
