// Which member leads. Curator does not tell, but every member tells its own part in answer to the word
// `srvr` on its client port, which its configuration must allow (4lw.commands.whitelist).
package synod.peers;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Finds the leader. */
final class Leader {
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(30);
    private static final int ANSWERS_WITHIN_MS = 1000;
    private static final int PAUSE_MS = 100;

    private Leader() {}

    /** The leader's place in the list of endpoints, once there is a leader. */
    static int find(String endpoints) throws InterruptedException, TimeoutException {
        String[] members = endpoints.split(",");
        long began = System.nanoTime();
        while (System.nanoTime() - began < PATIENCE) {
            for (int place = 0; place < members.length; place++) {
                if (leads(members[place])) {
                    return place;
                }
            }
            Thread.sleep(PAUSE_MS);
        }
        throw new TimeoutException("no member leads: " + endpoints);
    }

    /** Whether the member says that it leads; one that is alone in its cluster calls itself standalone. */
    private static boolean leads(String member) {
        int colon = member.indexOf(':');
        String host = member.substring(0, colon);
        int port = Integer.parseInt(member.substring(colon + 1));
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(host, port), ANSWERS_WITHIN_MS);
            socket.setSoTimeout(ANSWERS_WITHIN_MS);
            socket.getOutputStream().write("srvr".getBytes(StandardCharsets.US_ASCII));
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
            return answer.contains("Mode: leader") || answer.contains("Mode: standalone");
        } catch (IOException down) {
            return false;
        }
    }
}
