//! All methods of readers and writers by one import, also beside explicit imports.

mod alone {
    use compio::io::{duplex, prelude::*};

    use crate::support::run;

    #[test]
    fn prelude_alone_has_the_methods_of_both_traits() {
        run(async {
            let (mut client, mut server) = duplex(64);
            client.write("a").await.0.unwrap();
            client.write_all("bcd").await.0.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(server.read([0; 1]).await.1, *b"a");
            assert_eq!(server.read_exact([0; 2]).await.1, *b"bc");
            assert_eq!(server.read_to_end(Vec::new()).await.1, b"d");
        });
    }

    #[test]
    fn prelude_has_the_traits_of_positioned_and_buffered_readers() {
        run(async {
            let (_, part) = b"abcdef".read_exact_at([0; 2], 3).await;
            assert_eq!(part, *b"de");
            let mut lines = (&b"one\ntwo\n"[..]).lines();
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "one");
        });
    }
}

/// Compiles without a warning, which CI denies.
mod beside_explicit_imports {
    use compio::io::{AsyncRead, AsyncReadExt, duplex, prelude::*};

    use crate::support::run;

    async fn first<R: AsyncRead>(reader: &mut R) -> u8 {
        reader.read([0; 1]).await.1[0]
    }

    async fn second<R: AsyncReadExt>(reader: &mut R) -> u8 {
        // The methods of the supertrait, too.
        reader.read([0; 1]).await.1[0]
    }

    #[test]
    fn prelude_beside_explicit_imports_is_no_conflict() {
        run(async {
            let (mut client, mut server) = duplex(64);
            client.write_all("ab").await.0.unwrap();
            assert_eq!(first(&mut server).await, b'a');
            assert_eq!(second(&mut server).await, b'b');
        });
    }
}
