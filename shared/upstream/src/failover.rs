//! What to do next: a pure decision, without I/O, clock or randomness of its own.
//!
//! | class | what it is | retried by default |
//! |---|---|---|
//! | `Connect` | the provider could not be reached | yes |
//! | `Timeout` | connect, first byte or idle timeout; 504 | yes |
//! | `RateLimited` | 429, exhausted quota | yes |
//! | `ServerError` | 408, 409, 424, 425, 500, 502, 503, 529; Bedrock's equivalents | yes |
//! | `Stream` | a stream that broke, or an answer that is none, before its first content | yes |
//! | `Unsupported` | the request cannot be said in that provider's dialect; nothing was sent | always |
//! | `Auth` | 401, 403, or no usable key: the gateway's fault, never the client's | if `on` names it |
//! | `NotFound` | 404: the provider does not know the model | if `on` names it |
//! | `Request` | 400, 413, 422, ...: the client's fault, the next provider would say the same | never |
//! | `Final` | the request's own time is up | never |

use std::time::Duration;

use tollgate_config::RetryOn;
use tollgate_wire::ir::{Fault, FaultKind};

/// An attempt that has less time than this cannot be worth its cost.
pub const MIN_ATTEMPT: Duration = Duration::from_millis(500);

/// What kind of failure an attempt ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table above says it")]
pub enum FaultClass {
    Connect,
    Timeout,
    RateLimited,
    ServerError,
    Stream,
    Unsupported,
    Auth,
    NotFound,
    Request,
    Final,
}

impl FaultClass {
    /// The class of a provider's own fault.
    pub fn of(fault: &Fault) -> Self {
        match fault.kind {
            FaultKind::RateLimited | FaultKind::QuotaExhausted => Self::RateLimited,
            FaultKind::Api | FaultKind::Overloaded | FaultKind::Conflict => Self::ServerError,
            FaultKind::Timeout if fault.status == Some(504) => Self::Timeout,
            FaultKind::Timeout => Self::ServerError,
            FaultKind::Authentication | FaultKind::Permission => Self::Auth,
            FaultKind::NotFound => Self::NotFound,
            FaultKind::InvalidRequest
            | FaultKind::ContextLength
            | FaultKind::ContentFilter
            | FaultKind::MethodNotAllowed
            | FaultKind::TooLarge
            | FaultKind::UnsupportedMedia
            | FaultKind::NotImplemented => Self::Request,
        }
    }

    /// Does the provider's health suffer?
    pub fn is_providers(self) -> bool {
        !matches!(self, Self::Unsupported | Self::NotFound | Self::Request | Self::Final)
    }

    /// As it stands in the access log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Stream => "stream",
            Self::Unsupported => "unsupported",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Request => "request",
            Self::Final => "deadline",
        }
    }
}

/// Which faults of a group move on to the next provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    connect: bool,
    timeout: bool,
    rate_limited: bool,
    server_error: bool,
    stream: bool,
    auth: bool,
    not_found: bool,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            connect: true,
            timeout: true,
            rate_limited: true,
            server_error: true,
            stream: true,
            auth: false,
            not_found: false,
        }
    }
}

impl Retries {
    /// From a group's `on`.
    pub fn from_config(on: &[RetryOn]) -> Self {
        let has = |fault: RetryOn| on.contains(&fault);
        Self {
            connect: has(RetryOn::Connect),
            timeout: has(RetryOn::Timeout),
            rate_limited: has(RetryOn::RateLimited),
            server_error: has(RetryOn::ServerError),
            stream: has(RetryOn::Stream),
            auth: has(RetryOn::Auth),
            not_found: has(RetryOn::NotFound),
        }
    }

    /// Does this class move on?
    pub fn allows(&self, class: FaultClass) -> bool {
        match class {
            FaultClass::Connect => self.connect,
            FaultClass::Timeout => self.timeout,
            FaultClass::RateLimited => self.rate_limited,
            FaultClass::ServerError => self.server_error,
            FaultClass::Stream => self.stream,
            FaultClass::Unsupported => true,
            FaultClass::Auth => self.auth,
            FaultClass::NotFound => self.not_found,
            FaultClass::Request | FaultClass::Final => false,
        }
    }
}

/// A provider's place: group, then index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which group.
    pub group: usize,
    /// Which provider of it.
    pub provider: usize,
}

/// A provider, as far as the choice depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Where it stands.
    pub place: Place,
    /// Its share of its group's traffic.
    pub weight: u32,
    /// How long it is still evicted; zero: healthy.
    pub evicted_for: Duration,
}

/// What has already been tried for this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Whom.
    pub place: Place,
    /// How it ended.
    pub class: FaultClass,
    /// Does its group retry that class?
    pub retryable: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try this one.
    Attempt(Place),
    /// Give up: the client gets the last fault.
    Fail,
}

/// What bounds the attempts of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The client has already seen content.
    pub content_sent: bool,
    /// Time left for the whole request.
    pub left: Duration,
    /// Upstream calls, at most.
    pub max_attempts: usize,
}

/// Decides. `candidates` in order of groups; `roll` picks by weight.
///
/// Groups in order, healthy providers first, by weight inside a group; weight 0 only when no other of its group is left. When every
/// provider that is left is evicted, the one whose eviction ends first.
pub fn next(candidates: &[Candidate], tried: &[Tried], bounds: Bounds, roll: u64) -> Next {
    let sent = tried.iter().filter(|t| t.class != FaultClass::Unsupported).count();
    let stuck = tried.last().is_some_and(|last| !last.retryable);
    if bounds.content_sent || stuck || sent >= bounds.max_attempts || bounds.left < MIN_ATTEMPT {
        return Next::Fail;
    }
    let open = || candidates.iter().filter(|c| !tried.iter().any(|t| t.place == c.place));
    let Some(group) = open().filter(|c| c.evicted_for.is_zero()).map(|c| c.place.group).min() else {
        return open().min_by_key(|c| (c.evicted_for, c.place.group)).map_or(Next::Fail, |c| Next::Attempt(c.place));
    };
    let healthy = || open().filter(|c| c.place.group == group && c.evicted_for.is_zero());
    let total: u64 = healthy().map(|c| u64::from(c.weight)).sum();
    let mut at = roll.checked_rem(total).unwrap_or(0);
    let chosen = healthy().find(|c| match at.checked_sub(u64::from(c.weight)) {
        Some(rest) if total > 0 => {
            at = rest;
            false
        }
        _ => total == 0 || c.weight > 0,
    });
    chosen.map_or(Next::Fail, |c| Next::Attempt(c.place))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { content_sent: false, left: Duration::from_secs(60), max_attempts: 6 };

    fn candidate(group: usize, provider: usize, weight: u32, evicted_s: u64) -> Candidate {
        Candidate { place: Place { group, provider }, weight, evicted_for: Duration::from_secs(evicted_s) }
    }

    fn tried(group: usize, provider: usize, class: FaultClass) -> Tried {
        Tried { place: Place { group, provider }, class, retryable: Retries::default().allows(class) }
    }

    fn attempt(group: usize, provider: usize) -> Next {
        Next::Attempt(Place { group, provider })
    }

    #[test]
    fn groups_are_tried_in_order() {
        let chain = [candidate(0, 0, 1, 0), candidate(1, 0, 1, 0), candidate(2, 0, 1, 0)];
        let mut so_far = Vec::new();
        for group in 0..3 {
            assert_eq!(next(&chain, &so_far, BOUNDS, 0), attempt(group, 0));
            so_far.push(tried(group, 0, FaultClass::ServerError));
        }
        assert_eq!(next(&chain, &so_far, BOUNDS, 0), Next::Fail);
    }

    #[test]
    fn each_class_moves_on_or_not() {
        let chain = [candidate(0, 0, 1, 0), candidate(1, 0, 1, 0)];
        use FaultClass::*;
        for (class, moves_on) in [
            (Connect, true),
            (Timeout, true),
            (RateLimited, true),
            (ServerError, true),
            (Stream, true),
            (Unsupported, true),
            (Auth, false),
            (NotFound, false),
            (Request, false),
            (Final, false),
        ] {
            let expected = if moves_on { attempt(1, 0) } else { Next::Fail };
            assert_eq!(next(&chain, &[tried(0, 0, class)], BOUNDS, 0), expected, "{class:?}");
        }
    }

    #[test]
    fn a_group_can_choose_its_classes() {
        let on = Retries::from_config(&[RetryOn::Auth, RetryOn::RateLimited]);
        assert!(on.allows(FaultClass::Auth) && on.allows(FaultClass::RateLimited));
        assert!(!on.allows(FaultClass::ServerError) && !on.allows(FaultClass::Request));
    }

    #[test]
    fn weights_share_a_group() {
        let chain = [candidate(0, 0, 3, 0), candidate(0, 1, 1, 0), candidate(0, 2, 0, 0)];
        let picks: Vec<Next> = (0..8).map(|roll| next(&chain, &[], BOUNDS, roll)).collect();
        let first = picks.iter().filter(|p| **p == attempt(0, 0)).count();
        let second = picks.iter().filter(|p| **p == attempt(0, 1)).count();
        assert_eq!((first, second), (6, 2), "{picks:?}");
    }

    #[test]
    fn weight_zero_is_the_last_resort_of_its_group() {
        let chain = [candidate(0, 0, 0, 0), candidate(0, 1, 1, 0), candidate(1, 0, 1, 0)];
        assert_eq!(next(&chain, &[], BOUNDS, 0), attempt(0, 1));
        assert_eq!(next(&chain, &[tried(0, 1, FaultClass::Connect)], BOUNDS, 7), attempt(0, 0));
    }

    #[test]
    fn an_evicted_provider_is_passed_over_and_the_least_bad_is_tried_when_all_are() {
        assert_eq!(next(&[candidate(0, 0, 1, 9), candidate(1, 0, 1, 0)], &[], BOUNDS, 0), attempt(1, 0));
        assert_eq!(next(&[candidate(0, 0, 1, 9), candidate(1, 0, 1, 2)], &[], BOUNDS, 0), attempt(1, 0));
        assert_eq!(next(&[candidate(0, 0, 1, 9), candidate(1, 0, 1, 9)], &[], BOUNDS, 0), attempt(0, 0));
    }

    #[test]
    fn nothing_is_started_after_content_or_without_time_or_beyond_the_bound() {
        let chain = [candidate(0, 0, 1, 0), candidate(1, 0, 1, 0)];
        let failed = [tried(0, 0, FaultClass::ServerError)];
        assert_eq!(next(&chain, &failed, Bounds { content_sent: true, ..BOUNDS }, 0), Next::Fail);
        assert_eq!(next(&chain, &failed, Bounds { left: Duration::from_millis(400), ..BOUNDS }, 0), Next::Fail);
        assert_eq!(next(&chain, &failed, Bounds { max_attempts: 1, ..BOUNDS }, 0), Next::Fail);
        assert_eq!(next(&[], &[], BOUNDS, 0), Next::Fail);
    }

    #[test]
    fn a_request_that_a_provider_cannot_take_costs_no_attempt() {
        let chain = [candidate(0, 0, 1, 0), candidate(1, 0, 1, 0)];
        let failed = [tried(0, 0, FaultClass::Unsupported)];
        assert_eq!(next(&chain, &failed, Bounds { max_attempts: 1, ..BOUNDS }, 0), attempt(1, 0));
    }
}
