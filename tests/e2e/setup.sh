#!/usr/bin/env bash
# Installs what the suite needs, pinned, into .tools/ (ignored by git). Does nothing when nothing changed.
#
#   setup.sh           Python SDKs into .tools/venv (LangChain's of Cohere, which wants another SDK, into .tools/langchain-cohere), LLM mock and OAuth server into .tools/npm
#   setup.sh lambda    also cargo-lambda, into .tools/venv
#   setup.sh agents    also the coding agents of test_agents.py, into .tools/agents (1.2 GB)
#   setup.sh pin       writes both requirements*.txt but Lambda's, and both package-lock.json anew from requirements.in and package.json
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=$(cd "$here/../.." && pwd)/.tools
mkdir -p "$tools"
LANGCHAIN_COHERE=0.6.0

fail() { echo "setup: $*" >&2; exit 1; }

stamped() { # stamped NAME FILE... : true when NAME was installed from exactly these files
  local name=$1; shift
  [ "$(cat "$tools/$name.stamp" 2>/dev/null)" = "$(cat "$@" | sha256sum)" ]
}

stamp() { local name=$1; shift; cat "$@" | sha256sum > "$tools/$name.stamp"; }

venv() { # venv NAME
  [ -x "$tools/$1/bin/python" ] && "$tools/$1/bin/python" -c '' 2>/dev/null && return
  command -v python3 > /dev/null || fail "python3 is needed (3.11 or newer); install it and run this again"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 is $(python3 -V); 3.11 or newer is needed"
  python3 -c 'import ensurepip, venv' 2> /dev/null || fail "python3 has no venv module; on Debian: apt-get install python3-venv"
  rm -rf "${tools:?}/$1"
  python3 -m venv "$tools/$1"
}

pip_install() { # pip_install STAMP VENV REQUIREMENTS
  if [ -x "$tools/$2/bin/python" ] && stamped "$1" "$here/$3"; then return; fi
  echo "setup: Python packages into .tools/$2"
  rm -f "$tools/$1.stamp"
  venv "$2"
  "$tools/$2/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/$3"
  "$tools/$2/bin/pip" check --disable-pip-version-check > /dev/null || fail "$3 is not consistent"
  stamp "$1" "$here/$3"
}

python_part() {
  pip_install python venv requirements.txt
  pip_install langchain-cohere langchain-cohere requirements-langchain-cohere.txt
}

npm_install() { # npm_install NAME FOLDER : what FOLDER's package.json names, without the packages' own scripts
  local name=$1 from=$2
  echo "setup: npm packages into .tools/$name"
  command -v npm > /dev/null || fail "node and npm are needed (node 20 or newer); install them and run this again"
  rm -rf "${tools:?}/$name" "$tools/$name.stamp"
  mkdir -p "$tools/$name"
  cp "$from/package.json" "$from/package-lock.json" "$tools/$name/"
  (cd "$tools/$name" && npm ci --silent --ignore-scripts --no-audit --no-fund)
}

npm_part() {
  if [ -d "$tools/npm/node_modules" ] && stamped npm "$here/package.json" "$here/package-lock.json"; then return; fi
  npm_install npm "$here"
  stamp npm "$here/package.json" "$here/package-lock.json"
}

agents_part() {
  if [ -d "$tools/agents/node_modules" ] && stamped agents "$here/agents/package.json" "$here/agents/package-lock.json"; then return; fi
  npm_install agents "$here/agents"
  stamp agents "$here/agents/package.json" "$here/agents/package-lock.json"
}

lambda_part() {
  if [ -x "$tools/venv/bin/cargo-lambda" ] && stamped lambda "$here/requirements-lambda.txt"; then return; fi
  echo "setup: cargo-lambda into .tools/venv"
  venv venv
  "$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements-lambda.txt"
  stamp lambda "$here/requirements-lambda.txt"
}

pin() {
  local fresh
  fresh=$(mktemp -d)
  python3 -m venv "$fresh/venv"
  "$fresh/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.in"
  { echo "# Written by setup.sh pin from requirements.in."; "$fresh/venv/bin/pip" freeze; } > "$here/requirements.txt"
  python3 -m venv "$fresh/cohere"
  "$fresh/cohere/bin/pip" install --quiet --disable-pip-version-check "langchain-cohere==$LANGCHAIN_COHERE"
  { echo "# Written by setup.sh pin."; "$fresh/cohere/bin/pip" freeze; } > "$here/requirements-langchain-cohere.txt"
  for folder in "$here" "$here/agents"; do
    cp "$folder/package.json" "$fresh/"
    rm -f "$fresh/package-lock.json"
    (cd "$fresh" && npm install --silent --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund)
    cp "$fresh/package-lock.json" "$folder/"
  done
  rm -rf "$fresh"
}

case "${1:-}" in
  "") python_part; npm_part ;;
  lambda) python_part; npm_part; lambda_part ;;
  agents) python_part; npm_part; agents_part ;;
  pin) pin ;;
  *) fail "unknown word $1" ;;
esac
