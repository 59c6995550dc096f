//! Checks of `promptGuard`.

use std::collections::BTreeMap;

use super::{MAX_TIMEOUT_MS, Report};
use crate::address::{Address, host_and_port};
use crate::tree::Path;
use crate::{GuardTarget, PromptGuard, RouteType, UnguardedRoute, Webhook};

/// Of one phase; each is a call, and they run one after the other.
const MAX_GUARDS: usize = 16;
/// What HTTP or the contract itself sets.
const OWN: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn check(guard: &PromptGuard, path: &Path, report: &mut Report<'_>) {
    for (key, guards) in [("request", &guard.request), ("response", &guard.response)] {
        let path = path.key(key);
        if guards.len() > MAX_GUARDS {
            report.add(&path, format!("has more than {MAX_GUARDS} guards"), "");
        }
        for (index, guard) in guards.iter().enumerate() {
            check_webhook(&guard.webhook, &path.index(index).key("webhook"), report);
        }
    }
}

/// Nobody should believe in a guard that is not there.
pub(super) fn check_routes(guard: &PromptGuard, routes: &BTreeMap<String, RouteType>, report: &mut Report<'_>) {
    for (suffix, kind) in routes {
        let Some(route) = UnguardedRoute::of(*kind).filter(|route| guard.bars(*route)) else { continue };
        report.add(
            &Path::of("ai.routes").key(suffix),
            format!("is `{}`, which no guard of promptGuard sees", route.name()),
            "remove it, or say that this is meant: add the route type to promptGuard.unguardedRoutes",
        );
    }
}

fn check_webhook(webhook: &Webhook, path: &Path, report: &mut Report<'_>) {
    check_target(webhook, &path.key("target"), report);
    report.in_range(&path.key("timeoutMs"), webhook.timeout_ms, MAX_TIMEOUT_MS);
    if let Some(prefix) = &webhook.path_prefix {
        let path = path.key("pathPrefix");
        super::provider::check_path(prefix, &path, report);
        if prefix.ends_with('/') {
            report.add(&path, "ends with a slash", "leave the slash out");
        }
        let url =
            matches!(&webhook.target, GuardTarget::Url(url) if Address::parse(url).is_ok_and(|a| !a.path.is_empty()));
        if url {
            report.add(&path, "the URL has a path already", "put the whole prefix into the URL");
        }
    }
    for (index, forward) in webhook.forward_header_matches.iter().enumerate() {
        check_name(&forward.name, &path.key("forwardHeaderMatches").index(index).key("name"), report);
    }
    for name in webhook.headers.keys() {
        check_name(name, &path.key("headers").key(name), report);
    }
}

fn check_target(webhook: &Webhook, path: &Path, report: &mut Report<'_>) {
    match &webhook.target {
        GuardTarget::Host(text) => match host_and_port(text) {
            Err(error) => report.add(&path.key("host"), error, "write host:port, or use url"),
            Ok((_, None)) => report.add(&path.key("host"), "has no port", "write host:port, or use url"),
            Ok(_) => {}
        },
        GuardTarget::Url(text) => {
            if let Err(error) = Address::parse(text) {
                report.add(&path.key("url"), error, "write a URL such as https://hooks.internal/guardrails");
            }
        }
        GuardTarget::Lambda(_) => {}
    }
}

fn check_name(name: &str, path: &Path, report: &mut Report<'_>) {
    if name.starts_with(':') {
        report.add(path, "pseudo headers are agentgateway's", "write the path into target.url, or use pathPrefix");
    } else if http::HeaderName::try_from(name).is_err() {
        report.add(path, "is not the name of a header", "");
    } else if OWN.contains(&name.to_ascii_lowercase().as_str()) {
        report.add(path, "is set by the gateway itself", "remove it");
    }
}
