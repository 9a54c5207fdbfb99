#!/usr/bin/env bash
# All checks: lint, types, tests. The same on a laptop and in CI. Arguments go to pytest: scripts/test.sh -k search
set -euo pipefail

# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
set_up_environment dev
set_up_browser
cd "$PROJECT"
bin="$ENVIRONMENT/bin"
echo "== lint" >&2
"$bin/ruff" check .
"$bin/ruff" format --check .
echo "== types" >&2
"$bin/mypy"
echo "== tests" >&2
"$bin/pytest" --numprocesses auto --maxprocesses 4 --dist worksteal "$@"
