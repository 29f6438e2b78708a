//! The rows: a service, the load on it, and its servers.

/// A service that several servers have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    /// hyper's HTTP/1 alone: bodies of three lengths.
    Hyper,
    /// HTTP/1 and HTTP/2, with the deadlines of a real server.
    Auto,
    /// axum's routing and JSON.
    Axum,
    /// A file of 64 KiB, opened for each request.
    File,
    /// The file, by a reverse proxy over HTTP/1.1, from nginx on the CPU of the load.
    Proxy,
    /// Echo of WebSocket messages.
    WebSocket,
}

/// The program that makes the requests.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    Wrk,
    /// A connection for each request.
    WrkWithoutKeepAlive,
    /// HTTP/2: 16 connections with 16 streams each.
    H2load,
    /// Messages of a length over these WebSocket connections, or as many as of `wrk`.
    Messages {
        connections: Option<u32>,
        len: usize,
    },
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// For the plot.
    pub(crate) title: &'static str,
    pub(crate) service: Service,
    pub(crate) path: &'static str,
    pub(crate) load: Load,
}

const fn row(
    [name, title]: [&'static str; 2],
    service: Service,
    path: &'static str,
    load: Load,
) -> Row {
    Row {
        name,
        title,
        service,
        path,
        load,
    }
}

const fn messages(connections: Option<u32>, len: usize) -> Load {
    Load::Messages { connections, len }
}

pub(crate) const ROWS: [Row; 10] = [
    row(
        ["small", "HTTP/1.1, 13 B"],
        Service::Hyper,
        "/small",
        Load::Wrk,
    ),
    row(
        ["64k", "HTTP/1.1, 64 KB"],
        Service::Hyper,
        "/64k",
        Load::Wrk,
    ),
    row(["1m", "HTTP/1.1, 1 MB"], Service::Hyper, "/1m", Load::Wrk),
    row(["json", "axum, JSON"], Service::Axum, "/json", Load::Wrk),
    row(
        ["churn", "a connection for each request"],
        Service::Auto,
        "/small",
        Load::WrkWithoutKeepAlive,
    ),
    row(["http2", "HTTP/2"], Service::Auto, "/small", Load::H2load),
    row(
        ["file", "a static file of 64 KiB"],
        Service::File,
        "/file.bin",
        Load::Wrk,
    ),
    row(
        ["proxy", "a reverse proxy"],
        Service::Proxy,
        "/file.bin",
        Load::Wrk,
    ),
    row(
        ["ws", "WebSocket echo, 64 B"],
        Service::WebSocket,
        "/",
        messages(None, 64),
    ),
    row(
        ["ws-4m", "WebSocket echo, 4 MiB"],
        Service::WebSocket,
        "/",
        messages(Some(1), 4 << 20),
    ),
];

impl Service {
    /// The servers of this service, the base of the ratios first.
    pub(crate) fn servers(self) -> &'static [&'static str] {
        match self {
            Self::Hyper => &[
                "tokio",
                "tokio-multi",
                "uring",
                "readiness",
                "uring-adapter",
                "readiness-adapter",
            ],
            Self::Auto | Self::Axum => &["tokio", "tokio-multi", "uring", "readiness"],
            Self::File | Self::Proxy => &["nginx", "uring", "readiness"],
            Self::WebSocket => &["tokio-4k", "tokio", "uring", "readiness"],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::Auto => "auto",
            Self::Axum => "axum",
            Self::File => "file",
            Self::Proxy => "proxy",
            Self::WebSocket => "websocket",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        let all = [
            Self::Hyper,
            Self::Auto,
            Self::Axum,
            Self::File,
            Self::Proxy,
            Self::WebSocket,
        ];
        all.into_iter().find(|service| service.name() == name)
    }
}
