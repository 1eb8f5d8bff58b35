//! temporary
use crate::testing::cluster::{Cluster, look, TIMEOUT};
use crate::testing::recipe;
use crate::Args;
use synod_machine::Caller;
#[test]
fn measure() {
    for (members, target) in [(1, 1), (2, 2)] {
        let mut cluster = Cluster::ready(members);
        let start = std::time::Instant::now();
        let mut done = 0;
        for _ in 0..100 {
            let mut pending: Vec<_> = (0..1000).map(|n| {
                let member = cluster.member(target);
                let args = Args::Postcard { bytes: recipe::add_args("k", n % 7).0, signature: recipe::ADD_SIGNATURE };
                cluster.sim.start(async move { member.call("counter", "add", args, Caller::default(), TIMEOUT).await })
            }).collect();
            cluster.run();
            for one in &mut pending { assert!(look(one).is_some_and(|r| r.is_ok())); done += 1; }
        }
        eprintln!("MEASURED members={members} calls={done} {:?} = {:.0}/s entries={:?}", start.elapsed(), done as f64 / start.elapsed().as_secs_f64(), cluster.member(1).proposer().stats());
    }
}
