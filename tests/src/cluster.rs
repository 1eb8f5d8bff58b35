//! A cluster of real `synod` processes on loopback ports, with their data on disk.
use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use synod_api::v1::{MemberStatus, Role};
use synod_client::core::{Backoff, Policy};
use synod_client::{Client, Follow, Options};
use tempfile::TempDir;

use crate::binary::synod;
use crate::proxy::{Link, Proxy};
use crate::wait::until;

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
    /// The command that runs it, with its own arguments; empty: none.
    wrapper: Vec<String>,
    /// Where it listens for its peers, and what carries them there, if it is behind a proxy.
    behind: Option<(String, Proxy)>,
}

/// A cluster. Its processes are killed and its folder is removed when it is dropped, unless a test
/// failed.
#[derive(Debug)]
pub struct Cluster {
    /// Its members, by name.
    pub members: Vec<Process>,
    flags: Vec<String>,
    folder: Option<TempDir>,
}

/// Loopback addresses with ports that are free now.
///
/// # Panics
/// When there are none.
pub fn free_addresses(count: usize) -> Vec<String> {
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a loopback port is free")).collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().expect("a listener has an address").to_string())
        .collect()
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
                    wrapper: Vec::new(),
                    behind: None,
                }
            })
            .collect();
        Self { members, flags: flags.iter().map(|flag| (*flag).to_owned()).collect(), folder: Some(folder) }
    }

    /// The same, each behind a proxy whose link can be changed.
    pub fn with_proxies(size: usize, flags: &[&str]) -> Self {
        let mut cluster = Self::new(size, flags);
        for (member, listens) in cluster.members.iter_mut().zip(free_addresses(size)) {
            let proxy = Proxy::start(&member.peer_address, &listens);
            member.behind = Some((listens, proxy));
        }
        cluster
    }

    /// Changes how the other members reach a member.
    ///
    /// # Panics
    /// When it is not behind a proxy.
    pub fn link(&self, n: usize, link: Link) {
        let (_, proxy) = self.members[n].behind.as_ref().expect("the member is behind a proxy");
        proxy.set(link);
    }

    /// A cluster that runs, is formed, and has its bundled recipes.
    pub async fn started(size: usize, flags: &[&str]) -> Self {
        let mut cluster = Self::new(size, flags);
        (0..size).for_each(|n| cluster.start(n));
        cluster.ready().await;
        cluster
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
        let words = member.wrapper.iter().map(OsStr::new).chain([synod().as_os_str()]).collect::<Vec<_>>();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args([
            "start",
            "--name",
            &member.name,
            "--client-addr",
            &member.client_address,
            "--peers",
            peers,
        ]);
        if let Some((listens, _)) = &member.behind {
            command.args(["--peer-addr", listens]);
        }
        command.arg("--data").arg(&member.data).args(&self.flags).args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        member.child = Some(command.spawn().expect("the binary can be started"));
    }

    /// Kills a member at once, as a power cut of its process: SIGKILL.
    pub fn kill(&mut self, n: usize) {
        let mut child = self.members[n].child.take().expect("the member runs");
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }

    /// Removes a killed member's note of the entry that it was applying, which it would suspect
    /// after a few times: who kills often hits the same entry now and then.
    ///
    /// # Panics
    /// When it runs.
    pub fn absolve(&self, n: usize) {
        let member = &self.members[n];
        assert!(member.child.is_none(), "member {} runs", member.name);
        let _not_there = std::fs::remove_file(member.data.join("applying"));
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
        Client::connect_with(self.endpoints(), options).await.expect("a member answers")
    }

    /// So many clients of all members, every other one of the nearest member.
    pub async fn clients(&self, count: usize) -> Vec<Client> {
        let mut clients = Vec::with_capacity(count);
        for n in 0..count {
            let follow = if n % 2 == 0 { Follow::Leader } else { Follow::Nearest };
            clients.push(self.client_with(Options { follow, ..Options::default() }).await);
        }
        clients
    }

    /// A client of one member that never asks another, and does not try again.
    pub async fn client_of(&self, n: usize) -> Option<Client> {
        let never = Backoff { base_ms: 60_000, max_ms: 60_000 };
        let policy = Policy { give_up_ms: 5_000, backoff: never };
        let options = Options { learn_members: false, follow: Follow::Nearest, policy, ..Options::default() };
        Client::connect_with(&self.members[n].client_address, options).await.ok()
    }

    /// What a member says of itself; `None` if it does not answer.
    pub async fn status(&self, n: usize) -> Option<MemberStatus> {
        self.client_of(n).await?.status(true).await.ok()?.members.into_iter().next()
    }

    /// Waits until every running member follows one leader and has the bundled recipes.
    pub async fn ready(&self) {
        for (n, member) in self.members.iter().enumerate().filter(|(_, member)| member.child.is_some()) {
            until(&format!("member {} to be ready", member.name), PATIENCE, || async move {
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

    /// Bytes of memory that a member's process has, by the kernel's count.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resident_bytes(&self, n: usize) -> u64 {
        let id = self.process_id(n);
        let pages = std::fs::read_to_string(format!("/proc/{id}/statm")).expect("the process is there");
        let pages: u64 =
            pages.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
        // SAFETY: `sysconf` only looks a constant up.
        pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64
    }

    /// Open file descriptors of a member's process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn descriptors(&self, n: usize) -> usize {
        let folder = format!("/proc/{}/fd", self.process_id(n));
        std::fs::read_dir(folder).expect("the process is there").count()
    }

    /// Time that a member's process has had a processor.
    ///
    /// # Panics
    /// When it does not run.
    pub fn processor_time(&self, n: usize) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process_id(n)));
        let stat = stat.expect("the process is there");
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        // SAFETY: `sysconf` only looks a constant up.
        let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
        Duration::from_millis(ticks * 1_000 / a_second)
    }

    /// The id of a member's process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn process_id(&self, n: usize) -> u32 {
        self.members[n].child.as_ref().expect("the member runs").id()
    }

    /// Everything that a member logged so far.
    pub fn log(&self, n: usize) -> String {
        std::fs::read_to_string(&self.members[n].log).unwrap_or_default()
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
