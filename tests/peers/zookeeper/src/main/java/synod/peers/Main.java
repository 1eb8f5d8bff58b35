// The driver of ZooKeeper as a program: its arguments, its one line of output and its exit codes.
// DRIVERS.md, in the folder above the pom's, is the contract that it shares with the other drivers.
package synod.peers;

import java.util.concurrent.TimeoutException;

/** The program. */
public final class Main {
    private static final int UNAVAILABLE = 1;
    private static final int WRONG_USAGE = 2;
    private static final int UNKNOWN_WORKLOAD = 3;

    private Main() {}

    /** Carries out the order in the arguments, prints the answer and ends the process. */
    public static void main(String[] arguments) {
        try {
            Order order = Order.of(arguments);
            String answer = order.workload() == Workload.LEADER
                    ? "{\"leader\":" + Leader.find(order.endpoints()) + "}"
                    : Run.drive(order).json();
            System.out.println(answer);
            end(0);
        } catch (Order.UnknownWorkload unknown) {
            fail(UNKNOWN_WORKLOAD, unknown.getMessage());
        } catch (Order.WrongUsage wrong) {
            fail(WRONG_USAGE, wrong.getMessage() + "\n" + Order.USAGE);
        } catch (TimeoutException late) {
            fail(UNAVAILABLE, late.getMessage());
        } catch (Exception exception) {
            fail(UNAVAILABLE, exception.toString());
        }
    }

    /** Ends the process for a reason that only its user can mend. */
    static void fail(int code, String reason) {
        System.err.println(reason);
        end(code);
    }

    /** Ends the process at once: threads of a client whose cluster is gone would keep it for long. */
    private static void end(int code) {
        System.out.flush();
        System.err.flush();
        Runtime.getRuntime().halt(code);
    }
}
