# shellcheck shell=bash
# What compiles and tests the contracts: forge, anvil and solc, at the versions of package-lock.json. Sourced, after
# common.sh.

# ensure_foundry: forge, anvil and cast on the PATH, and a compiler that needs no download.
ensure_foundry() {
    have npm || apt_install "npm" nodejs npm
    local installed=$ROOT/node_modules/.package-lock.json
    # npm writes this file last: older than the lock file, or missing, means that an install is due.
    if [[ ! -e $installed || $installed -ot $ROOT/package-lock.json ]]; then
        say "installing the contracts' tools"
        (cd "$ROOT" && timeout 600 npm ci </dev/null >&2) ||
            die "npm ci failed; its output is above" "the contracts' tools come from the npm registry: is it reachable?"
    fi
    # The platform's binaries themselves: npm's launchers before them exit with 0 whatever happened.
    local bin
    for bin in "$ROOT"/node_modules/@foundry-rs/*-*/bin; do PATH=$bin:$PATH; done
    export PATH
    export FOUNDRY_SOLC=$LIB/solc.js FOUNDRY_OFFLINE=true FOUNDRY_DISABLE_NIGHTLY_WARNING=1
    forge --version >/dev/null || die "forge does not run on this machine" "see https://getfoundry.sh for its platforms"
}

# contract_tests: with the gas compared to contracts/snapshots, which plain `forge test` writes anew.
contract_tests() {
    (cd "$ROOT" && FORGE_SNAPSHOT_CHECK=true timeout 600 forge test </dev/null)
}

# verifier_tests: the verdict in JavaScript, held to the vectors that program and contract are held to.
verifier_tests() {
    (cd "$ROOT" && timeout 120 node --test tests/js/*.test.mjs </dev/null)
}
