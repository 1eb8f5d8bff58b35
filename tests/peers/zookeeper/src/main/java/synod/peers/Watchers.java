// The workload `watch`: one client sets a node, all others watch it. A watch of ZooKeeper tells that a node
// has changed, not its data, so each watcher reads it then; CuratorCache, which users use for this, does.
// ZooKeeper may tell of two changes at once, but the next one is only made when all have seen this one.
package synod.peers;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;

/** The publisher's operation, with all watchers. */
final class Watchers implements Operation {
    private static final String PATH = "/bench-watched";
    private static final int SEEN_WITHIN_S = 10;

    private final CuratorFramework publisher;
    private final int count;
    private volatile Round round;

    /** A number that is published, and the watchers that have not seen it. */
    private record Round(long number, CountDownLatch unseen) {}

    /** One watcher a client but the last, which publishes. */
    Watchers(List<CuratorFramework> clients) throws Exception {
        count = clients.size() - 1;
        publisher = clients.get(count);
        round = new Round(0, new CountDownLatch(count));
        Keys.put(publisher, PATH, bytes(round.number()));
        for (CuratorFramework client : clients.subList(0, count)) {
            CuratorCache cache = CuratorCache.build(client, PATH, CuratorCache.Options.SINGLE_NODE_CACHE);
            cache.listenable().addListener(new Watcher());
            cache.start();
        }
        if (!round.unseen().await(SEEN_WITHIN_S, TimeUnit.SECONDS)) {
            throw new IllegalStateException("not every watcher sees the first value");
        }
    }

    /** Publishes the next number, also after a failure, and waits until all have seen it. */
    @Override
    public boolean attempt() throws Exception {
        Round next = new Round(round.number() + 1, new CountDownLatch(count));
        round = next;
        publisher.setData().forPath(PATH, bytes(next.number()));
        return next.unseen().await(SEEN_WITHIN_S, TimeUnit.SECONDS);
    }

    private static byte[] bytes(long number) {
        return Long.toString(number).getBytes(StandardCharsets.US_ASCII);
    }

    /** One client's watch. */
    private final class Watcher implements CuratorCacheListener {
        private long last = -1;

        /** Counts a number that this watcher sees for the first time. */
        @Override
        public void event(Type type, ChildData before, ChildData now) {
            long number = Long.parseLong(new String(now.getData(), StandardCharsets.US_ASCII));
            Round current = round;
            if (number > last && number == current.number()) {
                last = number;
                current.unseen().countDown();
            }
        }
    }
}
