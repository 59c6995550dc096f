"""Over everything that every gateway of the session sent to Bedrock: it is what AWS's own model of the API (botocore's) has, with no member that the
service would not know. InvokeModel's bodies are opaque there; `tests/servers` knows them."""

import base64
import re
from urllib.parse import unquote

import botocore.session
import pytest
from botocore.validate import ParamValidator

from harness.clients import PNG_BASE64, WEATHER, Ask
from harness.world import nonce

pytestmark = pytest.mark.last

OPERATIONS = {"converse": "Converse", "converse-stream": "ConverseStream", "count-tokens": "CountTokens", "invoke": "InvokeModel"}


def as_given(shape, value):
    """JSON as boto3 is given it: a blob is bytes, a document anything."""
    if getattr(shape, "is_document_type", False):
        return value
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            return {key: as_given(shape.members[key], item) if key in shape.members else item for key, item in value.items()}
        case "list" if isinstance(value, list):
            return [as_given(shape.member, item) for item in value]
        case "map" if isinstance(value, dict):
            return {key: as_given(shape.value, item) for key, item in value.items()}
        case "blob" if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    return value


def out_of_enum(shape, value, path="") -> list[str]:
    """Words that the model does not have; botocore leaves those to the service."""
    if getattr(shape, "is_document_type", False):
        return []
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            return [word for key, item in value.items() if key in shape.members for word in out_of_enum(shape.members[key], item, f"{path}.{key}")]
        case "list" if isinstance(value, list):
            return [word for item in value for word in out_of_enum(shape.member, item, f"{path}[]")]
        case "string" if getattr(shape, "enum", None) and value not in shape.enum:
            return [f"{path}: {value!r} is none of {shape.enum}"]
        case "string" if shape.metadata.get("pattern") and not re.fullmatch(shape.metadata["pattern"], value, re.DOTALL):
            return [f"{path}: {value!r} does not match {shape.metadata['pattern']}"]
    return []


def test_every_request_to_bedrock_is_one_of_awss_model(gateway, world):
    # One of each kind at least, when this file runs alone.
    tools = {"tools": [WEATHER], "image": True}
    for model in ("via-bedrock-claude", "via-bedrock-other"):
        for mode in ("plain", "stream"):
            gateway.chat().ask(model, Ask(f"[parallel] {nonce()}", system="Be brief.", **tools), mode)
            gateway.messages().ask(model, Ask(nonce(), **tools), mode)
        source = {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}
        content = [{"type": "image", "source": source}, {"type": "text", "text": nonce()}]
        gateway.messages().sdk.messages.count_tokens(model=model, messages=[{"role": "user", "content": content}])
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    seen, wrong = set(), []
    for entry in world.bedrock.requests(""):
        # Not the requests that other tests make themselves, to see what the fake refuses.
        if "boto" in entry["headers"].get("user-agent", "").lower() or "python" in entry["headers"].get("user-agent", "").lower():
            continue
        _, _, name, operation = entry["path"].split("/")
        if operation not in OPERATIONS:
            continue
        shape = model.operation_model(OPERATIONS[operation]).input_shape
        given = {"body": b"{}"} if operation == "invoke" else as_given(shape, entry["body"])
        given["modelId"] = unquote(name)
        report = ParamValidator().validate(given, shape)
        faults = [report.generate_report()] if report.has_errors() else out_of_enum(shape, given)
        wrong += [f"{entry['path']}: {fault}" for fault in faults]
        seen.add(operation)
    assert seen == set(OPERATIONS)
    assert not wrong, f"{len(wrong)} requests:\n" + "\n".join(sorted(set(wrong))[:20])
