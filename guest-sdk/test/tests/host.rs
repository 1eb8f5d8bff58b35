//! The host itself, on recipes that are honest and on one that is not.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use synod_sdk::prelude::*;
use synod_sdk::{abi as synod_abi, block_on};
use synod_test::{Action, TestHost};

/// Why a note is refused.
#[errors]
pub enum NoteError {
    /// There is one.
    #[error(1, already_exists)]
    Taken {
        /// Since when.
        since: Time,
    },
}

/// A note and when it was made.
#[data]
struct Note {
    text: String,
    at: Time,
}

/// One note per key.
#[recipe(name = "notes", version = 1)]
pub struct Notes {
    notes: Map<String, Note>,
}

#[ops]
impl Notes {
    /// Makes a note and draws a token.
    #[op]
    fn make(&self, cx: &mut Ctx, key: String, text: String) -> Result<Token, NoteError> {
        if let Some(Note { at, .. }) = self.notes.get(cx, &key) {
            return Err(NoteError::Taken { since: at });
        }
        let at = cx.now();
        info!(cx, "a note for {key}");
        self.notes.put(cx, &key, &Note { text, at });
        Ok(cx.next_token())
    }

    /// Panics behind a write.
    #[op]
    fn break_off(&self, cx: &mut Ctx) -> u64 {
        let at = cx.now();
        self.notes.put(cx, "broken", &Note { text: String::new(), at });
        panic!("broken off")
    }

    /// A number of the call's own.
    #[op]
    fn draw(&self, cx: &mut Ctx) -> u64 {
        cx.rng().next_u64()
    }

    /// The text.
    #[query]
    fn text(&self, cx: &QueryCtx, key: String) -> Option<String> {
        self.notes.get(cx, &key).map(|note| note.text)
    }
}

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Answers and stores what is in memory.
#[recipe(name = "forgetful", version = 1)]
pub struct Forgetful {
    seen: Cell<u64>,
}

#[ops]
impl Forgetful {
    /// Answers differently each time.
    #[op]
    fn answer(&self, cx: &mut Ctx) -> u64 {
        let answer = CALLS.fetch_add(1, Ordering::SeqCst);
        self.seen.put(cx, &answer);
        answer
    }
}

#[test]
fn calls_queries_and_refusals_go_through_the_machine() {
    let host = TestHost::of::<Notes>();
    let notes = host.client();
    let before = host.revision();
    assert_eq!(notes.make("a", "first").unwrap(), Token(1));
    assert_eq!(host.revision(), Revision(before.0 + 1));
    let (made, digest) = (host.now(), host.digest());
    host.advance_ms(10);
    assert_eq!(notes.make("a", "second").rejection(), NoteError::Taken { since: made });
    assert_eq!(notes.text("a").unwrap().as_deref(), Some("first"));
    assert_eq!(notes.text("b").unwrap(), None);
    assert_eq!(host.revision(), Revision(before.0 + 1), "neither refusals nor queries count");
    assert_ne!(host.digest(), digest, "time has passed");
    assert_eq!(host.take_logs().iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["a note for a"]);
}

#[test]
fn a_panic_is_a_fault_of_the_call_and_keeps_nothing() {
    let host = TestHost::of::<Notes>();
    let notes = host.client();
    let broken = notes.break_off();
    assert!(
        matches!(broken, Err(CallError::Fault { fault: Some(synod_abi::Fault::Panic), .. })),
        "{broken:?}"
    );
    assert_eq!(notes.text("broken").unwrap(), None);
    assert!(host.take_logs()[0].text.contains("broken off"));
}

#[test]
fn random_numbers_differ_by_call_and_not_by_entry() {
    let host = TestHost::of::<Notes>();
    let notes = host.client();
    assert_ne!(notes.draw().unwrap(), notes.draw().unwrap());
}

#[test]
fn spaces_and_recipes_are_apart() {
    let host = TestHost::of::<Notes>();
    host.create_space::<Notes>("team/notes");
    host.client().make("a", "mine").unwrap();
    assert_eq!(host.client_for("team/notes").text("a").unwrap(), None);
    host.install::<Other>();
    assert_eq!(Other::blocking(&host, "other").twice(21).unwrap(), 42);
    let missing = host.client_for("none").text("a").unwrap_err();
    assert!(missing.to_string().contains("no space none"), "{missing}");
}

/// A second recipe.
#[recipe(name = "other", version = 3)]
pub struct Other {
    last: Cell<u64>,
}

#[ops]
impl Other {
    /// Twice the number.
    #[op]
    fn twice(&self, cx: &mut Ctx, n: u64) -> u64 {
        self.last.put(cx, &n);
        n * 2
    }
}

#[test]
fn a_client_of_another_recipe_is_told() {
    let host = TestHost::of::<Notes>();
    let wrong = Other::blocking(&host, "notes").twice(1).unwrap_err();
    assert!(wrong.to_string().contains("notes@1 has no twice"), "{wrong}");
}

#[test]
fn the_async_client_sends_the_same() {
    let host = TestHost::of::<Notes>();
    let notes = Notes::client(&host, "notes");
    let text = block_on(async {
        notes.make("a", "text").await.unwrap();
        notes.text("a").await.unwrap()
    });
    assert_eq!(text.as_deref(), Some("text"));
}

#[test]
fn a_recipe_that_is_not_deterministic_fails_its_test() {
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        let host = TestHost::of::<Forgetful>();
        host.client().answer().unwrap();
    }));
    let text = dropped.unwrap_err().downcast::<String>().expect("the panic has a text");
    assert!(text.contains("not deterministic"), "{text}");
}

#[test]
fn a_module_that_cannot_run_fails_the_test_and_says_why() {
    let mut again = std::process::Command::new(std::env::current_exe().expect("a test is a program"));
    again
        .args(["--exact", "the_clock_stands_until_it_is_moved"])
        .env("SYNOD_TEST_WASM", "/nonexistent/notes.wasm");
    let output = again.output().expect("it runs");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let why = if cfg!(feature = "wasm") {
        "/nonexistent/notes.wasm, which cannot be read"
    } else {
        "--features synod-test/wasm"
    };
    assert!(!output.status.success() && text.contains("SYNOD_TEST_WASM") && text.contains(why), "{text}");
}

#[test]
fn a_call_that_costs_more_than_the_variable_allows_fails_the_test_and_is_named() {
    for (most, why) in [("10", "make used "), ("much", "SYNOD_TEST_FUEL is a number")] {
        let mut again = std::process::Command::new(std::env::current_exe().expect("a test is a program"));
        again.args(["--exact", "the_clock_stands_until_it_is_moved"]).env("SYNOD_TEST_FUEL", most);
        let output = again.output().expect("it runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!output.status.success() && text.contains(why), "{text}");
    }
}

#[test]
fn a_compiled_module_among_linked_recipes_is_refused() {
    let host = TestHost::of::<Notes>();
    let refused = host.apply(Action::InstallRecipe { module: b"text".as_slice().into(), replace: false });
    assert_eq!(refused, Err(synod_test::Rejection::NotAdmitted(synod_abi::AdmissionError::NotWasm)));
    let panicked = catch_unwind(|| {
        TestHost::of::<Notes>()
            .apply(Action::InstallRecipe { module: b"\0asm\x01\0\0\0".as_slice().into(), replace: false })
    });
    let text = panicked.unwrap_err().downcast::<&str>().expect("the panic has a text");
    assert!(text.contains("TestHost::wasm"), "{text}");
}

#[test]
fn the_clock_stands_until_it_is_moved() {
    let host = TestHost::of::<Notes>();
    let begin = host.now();
    host.client().make("a", "").unwrap();
    assert_eq!(host.now(), begin);
    host.advance_ms(5);
    assert_eq!(host.now().since_ms(begin), 5);
}
