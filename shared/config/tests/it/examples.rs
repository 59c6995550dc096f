//! Every file in `examples/` loads and could serve.

use std::path::PathBuf;

fn examples() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

#[test]
fn every_example_is_complete() {
    let examples = examples();
    assert!(examples.len() >= 3, "{examples:?}");
    for file in examples {
        let config = tollgate_config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        config.check_complete().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}
