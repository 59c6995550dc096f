//! Checks of `auth`.

use super::Report;
use crate::address::Address;
use crate::tree::Path;
use crate::{Auth, Issuer, Jwks};

pub(super) fn check(auth: &Auth, report: &mut Report<'_>) {
    let path = Path::of("auth");
    for (i, issuer) in auth.issuers.iter().enumerate() {
        let path = path.key("issuers").index(i);
        check_issuer(issuer, &path, report);
        if auth.issuers.iter().take(i).any(|earlier| earlier.issuer == issuer.issuer) {
            report.add(&path.key("issuer"), "is configured twice", "merge the two entries");
        }
    }
    for (client, team) in &auth.teams {
        let path = path.key("teams").key(client);
        report.not_blank(&path, client);
        report.not_blank(&path.key("team"), &team.team);
        if let Some(tier) = &team.tier {
            report.not_blank(&path.key("tier"), tier);
        }
    }
    if let Some(tier) = &auth.default_tier {
        report.not_blank(&path.key("defaultTier"), tier);
    }
}

fn check_issuer(issuer: &Issuer, path: &Path, report: &mut Report<'_>) {
    secure_url(&issuer.issuer, &path.key("issuer"), report);
    check_jwks(&issuer.jwks, &path.key("jwks"), report);
    if let Some(token_use) = &issuer.token_use {
        report.not_blank(&path.key("tokenUse"), token_use);
    }
    for (key, list) in [
        ("audiences", &issuer.audiences),
        ("clientIds", &issuer.client_ids),
        ("requiredScopes", &issuer.required_scopes),
    ] {
        for (i, item) in list.iter().enumerate() {
            report.not_blank(&path.key(key).index(i), item);
        }
    }
    for (i, scope) in issuer.required_scopes.iter().enumerate() {
        if scope.trim().contains(char::is_whitespace) {
            report.add(
                &path.key("requiredScopes").index(i),
                "has a blank inside",
                "write each scope as an item of its own",
            );
        }
    }
    if issuer.algorithms.is_empty() {
        report.add(&path.key("algorithms"), "is empty: no token could pass", "leave it out for RS256");
    }
    report.not_blank(&path.key("claims").key("team"), &issuer.claims.team);
    report.not_blank(&path.key("claims").key("tier"), &issuer.claims.tier);
}

fn check_jwks(jwks: &Jwks, path: &Path, report: &mut Report<'_>) {
    let sources = usize::from(jwks.url.is_some()) + usize::from(jwks.file.is_some()) + usize::from(jwks.discovery);
    if sources > 1 {
        report.add(path, "url, file and discovery exclude each other", "keep one");
    }
    if let Some(url) = &jwks.url {
        secure_url(url, &path.key("url"), report);
    }
    if let Some(file) = &jwks.file {
        report.not_blank(&path.key("file"), file);
    }
}

/// Keys that come over plain HTTP can be replaced on the way.
pub(super) fn secure_url(text: &str, path: &Path, report: &mut Report<'_>) {
    match Address::parse(text) {
        Err(error) => report.add(path, error, ""),
        Ok(address) if !address.tls && !address.is_loopback() => {
            report.add(path, "is plain http", "use https; http is for this machine only (localhost, 127.0.0.1)");
        }
        Ok(_) => {}
    }
}
