"""What the gateway does not translate passes through: the other endpoints of OpenAI's SDK, against aimock."""

import io

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
        "models": [rule("down", Providers(world.at).openai("down", f"{world.at.refused}/v1"))],
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
