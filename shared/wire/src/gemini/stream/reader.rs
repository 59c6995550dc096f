//! Reads an upstream's stream: server-sent events, or the JSON array that Gemini sends without `?alt=sse`.

use crate::codec::ResponseReader;
use crate::error::WireError;
use crate::gemini::array::ArrayParser;
use crate::gemini::error::fault_of;
use crate::gemini::response;
use crate::gemini::stream::Assembler;
use crate::gemini::types::Answer;
use crate::ir::{self, Event};
use crate::json;
use crate::names::ToolNames;
use crate::sse::SseParser;

/// Reads one upstream answer.
#[derive(Debug)]
pub(in crate::gemini) struct Reader {
    names: ToolNames,
    form: Form,
    assembler: Assembler,
}

#[derive(Debug)]
enum Form {
    /// Nothing but white space so far.
    Unknown,
    Events(SseParser),
    Array(ArrayParser),
}

impl Reader {
    /// `names`: those of the request.
    pub(in crate::gemini) fn new(names: ToolNames) -> Self {
        Self { names, form: Form::Unknown, assembler: Assembler::default() }
    }

    fn data(&mut self, data: &[u8], out: &mut Vec<Event>) -> Result<(), WireError> {
        if self.assembler.is_over() || data.iter().all(u8::is_ascii_whitespace) || data == b"[DONE]" {
            return Ok(());
        }
        let answer: Answer = json::read(data)
            .map_err(|error| WireError::BadAnswer(format!("an event of its stream cannot be read: {error}")))?;
        if let Some(error) = &answer.error {
            out.push(Event::Fault(fault_of(None, error)));
            self.assembler.abandon();
            return Ok(());
        }
        self.assembler.answer(answer, data, &self.names, out);
        Ok(())
    }
}

impl ResponseReader for Reader {
    fn response(&mut self, body: &[u8]) -> Result<ir::Response, WireError> {
        response::decode(body, &self.names)
    }

    fn chunk(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), WireError> {
        let mut bytes = bytes;
        if matches!(self.form, Form::Unknown) {
            bytes = bytes.trim_ascii_start();
            match bytes.first() {
                None => return Ok(()),
                Some(b'[' | b'{') => self.form = Form::Array(ArrayParser::default()),
                Some(_) => self.form = Form::Events(SseParser::new()),
            }
        }
        match &mut self.form {
            Form::Unknown => return Ok(()),
            Form::Events(parser) => parser.push(bytes)?,
            Form::Array(parser) => parser.push(bytes)?,
        }
        loop {
            let data = match &mut self.form {
                Form::Unknown => None,
                Form::Events(parser) => parser.next_event().map(|event| event.data().into_owned()),
                Form::Array(parser) => parser.next_element(),
            };
            let Some(data) = data else { return Ok(()) };
            self.data(&data, out)?;
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), WireError> {
        if let Form::Events(parser) = &mut self.form
            && let Some(event) = parser.finish()
        {
            self.data(&event.data(), out)?;
        }
        if self.assembler.end(out) { Ok(()) } else { Err(WireError::Incomplete) }
    }
}
