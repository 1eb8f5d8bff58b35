//! How members encode what they say to each other: protobuf, and behind it a checksum of 4 bytes.
//!
//! TCP's own checksum lets about one damaged segment in 65,536 pass, and nothing sums what a faulty
//! machine on the way changes. A flipped bit in an entry would make one member's rows differ; in an
//! answer it would count as a vote or as an entry on disk. So a message that was changed is an
//! error of its stream, and is asked or sent again. It is no proof against somebody who changes
//! messages on purpose, and it does not cover gRPC's own headers.
use std::fmt;
use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

const SUM_BYTES: usize = size_of::<u32>();

/// The codec of the peer port: encodes `T`, decodes `U`.
pub(crate) struct CheckedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for CheckedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> fmt::Debug for CheckedCodec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckedCodec")
    }
}

impl<T: Message + 'static, U: Message + Default + 'static> Codec for CheckedCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = Checked<T>;
    type Decoder = Checked<U>;

    fn encoder(&mut self) -> Checked<T> {
        Checked(PhantomData)
    }

    fn decoder(&mut self) -> Checked<U> {
        Checked(PhantomData)
    }
}

/// Writes or reads messages of one type.
pub(crate) struct Checked<T>(PhantomData<T>);

impl<T> fmt::Debug for Checked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checked")
    }
}

impl<T: Message> Encoder for Checked<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let message = item.encode_to_vec();
        to.reserve(message.len() + SUM_BYTES);
        to.put_slice(&message);
        to.put_u32_le(crc32fast::hash(&message));
        Ok(())
    }
}

impl<T: Message + Default> Decoder for Checked<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        open(from.copy_to_bytes(from.remaining())).map(Some)
    }
}

fn open<T: Message + Default>(mut sealed: Bytes) -> Result<T, Status> {
    let bytes = sealed.len();
    let Some(length) = bytes.checked_sub(SUM_BYTES) else {
        return Err(changed(format_args!("{bytes} bytes are too few for a checksum")));
    };
    let message = sealed.split_to(length);
    if crc32fast::hash(&message) != sealed.get_u32_le() {
        return Err(changed(format_args!("the checksum of {bytes} bytes is not theirs")));
    }
    T::decode(message).map_err(|error| changed(format_args!("no message of this port: {error}")))
}

/// As of a connection that broke: what was meant is not known, and is asked again.
fn changed(why: fmt::Arguments<'_>) -> Status {
    Status::unavailable(format!(
        "a message between members was changed on the way, or another version sent it: {why}"
    ))
}

#[cfg(test)]
mod tests;
