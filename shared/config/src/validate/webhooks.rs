//! Checks of `webhooks`.

use super::Report;
use super::auth::secure_url;
use crate::Webhooks;
use crate::tree::Path;

pub(super) fn check(webhooks: &Webhooks, report: &mut Report<'_>) {
    let path = Path::of("webhooks");
    let own = path.key("headers");
    for (key, names) in webhooks.headers.lists() {
        for (index, name) in names.iter().enumerate() {
            if http::HeaderName::try_from(name.as_str()).is_err() {
                report.add(&own.key(key).index(index), "is no name of a header", "letters, digits and dashes");
            }
        }
    }
    let own = path.key("usage");
    let usage = &webhooks.usage;
    for (key, name) in [
        ("team", &usage.team),
        ("tier", &usage.tier),
        ("user", &usage.user),
        ("clientId", &usage.client_id),
        ("requestId", &usage.request_id),
    ] {
        report.not_blank(&own.key(key), name);
    }
    for (key, text) in [("settleScope", &webhooks.settle_scope), ("provider", &webhooks.provider)] {
        if let Some(text) = text {
            report.not_blank(&path.key(key), text);
        }
    }
    let own = path.key("alb");
    if let Some(url) = &webhooks.alb.keys_url {
        secure_url(url, &own.key("keysUrl"), report);
    }
    for (key, list) in [("issuers", &webhooks.alb.issuers), ("clientIds", &webhooks.alb.client_ids)] {
        for (index, item) in list.iter().enumerate() {
            report.not_blank(&own.key(key).index(index), item);
        }
    }
    report.not_blank(&own.key("claims").key("team"), &webhooks.alb.claims.team);
    report.not_blank(&own.key("claims").key("tier"), &webhooks.alb.claims.tier);
}
