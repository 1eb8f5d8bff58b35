// Tests of the arithmetic: percentiles, the longest gap, and what counts as within the window.
package synod.peers;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class AnswerTest {
    private static final long MS = 1_000_000;

    @Test
    void percentilesAreNearestRanksOfWhatEndedWithinTheWindow() {
        Recorder recorder = new Recorder();
        for (long n = 1; n <= 3000; n++) {
            recorder.succeeded(0, n * MS);
        }
        recorder.failed(-1);
        recorder.failed(5 * MS);
        recorder.failed(2000 * MS);
        Answer answer = Answer.of(List.of(recorder, new Recorder()), 0, 1000 * MS, 30 * MS);
        assertEquals("{\"operations\":1000,\"failed\":1,\"measured_ms\":1000.000,\"p50_us\":500000.0,"
                + "\"p99_us\":990000.0,\"p999_us\":999000.0,\"max_us\":1000000.0,\"longest_gap_ms\":1.000,"
                + "\"client_cpu_ms\":30.0}", answer.json());
    }

    @Test
    void ranksOfFewAreOneOfThem() {
        assertEquals(0, Answer.rank(new long[0], 500));
        assertEquals(7, Answer.rank(new long[] {7}, 500));
        assertEquals(7, Answer.rank(new long[] {7, 8}, 500));
        assertEquals(8, Answer.rank(new long[] {7, 8}, 501));
        assertEquals(999, Answer.rank(LongStream.rangeClosed(1, 1000).toArray(), 999));
    }

    @Test
    void theLongestGapCountsTheEndsOfTheWindow() {
        assertEquals(100, Answer.longestGap(new long[0], 0, 100));
        assertEquals(60, Answer.longestGap(new long[] {60}, 0, 100));
        assertEquals(90, Answer.longestGap(new long[] {10}, 0, 100));
        assertEquals(45, Answer.longestGap(new long[] {20, 50, 95}, 0, 100));
    }
}
