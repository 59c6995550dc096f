//! Responses that the gateway keeps, because the provider that made them keeps nothing (`responses.state`).
//!
//! 1. [`resolve`]: before anything looks at a request, what it goes on with is put into its input: the turns before it, by `previous_response_id`, and items
//!    that it only names. From here on it is a request like any other, which guards see whole, limits count whole, and any provider can answer.
//! 2. [`Keeping::of`]: if its answer may have to be kept, it gets an id that the provider's dialect does not know of.
//! 3. [`Keeping::keep`]: when the end of the answer is there, and before it goes out, input and response are written. Only if the response has that id: one that
//!    came from a provider with the Responses API is that provider's to keep.
//! 4. [`respond`]: `GET`, `DELETE`, `/input_items` and `/cancel` of what is kept.
//!
//! Whose it is: the team's, of one issuer. For everybody else it is not there.
//!
//! When the table fails, answers go out without being kept (`store: false`, `tollgate.state: lost`); what would have to be read from it is a 503.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use tollgate_auth::Identity;
use tollgate_limits::{Home, KeptTable, KeptTurn, LedgerError, What};
use tollgate_wire::codec::Dialect;
use tollgate_wire::exchange::{Inbound, Kept};
use tollgate_wire::ir::{Fault, FaultKind};
use tollgate_wire::json;
use tollgate_wire::responses::state::{self, Asked, Ending, Page, Turn};

use crate::app::App;
use crate::books::Books;
use crate::pipeline::{self, refuse, with};
use crate::{accept, meter};

/// The most turns that a conversation has: every one is read for the next.
const MAX_TURNS: usize = 256;
/// Turns that are read at the same time.
const PARALLEL: usize = 8;

/// What a request goes on with.
#[derive(Debug, Default)]
pub struct Continued {
    previous: Option<String>,
    /// The ids of all turns before it.
    chain: Vec<String>,
    /// How many items of its input are theirs.
    items: usize,
}

/// The table, for an owner.
#[derive(Debug, Clone)]
struct Shelf {
    table: Arc<KeptTable>,
    issuer: Arc<str>,
    team: String,
}

impl Shelf {
    fn of(app: &App, identity: &Identity) -> Option<Self> {
        let table = Arc::clone(app.kept.as_ref()?);
        Some(Self { table, issuer: Arc::clone(&identity.issuer), team: identity.team.clone() })
    }

    fn home(&self, id: &str) -> Home {
        Home { issuer: self.issuer.as_ref().to_owned(), team: self.team.clone(), id: id.to_owned() }
    }

    async fn get(&self, id: &str) -> Result<Option<KeptTurn>, Fault> {
        self.table.get(&self.home(id), SystemTime::now()).await.map_err(|error| unavailable(id, &error))
    }
}

fn unavailable(id: &str, error: &LedgerError) -> Fault {
    tracing::error!(response.id = id, error.cause = %error, "the table of kept responses could not be asked");
    let text = "the responses that this gateway keeps cannot be reached at the moment; try again soon";
    let fault = Fault::new(FaultKind::Overloaded, text).with_code("state_unavailable");
    Fault { retry_after: Some(Duration::from_secs(5)), ..fault }
}

/// Something that is in the table and cannot be read.
fn unreadable(id: &str) -> Fault {
    tracing::error!(response.id = id, "a kept response cannot be read");
    Fault::new(FaultKind::Api, "the kept response cannot be read").with_code("state_unreadable")
}

/// OpenAI's answer, which clients know: they send the whole conversation then.
fn previous_not_found(id: &str) -> Fault {
    let fault = Fault::new(FaultKind::InvalidRequest, format!("Previous response with id '{id}' not found."));
    fault.with_param("previous_response_id").with_code("previous_response_not_found")
}

/// A request with everything in it that it goes on with. A body that needs nothing of what is kept here stays as it is.
pub fn resolve<'a>(
    app: &'a App,
    identity: &'a Identity,
    body: Bytes,
) -> BoxFuture<'a, Result<(Bytes, Continued), Fault>> {
    Box::pin(resolving(app, identity, body))
}

async fn resolving(app: &App, identity: &Identity, body: Bytes) -> Result<(Bytes, Continued), Fault> {
    let asked = Asked::read(&body);
    let Some(shelf) = Shelf::of(app, identity).filter(|_| asked != Asked::default()) else {
        return Ok((body, Continued::default()));
    };
    let limit = usize::try_from(app.config.request.max_body_bytes()).unwrap_or(usize::MAX);
    let mut room = limit.saturating_sub(body.len());
    let mut continued = Continued { previous: asked.previous.clone(), ..Continued::default() };
    let mut earlier = Vec::new();
    if let Some(previous) = &asked.previous {
        let last = shelf.get(previous).await?.ok_or_else(|| previous_not_found(previous))?;
        if last.chain.len() >= MAX_TURNS {
            let message = format!(
                "the conversation has {MAX_TURNS} turns, the most that are kept of one; send its items as input instead"
            );
            let fault = Fault::new(FaultKind::InvalidRequest, message).with_param("previous_response_id");
            return Err(fault.with_code("conversation_too_long"));
        }
        continued.chain.clone_from(&last.chain);
        for (id, turn) in turns(&shelf, &last.chain, &mut room).await? {
            earlier.extend(turn.ok_or_else(|| previous_not_found(&id))?.into_items());
        }
        take(&mut room, last.data.len())?;
        earlier.extend(Turn::decode(&last.data).ok_or_else(|| unreadable(previous))?.into_items());
        continued.chain.push(previous.clone());
    }
    continued.items = earlier.len();
    if asked.referenced.len() > MAX_TURNS {
        let message =
            format!("its references name items of more than {MAX_TURNS} responses; send the items themselves");
        return Err(Fault::new(FaultKind::InvalidRequest, message).with_param("input"));
    }
    let named: Vec<Turn> =
        turns(&shelf, &asked.referenced, &mut room).await?.into_iter().filter_map(|(_, turn)| turn).collect();
    let item = |id: &str| named.iter().find_map(|turn| turn.item(id));
    let body = state::resolved(&body, earlier, item).map_err(|error| error.into_fault())?;
    if body.len() > limit {
        return Err(too_large(limit));
    }
    Ok((body, continued))
}

/// Turns in this order; `None`: it is not there.
async fn turns(shelf: &Shelf, ids: &[String], room: &mut usize) -> Result<Vec<(String, Option<Turn>)>, Fault> {
    let mut reads = Vec::with_capacity(ids.len());
    for id in ids {
        reads.push(read(shelf.clone(), id.clone()));
    }
    let mut reads = stream::iter(reads).buffered(PARALLEL);
    let mut found = Vec::with_capacity(ids.len());
    while let Some((id, turn)) = reads.next().await {
        let turn = match turn? {
            None => None,
            Some(turn) => {
                take(room, turn.data.len())?;
                Some(Turn::decode(&turn.data).ok_or_else(|| unreadable(&id))?)
            }
        };
        found.push((id, turn));
    }
    Ok(found)
}

async fn read(shelf: Shelf, id: String) -> (String, Result<Option<KeptTurn>, Fault>) {
    let turn = shelf.get(&id).await;
    (id, turn)
}

/// A conversation is bounded as a request is that has all of it.
fn take(room: &mut usize, bytes: usize) -> Result<(), Fault> {
    *room = room.checked_sub(bytes).ok_or_else(|| too_large(*room))?;
    Ok(())
}

fn too_large(limit: usize) -> Fault {
    let message = format!(
        "with the turns before it the request is larger than this gateway takes (request.maxBodyBytes; {limit} bytes were left); begin a new conversation"
    );
    Fault::new(FaultKind::TooLarge, message).with_param("previous_response_id")
}

/// A response that may have to be kept, while it is made.
#[derive(Debug)]
pub struct Keeping {
    shelf: Shelf,
    id: String,
    chain: Vec<String>,
    /// The request, as the guards let it through.
    body: Bytes,
    /// Items of its input that stand before and behind the client's own.
    around: (usize, usize),
}

/// What became of the end of an answer.
#[derive(Debug)]
pub enum Ended {
    /// It is not the end, or not ours to keep.
    Passed(Option<Box<Keeping>>),
    /// It is kept.
    Kept,
    /// It could not be; the answer says so now, as far as it still can.
    Lost(Bytes),
}

impl Keeping {
    /// What there is to keep of a request; its answer learns of it.
    pub fn of(app: &App, identity: &Identity, inbound: &Inbound, continued: Continued) -> Option<Box<Self>> {
        let shelf = Shelf::of(app, identity).filter(|_| state::wants_store(inbound.body()));
        let keeping = shelf.and_then(|shelf| {
            let around = app.chains.amendments().map_or((0, 0), |more| (more.prepend.len(), more.append.len()));
            let around = (around.0 + continued.items, around.1);
            let mut random = [0; 20];
            SystemRandom::new().fill(&mut random).ok()?;
            let id = state::new_id(random);
            Some(Box::new(Self { shelf, id, chain: continued.chain, body: inbound.body().clone(), around }))
        });
        let kept = Kept { id: keeping.as_ref().map(|keeping| keeping.id.clone()), previous: continued.previous };
        if kept.id.is_some() || kept.previous.is_some() {
            inbound.keep(kept);
        }
        keeping
    }

    /// Keeps what has this at its end: a whole answer, or the last bytes of a stream.
    pub async fn keep(self: Box<Self>, bytes: &Bytes) -> Ended {
        let Some(ending) = Ending::find(bytes) else { return Ended::Passed(Some(self)) };
        if ending.id != self.id {
            return Ended::Passed(None);
        }
        let response = bytes.get(ending.span).unwrap_or_default();
        let turn = Turn::encode(&self.id, &self.body, self.around.0, self.around.1, response);
        let home = self.shelf.home(&self.id);
        match self.shelf.table.put(&home, &self.chain, &turn, SystemTime::now()).await {
            Ok(()) => Ended::Kept,
            Err(error) => {
                tracing::warn!(
                    response.id = self.id, response.bytes = turn.len(), error.cause = %error,
                    "a response could not be kept; its answer went out"
                );
                Ended::Lost(ending.store.map_or_else(|| bytes.clone(), |store| json::replace(bytes, &store, "false")))
            }
        }
    }
}

/// Is this the path of a response that would be kept here?
pub fn is_ours(app: &App, path: &str) -> bool {
    app.kept.is_some() && place(path).is_some()
}

/// Id, and what stands below it.
fn place(path: &str) -> Option<(&str, &str)> {
    let (_, rest) = path.split_once(accept::KEPT)?;
    let place = rest.split_once('/').unwrap_or((rest, ""));
    state::is_ours(place.0).then_some(place)
}

/// Answers a request for a kept response. It counts as a request, and costs nothing.
pub async fn respond(
    app: &App,
    parts: &Parts,
    request_id: &str,
    mut books: Books,
    identity: &Arc<Identity>,
) -> Response {
    let client = Dialect::Responses;
    let nothing = meter::Request::new(identity, "", pipeline::deadline(app, parts));
    let request = meter::Request { what: What::Request, free: true, ..nothing };
    match meter::reserved(app, request).await {
        Ok(None) => {}
        Ok(Some(meter)) => books.admitted(meter),
        Err(denied) => return pipeline::limited(books, denied, client, request_id).await,
    }
    match answer(app, parts, identity).await {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            with(books, response).await
        }
        Err(fault) => refuse(books, &fault, client, request_id).await,
    }
}

/// <https://platform.openai.com/docs/api-reference/responses/get>, `delete`, `cancel`, `input-items`.
async fn answer(app: &App, parts: &Parts, identity: &Identity) -> Result<String, Fault> {
    let place = place(parts.uri.path()).zip(Shelf::of(app, identity));
    let ((id, below), shelf) = place.ok_or_else(|| not_found(parts.uri.path()))?;
    if parts.method == Method::DELETE {
        let deleted = shelf.table.delete(&shelf.home(id), SystemTime::now()).await;
        let deleted = deleted.map_err(|error| unavailable(id, &error))?;
        let said = json!({"id": id, "object": "response", "deleted": true});
        return deleted.then(|| said.to_string()).ok_or_else(|| not_found(id));
    }
    let query = parts.uri.query().unwrap_or_default();
    let query = || query.split('&').filter(|pair| !pair.is_empty()).map(decoded);
    let kept = shelf.get(id).await?.ok_or_else(|| not_found(id))?;
    let turn = Turn::decode(&kept.data).ok_or_else(|| unreadable(id))?;
    match below {
        "cancel" => Err(Fault::new(FaultKind::InvalidRequest, "Cannot cancel a synchronous response.")),
        "input_items" => {
            let page = Page::of(query()).and_then(|page| turn.page(&page));
            page.map(|page: Value| page.to_string()).map_err(|error| error.into_fault())
        }
        _ if query().any(|(key, value)| key == "stream" && value != "false") => {
            let message = "a response that the gateway keeps is not streamed again; leave stream out";
            Err(Fault::new(FaultKind::InvalidRequest, message).with_param("stream"))
        }
        _ => Ok(turn.response().to_owned()),
    }
}

/// The same for an id that nobody has and for one that somebody else has.
fn not_found(id: &str) -> Fault {
    Fault::new(FaultKind::NotFound, format!("Response with id '{id}' not found.")).with_param("response_id")
}

fn decoded(pair: &str) -> (String, String) {
    let text = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    (text(key), text(value))
}
