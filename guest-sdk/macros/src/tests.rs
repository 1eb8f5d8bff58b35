//! What the macros refuse, and in which words: the message is most of what an author sees of them.
use proc_macro2::TokenStream;
use quote::quote;

type Expand = fn(TokenStream, TokenStream) -> syn::Result<TokenStream>;

fn refused(expand: Expand, args: TokenStream, item: TokenStream, words: &str) {
    let error = expand(args, item.clone()).expect_err(&item.to_string()).to_string();
    assert!(error.contains(words), "`{error}` says `{words}`");
}

#[test]
fn data_refuses() {
    let data = |item, words| refused(crate::data::expand, quote!(), item, words);
    data(
        quote!(
            struct A {
                #[serde(skip)]
                b: u8,
            }
        ),
        "serde attributes are refused",
    );
    data(
        quote!(
            #[serde(untagged)]
            enum A {
                B,
            }
        ),
        "serde attributes are refused",
    );
    data(
        quote!(
            struct A {
                #[cfg(x)]
                b: u8,
            }
        ),
        "cannot depend on cfg",
    );
    data(
        quote!(
            struct A<T> {
                b: T,
            }
        ),
        "no generics",
    );
    data(
        quote!(
            enum A {
                B = 3,
            }
        ),
        "counted from 0",
    );
    data(
        quote!(
            enum A {}
        ),
        "has no values",
    );
    data(
        quote!(
            enum A {
                B(u8, u8),
            }
        ),
        "named fields, or one without",
    );
    data(
        quote!(
            #[derive(Serialize)]
            struct A {
                b: u8,
            }
        ),
        "derives Serialize itself",
    );
    data(quote!(union A { b: u8 }), "use an enum");
    refused(
        crate::data::expand,
        quote!(keys),
        quote!(
            struct A {
                b: u8,
            }
        ),
        "#[data(key)]",
    );
}

#[test]
fn errors_refuses() {
    let errors = |item, words| refused(crate::errors::expand, quote!(), item, words);
    errors(
        quote!(
            enum A {
                B,
            }
        ),
        "every variant has one #[error(code)]",
    );
    errors(
        quote!(
            enum A {
                #[error(1)]
                B,
                #[error(1)]
                C,
            }
        ),
        "two variants have the code 1",
    );
    errors(
        quote!(
            enum A {
                #[error(0)]
                B,
            }
        ),
        "codes begin at 1",
    );
    errors(
        quote!(
            enum A {
                #[error(1, gone)]
                B,
            }
        ),
        "there are failed_precondition",
    );
    errors(
        quote!(
            enum A {}
        ),
        "returns T",
    );
    errors(
        quote!(
            struct A {
                b: u8,
            }
        ),
        "goes on an enum",
    );
}

#[test]
fn recipe_refuses() {
    let recipe = |item, words| refused(crate::recipe::expand, quote!(name = "a", version = 1), item, words);
    recipe(
        quote!(
            struct A {
                b: Cell<u8>,
                #[state(name = "b")]
                c: Cell<u8>,
            }
        ),
        "two state fields are called `b`",
    );
    recipe(
        quote!(
            struct A(Cell<u8>);
        ),
        "have names",
    );
    recipe(
        quote!(
            struct A<T> {
                b: Cell<T>,
            }
        ),
        "no generics",
    );
    let arguments = |args, words| {
        refused(
            crate::recipe::expand,
            args,
            quote!(
                struct A {
                    b: Cell<u8>,
                }
            ),
            words,
        )
    };
    arguments(quote!(name = "A", version = 1), "made of a-z");
    arguments(quote!(name = "a", version = 0), "begin at 1");
    arguments(quote!(name = "a"), "write #[recipe(name");
    arguments(quote!(name = "a", author = 1), "`author` is not known");
    arguments(
        quote!(name = "a", version = 1, emits = String),
        "`String` cannot be emitted as it is; an event's payload is a #[data] type",
    );
    arguments(quote!(name = "a", version = 1, emits = u64), "wrap it, `#[data] pub struct Change(…);`");
    arguments(quote!(name = "a", version = 1, emits = Vec<Change>), "cannot be emitted as it is");
    arguments(quote!(name = "a", version = 1, emits = (u8, u8)), "a #[data] type of this crate");
    arguments(quote!(name = "a", version = 1, emits = "Change"), "expected one of");
}

#[test]
fn names_with_one_hash_are_refused() {
    let (one, other) = collision();
    let (a, b) = (
        syn::Ident::new(&one, proc_macro2::Span::call_site()),
        syn::Ident::new(&other, proc_macro2::Span::call_site()),
    );
    let item = quote!(struct A { #a: Cell<u8>, #b: Cell<u8> });
    refused(crate::recipe::expand, quote!(name = "a", version = 1), item, "have the same hash");
}

fn collision() -> (String, String) {
    let mut seen = std::collections::HashMap::new();
    (0u32..)
        .find_map(|n| {
            let name = format!("field_{n:x}");
            seen.insert(crate::names::fnv1a_32(name.as_bytes()), name.clone()).map(|other| (other, name))
        })
        .expect("32 bits collide within 200,000 names")
}

#[test]
fn ops_refuses() {
    let ops = |item, words| refused(crate::ops::expand, quote!(), item, words);
    ops(quote!(impl A { fn a(&self) {} }), "at least one #[op] or #[query]");
    ops(quote!(impl A { #[op] fn a(&self) {} }), "`&self, cx: &mut Ctx`");
    ops(quote!(impl A { #[op] fn a(cx: &mut Ctx) {} }), "begins with `&self`");
    ops(quote!(impl A { #[op] fn a(&mut self, cx: &mut Ctx) {} }), "begins with `&self`");
    ops(quote!(impl A { #[op] fn a(&self, cx: &QueryCtx) {} }), "make it a #[query]");
    ops(quote!(impl A { #[query] fn a(&self, cx: &mut Ctx) {} }), "make it an #[op]");
    ops(quote!(impl A { #[op] async fn a(&self, cx: &mut Ctx) {} }), "not async");
    ops(quote!(impl A { #[op] fn a<T>(&self, cx: &mut Ctx, b: T) {} }), "no generics");
    ops(quote!(impl A { #[op] fn a(&self, cx: &mut Ctx, b: &str) {} }), "arguments are owned");
    ops(quote!(impl A { #[op] fn a(&self, cx: &mut Ctx, (b, c): (u8, u8)) {} }), "a plain name");
    ops(quote!(impl A { #[op] fn a(&self, cx: &mut Ctx) -> Result<u8> {} }), "both types");
    ops(
        quote!(impl A { #[op] #[query] fn a(&self, cx: &mut Ctx) {} }),
        "one operation, one query or one hook",
    );
    ops(quote!(impl A { #[op] fn client(&self, cx: &mut Ctx) {} }), "choose another name");
    ops(quote!(impl A { #[query] fn waiting_ms(&self, cx: &QueryCtx) -> u64 {} }), "choose another name");
    ops(quote!(impl A { #[query] fn a(&self, cx: &QueryCtx) -> Reply<u8> {} }), "a query answers at once");
    ops(
        quote!(impl A { #[query] fn a(&self, cx: &QueryCtx) -> Result<Reply<u8>, E> {} }),
        "a query answers at once",
    );
    ops(quote!(impl A { #[op] #[cfg(x)] fn a(&self, cx: &mut Ctx) {} }), "cannot depend on cfg");
    ops(quote!(impl A { #[guard] fn a(&self, cx: &QueryCtx) -> bool {} }), "does not have #[guard] yet");
    ops(quote!(impl A { #[opp] fn a(&self, cx: &mut Ctx) {} }), "#[opp] is not known here");
    ops(quote!(impl B for A { #[op] fn a(&self, cx: &mut Ctx) {} }), "inherent impl block");
    ops(
        quote!(
            struct A;
        ),
        "goes on the impl block",
    );
}

fn refused_hook(method: TokenStream, words: &str) {
    let item = quote!(impl A { #[op] fn op(&self, cx: &mut Ctx) {} #method });
    refused(crate::ops::expand, quote!(), item, words);
}

#[test]
fn a_session_end_hook_is_refused_with_what_to_write() {
    refused_hook(
        quote!(
            #[on_session_end]
            fn a(&self, cx: &mut Ctx) {}
        ),
        "session: SessionId)`",
    );
    refused_hook(
        quote!(
            #[on_session_end]
            fn a(&self, cx: &mut Ctx, session: u64) {}
        ),
        "`session` is a SessionId: write `#[on_session_end]",
    );
    refused_hook(
        quote!(
            #[on_session_end]
            fn a(&self, cx: &QueryCtx, session: SessionId) {}
        ),
        "begins with `&self, cx: &mut Ctx`",
    );
    refused_hook(
        quote!(
            #[on_session_end]
            fn a(cx: &mut Ctx, session: SessionId) {}
        ),
        "begins with `&self`",
    );
}

#[test]
fn hooks_return_nothing_or_hook_and_handlers_nothing() {
    for returned in [quote!(), quote!(-> ()), quote!(-> Hook), quote!(-> synod_sdk::Hook)] {
        let method = quote!(#[on_session_end] fn a(&self, cx: &mut Ctx, session: SessionId) #returned {});
        let item = quote!(impl A { #[op] fn op(&self, cx: &mut Ctx) {} #method });
        assert!(crate::ops::expand(quote!(), item).is_ok(), "{returned}");
    }
    refused_hook(
        quote!(
            #[on_session_end]
            fn a(&self, cx: &mut Ctx, session: SessionId) -> u32 {}
        ),
        "nothing, or `Hook` if it has more to do",
    );
    refused_hook(
        quote!(
            #[on_event]
            fn a(&self, cx: &mut Ctx, event: Event) -> Hook {}
        ),
        "so it returns nothing: write `#[on_event]",
    );
}

#[test]
fn a_timer_hook_is_refused_with_what_to_write() {
    refused_hook(
        quote!(
            #[on_timer]
            fn a(&self, cx: &mut Ctx, timer: TimerId) {}
        ),
        "timer: TimerId, payload: T)`",
    );
    refused_hook(
        quote!(
            #[on_timer]
            fn a(&self, cx: &mut Ctx, payload: String, timer: TimerId) {}
        ),
        "`payload` is a TimerId",
    );
    refused_hook(
        quote!(
            #[on_timer]
            fn a(&self, cx: &mut Ctx, timer: TimerId, payload: &str) {}
        ),
        "arguments are owned",
    );
}

#[test]
fn a_cancel_hook_is_refused_with_what_to_write() {
    refused_hook(
        quote!(
            #[on_cancel]
            fn a(&self, cx: &mut Ctx, ticket: TicketId) {}
        ),
        "ticket: TicketId, granted: bool)`",
    );
    refused_hook(
        quote!(
            #[on_cancel]
            fn a(&self, cx: &mut Ctx, ticket: Ticket<u8>, granted: bool) {}
        ),
        "`ticket` is a TicketId",
    );
    refused_hook(
        quote!(
            #[on_cancel]
            fn a(&self, cx: &mut Ctx, ticket: TicketId, granted: bool) -> bool {}
        ),
        "returns nothing",
    );
    refused_hook(
        quote!(
            #[on_cancel]
            async fn a(&self, cx: &mut Ctx, ticket: TicketId, granted: bool) {}
        ),
        "not async",
    );
    refused_hook(
        quote!(
            #[on_cancel]
            #[cfg(x)]
            fn a(&self, cx: &mut Ctx, ticket: TicketId, granted: bool) {}
        ),
        "cannot depend on cfg",
    );
    refused_hook(
        quote!(
            #[on_cancel]
            #[op]
            fn a(&self, cx: &mut Ctx, ticket: TicketId, granted: bool) {}
        ),
        "or one hook",
    );
}

#[test]
fn an_event_hook_is_refused_with_what_to_write() {
    refused_hook(
        quote!(
            #[on_event]
            fn a(&self, cx: &mut Ctx) {}
        ),
        "write `#[on_event] fn …(&self, cx: &mut Ctx, event: Event)`",
    );
    refused_hook(
        quote!(
            #[on_event]
            fn a(&self, cx: &mut Ctx, change: Change) {}
        ),
        "`change` is a Event: write `#[on_event]",
    );
    refused_hook(
        quote!(
            #[on_event]
            fn a(&self, cx: &mut Ctx, event: &Event) {}
        ),
        "arguments are owned",
    );
    refused_hook(
        quote!(
            #[on_event]
            fn a(&self, cx: &QueryCtx, event: Event) {}
        ),
        "begins with `&self, cx: &mut Ctx`",
    );
    refused_hook(
        quote!(
            #[on_event]
            fn a(&self, cx: &mut Ctx, event: Event) -> Result<(), E> {}
        ),
        "returns nothing",
    );
    refused_hook(
        quote!(
            #[on_event(topic = "a")]
            fn a(&self, cx: &mut Ctx, event: Event) {}
        ),
        "unexpected token",
    );
}

#[test]
fn a_second_hook_of_a_kind_is_refused_with_the_first() {
    refused_hook(
        quote!(
            #[on_event]
            fn a(&self, cx: &mut Ctx, event: Event) {}
            #[on_event]
            fn b(&self, cx: &mut Ctx, event: Event) {}
        ),
        "a recipe has one #[on_event], which is `a`",
    );
    refused_hook(
        quote!(
            #[on_timer]
            fn a(&self, cx: &mut Ctx, timer: TimerId, payload: u8) {}
            #[on_timer]
            fn b(&self, cx: &mut Ctx, timer: TimerId, payload: u16) {}
        ),
        "a recipe has one #[on_timer], which is `a`",
    );
}

#[test]
fn the_same_names_without_their_meaning_are_let_through() {
    let item = quote!(impl A { #[query] fn a(&self, cx: &QueryCtx) -> Reply {} });
    assert!(crate::ops::expand(quote!(), item).is_ok(), "a Reply without T is a type of the author's own");
}
