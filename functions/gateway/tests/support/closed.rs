//! A door that stays shut.

/// An address where nothing listens, as long as the test runs: it is taken, and nobody else gets it.
pub(crate) fn closed_address() -> std::net::SocketAddr {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    Box::leak(Box::new(socket)).local_addr().unwrap()
}
