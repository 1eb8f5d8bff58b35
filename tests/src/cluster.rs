//! A cluster of real `synod` processes on loopback ports, with their data on disk.
mod addresses;
mod network;
mod observed;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use synod_api::v1::{MemberStatus, Role};
use synod_client::core::{Backoff, Policy};
use synod_client::{Client, Follow, Options};
use synod_kv::Kv;
use synod_sdk::prelude::Blob;
use tempfile::TempDir;

use crate::binary::Build;
use crate::proxy::Network;
use crate::wait::until;
pub use addresses::free_addresses;
use network::Behind;

/// The variable that says what members log, if that is to be more than usual.
const LOG_LEVEL: &str = "SYNOD_TEST_LOG_LEVEL";
/// How long anything that has to happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One member: its addresses, its folder, and its process while it runs.
#[derive(Debug)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Where its clients connect.
    pub client_address: String,
    /// Where its peers connect.
    pub peer_address: String,
    /// Its data directory.
    pub data: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// The binary that it starts with.
    build: Build,
    /// The command that runs it, with its own arguments; empty: none.
    wrapper: Vec<String>,
    /// Where it listens, if its addresses are those of proxies.
    behind: Option<Behind>,
}

/// A cluster. Its processes are killed and its folder is removed when it is dropped, unless a test
/// failed.
#[derive(Debug)]
pub struct Cluster {
    /// Its members, by name.
    pub members: Vec<Process>,
    flags: Vec<String>,
    folder: Option<TempDir>,
    /// Between the members, and between them and their clients, if they are behind proxies.
    network: Option<Arc<Network>>,
}

impl Cluster {
    /// Members `a`, `b`, … that are not started yet, with further flags of `synod start`.
    pub fn new(size: usize, flags: &[&str]) -> Self {
        let folder = TempDir::with_prefix("synod-cluster-").expect("the temporary folder can be written");
        let addresses = free_addresses(size * 2);
        let members = (0..size)
            .map(|n| {
                let name = char::from(b'a' + n as u8).to_string();
                Process {
                    client_address: addresses[n * 2].clone(),
                    peer_address: addresses[n * 2 + 1].clone(),
                    data: folder.path().join(&name),
                    log: folder.path().join(format!("{name}.log")),
                    name,
                    child: None,
                    build: Build::default(),
                    wrapper: Vec::new(),
                    behind: None,
                }
            })
            .collect();
        Self {
            members,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            folder: Some(folder),
            network: None,
        }
    }

    /// A cluster that runs, is formed, and has its bundled recipes.
    pub async fn started(size: usize, flags: &[&str]) -> Self {
        let mut cluster = Self::new(size, flags);
        (0..size).for_each(|n| cluster.start(n));
        cluster.ready().await;
        cluster
    }

    /// Has a member start from another binary from its next start on.
    pub fn replace_binary(&mut self, n: usize, build: Build) {
        self.members[n].build = build;
    }

    /// Has a member run by another command from its next start on, such as `prlimit`, which must
    /// become the member by `exec`. None if it is empty.
    pub fn wrap(&mut self, n: usize, wrapper: &[&str]) {
        self.members[n].wrapper = wrapper.iter().map(|argument| (*argument).to_owned()).collect();
    }

    /// Starts a member.
    pub fn start(&mut self, n: usize) {
        self.start_with(n, &[]);
    }

    /// Starts a member with flags of its own.
    pub fn start_with(&mut self, n: usize, flags: &[&str]) {
        assert!(self.members[n].child.is_none(), "member {} runs already", self.members[n].name);
        self.start_among(n, &self.peers(), flags);
    }

    /// The list of members for `--peers`.
    pub fn peers(&self) -> String {
        let peer = |member: &Process| format!("{}={}", member.name, member.peer_address);
        self.members.iter().map(peer).collect::<Vec<_>>().join(",")
    }

    /// Starts a member with another list of members.
    pub fn start_among(&mut self, n: usize, peers: &str, flags: &[&str]) {
        let member = &mut self.members[n];
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&member.log)
            .expect("the log can be written");
        let words = member
            .wrapper
            .iter()
            .map(OsStr::new)
            .chain([member.build.path().as_os_str()])
            .collect::<Vec<_>>();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args([
            "start",
            "--name",
            &member.name,
            "--client-addr",
            member.listens(),
            "--peers",
            peers,
        ]);
        if let Some(behind) = &member.behind {
            command.args(behind.flags(&member.client_address));
        }
        command.arg("--data").arg(&member.data).args(&self.flags).args(flags);
        if let Some(level) = std::env::var_os(LOG_LEVEL) {
            command.arg("--log-level").arg(level);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        member.child = Some(command.spawn().expect("the binary can be started"));
        self.note_process(n);
    }

    /// Kills a member at once, as a power cut of its process: SIGKILL.
    pub fn kill(&mut self, n: usize) {
        let mut child = self.members[n].child.take().expect("the member runs");
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }

    /// Stops a member's process where it is, until [`resume`](Self::resume): SIGSTOP.
    pub fn pause(&self, n: usize) {
        signal(self.members[n].child.as_ref().expect("the member runs").id(), libc::SIGSTOP);
    }

    /// Lets a paused member go on.
    pub fn resume(&self, n: usize) {
        signal(self.members[n].child.as_ref().expect("the member runs").id(), libc::SIGCONT);
    }

    /// The member that leads among others than `except`.
    pub async fn leader_except(&self, except: usize) -> usize {
        until("another leader", PATIENCE, || async {
            for (n, member) in self.members.iter().enumerate().filter(|(n, _)| *n != except) {
                if member.child.is_some()
                    && self.status(n).await.is_some_and(|status| status.role() == Role::Leader)
                {
                    return Some(n);
                }
            }
            None
        })
        .await
    }

    /// Waits until no member knows of a session, a request, a waiting call or a timer.
    pub async fn nothing_left(&self) {
        for (n, member) in self.members.iter().enumerate() {
            until(
                &format!("sessions and what is theirs to be gone from member {}", member.name),
                PATIENCE,
                || async move {
                    let counts = self.status(n).await?.counts?;
                    let left = [counts.sessions, counts.requests, counts.waiting, counts.timers];
                    (left == [0; 4]).then_some(())
                },
            )
            .await;
        }
    }

    /// Lets a member run on by itself, so that another process can be started in its name.
    pub fn release(&mut self, n: usize) -> Child {
        self.members[n].child.take().expect("the member runs")
    }

    /// Takes a process back that was released.
    pub fn take_back(&mut self, n: usize, child: Child) {
        assert!(self.members[n].child.is_none(), "member {} runs", self.members[n].name);
        self.members[n].child = Some(child);
    }

    /// Gives a member that does not run other addresses.
    pub fn move_away(&mut self, n: usize) {
        let member = &mut self.members[n];
        assert!(member.child.is_none(), "member {} runs", member.name);
        let [peer_address, client_address] = free_addresses(2).try_into().expect("as many as were asked for");
        member.peer_address = peer_address;
        member.client_address = client_address;
    }

    /// Removes the folder of a member that does not run.
    ///
    /// # Panics
    /// When it runs, or has no folder.
    pub fn wipe(&self, n: usize) {
        assert!(self.members[n].child.is_none(), "member {} runs", self.members[n].name);
        std::fs::remove_dir_all(&self.members[n].data).expect("the folder can be removed");
    }

    /// Asks a member to stop, and waits until it has.
    pub async fn stop(&mut self, n: usize) -> ExitStatus {
        let id = self.members[n].child.as_ref().expect("the member runs").id();
        signal(id, libc::SIGTERM);
        self.exited(n).await
    }

    /// Waits until a member's process has ended by itself.
    pub async fn exited(&mut self, n: usize) -> ExitStatus {
        let mut child = self.members[n].child.take().expect("the member runs");
        let name = self.members[n].name.clone();
        until(&format!("member {name} to end"), PATIENCE, || {
            let status = child.try_wait().expect("a child can be waited for");
            std::future::ready(status)
        })
        .await
    }

    /// How a member's process ended, if it has done so by itself.
    pub fn reap(&mut self, n: usize) -> Option<ExitStatus> {
        let status = self.members[n].child.as_mut()?.try_wait().expect("a child can be waited for")?;
        self.members[n].child = None;
        Some(status)
    }

    /// Whether a member's process runs: one that has ended is a zombie until it is waited for.
    pub fn runs(&self, n: usize) -> bool {
        let Some(child) = &self.members[n].child else { return false };
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|fields| !fields.trim_start().starts_with(['Z', 'X']))
            && !stat.is_empty()
    }

    /// Where clients connect, all members.
    pub fn endpoints(&self) -> String {
        self.members.iter().map(|member| member.client_address.as_str()).collect::<Vec<_>>().join(",")
    }

    /// A client of all members that follows the leader.
    pub async fn client(&self) -> Client {
        self.client_with(Options::default()).await
    }

    /// A client of all members.
    pub async fn client_with(&self, options: Options) -> Client {
        until("a member to answer", PATIENCE, || async {
            Client::connect_with(self.endpoints(), options).await.ok()
        })
        .await
    }

    /// So many clients of all members, every other one of the nearest member.
    pub async fn clients(&self, count: usize) -> Vec<Client> {
        self.clients_with(Options::default(), count).await
    }

    /// The same, with other options.
    pub async fn clients_with(&self, options: Options, count: usize) -> Vec<Client> {
        let mut clients = Vec::with_capacity(count);
        for n in 0..count {
            let follow = if n % 2 == 0 { Follow::Leader } else { Follow::Nearest };
            clients.push(self.client_with(Options { follow, ..options }).await);
        }
        clients
    }

    /// Where the members' data and logs are.
    ///
    /// # Panics
    /// When they were kept because a test failed.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("the folder is there").path()
    }

    /// A client of one member that never asks another, and does not try again. It goes past the
    /// member's proxies.
    pub async fn client_of(&self, n: usize) -> Option<Client> {
        let never = Backoff { base_ms: 60_000, max_ms: 60_000 };
        let policy = Policy { give_up_ms: 5_000, backoff: never };
        let options = Options { learn_members: false, follow: Follow::Nearest, policy, ..Options::default() };
        Client::connect_with(self.members[n].listens(), options).await.ok()
    }

    /// What a member says of itself; `None` if it does not answer.
    pub async fn status(&self, n: usize) -> Option<MemberStatus> {
        self.client_of(n).await?.status(true).await.ok()?.members.into_iter().next()
    }

    /// Waits until every running member follows one leader and has the bundled recipes.
    ///
    /// # Panics
    /// When one has ended, or is not ready in time.
    pub async fn ready(&self) {
        for (n, member) in self.members.iter().enumerate().filter(|(_, member)| member.child.is_some()) {
            until(&format!("member {} to be ready", member.name), PATIENCE, || async move {
                assert!(self.runs(n), "member {} has ended: {}", member.name, self.log(n));
                let client = self.client_of(n).await?;
                client.describe_space("kv").await.ok()?;
                client.describe_space("lock").await.ok()?;
                client.describe_space("counter").await.ok()
            })
            .await;
        }
    }

    /// The member that leads.
    pub async fn leader(&self) -> usize {
        until("a leader", PATIENCE, || async {
            for (n, member) in self.members.iter().enumerate() {
                if member.child.is_some()
                    && self.status(n).await.is_some_and(|status| status.role() == Role::Leader)
                {
                    return Some(n);
                }
            }
            None
        })
        .await
    }

    /// Makes a follower of a cluster of three the leader: no other one can be, since the third
    /// lacks what is committed when the leader is killed. The other two start again, with these
    /// flags of their own.
    pub async fn make_leader(&mut self, follower: usize, flags: &[&str]) {
        let leader = self.leader().await;
        if leader == follower {
            return;
        }
        let third = 3 - leader - follower;
        self.kill(third);
        let client = self.client_of(leader).await.expect("it answers");
        let put = Kv::client(&client, "kv").put("other", Blob::from("not on the third")).await;
        put.expect("it is put");
        self.kill(leader);
        self.start_with(third, flags);
        assert_eq!(self.leader_except(leader).await, follower);
        self.start_with(leader, flags);
        self.ready().await;
    }

    /// Waits until all members have applied what one of them has, and returns the index with the
    /// digests of the chain and of the state right after it, a pair a member.
    pub async fn digests(&self) -> (u64, Vec<(Vec<u8>, Vec<u8>)>) {
        until("every member's digests at one index", PATIENCE, || async {
            let mut index = 0;
            for n in 0..self.members.len() {
                index = index.max(self.status(n).await?.applied_index);
            }
            let mut digests = Vec::new();
            for n in 0..self.members.len() {
                let digest = self.client_of(n).await?.digest_at(index, 5_000).await.ok()?;
                digests.push((digest.chain_digest, digest.state_digest));
            }
            Some((index, digests))
        })
        .await
    }

    /// The same, and fails if they differ.
    pub async fn assert_equal_digests(&self) -> u64 {
        let (index, digests) = self.digests().await;
        assert!(
            digests.iter().all(|digest| *digest == digests[0]),
            "members differ at index {index}: {digests:?}"
        );
        index
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, signal: i32) {
    // SAFETY: `kill` only takes numbers; the process is a child of ours, or of a member, that was
    // not waited for yet.
    let sent = unsafe { libc::kill(process as libc::pid_t, signal) };
    assert_eq!(sent, 0, "a child can be signalled");
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(child) = &mut member.child {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the members' data and logs are kept in {}", folder.keep().display());
        }
    }
}
