//! `Fault` between the machine's form and the wire's. Exhaustive both ways, so that a new fault
//! does not compile until it has a number here and in the .proto file.
use synod_abi::Fault;

use crate::v1;

macro_rules! faults {
    ($($name:ident),* $(,)?) => {
        /// The wire's form of `fault`.
        pub const fn fault_to_api(fault: Fault) -> v1::Fault {
            match fault {
                $(Fault::$name => v1::Fault::$name,)*
            }
        }

        /// The fault that `fault` stands for; none if it is unspecified.
        pub const fn fault_from_api(fault: v1::Fault) -> Option<Fault> {
            match fault {
                v1::Fault::Unspecified => None,
                $(v1::Fault::$name => Some(Fault::$name),)*
            }
        }
    };
}

faults!(
    Trap,
    Panic,
    OutOfFuel,
    TooDeep,
    OutOfMemory,
    KeyTooLong,
    ValueTooLong,
    TooManyWrites,
    TooManyReads,
    TooManyHostCalls,
    BadHostCall,
    CorruptState,
    BadArguments,
    BadReply,
    QueryTimeout,
    TooManyTimers,
    BadTopic,
    TooManyEvents,
    TooManySends,
    TooDeepDelivery,
    TooManyDeliveries,
    TooManySpaceTimers,
);

#[cfg(test)]
mod tests;
