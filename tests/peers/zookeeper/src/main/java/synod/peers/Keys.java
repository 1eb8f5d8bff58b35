// The keys of `write`, `read`, `mixed` and `fill`: children of one node.
package synod.peers;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.curator.framework.CuratorFramework;

/** Names, values and preparation of keys. */
final class Keys {
    private static final String PARENT = "/bench";
    private static final int PREPARERS = 64;

    private Keys() {}

    /** The node of key `n`. */
    static String path(long n) {
        return PARENT + "/" + n;
    }

    /** The value of every key. */
    static byte[] value(Order order) {
        return "x".repeat(order.valueBytes()).getBytes(StandardCharsets.US_ASCII);
    }

    /** Creates the node, or sets it if an earlier run has left it. */
    static void put(CuratorFramework client, String path, byte[] value) throws Exception {
        client.create().orSetData().forPath(path, value);
    }

    /** Writes what the workload needs; many threads share the clients, so that it does not take long. */
    static void prepare(Order order, List<CuratorFramework> clients) throws Exception {
        put(clients.get(0), PARENT, new byte[0]);
        if (!order.workload().needsKeys()) {
            return;
        }
        byte[] value = value(order);
        List<Callable<Void>> shares = new ArrayList<>();
        for (int n = 0; n < PREPARERS; n++) {
            int first = n;
            CuratorFramework client = clients.get(n % clients.size());
            shares.add(() -> {
                for (long key = first; key < order.keys(); key += PREPARERS) {
                    put(client, path(key), value);
                }
                return null;
            });
        }
        ExecutorService preparers = Executors.newFixedThreadPool(PREPARERS);
        for (Future<Void> share : preparers.invokeAll(shares)) {
            share.get();
        }
        preparers.shutdown();
    }

    /** Every `step`-th key from a client's first on, each written once. */
    static final class Filler implements Operation {
        private final CuratorFramework client;
        private final Order order;
        private final byte[] value;
        private long next;

        Filler(Order order, int n, CuratorFramework client) {
            this.client = client;
            this.order = order;
            this.value = value(order);
            this.next = n;
        }

        @Override
        public boolean attempt() throws Exception {
            put(client, path(next), value);
            next += order.clients();
            return true;
        }

        @Override
        public boolean hasMore() {
            return next < order.keys();
        }
    }
}
