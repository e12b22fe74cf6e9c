//! Reads a request of `generateContent`, or of what hangs beside it: what it weighs and demands; never the model, which
//! its path names.

use super::seal;
use super::wire::{count, each, name};
use crate::dialect::Dialect;
use crate::dialect::ask::{DecodeError, MEDIA_BYTES, Outline, Role};
use crate::dialect::foreign::{Cuts, Origin};
use crate::dialect::mark::SealMark;
use crate::dialect::weigh::{self, length, weigh};
use crate::json::{Kind, Malformed, Scan};

/// The fields the gateway acts on, hence the ones that may stand only once, in either spelling.
const KNOWN: [&str; 4] = ["contents", "systemInstruction", "tools", "generationConfig"];

pub(super) fn outline(text: &str) -> Result<Outline, DecodeError> {
    let mut scan = Scan::new(text);
    if scan.kind() != Kind::Object {
        scan.skip()?;
        scan.end()?;
        return Err(DecodeError::NotAnObject);
    }
    let mut outline = Outline::of(Dialect::Gemini);
    let mut met = [false; KNOWN.len()];
    outline.places.empty = true;
    outline.places.inside = scan.place() + 1;
    scan.object(|scan, key| {
        outline.places.empty = false;
        let field = name(&key);
        let known = met.iter_mut().zip(KNOWN).find(|(_, known)| *known == field);
        if let Some((met, param)) = known
            && std::mem::replace(met, true)
        {
            return Err(DecodeError::Duplicate { param });
        }
        match &*field {
            // Embeddings have one `content`, or several in `requests`.
            "contents" | "content" => each(scan, |scan, _| content(scan, Role::Other, &mut outline))?,
            "requests" => weigh::bulk(scan, &mut outline)?,
            "systemInstruction" => content(scan, Role::System, &mut outline)?,
            "tools" => {
                let kind = scan.kind();
                outline.needs.tools |= kind == Kind::Object;
                weigh::tools(scan, &mut outline)?;
            }
            "generationConfig" if scan.kind() == Kind::Object => config(scan, &mut outline)?,
            _ => scan.skip()?,
        }
        Ok(())
    })?;
    scan.end()?;
    Ok(outline)
}

/// Takes one content and notes what the conversation begins with.
fn content(scan: &mut Scan<'_>, role: Role, outline: &mut Outline) -> Result<(), DecodeError> {
    let start = scan.place();
    match scan.kind() {
        Kind::Null => return Ok(scan.skip()?),
        Kind::Object => scan.object(|scan, key| match &*name(&key) {
            "parts" => each(scan, |scan, _| part(scan, outline)),
            _ => weigh::bulk(scan, outline),
        })?,
        Kind::Array | Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            weigh::bulk(scan, outline)?;
        }
    }
    outline.places.beginning.meet(role, Some(start..scan.at()));
    Ok(())
}

fn part(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Object {
        return weigh::bulk(scan, outline);
    }
    // A signature that another dialect gave, which Google would refuse, goes; the part stays.
    let mut cuts = Cuts::default();
    scan.object(|scan, key| {
        let mut origin = Origin::Own;
        match (&*name(&key), scan.kind()) {
            ("inlineData" | "fileData", Kind::Object) => media(scan, outline)?,
            ("functionResponse", Kind::Object) => result(scan, outline)?,
            (name, Kind::String) => {
                let text = scan.string()?;
                if name == "thoughtSignature" {
                    let seal = text.value();
                    match seal::is_wrapped(&seal) {
                        true => origin = Origin::Foreign,
                        false => outline.seals.push(SealMark::of(&seal)),
                    }
                }
                weigh(outline, text.value_bytes());
            }
            _ => weigh::bulk(scan, outline)?,
        }
        cuts.note(key.span().start..scan.at(), origin, &mut outline.places.foreign);
        Ok::<_, DecodeError>(())
    })?;
    cuts.end(&mut outline.places.foreign);
    Ok(())
}

/// Takes the result of a function. Only media may stand in its parts, so that nothing nests.
fn result(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    scan.object(|scan, key| match &*name(&key) {
        "parts" => each(scan, |scan, _| match scan.kind() {
            Kind::Object => scan.object(|scan, key| match (&*name(&key), scan.kind()) {
                ("inlineData" | "fileData", Kind::Object) => media(scan, outline),
                _ => weigh::bulk(scan, outline),
            }),
            _ => weigh::bulk(scan, outline),
        }),
        _ => weigh::bulk(scan, outline),
    })
}

fn media(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    let needs = &mut outline.needs;
    scan.object(|scan, key| {
        if name(&key) != "mimeType" || scan.kind() != Kind::String {
            return scan.skip();
        }
        let mime_type = scan.string()?.value();
        match mime_type.split_once('/').map_or(&*mime_type, |(kind, _)| kind) {
            "image" => needs.images = true,
            "audio" => needs.audio = true,
            _ => needs.files = true,
        }
        Ok::<_, Malformed>(())
    })?;
    weigh(outline, MEDIA_BYTES);
    Ok(())
}

fn config(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    scan.object(|scan, key| {
        match (&*name(&key), scan.kind()) {
            ("maxOutputTokens", _) => {
                outline.max_output_tokens = outline.max_output_tokens.max(count(scan.written()?));
            }
            ("candidateCount", _) => {
                outline.answers = outline.answers.max(count(scan.written()?).unwrap_or(1));
            }
            ("responseSchema" | "responseJsonSchema", Kind::Object) => {
                outline.needs.json_schema = true;
                let written = scan.written()?;
                weigh(outline, length(written.len()));
            }
            ("responseModalities", Kind::Array) => scan.array(|scan, _| {
                let written = scan.written()?;
                outline.needs.audio |= written.eq_ignore_ascii_case("\"audio\"");
                Ok::<_, DecodeError>(())
            })?,
            _ => scan.skip()?,
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::ask::Needs;

    fn read(body: &str) -> Outline {
        outline(body).expect("a test's request is one")
    }

    fn check(body: &str, needs: Needs, prompt_bytes: u64, max_output_tokens: Option<u64>) {
        let found = read(body);
        assert_eq!((found.needs, found.prompt_bytes), (needs, prompt_bytes), "{body}");
        assert_eq!((found.max_output_tokens, found.model), (max_output_tokens, None), "{body}");
    }

    #[test]
    fn a_request_says_what_it_weighs_and_demands() {
        let none = Needs::default();
        check("{}", none, 0, None);
        check(r#"{"content":{"parts":[{"text":"abc"}]},"taskType":"X"}"#, none, 3, None);
        check(r#"{"requests":[{}]}"#, none, 4, None);
        check(r#"{"contents":[{"parts":[{"text":"abc"}]}],"model":"m"}"#, none, 3, None);
        check(
            r#"{"contents":{"parts":{"text":"abc"}},"generation_config":{"max_output_tokens":"7"}}"#,
            none,
            3,
            Some(7),
        );
        check(r#"{"system_instruction":{"parts":[{"text":"a\u00fc"}]},"contents":null}"#, none, 3, None);
        let media = Needs { images: true, audio: true, files: true, ..none };
        check(
            r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"iiii"}},{"inline_data":{"mime_type":"audio/wav","data":""}},{"fileData":{"mimeType":"application/pdf","fileUri":"u"}}]}]}"#,
            media,
            3 * MEDIA_BYTES,
            None,
        );
        let images = Needs { images: true, ..none };
        check(
            r#"{"contents":[{"parts":[{"functionResponse":{"response":{"a":1},"parts":[{"inlineData":{"mimeType":"image/png"}}]}}]}]}"#,
            images,
            MEDIA_BYTES + 7,
            None,
        );
        check(r#"{"tools":[{"googleSearch":{}}]}"#, Needs { tools: true, ..none }, 21, None);
        check(r#"{"tools":[]}"#, none, 2, None);
        let schema = Needs { json_schema: true, audio: true, ..none };
        check(
            r#"{"generationConfig":{"responseSchema":{},"responseModalities":["AUDIO"],"maxOutputTokens":9}}"#,
            schema,
            2,
            Some(9),
        );
    }

    #[track_caller]
    fn check_relayed(body: &str, expected: &str) {
        let body = bytes::Bytes::copy_from_slice(body.as_bytes());
        let found = crate::outline(Dialect::Gemini, &body).expect("a test's request is one");
        let edits = crate::Edits { model: Some("native"), ..crate::Edits::default() };
        assert_eq!(crate::rewrite(&body, &found, &edits).concat(), expected.as_bytes());
    }

    #[test]
    fn signatures_of_others_do_not_reach_google() {
        let seal = crate::conversation::seal::Seal {
            dialect: Dialect::AnthropicMessages,
            kind: crate::conversation::seal::SealKind::Signature,
            value: "EqQB".to_owned(),
            id: None,
            maker: None,
        };
        let foreign = seal::shown(&seal);
        let parts = |parts: &str| format!(r#"{{"contents":[{{"role":"model","parts":[{parts}]}}]}}"#);
        for (part, left) in [
            (
                format!(r#"{{"text":"a", "thought":true, "thoughtSignature":"{foreign}"}}"#),
                r#"{"text":"a", "thought":true}"#,
            ),
            (format!(r#"{{"thought_signature" : "{foreign}" , "text":""}}"#), r#"{"text":""}"#),
            (
                format!(r#"{{ "text":"a","thoughtSignature":"{foreign}","thought":true}}"#),
                r#"{ "text":"a","thought":true}"#,
            ),
            (format!(r#"{{"thoughtSignature":"{foreign}"}}"#), "{}"),
            (format!(r#"{{"thoughtSignature":"{foreign}","thoughtSignature":"{foreign}"}}"#), "{}"),
            (
                format!(r#"{{"thoughtSignature":"{foreign}","thoughtSignature":"{foreign}","text":""}}"#),
                r#"{"text":""}"#,
            ),
        ] {
            check_relayed(&parts(&part), &parts(left));
            check_relayed(&parts(&format!("{part}, {part}")), &parts(&format!("{left}, {left}")));
        }
        let own = parts(
            r#"{"text":"a","thoughtSignature":"bGcxLg=="},{"functionCall":{"name":"f"},"thoughtSignature":"QUJD"}"#,
        );
        check_relayed(&own, &own);
    }

    #[test]
    fn a_conversation_begins_with_its_instructions() {
        let beginning = |body: &str| read(body).beginning(body.as_bytes());
        let asked = r#"{"parts":[{"text":"hi"}]}"#;
        let with = |more: &str| format!(r#"{{"contents":[{asked},{{"parts":[]}}]{more}}}"#);
        assert_eq!(beginning(&with("")), Some(crate::digest(asked.as_bytes())));
        let told = r#"{"parts":[{"text":"be brief"}]}"#;
        for name in ["systemInstruction", "system_instruction"] {
            let body = with(&format!(r#","{name}":{told}"#));
            assert_eq!(beginning(&body), Some(crate::digest(told.as_bytes())));
        }
        assert_eq!(beginning(r#"{"contents":[]}"#), None);
    }

    #[test]
    fn what_is_written_twice_is_refused_in_either_spelling() {
        for body in [
            r#"{"contents":[],"contents":[]}"#,
            r#"{"systemInstruction":{},"system_instruction":{}}"#,
            r#"{"tools":[],"to\u006fls":[]}"#,
            r#"{"generation_config":{},"generationConfig":{}}"#,
        ] {
            let error = outline(body).expect_err("it says two things");
            assert!(matches!(error, DecodeError::Duplicate { .. }), "{body}: {error}");
        }
        assert_eq!(outline("[]"), Err(DecodeError::NotAnObject));
        assert!(outline(r#"{"x":1,"x":2}"#).is_ok());
    }

    #[test]
    fn nesting_does_not_overflow_the_stack() {
        for piece in [r#"{"contents":"#, r#"{"parts":["#, r#"{"functionResponse":{"parts":["#] {
            let body = format!(r#"{{"contents":[{{"parts":[{}"#, piece.repeat(100_000));
            assert!(outline(&body).is_err());
        }
    }
}
