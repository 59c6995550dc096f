"""What the gateway does not translate passes through: the other endpoints of OpenAI's SDK, against aimock."""

import io
import json

import httpx
import openai
import pytest

from conftest import Gateway
from harness.config import Providers, rule
from harness.world import nonce


@pytest.fixture(scope="module")
def through(world):
    provider = Providers(world.at).openai("through", f"{world.at.aimock}/v1") | {"provider": {"openAI": {}}}
    ai = {
        "modelAliases": {"our-voice": "tts-1", "our-ears": "whisper-1", "our-brush": "gpt-image-1"},
        "groups": [{"providers": [provider]}],
        "models": [
            rule("down", Providers(world.at).openai("down", f"{world.at.refused}/v1")),
            rule("legacy", Providers(world.at).openai("legacy", f"{world.at.llm}/canned-legacy/v1", "gpt-3.5-turbo-instruct")),
        ],
        "routes": {"*": "detect", "/v1/audio/speech": "passthrough"},
    }
    return Gateway(world, world.start_gateway(world.config(ai=ai)))


@pytest.fixture(scope="module")
def sdk(through):
    return openai.OpenAI(base_url=f"{through.url}/v1", api_key=through.token, max_retries=0)


def test_speech_comes_as_the_bytes_that_the_provider_sent(sdk):
    answer = sdk.audio.speech.with_raw_response.create(model="our-voice", voice="alloy", input=f"Say {nonce()}")
    assert answer.headers["content-type"].startswith("audio/")
    assert answer.headers["x-tollgate-provider"] == "through"
    assert answer.content.startswith(b"\xff\xfb\x90")


def test_a_recording_goes_up_as_a_form_with_the_providers_name_of_the_model(sdk):
    recording = ("a.wav", io.BytesIO(b"RIFF" + bytes(range(256)) * 8), "audio/wav")
    answer = sdk.audio.transcriptions.create(model="our-ears", file=recording)
    assert answer.text == "The mock heard this."


def test_an_image_is_made(sdk):
    answer = sdk.images.generate(model="our-brush", prompt=f"A tollgate {nonce()}")
    assert answer.data[0].b64_json == "iVBORw0KGgo="


def test_a_moderation_is_asked_for(sdk):
    answer = sdk.moderations.create(model="omni-moderation-latest", input=f"hello {nonce()}")
    assert answer.results[0].flagged is False


def test_files_go_up_are_listed_and_come_back_to_the_byte(sdk):
    lines = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}\n' * 3
    made = sdk.files.create(file=("batch.jsonl", io.BytesIO(lines), "application/jsonl"), purpose="batch")
    assert (made.filename, made.bytes, made.purpose) == ("batch.jsonl", len(lines), "batch")
    assert made.id in [file.id for file in sdk.files.list()]
    assert sdk.files.retrieve(made.id).id == made.id
    assert sdk.files.content(made.id).read() == lines
    assert sdk.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(made.id)


def test_a_batch_is_made_looked_at_and_cancelled(sdk):
    lines = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}\n'
    file = sdk.files.create(file=("batch.jsonl", io.BytesIO(lines), "application/jsonl"), purpose="batch")
    made = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert made.input_file_id == file.id
    assert sdk.batches.retrieve(made.id).id == made.id
    assert made.id in [batch.id for batch in sdk.batches.list()]
    assert sdk.batches.cancel(made.id).id == made.id


def test_an_image_is_edited_by_a_form_of_two_files(sdk):
    picture = lambda name: (name, io.BytesIO(b"\x89PNG" + bytes(64)), "image/png")  # noqa: E731
    answer = sdk.images.edit(model="our-brush", image=picture("a.png"), mask=picture("b.png"), prompt=f"Green {nonce()}")
    assert answer.data[0].b64_json == "iVBORw0KGgo="


def test_a_legacy_completion_is_not_translated(sdk, world):
    """No mock has it: the answer is the one of OpenAI's documentation."""
    said = {
        "id": "cmpl-uqkvlQyYK7bGYrRHQ0eXlWi7", "object": "text_completion", "created": 1589478378, "model": "gpt-3.5-turbo-instruct",
        "choices": [{"text": "This is indeed a test", "index": 0, "logprobs": None, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    httpx.put(f"{world.at.llm}/canned/legacy", content=head.encode() + body).raise_for_status()
    word = nonce()
    answer = sdk.completions.create(model="legacy", prompt=word, max_tokens=7, suffix="!", echo=True)
    assert (answer.choices[0].text, answer.usage.total_tokens) == ("This is indeed a test", 12)
    sent = world.llm.only(word)
    assert sent["path"] == "/canned-legacy/v1/completions"
    assert sent["body"] == {"model": "gpt-3.5-turbo-instruct", "prompt": word, "max_tokens": 7, "suffix": "!", "echo": True}


def test_the_providers_own_refusal_comes_back_as_the_sdks_exception(sdk):
    with pytest.raises(openai.BadRequestError):
        sdk.audio.speech.create(model="our-voice", voice="alloy", input="")


def test_a_provider_that_is_away_is_an_error_of_ours(sdk):
    with pytest.raises(openai.InternalServerError) as caught:
        sdk.images.generate(model="down", prompt="x")
    assert caught.value.code == "upstream_unreachable"


def test_without_a_token_nothing_passes(through):
    answer = httpx.post(f"{through.url}/v1/moderations", json={"input": "x"})
    assert answer.status_code == 401
