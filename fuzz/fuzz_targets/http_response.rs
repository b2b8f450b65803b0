//! The HTTP client against a peer that answers anything: it ends with an answer or an error, within its bounds.
#![no_main]

use std::time::Duration;

use brick_wire::Client;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Largest body that is taken.
const BYTES_MAX: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = [0_u8; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
        };
        let client = Client::new();
        let call = client.get(url).bytes_max(BYTES_MAX).timeout(Duration::from_secs(2));
        let (answer, ()) = tokio::join!(call.send(), serve);
        if let Ok(answer) = answer {
            assert!(answer.body.len() <= BYTES_MAX, "a body beyond its bound");
        }
    });
});
