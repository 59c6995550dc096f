//! What the types cannot say. Every check reports; none stops the next.

mod ai;
mod auth;
mod guard;
mod limits;
mod provider;
mod telemetry;
mod webhooks;

use crate::fold::Folded;
use crate::tree::{Node, Path, Step};
use crate::{Config, ConfigError, Cors, Problem, RequestBounds, Responses};

/// An hour: longer than any answer, and than Lambda allows.
const MAX_TIMEOUT_MS: u64 = 3_600_000;
const MAX_RELOAD_S: u64 = 86_400;
const MAX_BODY_BYTES: u64 = 1024 * 1024 * 1024;
const MAX_ATTEMPTS: u32 = 100;
const MAX_CONNECTIONS: u64 = 1_000_000;

/// Checks a folded configuration against the file that it came from.
pub(crate) fn check(config: &Config, folded: &Folded, tree: &Node) -> Vec<Problem> {
    let mut report = Report { problems: Vec::new(), tree: Some(tree), single: folded.single };
    for (path, message, remedy) in &folded.conflicts {
        report.add(path, message.clone(), remedy);
    }
    auth::check(&config.auth, &mut report);
    ai::check(config, &mut report);
    if let Some(guard) = &config.ai.prompt_guard {
        let place = if folded.guard_in_policies { "ai.policies.ai.promptGuard" } else { "ai.promptGuard" };
        guard::check(guard, &Path::of(place), &mut report);
        guard::check_routes(guard, &config.ai.routes, &mut report);
    }
    check_cors(&config.cors, &mut report);
    check_request(&config.request, &mut report);
    report.in_range(&Path::of("maxConnections"), config.max_connections.map(u64::from), MAX_CONNECTIONS);
    report.in_range(&Path::of("reload.everySeconds"), config.reload.every_seconds, MAX_RELOAD_S);
    if let Some(limits) = &config.limits {
        limits::check(limits, &mut report);
    }
    check_responses(&config.responses, &mut report);
    telemetry::check(&config.telemetry, &mut report);
    webhooks::check(&config.webhooks, &mut report);
    report.problems
}

impl Config {
    /// What a gateway needs before it can serve: an issuer, a provider, and a key for every provider that will ask for one.
    /// Apart from [`parse`](crate::parse), because a local default may add the first and a test may want neither.
    pub fn check_complete(&self) -> Result<(), ConfigError> {
        let mut report = Report { problems: Vec::new(), tree: None, single: false };
        if self.auth.issuers.is_empty() {
            report.add(&Path::of("auth.issuers"), "no issuer: nobody could call", "add the issuer of your tokens");
        }
        if self.providers().next().is_none() {
            report.add(&Path::of("ai.groups"), "no provider: no model could be served", "add a group with a provider");
        }
        provider::check_keys(self, &mut report);
        if report.problems.is_empty() { Ok(()) } else { Err(ConfigError::new("", report.problems)) }
    }
}

/// An origin is what a browser sends of a page's address: <https://www.rfc-editor.org/rfc/rfc6454#section-6.1>.
fn check_cors(cors: &Cors, report: &mut Report<'_>) {
    for (index, origin) in cors.allow_origins.iter().enumerate() {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        if origin != "*" && (host.is_empty() || host.contains('/')) {
            let message = format!("`{origin}` is no origin");
            let remedy = "scheme, host and port, as in https://app.example.com, or `*` for every page";
            report.add(&Path::of("cors.allowOrigins").index(index), message, remedy);
        }
    }
}

fn check_request(request: &RequestBounds, report: &mut Report<'_>) {
    let path = Path::of("request");
    report.in_range(&path.key("maxBodyBytes"), request.max_body_bytes, MAX_BODY_BYTES);
    report.in_range(&path.key("timeoutMs"), request.timeout_ms, MAX_TIMEOUT_MS);
    report.in_range(&path.key("maxAttempts"), request.max_attempts.map(u64::from), u64::from(MAX_ATTEMPTS));
}

/// Ten years.
const MAX_KEEP_DAYS: u64 = 3_653;

fn check_responses(responses: &Responses, report: &mut Report<'_>) {
    let path = Path::of("responses");
    if let Some(state) = &responses.state {
        limits::check_table(state, &path.key("state"), report);
    }
    report.in_range(&path.key("keepDays"), responses.keep_days.map(u64::from), MAX_KEEP_DAYS);
    report.in_range(&path.key("timeoutMs"), responses.timeout_ms, MAX_TIMEOUT_MS);
}

/// Collects problems and finds their places in the file.
struct Report<'a> {
    problems: Vec<Problem>,
    tree: Option<&'a Node>,
    single: bool,
}

impl Report<'_> {
    /// `remedy` may be empty.
    fn add(&mut self, path: &Path, message: impl Into<String>, remedy: &str) {
        let path = if self.single { unfold(path) } else { path.clone() };
        let path = self.tree.map_or_else(|| path.clone(), |tree| tree.path_in_file(&path));
        // A mapping that lost a misspelt key seems to lack something: that has been said.
        if self.tree.and_then(|tree| tree.find(&path)).is_some_and(Node::has_dead_child) {
            return;
        }
        let place = self.tree.and_then(|tree| tree.place_of(&path));
        self.problems.push(Problem {
            path: path.to_string(),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            message: message.into(),
            remedy: (!remedy.is_empty()).then(|| remedy.to_owned()),
        });
    }

    fn in_range(&mut self, path: &Path, value: Option<u64>, max: u64) {
        match value {
            Some(0) => self.add(path, "must be more than 0", "leave it out for the default"),
            Some(value) if value > max => {
                self.add(path, format!("{value} is more than {max}, the most that makes sense"), "")
            }
            _ => {}
        }
    }

    /// Texts that are there must say something.
    fn not_blank(&mut self, path: &Path, text: &str) {
        if text.trim().is_empty() {
            self.add(path, "is empty", "");
        } else if text.trim() != text {
            self.add(path, "starts or ends with a blank", "");
        }
    }
}

/// The single-provider form has its entry directly under `ai`.
fn unfold(path: &Path) -> Path {
    let entry = Path::of("ai").key("groups").index(0).key("providers").index(0);
    let Some(rest) = path.0.strip_prefix(entry.0.as_slice()) else { return path.clone() };
    let mut steps = vec![Step::Key("ai".to_owned())];
    steps.extend_from_slice(rest);
    Path(steps)
}
