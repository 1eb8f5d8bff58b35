//! What goes wrong in a cluster: members that stop, that are cut off, that jump over entries; links
//! that break.
use std::task::Waker;

use futures::FutureExt;
use synod_abi::MemberId;
use synod_machine::directory::{self, Head};
use synod_machine::{Table, Write};

use super::Cluster;
use super::log::{GateState, known};
use crate::ports::Runtime;
use crate::progress::lock;
use crate::testing::sim::where_blocking_is_allowed;

impl Cluster {
    /// The members measure one another's clocks from now on. Before, each believes its own alone.
    pub(crate) fn measure_clocks(&mut self) {
        for node in &self.nodes {
            let member = node.member.clone();
            node.member.clocks().set_voters(Default::default());
            node.sim.spawn(async move { member.keep_clocks().await }.boxed());
        }
        self.run();
    }

    /// Another value is in a row of the space `counter` on `number`, as after a flipped bit.
    pub(crate) fn damage(&self, number: u64, key: &str, value: u64) {
        let key = [&1_u32.to_be_bytes(), key.as_bytes()].concat();
        let value = value.to_le_bytes().to_vec();
        lock(&self.node(number).store.rows).commit(&[Write::Put { table: Table::State, key, value }]);
    }

    /// The head on `number` is another one.
    pub(crate) fn damage_head(&self, number: u64, change: impl FnOnce(Head) -> Head) {
        let mut rows = lock(&self.node(number).store.rows);
        let head = directory::head(&*rows).expect("it can be read").expect("there is one");
        let value = synod_abi::encode(&change(head));
        rows.commit(&[Write::Put { table: Table::System, key: b"h".to_vec(), value }]);
    }

    /// `number` applies nothing while it is held.
    pub(crate) fn hold_apply(&mut self, number: u64, held: bool) {
        self.nodes[number as usize - 1].held = held;
    }

    /// `number` does nothing while it is stopped; its clients wait.
    pub(crate) fn stop(&mut self, number: u64, stopped: bool) {
        self.node(number).sim.stop(stopped);
        self.hold_apply(number, stopped);
    }

    /// The tasks of `number` do nothing while they are stopped; its apply thread goes on.
    pub(crate) fn stop_tasks(&self, number: u64, stopped: bool) {
        self.node(number).sim.stop(stopped);
    }

    /// Nothing comes to `number` or from it, and it believes what it knew.
    pub(crate) fn isolate(&mut self, number: u64) {
        let mut log = lock(&self.log);
        let believed = known(&log, MemberId(number));
        log.isolated.insert(MemberId(number), believed);
        drop(log);
        self.cut_links();
    }

    /// Whether `number` is cut off.
    pub(crate) fn is_isolated(&self, number: u64) -> bool {
        lock(&self.log).isolated.contains_key(&MemberId(number))
    }

    /// Ends the isolation of `number`.
    pub(crate) fn reconnect(&mut self, number: u64) {
        lock(&self.log).isolated.remove(&MemberId(number));
        self.tell();
        self.run();
    }

    /// Links deliver nothing while they are deaf.
    pub(crate) fn deafen_links(&self, deaf: bool) {
        self.each_gate(|gate| gate.deaf = deaf);
        lock(&self.log).deaf = deaf;
    }

    /// Ends every link, and loses what is in it.
    pub(crate) fn cut_links(&self) {
        self.each_gate(|gate| gate.cut = true);
        lock(&self.log).gates.clear();
    }

    fn each_gate(&self, change: impl Fn(&mut GateState)) {
        let gates = lock(&self.log).gates.clone();
        for gate in gates {
            let waker = {
                let mut gate = lock(&gate);
                change(&mut gate);
                gate.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// A snapshot of `from`'s state is installed on `to`, which jumps over what it has not applied.
    pub(crate) fn install_snapshot(&mut self, from: u64, to: u64) {
        let rows = lock(&self.node(from).store.rows).clone();
        let applied = self.node(from).applied;
        let term = lock(&self.log).entries[applied - 1].0;
        let node = &mut self.nodes[to as usize - 1];
        *lock(&node.store.rows) = rows;
        node.applied = applied;
        where_blocking_is_allowed(|| node.executor.restored(applied as u64, term)).expect("a good snapshot");
        self.run();
    }

    /// The same, if `from` is ahead of `to`.
    pub(crate) fn try_install_snapshot(&mut self, from: u64, to: u64) {
        if self.node(from).applied > self.node(to).applied {
            self.install_snapshot(from, to);
        }
    }
}
