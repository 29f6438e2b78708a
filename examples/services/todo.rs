//! A list of tasks over HTTP and JSON, on all cores. Ctrl-C stops it; requests have ten seconds to end.
//!
//! `cargo run --release --example todo -- 127.0.0.1:8080`, and then for instance
//! `curl --json '"buy milk"' 127.0.0.1:8080/todos` and `curl 127.0.0.1:8080/todos`

use std::{
    collections::BTreeMap,
    env, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, put},
};
use compio::{cores::Server, signal};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Todo {
    text: String,
    is_done: bool,
}

/// The list, which all cores share. No lock is held across an await.
#[derive(Clone, Default)]
struct Todos(Arc<Mutex<List>>);

#[derive(Default)]
struct List {
    entries: BTreeMap<u64, Todo>,
    last: u64,
}

impl Todos {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[compio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let router = Router::new()
        .route("/todos", get(list).post(add))
        .route("/todos/{id}", put(replace).get(find).delete(remove))
        .with_state(Todos::default());
    let server = compio_axum::start(Server::bind(&address).await?, router)?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    server.shutdown_timeout(Duration::from_secs(10)).await
}

async fn list(State(todos): State<Todos>) -> Json<BTreeMap<u64, Todo>> {
    Json(todos.lock().entries.clone())
}

async fn add(State(todos): State<Todos>, Json(text): Json<String>) -> (StatusCode, Json<u64>) {
    let mut list = todos.lock();
    list.last += 1;
    let id = list.last;
    let is_done = false;
    list.entries.insert(id, Todo { text, is_done });
    (StatusCode::CREATED, Json(id))
}

async fn find(State(todos): State<Todos>, Path(id): Path<u64>) -> Result<Json<Todo>, StatusCode> {
    let todo = todos.lock().entries.get(&id).cloned();
    todo.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn replace(
    State(todos): State<Todos>,
    Path(id): Path<u64>,
    Json(todo): Json<Todo>,
) -> Result<(), StatusCode> {
    let mut list = todos.lock();
    let entry = list.entries.get_mut(&id).ok_or(StatusCode::NOT_FOUND)?;
    *entry = todo;
    Ok(())
}

async fn remove(State(todos): State<Todos>, Path(id): Path<u64>) -> Result<(), StatusCode> {
    let removed = todos.lock().entries.remove(&id);
    removed.map(drop).ok_or(StatusCode::NOT_FOUND)
}
