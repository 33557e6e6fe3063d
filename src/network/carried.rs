//! Requests and answers as bounded bytes, which the network passes on unread.

use std::io;

use ::libp2p::{StreamProtocol, request_response};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A protocol of requests that the network carries without reading them.
#[derive(Debug, Clone)]
pub struct RequestProtocol {
    /// Its name among peers, such as `/assay/log/2`.
    pub name: &'static str,
    /// Longest request.
    pub max_request_bytes: usize,
    /// Longest answer.
    pub max_answer_bytes: usize,
    /// The answer while this node is too busy.
    pub busy: Vec<u8>,
}

/// Raw bytes, read until the other side closes.
#[derive(Debug, Clone)]
pub(super) struct Bytes {
    max_request_bytes: usize,
    max_answer_bytes: usize,
}

impl Bytes {
    /// Without a protocol nothing is carried.
    pub(super) fn new(protocol: Option<&RequestProtocol>) -> Self {
        Self {
            max_request_bytes: protocol.map_or(0, |protocol| protocol.max_request_bytes),
            max_answer_bytes: protocol.map_or(0, |protocol| protocol.max_answer_bytes),
        }
    }
}

impl request_response::Codec for Bytes {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.max_request_bytes).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.max_answer_bytes).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&request).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, answer: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&answer).await
    }
}

async fn read<T: AsyncRead + Unpin>(io: &mut T, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more, to tell a message that is too long from one that just fits.
    io.take(u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut bytes).await?;
    if bytes.len() > max_bytes {
        let reason = format!("longer than {max_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    #[tokio::test]
    async fn bytes_come_as_they_are_up_to_a_bound() {
        for length in [0, 1, 7, 8] {
            let sent = vec![length; length.into()];
            assert_eq!(read(&mut Cursor::new(sent.clone()), 8).await.unwrap(), sent);
        }
        let error = read(&mut Cursor::new(vec![1; 9]), 8).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
