//! Notes in a table of Postgres over HTTP and JSON: axum on compio, and sqlx, which needs Tokio's reactor. Ctrl-C stops it.
//!
//! `cargo run --bin notes -- postgres://postgres@127.0.0.1/postgres 127.0.0.1:8080`, and then for instance
//! `curl --json '"buy milk"' 127.0.0.1:8080/notes` and `curl 127.0.0.1:8080/notes`

use std::{env, error::Error, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use compio::{
    compat::tokio::{Compat, run},
    cores::Server,
    signal,
};
use serde::Serialize;
use sqlx::{PgPool, postgres::PgPoolOptions};

/// The pool of all cores. Its connections belong to Tokio's reactor.
type Pool = State<Arc<Compat<PgPool>>>;

#[derive(Serialize, sqlx::FromRow)]
struct Note {
    id: i64,
    text: String,
}

/// An error of the database. Its text is for the log of the server.
struct Failure(sqlx::Error);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self.0 {
            sqlx::Error::RowNotFound => StatusCode::NOT_FOUND.into_response(),
            error => {
                eprintln!("{error}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

#[compio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [database, address] = &arguments[..] else {
        return Err("usage: notes postgres://USER@HOST/DATABASE ADDRESS".into());
    };
    let database = database.clone();
    let pool = run(async move {
        let options = PgPoolOptions::new().acquire_timeout(Duration::from_secs(5));
        let pool = options.connect(&database).await?;
        let table =
            "create table if not exists notes (id bigserial primary key, text text not null)";
        sqlx::query(table).execute(&pool).await?;
        Ok::<_, sqlx::Error>(pool)
    });
    let router = Router::new()
        .route("/notes", get(list).post(add))
        .route("/notes/{id}", get(find).put(replace).delete(remove))
        .with_state(Arc::new(Compat::new(pool.await?)));
    let server = compio_axum::start(Server::bind(address).await?, router)?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    Ok(server.shutdown_timeout(Duration::from_secs(10)).await?)
}

async fn list(State(pool): Pool) -> Result<Json<Vec<Note>>, Failure> {
    let notes = run(async move {
        let select = sqlx::query_as("select id, text from notes order by id");
        select.fetch_all(&**pool).await
    });
    Ok(Json(notes.await?))
}

async fn add(
    State(pool): Pool,
    Json(text): Json<String>,
) -> Result<(StatusCode, Json<Note>), Failure> {
    let note = run(async move {
        let insert = sqlx::query_as("insert into notes (text) values ($1) returning id, text");
        insert.bind(text).fetch_one(&**pool).await
    });
    Ok((StatusCode::CREATED, Json(note.await?)))
}

async fn find(State(pool): Pool, Path(id): Path<i64>) -> Result<Json<Note>, Failure> {
    let note = run(async move {
        let select = sqlx::query_as("select id, text from notes where id = $1");
        select.bind(id).fetch_one(&**pool).await
    });
    Ok(Json(note.await?))
}

async fn replace(
    State(pool): Pool,
    Path(id): Path<i64>,
    Json(text): Json<String>,
) -> Result<Json<Note>, Failure> {
    let note = run(async move {
        let update = sqlx::query_as("update notes set text = $2 where id = $1 returning id, text");
        update.bind(id).bind(text).fetch_one(&**pool).await
    });
    Ok(Json(note.await?))
}

async fn remove(State(pool): Pool, Path(id): Path<i64>) -> Result<StatusCode, Failure> {
    let deleted = run(async move {
        let delete = sqlx::query("delete from notes where id = $1");
        delete.bind(id).execute(&**pool).await
    });
    match deleted.await?.rows_affected() {
        0 => Ok(StatusCode::NOT_FOUND),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
