// Opening and closing of clients. A client is what programs that use ZooKeeper have: one CuratorFramework,
// with one session and one connection to a member that the library draws at random, with the default
// time-outs and a common retry policy.
package synod.peers;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.zookeeper.client.ZKClientConfig;

/** Opens and closes clients. */
final class Clients {
    private static final long CONNECTED_WITHIN = TimeUnit.SECONDS.toNanos(30);
    private static final long CLOSED_WITHIN = TimeUnit.SECONDS.toNanos(3);

    static {
        // Otherwise each connection begins with reverse look-ups of the member's name, for the sake of a
        // login that no one has set up; where the resolver is slow, that is all that would be measured.
        System.setProperty(ZKClientConfig.ENABLE_CLIENT_SASL_KEY, "false");
    }

    private Clients() {}

    /** A client that starts to connect. */
    static CuratorFramework start(String endpoints) {
        CuratorFramework client =
                CuratorFrameworkFactory.newClient(endpoints, new ExponentialBackoffRetry(100, 3));
        client.start();
        return client;
    }

    /** So many clients, all connected. */
    static List<CuratorFramework> open(String endpoints, int count)
            throws InterruptedException, TimeoutException {
        List<CuratorFramework> clients = new ArrayList<>();
        for (int n = 0; n < count; n++) {
            clients.add(start(endpoints));
        }
        long began = System.nanoTime();
        for (CuratorFramework client : clients) {
            long left = Math.max(CONNECTED_WITHIN - (System.nanoTime() - began), 1);
            if (!client.blockUntilConnected((int) TimeUnit.NANOSECONDS.toMillis(left) + 1,
                    TimeUnit.MILLISECONDS)) {
                throw new TimeoutException("no member answers: " + endpoints);
            }
        }
        return clients;
    }

    /**
     * Ends the clients' sessions, all at the same time, as far as the cluster lets them end soon. Otherwise
     * their nodes would stand in the way of the next run's locks until the sessions time out.
     */
    static void close(List<CuratorFramework> clients) throws InterruptedException {
        List<Thread> closing = new ArrayList<>();
        for (CuratorFramework client : clients) {
            Thread thread = new Thread(client::close);
            thread.start();
            closing.add(thread);
        }
        join(closing, CLOSED_WITHIN);
    }

    /** Waits until the threads have ended, but no longer than so many nanoseconds. */
    static void join(List<Thread> threads, long within) throws InterruptedException {
        long began = System.nanoTime();
        for (Thread thread : threads) {
            long left = within - (System.nanoTime() - began);
            if (left > 0) {
                TimeUnit.NANOSECONDS.timedJoin(thread, left);
            }
        }
    }
}
