//! The traits of `futures-io` over real sockets.

use compio::{
    io::{AsyncReadExt, AsyncWriteExt, FuturesIo, PollReader, PollWriter, join},
    task::spawn,
};
use futures_util::{AsyncBufReadExt, AsyncWriteExt as _, StreamExt, io as theirs};

use crate::support::{pattern, run, tcp_pair};

#[test]
fn copy_and_lines_of_futures_over_sockets() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let (reader, writer) = client.into_split();
        let mut stream = join(PollReader::new(reader), PollWriter::new(writer));
        let echo = spawn(async move {
            let (read, bytes) = server.read_exact(vec![0; 300_000]).await;
            read.unwrap();
            assert!(bytes == pattern(300_000));
            server.write_all("one\ntwo\n").await.0.unwrap();
        });
        theirs::copy(&pattern(300_000)[..], &mut stream)
            .await
            .unwrap();
        stream.flush().await.unwrap();
        let lines: Vec<_> = AsyncBufReadExt::lines(stream)
            .map(Result::unwrap)
            .collect()
            .await;
        assert_eq!(lines, ["one", "two"]);
        echo.await.unwrap();
    });
}

#[test]
fn a_stream_converts_to_futures_traits_and_back() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let (reader, writer) = client.into_split();
        let stream = join(PollReader::new(reader), PollWriter::new(writer));
        let mut stream = FuturesIo::new(stream);
        AsyncWriteExt::write_all(&mut stream, "hello")
            .await
            .0
            .unwrap();
        assert_eq!(server.read_exact([0; 5]).await.1, *b"hello");
        server.write_all("world").await.0.unwrap();
        assert_eq!(
            AsyncReadExt::read_exact(&mut stream, [0; 5]).await.1,
            *b"world"
        );
    });
}
