//! What recipes read, as `TestHost::reads` counts it: queues and lines do not slow down with what
//! was taken out of them.
use synod_sdk::prelude::*;
use synod_test::{Reads, TestHost};

/// As many as are taken out before it is looked at.
const CONSUMED: u64 = 1_000;

/// The same list of jobs in several ways.
#[recipe(name = "jobs", version = 1)]
struct Jobs {
    queue: Queue<String, u64>,
    map: Map<u64, u64>,
    line: Line<String, u64, u64>,
}

#[ops]
impl Jobs {
    #[op]
    fn push(&self, cx: &mut Ctx, job: u64) {
        self.queue.push_back(cx, "queue", &job);
        self.map.put(cx, &job, &job);
    }

    #[op]
    fn pop_of_queue(&self, cx: &mut Ctx) -> Option<u64> {
        self.queue.pop_front(cx, "queue")
    }

    #[op]
    fn pop_of_map(&self, cx: &mut Ctx) -> Option<u64> {
        let (job, _) = self.map.first(cx)?;
        self.map.delete(cx, &job);
        Some(job)
    }

    #[op]
    fn last_of_map(&self, cx: &mut Ctx) -> Option<u64> {
        self.map.iter_rev(cx).at_most(1).next().map(|(job, _)| job)
    }

    #[op]
    fn wait(&self, cx: &mut Ctx, priority: u8) -> Reply<u64> {
        Reply::Later(self.line.join_with(cx, "line", priority, &0))
    }

    #[op]
    fn serve(&self, cx: &mut Ctx) -> bool {
        self.line.serve(cx, "line", |cx, _| cx.revision().0).is_some()
    }

    #[on_cancel]
    fn cancelled(&self, cx: &mut Ctx, ticket: TicketId, _granted: bool) {
        self.line.remove(cx, "line", ticket);
    }
}

#[test]
fn a_queue_reads_as_much_after_a_thousand_items_as_at_the_first() {
    let host = TestHost::of::<Jobs>();
    let jobs = host.client();
    let mut pops = Vec::new();
    for job in 0..=CONSUMED {
        jobs.push(job).unwrap();
        assert_eq!(host.reads(), Reads { gets: 1, ..Reads::default() }, "it reads where the queue ends");
        jobs.push(job).unwrap();
        assert_eq!(jobs.pop_of_queue().unwrap(), Some(job / 2));
        pops.push(host.reads());
    }
    assert_eq!(pops.first(), Some(&Reads { gets: 1, ranges: 1, rows: 1, passed: 0 }));
    assert_eq!(pops.first(), pops.last());
}

#[test]
fn an_item_that_was_removed_from_the_middle_is_passed_once() {
    let host = TestHost::of::<Jobs>();
    let jobs = host.client();
    (0..3).for_each(|job| jobs.push(job).unwrap());
    let session = host.open_session();
    let clients: Vec<_> = (0..4).map(|_| session.async_client()).collect();
    let mut waiting: Vec<_> = clients.iter().map(|client| host.start(client.wait(7))).collect();
    drop(waiting.remove(1));
    let passed: Vec<u64> = (0..3)
        .map(|_| {
            assert!(jobs.serve().unwrap());
            host.reads().passed
        })
        .collect();
    assert_eq!(passed, [0, 1, 0]);
    assert!(waiting.into_iter().all(|started| started.take().is_ok()));
}

#[test]
fn a_map_whose_first_rows_are_consumed_is_seen_to_pass_them() {
    let host = TestHost::of::<Jobs>();
    let jobs = host.client();
    (0..CONSUMED + 3).for_each(|job| jobs.push(job).unwrap());
    for job in 0..=CONSUMED {
        assert_eq!(jobs.pop_of_map().unwrap(), Some(job));
        assert_eq!(host.reads(), Reads { gets: 0, ranges: 1, rows: 1, passed: job });
    }
    assert_eq!(jobs.last_of_map().unwrap(), Some(CONSUMED + 2));
    assert_eq!(host.reads().passed, 0, "it comes from the other end");
    assert_eq!(jobs.pop_of_map().unwrap(), Some(CONSUMED + 1));
    assert_eq!(jobs.pop_of_map().unwrap(), Some(CONSUMED + 2));
    assert_eq!((jobs.pop_of_map().unwrap(), host.reads().passed), (None, CONSUMED + 3));
}
