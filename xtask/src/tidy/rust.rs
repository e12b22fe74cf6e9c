//! Reads one Rust file as syntax and judges its shape; never follows a path into another file.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, FnArg, Ident, ItemFn, Signature, Type, UseTree};

use super::Finding;
use super::measure::{Limit, Measure};

const FILE: Limit = Limit { rule: "file-lines", max: 500, what: "lines before the tests" };
const FILE_WHOLE: Limit = Limit { rule: "file-lines-whole", max: 800, what: "lines" };
const FUNCTION: Limit = Limit { rule: "function-lines", max: 70, what: "lines" };
const BOOLEANS: Limit = Limit {
    rule: "boolean-parameters",
    max: 0,
    what: "boolean parameters (two behaviours are two functions)",
};
const SLEEPS: Limit = Limit { rule: "sleeps", max: 0, what: "sleeps on a running clock in tests" };

/// Words that say nothing about what a thing is.
const EMPTY_NAMES: &[&str] = &["manager", "helper", "helpers", "util", "utils", "common", "misc", "stuff"];

/// Paths that only some folders may name, and why.
const RESERVED_PATHS: &[(&str, &[&str], &str)] = &[
    ("hyper::client", CLIENTS, "HTTP clients live under upstream"),
    ("hyper_util::client", CLIENTS, "HTTP clients live under upstream"),
    ("std::fs", NOT_PURE, "protocol and policy do no IO"),
    ("std::net::TcpStream", NOT_PURE, "protocol and policy do no IO"),
    ("std::env", NOT_PURE, "protocol and policy read no environment"),
    ("std::process", NOT_PURE, "protocol and policy do no IO"),
    ("std::thread", NOT_PURE, "protocol and policy start nothing"),
];
/// Besides upstream: the tests' clients, the measuring tools, and the commands that talk to a running gateway.
const CLIENTS: &[&str] =
    &["crates/upstream/", "crates/testkit/", "xtask/", "crates/server/src/commands/", "crates/server/tests/"];
const NOT_PURE: &[&str] = &[
    "crates/upstream/",
    "crates/store/",
    "crates/gateway/",
    "crates/control/",
    "crates/server/",
    "crates/testkit/",
    "crates/fake-lingma/",
    "xtask/",
];

/// What one file adds to the findings, and what it measures.
pub(crate) fn inspect(path: &str, text: &str, findings: &mut Vec<Finding>) -> Vec<Measure> {
    let file = match syn::parse_file(text) {
        Ok(file) => file,
        Err(e) => {
            findings.push(Finding::new(path, line(e.span()), "syntax", e.to_string()));
            return Vec::new();
        }
    };
    let opening = text.lines().next().unwrap_or_default();
    if !opening.starts_with("//! ") || opening.split_whitespace().count() < 5 {
        let says = "open with one `//!` sentence: what this file decides, and what it never does";
        findings.push(Finding::new(path, 1, "opening", says));
    }
    let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
    if path.split('/').chain([name]).any(|part| EMPTY_NAMES.contains(&part)) {
        findings.push(Finding::new(path, 0, "name", "a file is named for what it decides"));
    }
    let mut reader = Reader {
        path,
        text,
        findings,
        measures: Vec::new(),
        in_tests: is_test_file(path),
        owner: String::new(),
        tests_from: None,
        clock_paused: text.contains("start_paused") || text.contains("time::pause("),
        sleeps: 0,
    };
    reader.visit_file(&file);
    let lines = text.lines().count();
    let before_tests = reader.tests_from.filter(|_| !is_test_file(path)).map_or(lines, |first| first - 1);
    let sleeps = reader.sleeps;
    let mut measures = reader.measures;
    let own = |limit, size| Measure { limit, key: path.to_owned(), line: 0, size };
    if !is_test_file(path) {
        measures.push(own(FILE, before_tests));
    }
    measures.push(own(FILE_WHOLE, lines));
    measures.push(own(SLEEPS, sleeps));
    measures
}

/// Whole files of tests: integration tests, and `tests.rs` or `tests/` beside the code.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.contains("/testkit/")
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    findings: &'a mut Vec<Finding>,
    measures: Vec<Measure>,
    in_tests: bool,
    owner: String,
    tests_from: Option<usize>,
    clock_paused: bool,
    sleeps: usize,
}

impl Reader<'_> {
    fn report(&mut self, span: Span, rule: &'static str, says: impl Into<String>) {
        self.findings.push(Finding::new(self.path, line(span), rule, says));
    }

    fn name(&mut self, ident: &Ident) {
        let words = words(&ident.to_string());
        if let Some(word) = words.iter().find(|word| EMPTY_NAMES.contains(&word.as_str())) {
            self.report(
                ident.span(),
                "name",
                format!("{ident}: {word:?} says nothing; name what it decides or holds"),
            );
        }
    }

    fn function(&mut self, signature: &Signature, whole: Span) {
        let (from, to) = (line(signature.span()), whole.end().line);
        let key = format!("{}::{}{}", self.path, self.owner, signature.ident);
        let measure = |limit, size| Measure { limit, key: key.clone(), line: from, size };
        let booleans = signature.inputs.iter().filter(|input| is_boolean(input)).count();
        let sizes = [measure(FUNCTION, to + 1 - from), measure(BOOLEANS, booleans)];
        let kept = if self.in_tests { 1 } else { 2 };
        self.measures.extend(sizes.into_iter().take(kept));
    }

    /// Only the second process of another test may be left to that test to start.
    fn ignored(&mut self, test: &Ident, span: Span) {
        let name = test.to_string();
        if !(name.ends_with("_process") && self.text.matches(&name).count() > 1) {
            let says =
                "a test that does not run proves nothing; one that another test starts is named `.._process`";
            self.report(span, "ignore", says);
        }
    }

    /// Runs `inner` as test code if the attributes say so.
    fn within(&mut self, attributes: &[Attribute], span: Span, inner: impl FnOnce(&mut Self)) {
        let outer = self.in_tests;
        if attributes.iter().any(is_for_tests) {
            self.in_tests = true;
            self.tests_from.get_or_insert(line(span));
        }
        inner(self);
        self.in_tests = outer;
    }

    fn reserved(&mut self, path: &str, span: Span) {
        let hit = RESERVED_PATHS
            .iter()
            .find(|(prefix, ..)| path == *prefix || path.starts_with(&format!("{prefix}::")));
        if let Some((prefix, under, why)) = hit
            && !self.in_tests
            && !under.iter().any(|folder| self.path.starts_with(folder))
        {
            self.report(span, "reserved", format!("{prefix} here: {why}"));
        }
    }

    fn imports(&mut self, tree: &UseTree, before: &str) {
        let join =
            |ident: &Ident| if before.is_empty() { ident.to_string() } else { format!("{before}::{ident}") };
        match tree {
            UseTree::Path(path) => self.imports(&path.tree, &join(&path.ident)),
            UseTree::Name(name) => self.reserved(&join(&name.ident), name.span()),
            UseTree::Rename(name) => self.reserved(&join(&name.ident), name.span()),
            UseTree::Glob(glob) => self.reserved(before, glob.span()),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.imports(item, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if let Some(ignored) = item.attrs.iter().find(|a| a.path().is_ident("ignore")) {
            self.ignored(&item.sig.ident, ignored.span());
        }
        self.function(&item.sig, item.span());
        self.within(&item.attrs, item.span(), |this| visit::visit_item_fn(this, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, item.span());
        self.within(&item.attrs, item.span(), |this| visit::visit_impl_item_fn(this, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig, item.span());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let owner = match &*item.self_ty {
            Type::Path(path) => path.path.segments.last().map(|s| format!("{}::", s.ident)),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.owner, owner.unwrap_or_default());
        self.within(&item.attrs, item.span(), |this| visit::visit_item_impl(this, item));
        self.owner = outer;
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.name(&item.ident);
        self.within(&item.attrs, item.span(), |this| visit::visit_item_mod(this, item));
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.name(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.name(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.name(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.name(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.within(&item.attrs, item.span(), |this| this.imports(&item.tree, ""));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.reserved(&names.join("::"), path.span());
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("allow") {
            self.report(attribute.span(), "allow", "silence a lint only with #[expect(.., reason = \"..\")]");
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if call.path.is_ident("todo") || call.path.is_ident("unimplemented") {
            self.report(call.span(), "todo", "finish it, or refuse it with an error the caller can read");
        }
        visit::visit_macro(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "unwrap" && call.args.is_empty() && !self.in_tests {
            self.report(
                call.method.span(),
                "unwrap",
                "say why it cannot fail: expect(\"..\"), or return the error",
            );
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(path) = &*call.func
            && path.path.segments.last().is_some_and(|s| s.ident == "sleep")
            && self.in_tests
            && !self.clock_paused
            && !self.path.contains("/testkit/src/")
        {
            self.sleeps += 1;
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        let elsewhere = self.path.starts_with("crates/") && !self.path.starts_with("crates/store/");
        if elsewhere && !self.in_tests && speaks_sql(&text.value()) {
            self.report(text.span(), "reserved", "SQL is spoken under store only");
        }
    }
}

fn line(span: Span) -> usize {
    span.start().line
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let cfg = attribute.path().is_ident("cfg")
        && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"));
    cfg || attribute.path().segments.last().is_some_and(|s| s.ident == "test")
}

fn is_boolean(input: &FnArg) -> bool {
    let FnArg::Typed(typed) = input else { return false };
    matches!(&*typed.ty, Type::Path(path) if path.path.is_ident("bool"))
}

fn speaks_sql(text: &str) -> bool {
    let text = text.trim_start();
    let starts = |word: &str| text.starts_with(word);
    (starts("SELECT ") && text.contains(" FROM "))
        || starts("INSERT INTO ")
        || starts("DELETE FROM ")
        || starts("CREATE TABLE ")
        || starts("PRAGMA ")
        || (starts("UPDATE ") && text.contains(" SET "))
}

/// The words of a name in either case: `KeyManager`, `key_manager`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("never empty").extend(c.to_lowercase());
        }
    }
    words
}
