#!/usr/bin/env bash
# A quick run of the whole loop, 2 workers × 5 games × 1 round in a temporary folder, checked at the end: PASS or FAIL.
set -euo pipefail

# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"
set_up_environment
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "FAIL: $1"
    exit 1
}

"$SELFPLAY" train ${GAME:+"$GAME"} --model "$folder/model.pt" --data "$folder/data" --workers 2 \
    --games-per-worker 5 --rounds 1 --match-games 0 || fail "training ended with exit code $?"
for worker in 0 1; do
    set -- "$folder/data/worker_$worker"/batch_r0001_g*.json
    [ -f "$1" ] || fail "worker $worker wrote no batch file"
    "$SELFPLAY" show "$1" >/dev/null || fail "$1 cannot be read"
done
"$ENVIRONMENT/bin/python" - "$folder" <<'PYTHON' || fail "the model and the games do not fit together; see above"
import json, pathlib, subprocess, sys

folder = pathlib.Path(sys.argv[1])
selfplay = pathlib.Path(sys.executable).with_name("selfplay")
numbers = sorted(
    game["number"] for path in folder.glob("data/worker_*/batch_*.json") for game in json.loads(path.read_text())["games"]
)
info = json.loads(subprocess.run([selfplay, "info", folder / "model.pt", "--json"], check=True, capture_output=True).stdout)
start = json.loads(
    subprocess.run([selfplay, "info", folder / "data/models/round_0000.onnx", "--json"], check=True, capture_output=True).stdout
)
assert numbers == list(range(10)), f"expected games 0 to 9 once each, found {numbers}"
assert info["round"] == 1, f"expected a model of round 1, found {info['round']}"
assert info["parent"] == start["fingerprint"], "the model of round 1 does not come from that of round 0"
assert info["fingerprint"] != start["fingerprint"], "training changed nothing"
PYTHON
echo "PASS: 2 workers played 10 games, each once; one round was trained and published"
