//! Where one state item stops, on paper: item size and write units from the measured bytes, against what one partition of DynamoDB takes.

use crate::report::{Table, thousands};
use crate::units::{HISTORY_FACTOR, write_units};

/// Write units a second that one partition takes, and so one item.
const PARTITION: f64 = 1_000.0;
/// The largest item, in bytes.
const MAX_ITEM: f64 = 400.0 * 1_024.0;
const RATES: [f64; 3] = [10.0, 100.0, 1_000.0];
const LATENCIES_S: [f64; 3] = [1.0, 5.0, 20.0];

/// Bytes of a state item, as they were measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Without open reservations.
    pub(crate) empty: f64,
    /// Of one open reservation.
    pub(crate) each: f64,
    /// Of a usage history item.
    pub(crate) history: f64,
}

impl Sizes {
    /// With requests that arrive so often and take so long, on average.
    fn item(self, per_second: f64, latency_s: f64) -> f64 {
        self.empty + self.each * per_second * latency_s
    }

    /// Reserve and settle.
    fn state_units(self, per_second: f64, latency_s: f64) -> f64 {
        2.0 * write_units(self.item(per_second, latency_s))
    }

    fn holds(self, per_second: f64, latency_s: f64) -> bool {
        self.item(per_second, latency_s) <= MAX_ITEM
            && per_second * self.state_units(per_second, latency_s) <= PARTITION
    }

    /// The most requests a second that one item takes.
    fn most(self, latency_s: f64) -> f64 {
        let mut most = 0.0;
        for rate in 1_u32..=1_000 {
            if self.holds(f64::from(rate), latency_s) {
                most = f64::from(rate);
            }
        }
        most
    }
}

/// The table, and what it says.
pub(crate) fn section(sizes: Sizes) -> String {
    let mut table = Table::new(&[
        "requests/s of one scope",
        "latency s",
        "open at a time",
        "item KiB",
        "units of a request on the item",
        "with the history",
        "units/s on the item",
        "one item holds",
    ]);
    let history = HISTORY_FACTOR * write_units(sizes.history);
    for rate in RATES {
        for latency in LATENCIES_S {
            let (item, units) = (sizes.item(rate, latency), sizes.state_units(rate, latency));
            let holds = match (sizes.holds(rate, latency), item > MAX_ITEM) {
                (true, _) => "yes",
                (false, true) => "**no**: over 400 KiB",
                (false, false) => "**no**",
            };
            table.row(&[
                thousands(rate),
                thousands(latency),
                thousands(rate * latency),
                format!("{:.1}", item / 1_024.0),
                thousands(units),
                thousands(units + history),
                thousands(rate * units),
                holds.to_owned(),
            ]);
        }
    }
    let most: Vec<String> =
        LATENCIES_S.iter().map(|latency| format!("{} at {latency:.0} s", thousands(sizes.most(*latency)))).collect();
    format!(
        "### Where one item stops\n\nOn paper: requests/s times latency are open at a time, {:.0} bytes each over {:.0} bytes of counters; DynamoDB writes the whole item each \
         time, and one partition takes 1,000 write units a second.\n\n{}\nThe most that one item takes, in requests/s: {}.\n",
        sizes.each,
        sizes.empty,
        table.text(),
        most.join(", ")
    )
}
