//! Takes out of an agent's text the fenced blocks that only its editor can show; never anything else.

/// What begins such a block, at the start of a line.
const OPENING: &str = "```toolCall::";
const CLOSING: &str = "```";

/// Drops those blocks from text that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Fence {
    /// The beginning of a line, as long as it may become a mark.
    held: String,
    is_inside: bool,
    /// The rest of this line is decided.
    is_within_line: bool,
}

impl Fence {
    /// What of the text so far and `more` can be shown now.
    pub(super) fn pass(&mut self, more: &str) -> String {
        let mut shown = String::new();
        for piece in more.split_inclusive('\n') {
            if self.is_within_line {
                if !self.is_inside {
                    shown.push_str(piece);
                }
            } else {
                self.held.push_str(piece);
                self.decide(&mut shown);
            }
            if piece.ends_with('\n') {
                self.is_within_line = false;
            }
        }
        shown
    }

    /// What was held back in case that it became a mark.
    pub(super) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if self.is_inside { String::new() } else { held }
    }

    /// Looks at the beginning of a line.
    fn decide(&mut self, shown: &mut String) {
        let mark = if self.is_inside { CLOSING } else { OPENING };
        let is_whole = self.held.ends_with('\n');
        if self.held.starts_with(mark) {
            let ends = self.is_inside;
            // The line that closes a block belongs to it.
            if ends && !is_whole {
                return;
            }
            self.is_inside = !ends;
        } else if mark.starts_with(&self.held) && !is_whole {
            return;
        } else if !self.is_inside {
            shown.push_str(&self.held);
        }
        self.held.clear();
        self.is_within_line = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_blocks_of_tools_go() {
        let check = |text: &str, want: &str| {
            for size in 1..=text.len().max(1) {
                let letters: Vec<char> = text.chars().collect();
                let mut fence = Fence::default();
                let mut shown = String::new();
                for piece in letters.chunks(size) {
                    shown.push_str(&fence.pass(&piece.iter().collect::<String>()));
                }
                shown.push_str(&fence.finish());
                assert_eq!(shown, want, "{text:?} in pieces of {size}");
            }
        };
        check("", "");
        check("plain\ntext", "plain\ntext");
        check("a\n```toolCall::f::1::DONE\n{\"x\":1}\n```\nb", "a\nb");
        check("```toolCall::f::1::DONE\nx\n```", "");
        check("a\n```rust\ncode\n```\nb ```toolCall::", "a\n```rust\ncode\n```\nb ```toolCall::");
        check("``", "``");
        check("```toolCall", "```toolCall");
        check("```toolCall::never closed\nx", "");
    }
}
