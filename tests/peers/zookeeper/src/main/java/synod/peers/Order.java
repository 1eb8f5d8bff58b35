// What the driver is to do, as its arguments say. Every argument is a name and a value, so a small loop
// does instead of a library.
package synod.peers;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/** The arguments, checked. Times are in milliseconds. */
record Order(String endpoints, Workload workload, int clients, long warmup, long measure, int keys,
        int valueBytes) {
    static final String USAGE = "usage: --endpoints HOST:PORT,... --workload NAME --clients N --warmup-ms W"
            + " --measure-ms M [--keys K] [--value-bytes B]";
    private static final Set<String> NAMES = Set.of("--endpoints", "--workload", "--clients", "--warmup-ms",
            "--measure-ms", "--keys", "--value-bytes");
    private static final String ENDPOINTS = "[^:,]+:\\d{1,5}(,[^:,]+:\\d{1,5})*";

    /** The arguments are not what USAGE says. */
    static final class WrongUsage extends Exception {
        private static final long serialVersionUID = 1;

        WrongUsage(String reason) {
            super(reason);
        }
    }

    /** The workload is none of this driver's. */
    static final class UnknownWorkload extends Exception {
        private static final long serialVersionUID = 1;

        UnknownWorkload(String name) {
            super("there is no workload " + name);
        }
    }

    /** Reads the arguments. */
    static Order of(String[] arguments) throws WrongUsage, UnknownWorkload {
        Map<String, String> given = pairs(arguments);
        String endpoints = required(given, "--endpoints");
        if (!endpoints.matches(ENDPOINTS)) {
            throw new WrongUsage("--endpoints is not HOST:PORT,...: " + endpoints);
        }
        String name = required(given, "--workload");
        Workload workload = Workload.named(name).orElseThrow(() -> new UnknownWorkload(name));
        if (workload == Workload.LEADER) {
            given.putIfAbsent("--clients", "1");
            given.putIfAbsent("--warmup-ms", "0");
            given.putIfAbsent("--measure-ms", "1");
        }
        given.putIfAbsent("--keys", "10000");
        given.putIfAbsent("--value-bytes", "100");
        return new Order(endpoints, workload, number(given, "--clients", 1), number(given, "--warmup-ms", 0),
                number(given, "--measure-ms", 1), number(given, "--keys", 1),
                number(given, "--value-bytes", 0));
    }

    private static Map<String, String> pairs(String[] arguments) throws WrongUsage {
        Map<String, String> given = new HashMap<>();
        for (int place = 0; place < arguments.length; place += 2) {
            String name = arguments[place];
            if (!NAMES.contains(name)) {
                throw new WrongUsage("there is no argument " + name);
            }
            if (place + 1 == arguments.length || given.put(name, arguments[place + 1]) != null) {
                throw new WrongUsage(name + " has no value, or two");
            }
        }
        return given;
    }

    private static String required(Map<String, String> given, String name) throws WrongUsage {
        String value = given.get(name);
        if (value == null) {
            throw new WrongUsage(name + " is missing");
        }
        return value;
    }

    private static int number(Map<String, String> given, String name, int least) throws WrongUsage {
        String value = required(given, name);
        try {
            int number = Integer.parseInt(value);
            if (number >= least) {
                return number;
            }
        } catch (NumberFormatException notOne) {
            // Told below, as a number that is too small is.
        }
        throw new WrongUsage(name + " is not a number of at least " + least + ": " + value);
    }
}
