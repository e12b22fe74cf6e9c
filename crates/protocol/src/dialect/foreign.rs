//! Says which bytes of a list or an object go because they are another provider's words, wrapped for the client, which
//! this one would refuse; never how they are told apart.

use std::ops::Range;

/// Whose words these are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    #[default]
    Own,
    /// Another dialect's, wrapped for this client.
    Foreign,
}

/// The cuts through one list or object, made element by element so that what is left is one: each with the comma before
/// it, or behind it where nothing that stays comes before.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// What goes and has nothing before it that stays.
    leading: Option<Range<usize>>,
    previous_end: Option<usize>,
}

impl Cuts {
    /// Takes the next element.
    pub(crate) fn note(&mut self, element: Range<usize>, origin: Origin, cuts: &mut Vec<Range<usize>>) {
        match (origin, self.previous_end, &mut self.leading) {
            (Origin::Foreign, Some(previous_end), _) => cuts.push(previous_end..element.end),
            (Origin::Foreign, None, Some(leading)) => {
                leading.end = element.end;
                return;
            }
            (Origin::Foreign, None, None) => {
                self.leading = Some(element);
                return;
            }
            (Origin::Own, _, _) => {
                cuts.extend(self.leading.take().map(|leading| leading.start..element.start))
            }
        }
        self.previous_end = Some(element.end);
    }

    /// Whether all elements go, and there were some.
    pub(crate) fn leave_nothing(&self) -> bool {
        self.leading.is_some()
    }

    /// There are no more elements.
    pub(crate) fn end(self, cuts: &mut Vec<Range<usize>>) {
        cuts.extend(self.leading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, left: &str) {
        let (mut cuts, mut ranges) = (Cuts::default(), Vec::new());
        let inner = &list[1..list.len() - 1];
        let mut at = 1;
        for element in inner.split(',').filter(|element| !element.is_empty()) {
            let start = at + element.len() - element.trim_start().len();
            let origin = if element.contains('f') { Origin::Foreign } else { Origin::Own };
            cuts.note(start..start + element.trim().len(), origin, &mut ranges);
            at += element.len() + 1;
        }
        cuts.end(&mut ranges);
        let mut written = list.to_owned();
        ranges.into_iter().rev().for_each(|range| written.replace_range(range, ""));
        assert_eq!(written, left, "{list}");
    }

    #[test]
    fn what_is_left_is_a_list() {
        for (list, left) in [
            ("[]", "[]"),
            ("[1, 2]", "[1, 2]"),
            ("[f]", "[]"),
            ("[f, f]", "[]"),
            ("[ f , 1]", "[ 1]"),
            ("[1, f]", "[1]"),
            ("[1, f, f, 2]", "[1, 2]"),
            ("[f, f, 1, f, 2, f]", "[1, 2]"),
        ] {
            check(list, left);
        }
    }
}
