#!/usr/bin/env bash
# Trains an agent by self-play with several workers, or goes on with a run that is there.
#
#   scripts/parallel_train.sh [MODEL] [DATA] [WORKERS] [GAMES_PER_WORKER] [ROUNDS]
#   defaults                   model.pt data   4         25                10
#
# WORKERS may be auto: the cores this process may use. The game is Connect Four unless the variable GAME names
# another (GAME=tictactoe scripts/parallel_train.sh) or an existing MODEL says so. Sets up .venv the first time.
set -euo pipefail

case "${1:-}" in
-h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
if [ "$#" -gt 5 ]; then
    echo "parallel_train.sh: expected at most 5 arguments, found $#; see --help" >&2
    exit 2
fi
# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
set_up_environment
exec "$SELFPLAY" train ${GAME:+"$GAME"} --model "${1:-model.pt}" --data "${2:-data}" --workers "${3:-4}" \
    --games-per-worker "${4:-25}" --rounds "${5:-10}"
