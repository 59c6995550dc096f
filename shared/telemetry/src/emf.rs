//! A line of the access log as a document of CloudWatch's embedded metric format:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//!
//! What tells CloudWatch which members are metrics is the same text for all requests of a kind: it is written once, and copied.

use std::io::Write;
use std::sync::LazyLock;
use std::time::SystemTime;

use serde_json::json;

use crate::Access;
use crate::metric::{BY_TEAM, Figure, METRICS, Metric, NAMESPACE, Source, TEAM, millis};

static DIRECTIVES: LazyLock<Directives> = LazyLock::new(Directives::new);

/// What of the table a line may have, as JSON.
struct Directives {
    request: String,
    served: String,
    team: String,
    rare: Vec<Rare>,
}

/// A metric that few lines have.
struct Rare {
    metric: &'static Metric,
    holds: fn(&Access) -> bool,
    directive: String,
}

impl Directives {
    fn new() -> Self {
        let of = |wanted: fn(&Source) -> bool| METRICS.iter().filter(move |metric| wanted(&metric.source));
        let rare = METRICS.iter().filter_map(|metric| match metric.source {
            Source::Rare(holds) => {
                Some(Rare { metric, holds, directive: directive(&metric.dimensions(), std::iter::once(metric)) })
            }
            _ => None,
        });
        let request: Vec<&Metric> = of(|source| matches!(source, Source::Request(_))).collect();
        let served: Vec<&Metric> = of(|source| matches!(source, Source::Served(_))).collect();
        let dimensions = |metrics: &[&Metric]| metrics.first().map(|metric| metric.dimensions()).unwrap_or_default();
        let team = METRICS.iter().filter(|metric| BY_TEAM.contains(&metric.name));
        Self {
            request: directive(&dimensions(&request), request.into_iter()),
            served: directive(&dimensions(&served), served.into_iter()),
            team: directive(&[vec![TEAM]], team),
            rare: rare.collect(),
        }
    }
}

fn directive<'a>(dimensions: &[Vec<&str>], metrics: impl Iterator<Item = &'a Metric>) -> String {
    let metrics: Vec<_> = metrics.map(|metric| json!({"Name": metric.name, "Unit": metric.unit})).collect();
    json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}).to_string()
}

/// Makes the line a document of metrics. `line`: a JSON object, complete.
pub(crate) fn append(line: &mut Vec<u8>, access: &Access, by_team: bool, now: SystemTime) {
    if line.pop() != Some(b'}') {
        return;
    }
    let directives = &*DIRECTIVES;
    let served = access.provider.is_some();
    let mut wanted = vec![directives.request.as_str()];
    if served {
        wanted.push(&directives.served);
    }
    if served && by_team && access.team.is_some() {
        wanted.push(&directives.team);
    }
    let rare = directives.rare.iter().filter(|rare| (rare.holds)(access));
    wanted.extend(rare.clone().map(|rare| rare.directive.as_str()));
    // A Vec takes all that is written to it.
    let _ = write!(line, r#","_aws":{{"Timestamp":{},"CloudWatchMetrics":[{}]}}"#, millis(now), wanted.join(","));
    for metric in METRICS {
        match metric.source {
            Source::Request(value) => member(line, metric, value(access)),
            Source::Served(value) if served => member(line, metric, value(access)),
            _ => {}
        }
    }
    for rare in rare {
        member(line, rare.metric, Figure::Count(1));
    }
    line.push(b'}');
}

fn member(line: &mut Vec<u8>, metric: &Metric, figure: Figure) {
    let _ = match figure {
        Figure::Count(count) => write!(line, r#","{}":{count}"#, metric.name),
        Figure::Amount(amount) => write!(line, r#","{}":{amount}"#, metric.name),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::access::tests::full;

    fn document(access: &Access, by_team: bool) -> Value {
        let mut line = serde_json::to_vec(access).unwrap();
        append(&mut line, access, by_team, SystemTime::UNIX_EPOCH);
        serde_json::from_slice(&line).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&line)))
    }

    /// Name and dimensions of every metric that CloudWatch takes from the document. What a directive names has to be there.
    fn metrics(document: &Value) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        for directive in document["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], NAMESPACE);
            for dimension in directive["Dimensions"].as_array().unwrap() {
                for name in dimension.as_array().unwrap() {
                    assert!(document[name.as_str().unwrap()].is_string(), "dimension {name}: {document}");
                }
                for metric in directive["Metrics"].as_array().unwrap() {
                    let name = metric["Name"].as_str().unwrap();
                    assert!(document[name].is_number(), "metric {name}: {document}");
                    found.push((name.to_owned(), dimension.clone()));
                }
            }
        }
        found
    }

    #[test]
    fn every_metric_of_a_line_is_there_under_each_of_its_dimensions() {
        let document = document(&full(), false);
        let found = metrics(&document);
        for metric in METRICS.iter().filter(|metric| !matches!(metric.source, Source::Event(_))) {
            for dimensions in metric.dimensions() {
                assert!(found.contains(&(metric.name.to_owned(), json!(dimensions))), "{}", metric.name);
            }
        }
        assert!(found.iter().enumerate().all(|(i, one)| !found[..i].contains(one)), "a metric counts twice: {found:?}");
        assert_eq!(document["request.id"], "req_1", "it is still a line of the access log");
        assert_eq!((&document["CostUsd"], &document["Errors4xx"]), (&json!(0.0015), &json!(0)));
    }

    #[test]
    fn a_request_that_no_provider_answered_has_the_metrics_of_requests_only() {
        let refused = Access { route: "completions", status: 429, limits: Some("refused"), ..Access::default() };
        let document = document(&refused, true);
        let names: Vec<String> = metrics(&document).into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"LimitRefusals".to_owned()) && !names.contains(&"InputTokens".to_owned()), "{names:?}");
        assert_eq!((&document["Errors4xx"], &document["Requests"]), (&json!(1), &json!(1)));
    }

    #[test]
    fn a_client_that_went_away_is_no_error() {
        let gone = Access { status: 499, client_gone: true, ..Access::default() };
        let document = document(&gone, false);
        assert_eq!((&document["Errors4xx"], &document["ClientGone"]), (&json!(0), &json!(1)));
    }

    #[test]
    fn teams_are_a_dimension_only_where_they_are_asked_for() {
        let by_team = |on| metrics(&document(&full(), on)).into_iter().filter(|(_, set)| *set == json!([TEAM]));
        assert_eq!(by_team(false).count(), 0);
        assert_eq!(by_team(true).map(|(name, _)| name).collect::<Vec<_>>(), BY_TEAM);
    }
}
