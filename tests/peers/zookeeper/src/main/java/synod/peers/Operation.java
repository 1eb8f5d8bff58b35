// What a client does again and again; the loop around it is Run's.
package synod.peers;

/** One client's operation. */
@FunctionalInterface
interface Operation {
    /** One attempt; it has failed if it returns false or throws. */
    boolean attempt() throws Exception;

    /** Whether there is another operation to do. */
    default boolean hasMore() {
        return true;
    }

    /** Ends what works in the background. */
    default void close() {}
}
