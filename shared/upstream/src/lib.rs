//! Providers: URL, auth, transport, attempts, failover, health.
