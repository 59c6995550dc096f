//! Answers of Bedrock's embedding models, as others recorded them: read where their folder is, beside the project. (`rerank.json` there is of
//! another API, the Rerank operation of Bedrock's agents; the gateway asks InvokeModel.)

use std::path::Path;

use super::*;

#[test]
fn recorded_vectors_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire-samples/bedrock");
    let rows = [
        ("titan", "amazon.titan-embed-text-v2:0", r#""a""#, 1, Some(3)),
        ("nova", "amazon.nova-2-multimodal-embeddings-v1:0", r#""a""#, 1, None),
        ("cohere", "cohere.embed-english-v3", r#"["a","b"]"#, 2, None),
    ];
    for (name, model, input, count, tokens) in rows {
        let path = folder.join(format!("embeddings-{name}/embeddings.json"));
        let Ok(recorded) = std::fs::read_to_string(&path) else {
            println!("skipped: no sample at {}", path.display());
            continue;
        };
        let body = format!(r#"{{"model":"m","input":{input}}}"#);
        let request = tollgate_wire::embed::Request::decode(Bytes::from(body)).unwrap();
        let plan = start(&Unary::Embed(request), Way::BedrockEmbeddings, model).unwrap();
        let finished = answer(plan, &[(&recorded, &[])]).unwrap();
        let value: Value = serde_json::from_slice(&finished.body).unwrap();
        let vectors = value["data"].as_array().unwrap();
        assert_eq!((vectors.len(), finished.state.usage.input), (count, tokens), "{name}");
        assert!(vectors.iter().all(|vector| vector["embedding"].as_array().unwrap().len() == 3), "{name}: {value}");
    }
}
