// One client's record of its operations. It keeps every operation, so percentiles are exact.
package synod.peers;

import java.util.Arrays;

/**
 * When operations ended, how long they took, and when attempts failed; all by System.nanoTime.
 * Its methods are synchronized since a client may still run, stuck in a call, when its record is read; as
 * long as it runs no other thread asks for the lock, so this costs nothing that could be measured.
 */
final class Recorder {
    private final Longs ended = new Longs();
    private final Longs took = new Longs();
    private final Longs failed = new Longs();

    /** An operation whose first attempt began at `began` has just succeeded. */
    synchronized void succeeded(long began, long now) {
        ended.add(now);
        took.add(now - began);
    }

    /** An attempt has just failed. */
    synchronized void failed(long now) {
        failed.add(now);
    }

    /** Adds what ended from `opened` to `closed` to these sums of all clients; returns its failures. */
    synchronized int collect(long opened, long closed, Longs allEnded, Longs allTook) {
        for (int place = 0; place < ended.size(); place++) {
            if (within(ended.at(place), opened, closed)) {
                allEnded.add(ended.at(place));
                allTook.add(took.at(place));
            }
        }
        int failures = 0;
        for (int place = 0; place < failed.size(); place++) {
            failures += within(failed.at(place), opened, closed) ? 1 : 0;
        }
        return failures;
    }

    private static boolean within(long moment, long opened, long closed) {
        return opened <= moment && moment <= closed;
    }

    /** A growing array of numbers without an object for each. */
    static final class Longs {
        private long[] numbers = new long[1024];
        private int size;

        void add(long number) {
            if (size == numbers.length) {
                numbers = Arrays.copyOf(numbers, 2 * size);
            }
            numbers[size++] = number;
        }

        int size() {
            return size;
        }

        long at(int place) {
            return numbers[place];
        }

        /** The numbers in ascending order. */
        long[] sorted() {
            long[] sorted = Arrays.copyOf(numbers, size);
            Arrays.sort(sorted);
            return sorted;
        }
    }
}
