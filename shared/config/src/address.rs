//! Addresses in the file: parsed as far as their rules need it.

use http::Uri;
use http::uri::Authority;

/// An `http` or `https` address without credentials, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    /// Lower case; an IPv6 address in brackets.
    pub(crate) host: String,
    /// Without a trailing slash; empty or starting with one.
    pub(crate) path: String,
}

impl Address {
    /// The error says what is wrong, not where.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(error) = no_variables(text) {
            return Err(error);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("is not a URL; it starts with https:// or http://");
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("has an unknown scheme; https and http are served"),
        };
        if rest.contains('#') {
            return Err("has a fragment (#); leave it out");
        }
        if rest.contains('?') {
            return Err("has a query (?); leave it out");
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, _) = host_and_port(authority)?;
        let uri: Uri = text.parse().map_err(|_| "is not a valid URL")?;
        Ok(Self { tls, host, path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// Whether it is this machine, where plain HTTP is no risk.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// `host:port`; the port may be missing.
pub(crate) fn host_and_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    if let Some(error) = no_variables(text) {
        return Err(error);
    }
    if text.contains('@') {
        return Err("has credentials (@); leave them out and use policies.backendAuth");
    }
    let authority: Authority = text.parse().map_err(|_| "has no valid host")?;
    let host = authority.host().to_ascii_lowercase();
    if host.is_empty() || host == "[]" {
        return Err("has no host");
    }
    let port = match authority.as_str().get(host.len()..).unwrap_or_default().strip_prefix(':') {
        None => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err("has an invalid port; ports are 1 to 65535"),
        },
    };
    Ok((host, port))
}

/// agentgateway expands `$NAME` anywhere; here only key references are expanded.
pub(crate) fn no_variables(text: &str) -> Option<&'static str> {
    text.starts_with('$')
        .then_some("names an environment variable; they are expanded in key references only, so write the value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_give_scheme_host_and_path() {
        for (text, tls, host, path) in [
            ("https://api.example", true, "api.example", ""),
            ("HTTPS://API.Example/", true, "api.example", ""),
            ("http://127.0.0.1:8080/openai/v1/", false, "127.0.0.1", "/openai/v1"),
            ("http://[::1]:9000/v1", false, "[::1]", "/v1"),
        ] {
            assert_eq!(Address::parse(text), Ok(Address { tls, host: host.into(), path: path.into() }), "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for text in [
            "",
            "api.example",
            "ftp://api.example",
            "https://",
            "https:///v1",
            "https://user:pass@api.example",
            "https://api.example?x=1",
            "https://api.example/v1#top",
            "https://api.example:0",
            "https://api.example:99999",
            "https://api.example:",
            "https://api example",
            "https://api.example/a b",
            "$BASE_URL",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for (text, loopback) in [
            ("http://localhost:1", true),
            ("http://127.8.8.8", true),
            ("http://[::1]", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Address::parse(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
