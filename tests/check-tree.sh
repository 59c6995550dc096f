#!/usr/bin/env bash
# What must not be committed: names of registry hosts, paths of somebody's machine, unfinished marks, secrets in examples.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
bad=0
complain() { echo "check-tree: $1"; bad=1; }
search() { git grep -nIE "$1" -- . ':!Cargo.lock' ':!tests/check-tree.sh' ':!.ci' || true; }

hits=$(search '(static\.crates\.io|index\.crates\.io|files\.pythonhosted\.org|pypi\.org/simple|registry\.npmjs\.org)')
[ -z "$hits" ] || complain "a registry host is named:
$hits"
hits=$(search '(^|[^a-zA-Z0-9._/-])/(root|home/[a-z]+|work|tmp/bash_jobs)/')
[ -z "$hits" ] || complain "a path of a machine is named:
$hits"
hits=$(git grep -nE '(todo!\(|unimplemented!\(|FIXME|XXX)' -- '*.rs' || true)
[ -z "$hits" ] || complain "unfinished:
$hits"
hits=$(git grep -nE '#\[(ignore|allow)\b' -- '*.rs' || true)
[ -z "$hits" ] || complain "switched off; use #[expect(.., reason)] or mend it:
$hits"
hits=$(git ls-files -z | xargs -0 -n1 basename | grep -E '(\.pem|\.key|\.env)$' || true)
[ -z "$hits" ] || complain "a key file is committed:
$hits"
exit $bad
