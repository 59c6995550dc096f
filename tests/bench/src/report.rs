//! What is printed.

use std::fmt::Write as _;
use std::io::Write as _;

/// A Markdown table.
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        let rule: Vec<&str> =
            columns.iter().enumerate().map(|(index, _)| if index == 0 { "---" } else { "---:" }).collect();
        Self(format!("| {} |\n|{}|\n", columns.join(" | "), rule.join("|")))
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// A target beside what was measured.
pub(crate) fn verdict(what: &str, figure: f64, target: f64, unit: &str) -> String {
    let met = if figure <= target { "met" } else { "**not met**" };
    let number = |value: f64| if value >= 1000.0 { thousands(value) } else { format!("{value:.2}") };
    format!("- {what}: {}{unit}, target at most {}{unit}: {met}\n", number(figure), number(target))
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().saturating_sub(1) / 2), values.get(values.len() / 2));
    match (low, high) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// What it was measured on.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown")
        .trim_matches([':', '\t', ' ']);
    let kernel = read("/proc/sys/kernel/osrelease");
    let rustc = std::process::Command::new("rustc")
        .arg("-V")
        .output()
        .map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "Machine: {cores} cores ({model}), Linux {}, {}; load average at the end {load}.",
        kernel.trim(),
        rustc.unwrap_or_else(|_| "rustc unknown".to_owned())
    )
}

/// Progress, on standard error. Nobody reads a failed write to it.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
