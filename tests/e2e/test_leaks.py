"""Over everything that every gateway of the session wrote: no key, no token, no prompt, no answer."""

import pytest

from harness.process import json_line

pytestmark = pytest.mark.last


@pytest.fixture(scope="module")
def lines(world):
    gateways = world.gateways
    assert gateways, "no gateway ran: nothing to look at"
    return [(server.name, line) for server in gateways for line in server.lines]


def test_no_log_line_holds_a_key_a_token_a_prompt_or_an_answer(world):
    found = world.leaks(world.gateways)
    assert not found, "\n".join(found[:20])


def test_no_gateway_panicked(lines):
    assert not [line for _, line in lines if "panicked at" in line]


def test_every_request_line_is_json(lines):
    for _, line in lines:
        if '"message":"request"' in line:
            assert json_line(line), line


def test_the_servers_around_the_gateways_are_still_there(world):
    assert not world.dead_servers()
