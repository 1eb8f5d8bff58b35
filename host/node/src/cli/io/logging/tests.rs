//! Unit tests of `logging`.
use std::sync::Arc;

use super::*;

/// Counts the lines that come through.
#[derive(Clone, Default)]
struct Count(Arc<Mutex<usize>>);

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        *self.0.lock().expect("no panic") += 1;
    }
}

fn counted(log: impl Fn()) -> usize {
    let count = Count::default();
    let subscriber = tracing_subscriber::registry().with(count.clone().with_filter(Sparsely::default()));
    tracing::subscriber::with_default(subscriber, log);
    *count.0.lock().expect("no panic")
}

#[test]
fn a_line_of_a_library_that_strangers_can_repeat_is_logged_once_in_ten_seconds_and_others_always() {
    let ten = |log: fn()| (0..10).for_each(|_| log());
    assert_eq!(counted(|| ten(|| tracing::warn!(target: "openraft::core", "no answer"))), 1);
    assert_eq!(counted(|| ten(|| tracing::warn!(target: "h2::proto::streams::recv", "resets"))), 1);
    assert_eq!(counted(|| ten(|| tracing::debug!(target: "openraft::core", "details"))), 10);
    assert_eq!(counted(|| ten(|| tracing::warn!(target: "synod::server", "ours"))), 10);
    let two = || {
        tracing::warn!(target: "openraft::core", "one place");
        tracing::warn!(target: "openraft::core", "another place");
    };
    assert_eq!(counted(two), 2);
}
