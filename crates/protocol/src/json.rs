//! Walks JSON text in place: says where each value lies and whether it is valid, and never builds a tree.
//!
//! A request of 512 KB crosses the gateway only to have a few fields looked at, so this walk is the dearest thing the
//! gateway does to it. It agrees with `serde_json` on what is valid (tests and fuzzing hold it to that) and knows the
//! position of everything it passes, which in-place editing needs and which `serde_json` tells of whole values only. It
//! outlines a body in less time than `serde_json` takes to skip it (`benches/hot_path.rs`).

use std::borrow::Cow;
use std::ops::Range;

mod block;
#[cfg(test)]
mod tests;

use block::BLOCK;

/// How deep values may nest: far more than any schema needs, far less than a thread's stack holds.
const DEPTH_MAX: u16 = 512;

/// Why the text is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(crate) struct Malformed {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
    /// The text simply stopped: what there is could be the beginning of a valid text.
    pub(crate) cut: bool,
}

/// What the next value is, told by its first byte alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
    /// The end of the text, or a byte no value begins with.
    Nothing,
}

/// A string as it is written: between its quotes, escapes and all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    written: &'a str,
    start: usize,
    /// How many bytes shorter than its writing the meaning is; none where nothing is escaped.
    saved: usize,
}

impl<'a> Text<'a> {
    /// Where it lies in the text, quotes included.
    pub(crate) fn span(&self) -> Range<usize> {
        self.start..self.start + self.written.len() + 2
    }

    /// What it means. A lone surrogate has no meaning in Unicode; such a string is given as written.
    pub(crate) fn value(&self) -> Cow<'a, str> {
        if self.saved == 0 {
            return Cow::Borrowed(self.written);
        }
        serde_json::from_str(&format!("\"{}\"", self.written)).map_or(Cow::Borrowed(self.written), Cow::Owned)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// Bytes of the meaning in UTF-8, without building it.
    pub(crate) fn value_bytes(&self) -> u64 {
        u64::try_from(self.written.len() - self.saved).unwrap_or(u64::MAX)
    }
}

/// A position in a JSON text. Each method that takes a value leaves the position right behind it.
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth: u16,
    /// Which bytes of one block are special to strings, a bit each, and where that block lies.
    specials: u64,
    specials_at: usize,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Scan { text, at: 0, depth: 0, specials: 0, specials_at: usize::MAX / 2 }
    }

    /// Looks at the next value without taking it.
    pub(crate) fn kind(&mut self) -> Kind {
        match self.next_token() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'n') => Kind::Null,
            _ => Kind::Nothing,
        }
    }

    /// Where the next value begins.
    pub(crate) fn place(&mut self) -> usize {
        self.next_token();
        self.at
    }

    /// Where the last value has ended.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Takes the next value, whatever it is.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        match self.next_token() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => self.object(|scan, _| scan.skip()),
            Some(b'[') => self.array(|scan, _| scan.skip()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.bad("expected a value")),
        }
    }

    /// Takes the next value, whatever it is, and says where it lies.
    pub(crate) fn span(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.place();
        self.skip()?;
        Ok(start..self.at)
    }

    /// Takes the next value, whatever it is, and gives it as it is written.
    pub(crate) fn written(&mut self) -> Result<&'a str, Malformed> {
        let span = self.span()?;
        Ok(self.text.get(span).unwrap_or_default())
    }

    /// What stands between a place that was passed and the end of the last value, as it is written.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Takes an object; `field` is called at each value and must take exactly that value.
    pub(crate) fn object<E: From<Malformed>>(
        &mut self,
        mut field: impl FnMut(&mut Self, Text<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'{', "expected an object")?;
        if self.next_token() != Some(b'}') {
            loop {
                if self.next_token() != Some(b'"') {
                    return Err(self.bad("expected a key").into());
                }
                let key = self.string()?;
                if self.next_token() != Some(b':') {
                    return Err(self.bad("expected a colon").into());
                }
                self.at += 1;
                field(self, key)?;
                match self.next_token() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err(self.bad("expected a comma or a closing brace").into()),
                }
            }
        }
        self.depth -= 1;
        self.at += 1;
        Ok(())
    }

    /// Takes an array; `item` is called at each element with its number and must take exactly that element.
    pub(crate) fn array<E: From<Malformed>>(
        &mut self,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'[', "expected an array")?;
        if self.next_token() != Some(b']') {
            for number in 0.. {
                item(self, number)?;
                match self.next_token() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return Err(self.bad("expected a comma or a closing bracket").into()),
                }
            }
        }
        self.depth -= 1;
        self.at += 1;
        Ok(())
    }

    /// Takes a string.
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Malformed> {
        if self.next_token() != Some(b'"') {
            return Err(self.bad("expected a string"));
        }
        let start = self.at;
        let mut saved = 0;
        self.at += 1;
        loop {
            self.next_special();
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => saved += self.escape()?,
                Some(_) => return Err(self.bad("raw control character in a string")),
                None => return Err(self.bad("unfinished string")),
            }
        }
        // The quotes are ASCII, so both ends are character borders.
        let written = self.text.get(start + 1..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Text { written, start, saved })
    }

    /// Checks that nothing but white space follows.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.bad("text after the end of the JSON value")),
        }
    }

    fn open(&mut self, brace: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.next_token() != Some(brace) {
            return Err(self.bad(expected));
        }
        if self.depth == DEPTH_MAX {
            return Err(Malformed { at: self.at, what: "values nested too deeply", cut: false });
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Takes an escape and says by how many bytes it is longer than what it means.
    fn escape(&mut self) -> Result<usize, Malformed> {
        match self.rest() {
            [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {
                self.at += 2;
                Ok(1)
            }
            [_, b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
                self.at += 6;
                Ok(6 - utf8_bytes([*a, *b, *c, *d]))
            }
            rest => {
                let cut = rest.len() < 2 || rest.get(1) == Some(&b'u') && rest.len() < 6;
                Err(Malformed { at: self.at, what: "invalid escape in a string", cut })
            }
        }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.bad("invalid number"));
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Malformed> {
        for expected in word.bytes() {
            if self.byte() != Some(expected) {
                return Err(self.bad("expected a value"));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Moves to the next quote, backslash or control character, or to the end of the text.
    fn next_special(&mut self) {
        loop {
            let known = self.at.wrapping_sub(self.specials_at);
            if known >= BLOCK {
                (self.specials_at, self.specials) = (self.at, block::specials(self.rest()));
                continue;
            }
            let ahead = self.specials >> known;
            if ahead != 0 {
                self.at += ahead.trailing_zeros() as usize;
                return;
            }
            self.at = self.specials_at + BLOCK;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn bad(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what, cut: self.at >= self.text.len() }
    }
}

/// UTF-8 bytes of what `\uXXXX` means; each half of a surrogate pair counts for two of its four.
fn utf8_bytes(digits: [u8; 4]) -> usize {
    match digits {
        [b'0', b'0', b'0'..=b'7', _] => 1,
        [b'0', b'0'..=b'7', _, _] | [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', _, _] => 2,
        _ => 3,
    }
}
