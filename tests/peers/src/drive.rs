//! The driver of Synod: `DRIVERS.md` says what a driver is. It uses the client library as a program
//! of its users would, and the bundled recipes.
mod client;
mod record;

use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use synod_client::api::Role;
use synod_client::{Client, Session, connect};
use synod_tests::process::processor_time;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::workload::Workload;
pub use record::Answer;

use client::{Driven, Watchers, prepare};
use record::Record;

/// How long an attempt that failed is not repeated.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a cluster may have no leader.
const LEADER: Duration = Duration::from_secs(30);
/// How long the clients' sessions may take to close.
const CLOSE: Duration = Duration::from_secs(3);
/// What the driver says on standard error when its window opens.
pub const OPENS: &str = "window opens";
/// What it says when its window closes.
pub const CLOSES: &str = "window closes";

/// What a driver is to do.
#[derive(Clone, Debug)]
pub struct Order {
    /// The members, `host:port`, separated by commas.
    pub endpoints: String,
    /// What an operation is.
    pub workload: Workload,
    /// How many clients there are.
    pub clients: usize,
    /// How long nothing is measured.
    pub warmup: Duration,
    /// How long the window is.
    pub measure: Duration,
    /// How many keys there are.
    pub keys: u64,
    /// How long a value is.
    pub value_bytes: usize,
}

/// Puts the load on the cluster and returns what it measured.
///
/// # Errors
/// Why the load could not be put on it.
pub async fn drive(order: &Order) -> Result<Answer, String> {
    let text = |error: synod_client::Error| error.to_string();
    let count = if order.workload == Workload::Watch { order.clients + 1 } else { order.clients };
    let clients: Vec<Client> =
        try_join_all((0..count).map(|_| connect(&order.endpoints))).await.map_err(text)?;
    prepare(order, &clients).await?;
    let (stop, stopped) = watch::channel(());
    let mut sessions = Vec::new();
    let running: Vec<JoinHandle<Record>> = match order.workload {
        Workload::Fill => {
            let fillers = clients.iter().enumerate().map(|(n, client)| Driven::filler(order, n, client));
            fillers.map(|filler| tokio::spawn(fill(filler))).collect()
        }
        Workload::Watch => {
            let publisher = Driven::Publisher(Watchers::open(&clients).await?);
            vec![tokio::spawn(run(publisher, stopped))]
        }
        _ => {
            let opening = clients.iter().enumerate().map(|(n, client)| Driven::new(order, n, client));
            let loops = try_join_all(opening).await?;
            sessions = loops.iter().filter_map(Driven::session).collect();
            loops.into_iter().map(|driven| tokio::spawn(run(driven, stopped.clone()))).collect()
        }
    };
    let ended = join_all(running);
    let has_end = order.workload == Workload::Fill;
    if !has_end {
        tokio::time::sleep(order.warmup).await;
    }
    eprintln!("{OPENS}");
    let (opened, cpu_before) = (Instant::now(), cpu_of_this_process());
    if !has_end {
        tokio::time::sleep(order.measure).await;
        stop.send_replace(());
    }
    let records = ended.await;
    let (closed, cpu_after) = (Instant::now(), cpu_of_this_process());
    eprintln!("{CLOSES}");
    // Else the next run waits for what this one still holds. A cluster that is dead keeps it.
    let closing = join_all(sessions.iter().map(Session::close));
    let _ = tokio::time::timeout(CLOSE, closing).await;
    let records = records.into_iter().collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok(Answer::of(records, opened, closed, cpu_after - cpu_before))
}

/// Writes every key of its share once.
async fn fill(mut filler: Driven) -> Record {
    let mut record = Record::default();
    while filler.has_more() {
        attempt(&mut filler, &mut record).await;
    }
    record
}

/// Which of the endpoints leads, counted from 0.
///
/// # Errors
/// That none does within a while.
pub async fn leader(endpoints: &str) -> Result<usize, String> {
    let began = Instant::now();
    loop {
        let reason = match leading(endpoints).await {
            Ok(place) => return Ok(place),
            Err(reason) => reason,
        };
        if began.elapsed() > LEADER {
            return Err(reason);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn leading(endpoints: &str) -> Result<usize, String> {
    let client = connect(endpoints).await.map_err(|error| error.to_string())?;
    let status = client.status(false).await.map_err(|error| error.to_string())?;
    let leads = status.members.iter().find(|member| member.role() == Role::Leader);
    let leader = leads.ok_or("no member leads")?;
    // A new cluster serves when it has installed its recipes.
    for space in ["counter", "election", "kv", "lock"] {
        client.describe_space(space).await.map_err(|error| error.to_string())?;
    }
    let place = endpoints.split(',').position(|endpoint| endpoint == leader.client_address);
    place.ok_or_else(|| format!("{} leads, which is none of the endpoints", leader.client_address))
}

/// Operates until it is told to stop, whatever it waits for then.
async fn run(mut driven: Driven, mut stop: watch::Receiver<()>) -> Record {
    let mut record = Record::default();
    let operations = async {
        loop {
            attempt(&mut driven, &mut record).await;
        }
    };
    tokio::select! {
        () = operations => {}
        _ = stop.changed() => {}
    }
    record
}

/// One operation, tried until it succeeds.
async fn attempt(driven: &mut Driven, record: &mut Record) {
    let began = Instant::now();
    while driven.operate().await.is_err() {
        record.failed.push(Instant::now());
        tokio::time::sleep(PAUSE).await;
    }
    record.ended.push((Instant::now(), began.elapsed()));
}

/// What this process has used of processors, user and system.
fn cpu_of_this_process() -> Duration {
    processor_time(std::process::id()).unwrap_or_default()
}
