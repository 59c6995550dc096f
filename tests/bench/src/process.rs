//! Processes that a measurement starts, and what Linux says about them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// Linux reports CPU time in hundredths of a second, whatever the kernel's own tick.
const TICKS_PER_S: u64 = 100;

/// A process that ends with its guard.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes away with its guard.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("tollgate-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Writes a file and answers its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_str().ok_or("the temporary folder's name is not UTF-8")?.to_owned())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Tells the parent where a server listens: the other end of [`start_announcing`].
pub(crate) fn announce(address: SocketAddr) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{address}")?;
    Ok(out.flush()?)
}

/// Starts this binary with other arguments, and reads where it listens.
pub(crate) fn start_announcing(args: &[&str]) -> Result<(Running, SocketAddr)> {
    let mut child = Command::new(std::env::current_exe()?).args(args).stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take();
    let child = Running(child);
    let mut line = String::new();
    BufReader::new(out.ok_or("no standard output")?).read_line(&mut line)?;
    let address = line.trim().parse().map_err(|_| format!("bench {args:?} did not start"))?;
    Ok((child, address))
}

/// Starts the gateway's native server, its log thrown away, and waits until it listens.
pub(crate) async fn start_gateway(
    binary: &Path,
    config: &str,
    environment: &[(&str, &str)],
) -> Result<(Running, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let listen = address.to_string();
    let child = Command::new(binary)
        .args(["serve", "--config", config, "--listen", &listen])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("{}: {e}", binary.display()))?;
    let child = Running(child);
    let since = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if since.elapsed() > Duration::from_secs(10) {
            return Err("the gateway did not listen within 10 s".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok((child, address))
}

/// User and system time of a process so far.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The fields after the name, which may hold anything: state is the first, utime the twelfth, stime the thirteenth.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat has no name")?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(Duration::from_millis((user + system) * 1000 / TICKS_PER_S)),
        _ => Err("/proc/PID/stat has no times".into()),
    }
}

/// A line of `/proc/PID/status`, in KiB: `VmRSS`, `VmHWM`.
pub(crate) fn memory_kib(pid: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or_else(|| format!("/proc/PID/status has no {field}"))?;
    Ok(number.parse()?)
}
