//! `docs/fidelity.md`, from what the other modules find.

use std::fmt::Write as _;

use tollgate_wire::codec::{Carrier, Dialect};

use super::errors::failures;
use super::loops::astray;
use super::pairs::{CLIENTS, UPSTREAMS, Upstream, name};
use super::replies::{self, STOPS, replies, stop_of};
use super::requests::{Fate, Feature, features};

const UPDATE: &str = "UPDATE_FIDELITY=1 cargo test -p tollgate-wire --test fidelity";

const HEAD: &str = "\
# Fidelity

What becomes of each feature between a client's dialect and an upstream's. Every cell is the outcome of running a request or an answer with that one feature
through the gateway's own code: the tables are written by a test (`shared/wire/tests/fidelity`), and the test fails when they are no longer true.
";

const REQUESTS: &str = "
## Requests

| word | what happens |
|---|---|
| carried | the same dialect: the client's own bytes, with the model's name edited |
| translated | the upstream gets it in its own form |
| in part | the upstream gets it, but not all of it; the rest is reported |
| dropped | the upstream does not get it; reported |
| refused | 400 with the field and the remedy: it would change the meaning to leave it out |
| default | the upstream does it without being told |
| by itself | it changes what an answer costs and not the answer: left to the upstream, which caches as it does by itself; not reported |
| answered | the gateway's answer holds it; the upstream need not know |
| - | the client's dialect has no such feature |

Reported means: in the header `x-tollgate-dropped` and in the log; with [`ai.strict`](configuration.md#ai) the
request is refused instead. Numbers lead to the reasons
below each table. Bedrock asks Claude by InvokeModel and every other model by Converse. Gemini at Vertex AI takes labels, too. What depends on the model is shown with these:
";

const ANSWERS: &str = "
## Answers

Whole and streamed alike: a test compares them. The rows of ten turns are a loop of tool calls in which the client says back what it got, and the upstream's
eleventh request is searched for every id, signature and encrypted reasoning of the ten answers, byte for byte. Claude's answers are the same by InvokeModel and
rawPredict.

| word | what happens |
|---|---|
| carried | the same dialect: the upstream's own bytes |
| translated | the client gets it in its own form |
| no place | the client's dialect has no place for it; the gateway's own books have it |
| - | the upstream's dialect does not say it |
| kept | after ten turns everything has come back to the upstream |
| not kept | it does not come back; the request that leaves it out reports it |
";

const MORE_OF_ANSWERS: &str = "
### What else answers say

Carried to clients of the same dialect, all of it. To the others:

| what | where it goes |
|---|---|
| sources on the web: `url_citation` (OpenAI), `web_search_result_location` (Anthropic), `groundingMetadata` of pages (Gemini) | `url_citation`s, `groundingMetadata`. Not to clients that speak messages: Anthropic's form requires an `encrypted_index`, which only Anthropic can make and later checks |
| `citationMetadata` (Gemini): pages that the model repeats from | like sources on the web, but for its licences |
| `avgLogprobs` (Gemini) | nowhere; Gemini's clients get it of other models' log probabilities |
| `safetyRatings`, `promptFeedback` (Gemini) | that it blocked is why the answer ends; nobody else tells degrees of harm |
| steps of a search: `web_search_call` (OpenAI), `server_tool_use`, `web_search_tool_result` (Anthropic), `webSearchQueries`, `searchEntryPoint` (Gemini) | nowhere: what came of it is in the text and its sources |
| `urlContextMetadata` (Gemini); `file_citation`, `container_file_citation`, `file_path` (OpenAI); places in documents (Anthropic) | nowhere: they come of what only clients of the same dialect can ask for |
| `moderation` (OpenAI) | nowhere: its two dialects differ in its form |
";

const STOP_REASONS: &str = "
## Why an answer ends

In brackets the stop sequence that was met, where the dialect says which.
";

const ERRORS: &str = "
## Errors

What the provider answers, what kind of fault that is in the log ([what each kind means for failover](failover.md#kinds-of-faults)), and the type and code that
each client reads. The end-to-end tests ask for each of them by OpenAI's, Anthropic's, Google's and Cohere's SDK, whole and streamed, for the exception. What is
about the gateway's own credentials says so under a 502, so that nobody looks for the fault in their own token. The bodies are data
(`shared/wire/tests/fidelity/errors.json`); a source that documents a status and a code only has our sentence between them.
";

/// The reasons below a table, each once.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn mark(&mut self, reasons: &[String]) -> String {
        let numbers = reasons.iter().map(|reason| {
            let known = self.0.iter().position(|note| note == reason);
            let place = known.unwrap_or_else(|| {
                self.0.push(reason.clone());
                self.0.len() - 1
            });
            (place + 1).to_string()
        });
        format!(" ({})", numbers.collect::<Vec<_>>().join(", "))
    }

    fn cell(&mut self, fate: Option<Fate>) -> String {
        match fate {
            None => "-".to_owned(),
            Some(Fate::Carried) => "carried".to_owned(),
            Some(Fate::Translated) => "translated".to_owned(),
            Some(Fate::Default) => "default".to_owned(),
            Some(Fate::Cost) => "by itself".to_owned(),
            Some(Fate::Answer) => "answered".to_owned(),
            Some(Fate::Lost) => "**lost**".to_owned(),
            Some(Fate::InPart(reasons)) => format!("in part{}", self.mark(&reasons)),
            Some(Fate::Dropped(reasons)) => format!("dropped{}", self.mark(&reasons)),
            Some(Fate::Refused(reason)) => format!("refused{}", self.mark(&[format_reason(&reason)])),
        }
    }

    fn written(&self) -> String {
        let mut out = "\n".to_owned();
        for (index, note) in self.0.iter().enumerate() {
            writeln!(out, "{}. {note}", index + 1).unwrap();
        }
        out
    }
}

/// An error begins with its path.
fn format_reason(error: &str) -> String {
    match error.split_once(": ") {
        Some((path, rest)) if !path.contains(' ') => format!("`{path}`: {rest}"),
        _ => error.to_owned(),
    }
}

pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut out = "\n".to_owned() + &line(head.to_vec()) + &"|---".repeat(head.len()) + "|\n";
    for row in rows {
        out += &line(row.iter().map(String::as_str).collect());
    }
    out
}

fn requests(features: &[Feature]) -> String {
    let models = UPSTREAMS.iter().map(|upstream| {
        let [plain, reasons] = upstream.models;
        let models = if plain == reasons { plain.to_owned() } else { format!("{plain}, where it reasons {reasons}") };
        vec![upstream.title.to_owned(), models]
    });
    let mut out = REQUESTS.to_owned() + &table(&["upstream", "model"], &models.collect::<Vec<_>>());
    let titles = UPSTREAMS.iter().map(|upstream| upstream.title);
    let head: Vec<&str> = std::iter::once("feature").chain(titles).collect();
    for client in CLIENTS {
        let mut notes = Notes::default();
        let rows = features.iter().filter_map(|feature| {
            let fates: Vec<_> = UPSTREAMS.iter().map(|upstream| feature.fate(features, client, upstream)).collect();
            fates.iter().any(Option::is_some).then(|| {
                let cells = fates.into_iter().map(|fate| notes.cell(fate));
                std::iter::once(feature.feature.clone()).chain(cells).collect()
            })
        });
        let rows: Vec<_> = rows.collect();
        write!(out, "\n### From a client that speaks {}\n", name(client)).unwrap();
        out += &table(&head, &rows);
        out += &notes.written();
    }
    out
}

fn reply_cell(fate: replies::Fate) -> &'static str {
    match fate {
        replies::Fate::Carried => "carried",
        replies::Fate::Translated => "translated",
        replies::Fate::NoPlace => "no place",
        replies::Fate::Unsaid => "-",
        replies::Fate::Wrong => "**wrong**",
    }
}

fn row(title: &str, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(title.to_owned()).chain(cells).collect()
}

fn kept(client: Dialect, upstream: &Upstream, proofs: bool) -> String {
    if astray(client, upstream, true, proofs).is_empty() { "kept" } else { "not kept" }.to_owned()
}

fn answers() -> String {
    let mut out = ANSWERS.to_owned();
    for upstream in UPSTREAMS.iter().filter(|upstream| upstream.carrier == Carrier::Direct) {
        let rows = replies().into_iter().map(|reply| {
            row(reply.feature, CLIENTS.map(|client| reply_cell(reply.fate(client, upstream, true)).to_owned()))
        });
        let ids = row("ids of calls, ten turns", CLIENTS.map(|client| kept(client, upstream, false)));
        let proofs = row("signatures of thinking, ten turns", CLIENTS.map(|client| kept(client, upstream, true)));
        let rows: Vec<_> = rows.chain([ids, proofs]).collect();
        write!(out, "\n### From an upstream that speaks {}\n", upstream.title).unwrap();
        out += &table(&client_head("feature"), &rows);
    }
    out + MORE_OF_ANSWERS
}

fn client_head(first: &'static str) -> Vec<&'static str> {
    std::iter::once(first).chain(CLIENTS.map(name)).collect()
}

fn stop_reasons() -> String {
    let mut rows = Vec::new();
    for (upstream, stops) in STOPS {
        for stop in stops {
            let sequence = stop.1.map(|sequence| format!(" ({sequence})")).unwrap_or_default();
            let title = format!("{upstream}: {}{sequence}", stop.0);
            rows.push(row(&title, CLIENTS.map(|client| stop_of(client, upstream, *stop, true))));
        }
    }
    STOP_REASONS.to_owned() + &table(&client_head("upstream"), &rows)
}

fn errors() -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for failure in failures() {
        let [chat, responses, messages, google] = CLIENTS.map(|client| failure.for_client(client));
        assert_eq!(chat, responses, "{}", failure.title);
        let kind = format!("`{}`", failure.kind());
        let seen = format!("[seen]({})", failure.source);
        let row = vec![failure.title, kind, chat, messages, google, seen];
        // In another dialect of the same provider it is the same, or `every_error_of_every_provider_is_known_for_what_it_is` fails.
        if rows.last().is_none_or(|last| last[0] != row[0]) {
            rows.push(row);
        }
    }
    ERRORS.to_owned() + &table(&["provider", "kind", "chat, responses", "messages", "generateContent", "source"], &rows)
}

#[test]
fn the_matrix_in_the_docs_is_what_the_code_does() {
    let text = HEAD.to_owned() + &requests(&features()) + &answers() + &stop_reasons() + &errors();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fidelity.md");
    if std::env::var_os("UPDATE_FIDELITY").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(checked_in == text, "docs/fidelity.md is no longer what the code does: read the difference after {UPDATE}");
}
