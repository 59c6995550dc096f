//! Answers that Gemini gave, as others recorded them: read where their folder is, beside the project.

use std::path::Path;

use tollgate_wire::ir::{Block, StopReason};

use super::{encode, hello};

#[test]
fn recorded_answers_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire-samples/gemini");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("no samples at {}: skipped", folder.display());
        return;
    };
    let mut seen = 0;
    for file in files {
        let path = file.unwrap().path();
        let body = std::fs::read(&path).unwrap();
        let response = encode(&hello(), "gemini-2.5-pro").1.reader.response(&body).unwrap();
        assert_eq!(response.model.as_deref(), Some("gemini-2.5-pro"), "{}", path.display());
        let calls = response.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
        assert_eq!(response.stop.reason, if calls { StopReason::ToolUse } else { StopReason::EndTurn });
        if path.ends_with("reasoning.json") {
            assert_eq!((response.usage.output, response.usage.reasoning), (Some(17), Some(5)));
        }
        seen += 1;
    }
    assert!(seen >= 3, "{seen} samples");
}
