// What the driver tells at its end: latencies, the longest time without any operation, and what the process
// used. The JSON is flat and all numbers, so no library writes it.
package synod.peers;

import java.util.List;
import java.util.Locale;

/** The answer, in nanoseconds; printed in the units that the names in its JSON tell. */
record Answer(long operations, long failed, long measured, long p50, long p99, long p999, long max,
        long longestGap, long clientCpu) {

    /** Sums up all clients' records of the window from `opened` to `closed`. */
    static Answer of(List<Recorder> recorders, long opened, long closed, long clientCpu) {
        Recorder.Longs ended = new Recorder.Longs();
        Recorder.Longs took = new Recorder.Longs();
        long failed = 0;
        for (Recorder recorder : recorders) {
            failed += recorder.collect(opened, closed, ended, took);
        }
        long[] latencies = took.sorted();
        return new Answer(latencies.length, failed, closed - opened, rank(latencies, 500),
                rank(latencies, 990), rank(latencies, 999), rank(latencies, 1000),
                longestGap(ended.sorted(), opened, closed), clientCpu);
    }

    /** The nearest rank of so many thousandths; 0 of nothing. */
    static long rank(long[] sorted, int thousandths) {
        if (sorted.length == 0) {
            return 0;
        }
        long rank = ((long) sorted.length * thousandths + 999) / 1000;
        return sorted[(int) Math.max(rank, 1) - 1];
    }

    /** The longest time between two neighbours among the sorted moments and the window's two ends. */
    static long longestGap(long[] moments, long opened, long closed) {
        long last = opened;
        long longest = 0;
        for (long moment : moments) {
            longest = Math.max(longest, moment - last);
            last = moment;
        }
        return Math.max(longest, closed - last);
    }

    /** The line that is printed. */
    String json() {
        return String.format(Locale.ROOT, "{\"operations\":%d,\"failed\":%d,\"measured_ms\":%.3f,"
                        + "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
                        + "\"longest_gap_ms\":%.3f,\"client_cpu_ms\":%.1f}",
                operations, failed, measured / 1e6, p50 / 1e3, p99 / 1e3, p999 / 1e3, max / 1e3,
                longestGap / 1e6, clientCpu / 1e6);
    }
}
