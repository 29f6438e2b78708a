//! A chat over WebSocket, on all cores, with its page. Each message of a member goes to all members.
//!
//! `cargo run --release --example chat -- 127.0.0.1:8080`, and then open http://127.0.0.1:8080/ in several windows.

use std::{
    collections::HashMap,
    env, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_channel::{Receiver, Sender};
use axum::{
    Router,
    extract::State,
    response::{Html, Response},
    routing::{any, get},
};
use compio::{cores::Server, signal, task};
use compio_axum::ws::{CloseCode, Config, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};

/// The number of messages that may be queued for a member. A slower member is disconnected.
const MESSAGES_WAITING: usize = 256;

/// The longest message, in bytes.
const MESSAGE_MAX: usize = 4096;

/// The queued messages of each member. The members are on all cores. No lock is held across an await.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<Members>>);

#[derive(Default)]
struct Members {
    queues: HashMap<u64, Sender<Utf8Bytes>>,
    last: u64,
}

#[compio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let router = Router::new()
        .route("/", get(async || Html(include_str!("chat.html"))))
        .route("/chat", any(chat))
        .with_state(Room::default());
    let server = compio_axum::start(Server::bind(&address).await?, router)?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    server.shutdown_timeout(Duration::from_secs(1)).await
}

async fn chat(State(room): State<Room>, upgrade: WebSocketUpgrade) -> Response {
    let config = Config::new().max_message_size(MESSAGE_MAX);
    upgrade
        .config(config)
        .on_upgrade(async move |socket| attend(room, socket).await)
}

/// Handles one member.
async fn attend(room: Room, socket: WebSocket) {
    let (member, messages) = room.enter();
    let (mut sender, mut receiver) = socket.split();
    let sending = task::spawn(async move {
        while let Ok(text) = messages.recv().await {
            if sender.send(Message::Text(text)).await.is_err() {
                break;
            }
        }
        // The member has left, or is too slow.
        let _ = sender.close(CloseCode::Normal, "").await;
        sender
    });
    // The receiver answers pings and the close frame. It ends with an error after a message that is too long.
    while let Some(Ok(message)) = receiver.recv().await {
        if let Message::Text(text) = message {
            room.tell(&text);
        }
    }
    room.leave(member);
    if let Ok(sender) = sending.await
        && let Ok(mut socket) = sender.unsplit(receiver)
    {
        // The member receives the close code before the stream ends. It may have gone.
        let _ = socket.close(CloseCode::Normal, "").await;
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> (u64, Receiver<Utf8Bytes>) {
        let (sender, receiver) = async_channel::bounded(MESSAGES_WAITING);
        let mut members = self.lock();
        members.last += 1;
        let member = members.last;
        members.queues.insert(member, sender);
        (member, receiver)
    }

    fn leave(&self, member: u64) {
        self.lock().queues.remove(&member);
    }

    /// Queues a message for all members. The text is shared, not copied.
    fn tell(&self, text: &Utf8Bytes) {
        let mut members = self.lock();
        // A member whose queue is full leaves.
        members
            .queues
            .retain(|_, queue| queue.try_send(text.clone()).is_ok());
    }
}
