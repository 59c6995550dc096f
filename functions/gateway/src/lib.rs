//! The gateway: the data plane of Tollgate.
