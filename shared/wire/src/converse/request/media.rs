//! Images, documents and sounds: formats, bytes and names that Converse takes.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::types::{Document, Media, MediaSource};
use super::Encoder;
use crate::error::WireError;
use crate::ir::Source;

/// Of the service model's `ImageFormat`: media type, file extension, name.
const IMAGES: &[(&str, &str, &str)] = &[
    ("image/png", "png", "png"),
    ("image/jpeg", "jpeg", "jpeg"),
    ("image/jpg", "jpg", "jpeg"),
    ("image/gif", "gif", "gif"),
    ("image/webp", "webp", "webp"),
];

/// Of the service model's `DocumentFormat`. Other text is `txt`.
const DOCUMENTS: &[(&str, &str, &str)] = &[
    ("application/pdf", "pdf", "pdf"),
    ("text/csv", "csv", "csv"),
    ("application/msword", "doc", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx", "docx"),
    ("application/vnd.ms-excel", "xls", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", "xlsx"),
    ("text/html", "html", "html"),
    ("text/markdown", "md", "md"),
    ("text/plain", "txt", "txt"),
    ("application/json", "json", "txt"),
    ("application/xml", "xml", "txt"),
];

/// The service model's `AudioFormat`.
const SOUNDS: &[&str] =
    &["mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm"];

/// Longest document name.
const MAX_DOCUMENT_NAME_LEN: usize = 200;

impl<'r> Encoder<'r> {
    pub(super) fn image(&self, source: &'r Source, path: &dyn Fn() -> String) -> Result<Media<'r>, WireError> {
        let (format, source) = located(source, IMAGES, path)?;
        let format = format.ok_or_else(|| {
            WireError::unsupported(path(), "Converse takes png, jpeg, gif and webp images: convert it to one of them")
        })?;
        Ok(Media { format, source })
    }

    pub(super) fn document(
        &mut self,
        source: &'r Source,
        name: Option<&str>,
        path: &dyn Fn() -> String,
    ) -> Result<Document<'r>, WireError> {
        let (format, source) = located(source, DOCUMENTS, path)?;
        let format = format.ok_or_else(|| {
            let message =
                "Converse takes pdf, csv, doc, docx, xls, xlsx, html, txt and md documents: convert it to one of them";
            WireError::unsupported(path(), message)
        })?;
        Ok(Document { format, name: self.document_name(name), source })
    }

    pub(super) fn audio(&self, data: &'r str, format: &str, path: &dyn Fn() -> String) -> Result<Media<'r>, WireError> {
        let format = SOUNDS.iter().find(|known| **known == format).ok_or_else(|| {
            WireError::unsupported(path(), format!("Converse takes audio as {}: convert it", SOUNDS.join(", ")))
        })?;
        Ok(Media { format, source: MediaSource::Bytes(Cow::Borrowed(data)) })
    }

    /// A name of the characters that Converse allows (letters, digits, single spaces, hyphens, parentheses and square brackets), which no
    /// other document of this request has.
    fn document_name(&mut self, name: Option<&str>) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
        let name = name.unwrap_or_default();
        let words = name
            .split_whitespace()
            .map(|word| word.chars().map(|c| if allowed(c) { c } else { '-' }).collect::<String>());
        let mut clean = words.collect::<Vec<_>>().join(" ");
        // Room for a number that makes it unique.
        clean.truncate(MAX_DOCUMENT_NAME_LEN - 16);
        let clean = clean.trim();
        let clean = if clean.is_empty() { "document" } else { clean };
        let mut unique = clean.to_owned();
        let mut number = 1_u32;
        while !self.documents.insert(unique.clone()) {
            number += 1;
            unique = format!("{clean} ({number})");
        }
        unique
    }
}

type Located<'a> = (Option<&'static str>, MediaSource<'a>);

/// Where the bytes are, and their format if Converse knows it.
fn located<'a>(
    source: &'a Source,
    formats: &[(&str, &str, &'static str)],
    path: &dyn Fn() -> String,
) -> Result<Located<'a>, WireError> {
    match source {
        Source::Base64 { media_type, data } => {
            Ok((format_of(media_type, formats), MediaSource::Bytes(Cow::Borrowed(data))))
        }
        Source::Text(text) => {
            Ok((format_of("text/plain", formats), MediaSource::Bytes(Cow::Owned(STANDARD.encode(text)))))
        }
        Source::Url(url) if url.starts_with("s3://") => {
            let extension = url.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
            let format = extension.and_then(|extension| {
                formats.iter().find(|(_, known, _)| *known == extension).map(|(_, _, format)| *format)
            });
            Ok((format, MediaSource::S3Location { uri: url }))
        }
        Source::Url(_) => {
            let message = "Converse takes bytes and not a URL: send it inline as base64, or by its s3:// address";
            Err(WireError::unsupported(path(), message))
        }
        Source::File(_) => {
            let message = "Converse knows no uploaded files: send it inline as base64, or by its s3:// address";
            Err(WireError::unsupported(path(), message))
        }
    }
}

fn format_of(media_type: &str, formats: &[(&str, &str, &'static str)]) -> Option<&'static str> {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let find = |wanted: &str| formats.iter().find(|(known, _, _)| *known == wanted).map(|(_, _, format)| *format);
    find(&essence).or_else(|| if essence.starts_with("text/") { find("text/plain") } else { None })
}
