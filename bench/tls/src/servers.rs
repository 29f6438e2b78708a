//! The servers. A connection begins with one byte: `d` for downloads, `u` for uploads. Each
//! line of the standard input is a command to print the CPU time.

use std::{io::Write, net::TcpListener, sync::Arc, thread};

use compio_tls::rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use crate::{LEN, Outcome, cpu_time, encode};

pub(crate) fn run(name: &str) -> Outcome {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate: CertificateDer<'static> = issued.cert.into();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(compio_tls::provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            println!("{}", cpu_time());
        }
    });
    println!("{address} {}", encode(&certificate));
    std::io::stdout().flush()?;
    match name {
        "compio" => compio_server(listener, config.into()),
        "tokio" => tokio_server(listener, config.into()),
        name => Err(format!("no server `{name}`").into()),
    }
}

fn compio_server(listener: TcpListener, config: Arc<ServerConfig>) -> Outcome {
    use compio::{
        io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    async fn serve(tcp: TcpStream, acceptor: compio_tls::TlsAcceptor) -> Outcome {
        tcp.set_nodelay(true)?;
        let mut tls = acceptor.accept(tcp).await?;
        let (read, [mode]) = tls.read_exact([0]).await;
        read?;
        let data: Arc<[u8]> = vec![b'x'; LEN].into();
        let mut buffer = Vec::with_capacity(64 * 1024);
        loop {
            if mode == b'd' {
                let (read, _) = tls.read_exact([0; 8]).await;
                read?;
                tls.write_all(Arc::clone(&data)).await.0?;
            } else {
                let mut received = 0;
                while received < LEN {
                    let (read, filled) = tls.read(buffer).await;
                    buffer = filled;
                    match read? {
                        0 => return Ok(()),
                        len => received += len,
                    }
                }
                tls.write_all(*b"received").await.0?;
            }
            tls.flush().await?;
        }
    }

    compio::task::block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let acceptor = compio_tls::TlsAcceptor::from(config);
        loop {
            let (tcp, _) = listener.accept().await?;
            compio::task::spawn(serve(tcp, acceptor.clone()));
        }
    })
}

fn tokio_server(listener: TcpListener, config: Arc<ServerConfig>) -> Outcome {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    async fn serve(tcp: TcpStream, acceptor: tokio_rustls::TlsAcceptor) -> Outcome {
        tcp.set_nodelay(true)?;
        let mut tls = acceptor.accept(tcp).await?;
        let mode = tls.read_u8().await?;
        let data = vec![b'x'; LEN];
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if mode == b'd' {
                tls.read_exact(&mut [0; 8]).await?;
                tls.write_all(&data).await?;
            } else {
                let mut received = 0;
                while received < LEN {
                    match tls.read(&mut buffer).await? {
                        0 => return Ok(()),
                        len => received += len,
                    }
                }
                tls.write_all(b"received").await?;
            }
            tls.flush().await?;
        }
    }

    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        loop {
            let (tcp, _) = listener.accept().await?;
            tokio::spawn(serve(tcp, acceptor.clone()));
        }
    })
}
