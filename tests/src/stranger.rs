//! What may listen at an address instead of a member: servers of other kinds, and none that answers
//! at all.
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A name that resolves to no address, by RFC 6761.
pub const NOWHERE: &str = "nowhere.invalid:7070";

/// What listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A web server that knows only HTTP/1.1.
    Web,
    /// An SSH server, which speaks first.
    Ssh,
    /// It accepts connections, reads what comes, and says nothing.
    Silent,
    /// It resets each connection.
    Resets,
}

/// A stranger that listens until it is dropped.
#[derive(Debug)]
pub struct Stranger {
    /// Where it listens.
    pub address: String,
    accepting: JoinHandle<()>,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Web, Self::Ssh, Self::Silent, Self::Resets];

    /// Listens at a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start(self) -> Stranger {
        self.start_at("127.0.0.1:0").await
    }

    /// Listens at `address`.
    ///
    /// # Panics
    /// When it is taken.
    pub async fn start_at(self, address: &str) -> Stranger {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let accepting = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(self.serve(connection));
            }
        });
        Stranger { address, accepting }
    }

    async fn serve(self, mut connection: TcpStream) {
        let mut request = [0; 1_024];
        let spoken: &[u8] = match self {
            Self::Web => {
                let _came = connection.read(&mut request).await;
                b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            }
            Self::Ssh => b"SSH-2.0-OpenSSH_9.9\r\n",
            Self::Silent => b"",
            Self::Resets => {
                let _reset = connection.set_zero_linger();
                return;
            }
        };
        let _said = connection.write_all(spoken).await;
        if self == Self::Web {
            let _closed = connection.shutdown().await;
        }
        while connection.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {}
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
