#!/usr/bin/env bash
# Watches a run from a second terminal: workers' state, batch files, disk use, refreshed until Ctrl-C.
#
#   scripts/monitor_training.sh [DATA]     default: data
set -euo pipefail

case "${1:-}" in
-h | --help)
    sed -n '2,4s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
set_up_environment
exec "$SELFPLAY" monitor "${1:-data}"
