# shellcheck shell=bash
# Words and steps that every script shares. Sourced, never run; progress and errors go to stderr.
# shellcheck disable=SC2034  # its variables are used by those who source it

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Where logs of what we start outlive the script that started it.
STATE_DIR=${XDG_STATE_HOME:-${HOME:-/root}/.local/state}/assay
LIB=$ROOT/scripts/lib

say() { printf '==> %s\n' "$*" >&2; }

# die WHAT [HINT]
die() {
    printf 'error: %s\n' "$1" >&2
    [[ -z ${2:-} ]] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# wait_until SECONDS COMMAND...: true as soon as the command succeeds, false when the time is up.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

# with_apt WHAT COMMAND...: runs an apt command; where it fails, refreshes the package lists and tries once more.
# A machine just made has no lists at all, and lists that are weeks old name files that are gone.
with_apt() {
    local what=$1
    shift
    have apt-get || die "$what is missing, and this machine has no apt-get to install it with" "install $what by hand"
    local apt=(timeout 600 apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -o Acquire::http::Timeout=30)
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a
    "${apt[@]}" "$@" </dev/null >/dev/null 2>&1 && return
    if ((EUID == 0)); then
        "${apt[@]}" update </dev/null >&2 || true
    fi
    "${apt[@]}" "$@" </dev/null >&2 || die "apt-get $* failed; its output is above" "install $what by hand"
}

# apt_install WHAT PACKAGE...
apt_install() {
    local what=$1
    shift
    ((EUID == 0)) || die "$what is missing, and only root can install it" "sudo apt-get install $*"
    say "installing $*"
    with_apt "$what" install -y --no-install-recommends "$@"
}

# python_environment DIR PACKAGE: a Python environment of its own with one package from the index.
python_environment() {
    have python3 || apt_install python3 python3
    python3 -m venv "$1" >/dev/null 2>&1 || {
        apt_install "Python's venv" python3-venv
        python3 -m venv "$1"
    }
    timeout 600 "$1/bin/pip" install --quiet --disable-pip-version-check "$2" >&2 ||
        die "pip cannot install $2; its output is above" "is the package index reachable?"
}
