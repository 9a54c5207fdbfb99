#!/usr/bin/env bash
# Watches a run from a second terminal: workers' state, batch files, disk use, refreshed until Ctrl-C.
#
#   scripts/monitor_training.sh [DATA] [--web]     default: data; --web: as pages for the browser, with plots, every
#                                                  game and a board to play on; further options: selfplay monitor --help
set -euo pipefail

case "${1:-}" in
-h | --help)
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
set_up_environment
case "${1:-}" in
"" | -*) exec "$SELFPLAY" monitor data "$@" ;;
*) exec "$SELFPLAY" monitor "$@" ;;
esac
