// The workloads by the names that all drivers know.
package synod.peers;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** What one operation is; Operations says how ZooKeeper does it. */
enum Workload {
    WRITE, READ, MIXED, COUNTER, LOCK, LOCKS, ELECTION, SESSIONS, WATCH, FILL, LEADER;

    /** The workload of that name, if there is one. */
    static Optional<Workload> named(String name) {
        return Arrays.stream(values()).filter(workload -> workload.argument().equals(name)).findFirst();
    }

    /** Whether all keys must be there before the warm-up. */
    boolean needsKeys() {
        return this == WRITE || this == READ || this == MIXED;
    }

    private String argument() {
        return name().toLowerCase(Locale.ROOT);
    }
}
