#!/usr/bin/env bash
# All checks: lint, types, tests. Arguments go to pytest: scripts/test.sh -k search
# scripts/test.sh --all also runs the slow tests (whole runs under fire, clusters, ranks), as CI does.
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
if [ "${1:-}" = --all ]; then
    shift
    set -- -m "slow or not slow" "$@"
fi
cores=$("$bin/python" -c 'from selfplay.machine import usable_cores; print(usable_cores())')
# One more than cores: whole runs wait a good deal, for children to come and go and for those that hang.
"$bin/pytest" --numprocesses $((cores < 4 ? cores + 1 : 4)) --dist worksteal "$@"
