# shellcheck shell=bash
# Sets up the Python environment once and says so; sourced by the other scripts. Runs under bash 3.2 and later.
#
# set_up_environment [EXTRA]   makes .venv with the pinned packages, those for pages and reports among them (EXTRA "dev"
#                              adds what the tests need).
# set_up_browser               finds a browser for the tests of the pages, or installs one.
# Nothing is done when .venv already holds what pyproject.toml and constraints.txt ask for.

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ENVIRONMENT="$PROJECT/.venv"
SELFPLAY="$ENVIRONMENT/bin/selfplay"

find_python() {
    # The first Python of 3.11 or later that can make environments.
    local candidate
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    echo "selfplay needs Python 3.11 or later with its venv module, and found none." >&2
    echo "Install one (Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python)," >&2
    echo "or name one: PYTHON=/path/to/python3.12 $0" >&2
    return 1
}

set_up_environment() {
    local extra="${1:-}" wanted stamp python
    wanted=$(cat "$PROJECT/pyproject.toml" "$PROJECT/constraints.txt" | cksum)
    stamp="$ENVIRONMENT/.selfplay-ready"
    if [ -x "$SELFPLAY" ] && grep -qxF "$wanted base" "$stamp" 2>/dev/null; then
        if [ -z "$extra" ] || grep -qxF "$wanted $extra" "$stamp"; then
            return 0
        fi
    fi
    python=$(find_python) || return 1
    echo "Setting up the environment in .venv, once; this takes a minute or two ..." >&2
    [ -x "$ENVIRONMENT/bin/python" ] || "$python" -m venv "$ENVIRONMENT" || return 1
    if ! "$ENVIRONMENT/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
        --constraint "$PROJECT/constraints.txt" --editable "$PROJECT[web,report${extra:+,$extra}]"; then
        echo "Setting up failed; see the lines above. Correct that and start again: nothing else was changed." >&2
        return 1
    fi
    # Compiled by all cores, where pip would use one; processes that may not write bytecode would otherwise compile what
    # they import each time anew. What a package cannot compile, it does not import.
    "$ENVIRONMENT/bin/python" -m compileall -qq -j 0 "$ENVIRONMENT/lib" || true
    echo "$wanted base" >"$stamp"
    [ -z "$extra" ] || echo "$wanted $extra" >>"$stamp"
    echo "The environment is ready." >&2
}

set_up_browser() {
    # Chromium for the tests of the pages, where it can be had without asking anybody; otherwise it says so aloud.
    local name on_macos="/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    for name in chromium chromium-browser google-chrome google-chrome-stable "$on_macos"; do
        ! command -v "$name" >/dev/null 2>&1 || return 0
    done
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing Chromium for the tests of the pages, once ..." >&2
        if { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1; then
            return 0
        fi
    fi
    echo "!! NO BROWSER was found: the pages are NOT tested. Install Chromium or Chrome and start again" >&2
    echo "!! (Debian and Ubuntu: sudo apt install chromium; macOS: brew install --cask google-chrome)." >&2
}
