"""Coding agents that people use, one tool loop each: `make e2e-agents`, or they are skipped for not being installed.

The upstream's script has the agent read a file by its own shell tool, and ends with what the tool said. Each agent is asked through
every API that it speaks; Claude on Bedrock answers, for agents that were never made for it.
"""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.clients import SIGNATURE
from harness.config import Providers, rule, to_yaml
from harness.world import ROOT, nonce

# Longer than an agent may take, which is told with what it said.
pytestmark = [pytest.mark.native("each agent is one more client; what a front door does to clients is the SDKs' business"), pytest.mark.timeout(420)]

MODULES = ROOT / ".tools" / "agents" / "node_modules"
CODEX = MODULES / ".bin" / "codex"
CONTINUE = MODULES / ".bin" / "cn"
GEMINI = MODULES / ".bin" / "gemini"
# The package beside it, `@anthropic-ai/claude-code`, is an installer of this one.
CLAUDE_CODE = MODULES / "@anthropic-ai" / "claude-code-linux-x64" / "claude"
OPENCODE = MODULES / "opencode-linux-x64-baseline" / "bin" / "opencode"
TIMEOUT_S = 240


def installed(program: Path):
    return pytest.mark.skipif(not program.exists(), reason=f"{program.name} is not installed: tests/e2e/setup.sh agents")


@dataclass
class Desk:
    """A folder with a note in it, and a home of the agent's own: nothing of the person who runs the suite is read or written."""

    home: Path
    folder: Path
    env: dict
    word: str = field(default_factory=nonce)
    note: str = field(default_factory=nonce)

    def __post_init__(self):
        (self.folder / "note.txt").write_text(self.note)

    def prompt(self, tool: str, **more) -> str:
        """Has the upstream call the agent's shell."""
        argument = "cmd" if tool == "exec_command" else "command"
        return f"[call {tool} {json.dumps({argument: 'cat note.txt'} | more)}] {self.word}"

    def run(self, command: list) -> str:
        """What the agent printed, once it ended by itself."""
        run = subprocess.run(
            [str(part) for part in command],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
        assert "The tools said:" in run.stdout and self.note in run.stdout, run.stdout[-2000:] + run.stderr[-4000:]
        return run.stdout


@pytest.fixture
def desk(gateway, tmp_path):
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    return Desk(home, folder, {"PATH": os.environ["PATH"], "HOME": str(home), "TOLLGATE_TOKEN": gateway.token})


def journal(world, column: str):
    return world.bedrock if column.startswith("bedrock") else world.llm


@installed(CODEX)
@pytest.mark.parametrize("column", ["bedrock-claude", "bedrock-other", "anthropic-strict"])
def test_codex(gateway, world, desk, column):
    """OpenAI's agent speaks the Responses API only. Claude thinks first, and gets its thinking back with its signature."""
    thinks = column != "bedrock-other"
    settings = {
        "model_provider": "tollgate",
        "model_providers.tollgate.name": "tollgate",
        "model_providers.tollgate.base_url": f"{gateway.url}/v1",
        "model_providers.tollgate.env_key": "TOLLGATE_TOKEN",
        "model_providers.tollgate.wire_api": "responses",
        "model_reasoning_effort": "high",
    }
    options = [part for key, value in settings.items() for part in ("-c", f'{key}="{value}"')]
    options += ["-c", "analytics.enabled=false", "-c", "check_for_update_on_startup=false"]
    prompt = "[thinking] " + desk.prompt("exec_command")
    desk.run([CODEX, "exec", "--skip-git-repo-check", "-s", "danger-full-access", "-m", f"via-{column}", *options, prompt])
    asked = json.dumps(journal(world, column).last(desk.word)["body"])
    assert desk.note in asked
    assert (SIGNATURE in asked) == thinks


@dataclass
class Api:
    """An API as opencode has it: where the gateway serves it, how thinking is asked for, and whether it comes back with its signature."""

    path: str
    thinking: dict
    signed: bool = True


OPENCODE_SDKS = {
    # Sends back `reasoning_content` and no more.
    "@ai-sdk/openai-compatible": Api("/v1", {"reasoningEffort": "high"}, signed=False),
    "@ai-sdk/openai": Api("/v1", {"reasoningEffort": "high", "reasoningSummary": "auto", "include": ["reasoning.encrypted_content"]}),
    "@ai-sdk/anthropic": Api("/v1", {"thinking": {"type": "enabled", "budgetTokens": 4000}}),
    "@ai-sdk/google": Api("/v1beta", {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 4000}}),
}


@installed(OPENCODE)
@pytest.mark.parametrize("column", ["bedrock-claude", "bedrock-other"])
@pytest.mark.parametrize("sdk", OPENCODE_SDKS)
def test_opencode(gateway, world, desk, sdk, column):
    """opencode speaks through the SDK that its configuration names: Chat Completions, Responses, Messages, generateContent. Claude thinks first."""
    thinks = column == "bedrock-claude"
    api = OPENCODE_SDKS[sdk]
    model = f"via-{column}"
    provider = {
        "npm": sdk,
        "name": "Tollgate",
        "options": {"baseURL": gateway.url + api.path, "apiKey": "{env:TOLLGATE_TOKEN}"},
        "models": {model: {"name": model} | ({"reasoning": True, "interleaved": True, "options": api.thinking} if thinks else {})},
    }
    config = {
        "autoupdate": False,
        "share": "disabled",
        "enabled_providers": ["tollgate"],
        "provider": {"tollgate": provider},
        "model": f"tollgate/{model}",
        "small_model": f"tollgate/{model}",
    }
    switches = ["AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE"]
    desk.env |= {"OPENCODE_CONFIG_CONTENT": json.dumps(config)} | {f"OPENCODE_DISABLE_{switch}": "1" for switch in switches}
    # Word by word: opencode puts quotation marks around an argument with spaces.
    prompt = (["[thinking]"] if thinks else []) + desk.prompt("bash", description="Reads the note").split(" ")
    desk.run([OPENCODE, "run", "--pure", "--print-logs", "--title", "note", *prompt])
    asked = json.dumps(world.bedrock.last(desk.word)["body"])
    assert desk.note in asked
    assert (SIGNATURE in asked) == (thinks and api.signed)


# What Continue calls an API, and where the gateway has it.
CONTINUE_PROVIDERS = {"openai": "/v1/", "anthropic": "/v1/", "gemini": "/v1beta/"}
# Of `apiBase` Continue makes nothing for Gemini; Google's SDK, which it uses, reads this.
GEMINI_BASE = "GOOGLE_GEMINI_BASE_URL"


@installed(CONTINUE)
@pytest.mark.parametrize("column", ["bedrock-claude", "bedrock-other"])
@pytest.mark.parametrize("provider", CONTINUE_PROVIDERS)
def test_continue(gateway, world, desk, provider, column):
    """Continue's CLI speaks Chat Completions, Messages, or generateContent."""
    model = {
        "name": "claude",
        "provider": provider,
        "model": f"via-{column}",
        "apiBase": gateway.url + CONTINUE_PROVIDERS[provider],
        "apiKey": "${{ secrets.TOLLGATE_TOKEN }}",
        "roles": ["chat"],
    }
    config = desk.home / "config.yaml"
    config.write_text(to_yaml({"name": "tollgate", "version": "1.0.0", "schema": "v1", "models": [model]}))
    (desk.home / ".continue").mkdir()
    (desk.home / ".continue" / ".onboarding_complete").touch()
    desk.env |= {"CONTINUE_CLI_ENABLE_TELEMETRY": "0", "CONTINUE_METRICS_ENABLED": "0", "FORCE_NO_TTY": "true", GEMINI_BASE: gateway.url}
    desk.run([CONTINUE, "-p", "--auto", "--config", config, desk.prompt("Bash")])
    assert desk.note in json.dumps(journal(world, column).last(desk.word)["body"])


# A name that Claude Code knows: it asks a model of any other name for what only the newest ones can.
KNOWN_CLAUDE = "claude-sonnet-4-20250514"


@installed(CLAUDE_CODE)
@pytest.mark.parametrize("column", ["bedrock-claude", "bedrock-other", "anthropic-strict", "openai-strict"])
def test_claude_code(start_gateway, world, desk, column):
    """Anthropic's agent speaks Messages: it streams, thinks first, and marks what is to be cached. <https://code.claude.com/docs/en/llm-gateway>"""
    gateway = start_gateway(ai={"models": [rule(KNOWN_CLAUDE, Providers(world.at).column(column, column))]})
    desk.env |= {
        "ANTHROPIC_BASE_URL": gateway.url,
        "ANTHROPIC_AUTH_TOKEN": gateway.token,
        "ANTHROPIC_MODEL": KNOWN_CLAUDE,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": KNOWN_CLAUDE,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    thinks = column in ("bedrock-claude", "anthropic-strict")
    prompt = ("[thinking] " if thinks else "") + desk.prompt("Bash", description="Reads the note")
    desk.run([CLAUDE_CODE, "-p", prompt, "--allowedTools", "Bash"])
    asked = json.dumps(journal(world, column).last(desk.word)["body"])
    assert desk.note in asked
    assert (SIGNATURE in asked) == thinks


@installed(GEMINI)
@pytest.mark.parametrize("column", ["bedrock-claude", "bedrock-other", "openai-strict"])
def test_gemini_cli(start_gateway, world, desk, column):
    """Google's agent speaks generateContent: it streams, and thinks first. It keeps no thoughts, so that Claude goes on without thinking."""
    name = "gemini-2.5-pro"
    gateway = start_gateway(ai={"models": [rule(name, Providers(world.at).column(column, column))]})
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
    }
    (desk.home / ".gemini").mkdir()
    (desk.home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    desk.env |= {"GEMINI_API_KEY": gateway.token, GEMINI_BASE: gateway.url, "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    thinks = column == "bedrock-claude"
    prompt = ("[thinking] " if thinks else "") + desk.prompt("run_shell_command", description="Reads the note")
    desk.run([GEMINI, "-m", name, "--approval-mode", "yolo", "-p", prompt])
    body = journal(world, column).last(desk.word)["body"]
    assert desk.note in json.dumps(body)
    assert not thinks or body["thinking"] == {"type": "disabled"}
