//! Where a configuration comes from, and what is there now.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use percent_encoding::utf8_percent_encode;
use tollgate_upstream::Aws;
use tollgate_upstream::signer::UNRESERVED;

use super::s3::Object;

/// The most that is read; the configuration's own bound is lower.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Where AWS AppConfig's agent listens, as a Lambda extension or beside a container:
/// <https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-integration-lambda-extensions-config.html>.
const AGENT_PORT: u16 = 2772;
/// The agent's own variable for another port.
const AGENT_PORT_VARIABLE: &str = "AWS_APPCONFIG_EXTENSION_HTTP_PORT";

/// What `--config` or `TOLLGATE_CONFIG` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The YAML itself.
    Inline(String),
    /// A file.
    File(PathBuf),
    /// A configuration profile of AWS AppConfig, from its agent.
    AppConfig {
        /// Application, by name or id.
        application: String,
        /// Environment.
        environment: String,
        /// Configuration profile.
        profile: String,
    },
    /// An object in S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
}

impl Origin {
    /// `appconfig:APPLICATION/ENVIRONMENT/PROFILE`, `s3://BUCKET/KEY`, a path, or the YAML itself (it has a line break, or a colon and a space).
    pub fn of(text: &str) -> Result<Self, String> {
        if text.contains('\n') || text.contains(": ") || text.trim_start().starts_with('{') {
            return Ok(Self::Inline(text.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("appconfig:") {
            return match rest.split('/').collect::<Vec<_>>()[..] {
                [application, environment, profile] if ![application, environment, profile].contains(&"") => {
                    Ok(Self::AppConfig {
                        application: application.to_owned(),
                        environment: environment.to_owned(),
                        profile: profile.to_owned(),
                    })
                }
                _ => Err(format!("{text}: expected appconfig:APPLICATION/ENVIRONMENT/PROFILE")),
            };
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return match rest.split_once('/') {
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                    Ok(Self::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
                }
                _ => Err(format!("{text}: expected s3://BUCKET/KEY")),
            };
        }
        Ok(Self::File(PathBuf::from(text)))
    }

    /// Does it take the network to read it?
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::AppConfig { .. } | Self::S3 { .. })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("TOLLGATE_CONFIG"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::AppConfig { application, environment, profile } => {
                write!(f, "appconfig:{application}/{environment}/{profile}")
            }
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

/// Reads an origin.
#[derive(Debug)]
pub enum Source {
    /// A file. What its metadata said when it was last looked at.
    File(PathBuf, Mutex<Option<Stamp>>),
    /// The agent's address of the profile.
    Agent(reqwest::Client, String),
    /// An object in S3.
    S3(Object),
}

/// When a file was last written, and its size.
type Stamp = (SystemTime, u64);

/// A configuration's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The text.
    pub text: String,
    /// What the origin calls this version.
    pub tag: Option<String>,
}

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// It is as it was.
    Unchanged,
    /// Perhaps another one.
    Document(Document),
}

impl Source {
    /// Touches nothing. `None`: the text itself does not change.
    pub fn new(origin: &Origin, aws: &Aws) -> Option<Self> {
        match origin {
            Origin::Inline(_) => None,
            Origin::File(path) => Some(Self::File(path.clone(), Mutex::default())),
            Origin::AppConfig { application, environment, profile } => {
                let port = std::env::var(AGENT_PORT_VARIABLE).ok().and_then(|port| port.parse().ok());
                let agent = format!("http://localhost:{}", port.unwrap_or(AGENT_PORT));
                Some(Self::agent(aws.client().clone(), &agent, [application, environment, profile]))
            }
            Origin::S3 { bucket, key } => Some(Self::S3(Object::new(bucket, key, aws.clone()))),
        }
    }

    /// A profile, from an agent at this address.
    pub fn agent(client: reqwest::Client, agent: &str, profile: [&str; 3]) -> Self {
        let [application, environment, profile] = profile.map(|name| utf8_percent_encode(name, UNRESERVED));
        let url = format!("{agent}/applications/{application}/environments/{environment}/configurations/{profile}");
        Self::Agent(client, url)
    }

    /// What is there. `known`: the tag of what was fetched before. The error is for the log.
    pub async fn fetch(&self, known: Option<&str>) -> Result<Fetched, String> {
        match self {
            Self::File(path, seen) => {
                let stamp = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?;
                let stamp = (stamp.modified().unwrap_or(SystemTime::UNIX_EPOCH), stamp.len());
                if known.is_some() && !settled(seen, stamp) {
                    return Ok(Fetched::Unchanged);
                }
                let tag = format!("{:?}", stamp.0);
                if known == Some(tag.as_str()) {
                    return Ok(Fetched::Unchanged);
                }
                let text = tokio::fs::read_to_string(path).await.map_err(|error| error.to_string())?;
                Ok(Fetched::Document(Document { text, tag: Some(tag) }))
            }
            Self::Agent(client, url) => {
                let response = client.get(url).send().await.map_err(|error| said(&error))?;
                let tag = header(&response, "configuration-version");
                document(response, tag).await
            }
            Self::S3(object) => object.fetch(known).await,
        }
    }
}

/// A file that is being written is looked at again: its metadata have to be the same twice.
fn settled(seen: &Mutex<Option<Stamp>>, stamp: Stamp) -> bool {
    let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    seen.replace(stamp) == Some(stamp)
}

/// The text of an answer that is a document.
pub(super) async fn document(mut response: reqwest::Response, tag: Option<String>) -> Result<Fetched, String> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED => return Ok(Fetched::Unchanged),
        status => {
            let region = header(&response, "x-amz-bucket-region");
            let region = region.map(|region| format!("; the bucket is in {region}")).unwrap_or_default();
            return Err(format!("status {}{region}", status.as_u16()));
        }
    }
    let mut bytes = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| said(&error))? {
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(format!("larger than {MAX_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    text(bytes.freeze()).map(|text| Fetched::Document(Document { text, tag }))
}

fn text(bytes: Bytes) -> Result<String, String> {
    String::from_utf8(bytes.into()).map_err(|_| "not UTF-8".to_owned())
}

pub(super) fn header(response: &reqwest::Response, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// An error with its causes.
pub(super) fn said(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_known_by_its_form() {
        let app = |parts: [&str; 3]| Origin::AppConfig {
            application: parts[0].to_owned(),
            environment: parts[1].to_owned(),
            profile: parts[2].to_owned(),
        };
        assert_eq!(Origin::of("appconfig:tollgate/prod/gateway"), Ok(app(["tollgate", "prod", "gateway"])));
        let object = Origin::S3 { bucket: "b".to_owned(), key: "a/b.yaml".to_owned() };
        assert_eq!(Origin::of("s3://b/a/b.yaml"), Ok(object));
        assert_eq!(Origin::of("etc/gateway.yaml"), Ok(Origin::File("etc/gateway.yaml".into())));
        assert_eq!(Origin::of("{ai: {}}"), Ok(Origin::Inline("{ai: {}}".to_owned())));
        for wrong in ["appconfig:tollgate/prod", "appconfig:a/b/c/d", "appconfig:a//c", "s3://b", "s3:///k", "s3://b/"]
        {
            assert!(Origin::of(wrong).is_err_and(|error| error.contains(wrong)), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_being_written_is_left_alone_until_it_rests() {
        let path = std::env::temp_dir().join(format!("tollgate-source-{}.yaml", std::process::id()));
        std::fs::write(&path, "a").unwrap();
        let source = Source::File(path.clone(), Mutex::default());
        let Fetched::Document(first) = source.fetch(None).await.unwrap() else { panic!("there is a file") };
        assert_eq!(first.text, "a");
        let tag = Some("of before");
        assert_eq!(source.fetch(tag).await.unwrap(), Fetched::Unchanged, "seen once");
        std::fs::write(&path, "a larger one").unwrap();
        assert_eq!(source.fetch(tag).await.unwrap(), Fetched::Unchanged, "it has just changed");
        let Fetched::Document(second) = source.fetch(tag).await.unwrap() else { panic!("it rests") };
        assert_eq!(second.text, "a larger one");
        assert_eq!(source.fetch(second.tag.as_deref()).await.unwrap(), Fetched::Unchanged);
        std::fs::remove_file(&path).unwrap();
        assert!(source.fetch(tag).await.is_err());
    }
}
