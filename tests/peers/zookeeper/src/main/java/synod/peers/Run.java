// A run: N clients, each in a thread of its own, operate in a closed loop; after the warm-up a window opens,
// and what ends within it is the answer. Threads, not callbacks, since Curator's calls and recipes block, and
// N programs would not share a thread either.
package synod.peers;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;

/** Puts the load on the cluster. */
final class Run {
    private static final long PAUSE_MS = 10;
    private static final long STOPPED_WITHIN = TimeUnit.SECONDS.toNanos(2);

    private final List<Thread> threads = new ArrayList<>();
    private final List<Recorder> recorders = new ArrayList<>();
    private volatile boolean stopped;

    private Run() {}

    /** Carries out the order. */
    static Answer drive(Order order) throws Exception {
        boolean watch = order.workload() == Workload.WATCH;
        List<CuratorFramework> clients =
                Clients.open(order.endpoints(), watch ? order.clients() + 1 : order.clients());
        Keys.prepare(order, clients);
        List<Operation> operations = new ArrayList<>();
        if (watch) {
            operations.add(new Watchers(clients));
        } else {
            for (int n = 0; n < clients.size(); n++) {
                operations.add(Operations.of(order, n, clients.get(n)));
            }
        }
        Answer answer = new Run().measure(order, operations);
        Clients.close(clients);
        return answer;
    }

    /** Runs all loops for the warm-up and the window, or to their end if they have one. */
    private Answer measure(Order order, List<Operation> operations) throws InterruptedException {
        for (Operation operation : operations) {
            Recorder recorder = new Recorder();
            Thread thread = new Thread(() -> loop(operation, recorder));
            thread.setUncaughtExceptionHandler((which, reason) -> Main.fail(1, reason.toString()));
            recorders.add(recorder);
            threads.add(thread);
        }
        boolean fill = order.workload() == Workload.FILL;
        if (!fill) {
            threads.forEach(Thread::start);
            Thread.sleep(order.warmup());
        }
        System.err.println("window opens");
        long cpuBefore = cpuOfThisProcess();
        long opened = System.nanoTime();
        if (fill) {
            threads.forEach(Thread::start);
            for (Thread thread : threads) {
                thread.join();
            }
        } else {
            Thread.sleep(order.measure());
        }
        long closed = System.nanoTime();
        long cpu = cpuOfThisProcess() - cpuBefore;
        System.err.println("window closes");
        stopped = true;
        threads.forEach(Thread::interrupt);
        Clients.join(threads, STOPPED_WITHIN);
        return Answer.of(recorders, opened, closed, cpu);
    }

    /** One client's loop: an operation is tried until it succeeds, and the next follows at once. */
    private void loop(Operation operation, Recorder recorder) {
        try {
            while (!stopped && operation.hasMore()) {
                long began = System.nanoTime();
                while (!attempt(operation)) {
                    recorder.failed(System.nanoTime());
                    Thread.sleep(PAUSE_MS);
                }
                recorder.succeeded(began, System.nanoTime());
            }
        } catch (InterruptedException interrupted) {
            // The run has stopped while the client waited.
        } finally {
            operation.close();
        }
    }

    /** Whether an attempt succeeds; whatever makes it fail is the same to the driver. */
    private boolean attempt(Operation operation) throws InterruptedException {
        try {
            return operation.attempt();
        } catch (Exception failed) {
            if (stopped) {
                throw new InterruptedException();
            }
            return false;
        }
    }

    /** Nanoseconds of processors, user and system, that this process has used. */
    private static long cpuOfThisProcess() {
        return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getProcessCpuTime();
    }
}
