// What each workload's operation is in ZooKeeper: Curator's calls and recipes, which its users use, with
// the settings of Curator's own examples.
package synod.peers;

import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;

/** Makes a client's operation. */
final class Operations {
    // Curator's defaults, which ZooKeeper's own client lacks.
    private static final int SESSION_TIMEOUT_MS = 60_000;
    private static final int CONNECTED_WITHIN_S = 15;

    private Operations() {}

    /** The operation of client `n`. */
    static Operation of(Order order, int n, CuratorFramework client) {
        return switch (order.workload()) {
            case WRITE -> keys(order, client, 0);
            case READ -> keys(order, client, 10);
            case MIXED -> keys(order, client, 9);
            case COUNTER -> counter(client);
            case LOCK -> lock(client, "/bench-lock");
            case LOCKS -> lock(client, "/bench-locks/" + n);
            case ELECTION -> new Candidate(client);
            case SESSIONS -> () -> session(order.endpoints());
            case FILL -> new Keys.Filler(order, n, client);
            case WATCH, LEADER -> throw new IllegalArgumentException("no client's own: " + order.workload());
        };
    }

    /** Reads or sets a key; so many of ten operations read. A read is answered by the connected member. */
    private static Operation keys(Order order, CuratorFramework client, int readsInTen) {
        byte[] value = Keys.value(order);
        return () -> {
            ThreadLocalRandom dice = ThreadLocalRandom.current();
            String path = Keys.path(dice.nextInt(order.keys()));
            if (dice.nextInt(10) < readsInTen) {
                client.getData().forPath(path);
            } else {
                client.setData().forPath(path, value);
            }
            return true;
        };
    }

    /**
     * Increments the counter: a read and a conditional write, which Curator tries ten times at most, as in
     * its example. ZooKeeper has no increment of its own.
     */
    private static Operation counter(CuratorFramework client) {
        var counter = new DistributedAtomicLong(client, "/bench-counter", new RetryNTimes(10, 10));
        return () -> counter.increment().succeeded();
    }

    /** Acquires and releases a lock. */
    private static Operation lock(CuratorFramework client, String path) {
        InterProcessMutex mutex = new InterProcessMutex(client, path);
        return () -> {
            mutex.acquire();
            mutex.release();
            return true;
        };
    }

    /**
     * Opens and closes a session, which in ZooKeeper is a client with a connection. It is one of ZooKeeper's
     * own client objects, since Curator's starts more threads than the session needs and is up to three times
     * slower. The close sleeps for 100 ms after the member's answer (ClientCnxnSocketNIO.cleanup), which no
     * setting changes; users of the library wait for it too.
     */
    private static boolean session(String endpoints) throws IOException, InterruptedException {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper session = new ZooKeeper(endpoints, SESSION_TIMEOUT_MS, event -> {
            if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        try {
            return connected.await(CONNECTED_WITHIN_S, TimeUnit.SECONDS);
        } finally {
            session.close();
        }
    }

    /**
     * A candidate that resigns as soon as it is elected and campaigns again. Curator's LeaderSelector is
     * made for this: a leader leads as long as its takeLeadership runs, and autoRequeue campaigns again at
     * once. (A LeaderLatch is led until it is closed and serves once, so it would be made anew for each
     * leadership, with a thread of its own.) An operation is the time from one leadership to the next: the
     * resignation from the former, the campaign and the election. The recipe repeats a failed campaign
     * by itself and does not tell, so nothing is counted as failed here.
     */
    private static final class Candidate extends LeaderSelectorListenerAdapter implements Operation {
        private final SynchronousQueue<Boolean> elections = new SynchronousQueue<>();
        private final LeaderSelector selector;

        Candidate(CuratorFramework client) {
            selector = new LeaderSelector(client, "/bench-election", this);
            selector.autoRequeue();
            selector.start();
        }

        /** Tells the loop, which waits for nothing else, and resigns. */
        @Override
        public void takeLeadership(CuratorFramework client) throws InterruptedException {
            elections.put(true);
        }

        @Override
        public boolean attempt() throws InterruptedException {
            return elections.take();
        }

        @Override
        public void close() {
            selector.close();
        }
    }
}
