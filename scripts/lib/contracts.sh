# shellcheck shell=bash
# What compiles and tests the contracts: forge, anvil and solc, at the versions of package-lock.json. Sourced, after
# common.sh.

SLITHER_VERSION=0.11.6

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

# example_project: a copy of examples/consumer with its libraries, as somebody makes one; prints where it is.
example_project() {
    local dir=$ROOT/target/contracts/example
    rm -rf "${dir:?}"/{src,test,lib}
    mkdir -p "$dir/lib/forge-std"
    cp -r "$ROOT"/examples/consumer/. "$dir"
    cp -r "$ROOT/contracts/src" "$dir/lib/assay"
    cp -r "$ROOT/node_modules/@layerzerolabs/toolbox-foundry/lib/forge-std" "$dir/lib/forge-std/src"
    cp "$ROOT/contracts/artifacts/JobScheduler.json" "$dir/lib"
    printf '%s\n' "$dir"
}

# example_tests: the tests of the project that people copy.
example_tests() {
    local dir
    dir=$(example_project) && (cd "$dir" && timeout 600 forge test </dev/null)
}

# verifier_tests: the verdict in JavaScript, held to the vectors that program and contract are held to, and the parts of the
# dashboard that need no browser.
verifier_tests() {
    (cd "$ROOT" && timeout 120 node --test tests/js/*.test.mjs </dev/null)
}

# reference_tests: the reference of verdicts and summaries in Python, held to the same vectors.
reference_tests() {
    have python3 || apt_install python3 python3
    (cd "$ROOT" && timeout 120 python3 -B -m unittest discover -s tests/reference </dev/null)
}

# contract_coverage: fails below 95 % of lines or branches, and when an error is never thrown. Sizes, gas and
# the artefact mean nothing in a build for coverage. A directory of its own keeps the other build as it is.
contract_coverage() {
    local dir=$ROOT/target/contracts
    (cd "$ROOT" && FOUNDRY_PROFILE=coverage FOUNDRY_OUT=$dir/coverage FOUNDRY_CACHE_PATH=$dir/coverage-cache \
        timeout 900 forge coverage --report lcov --report-file "$dir/lcov.info" --exclude-tests \
        --no-match-path 'contracts/test/{gas,script}/*' </dev/null >"$dir/coverage.log" 2>&1) ||
        { tail -n 40 "$dir/coverage.log" >&2 && return 1; }
    (cd "$ROOT" && node "$LIB/coverage.js" "$dir/lcov.info" 95)
}

# contract_lints: in directories of its own, since forge lint leaves artefacts without bytecode behind.
contract_lints() {
    local dir=$ROOT/target/contracts
    (cd "$ROOT" && FOUNDRY_OUT=$dir/lint FOUNDRY_CACHE_PATH=$dir/lint-cache timeout 300 forge lint --deny warnings </dev/null)
}

# contract_deep: fuzz tests and invariants once more, with many more cases.
contract_deep() {
    (cd "$ROOT" && FOUNDRY_PROFILE=deep timeout 900 forge test --match-path 'contracts/test/{fuzz,invariant}/*' </dev/null)
}

# contract_input: compiles the standard JSON input as an explorer would, without forge; a minute.
contract_input() {
    (cd "$ROOT" && timeout 600 node "$LIB/standard-input.js" --check contracts/artifacts/JobScheduler.input.json)
}

# ensure_slither: the analyser, in a Python environment of its own.
ensure_slither() {
    SLITHER=$ROOT/target/slither-$SLITHER_VERSION/bin/slither
    [[ ! -x $SLITHER ]] || return 0
    say "installing slither $SLITHER_VERSION"
    python_environment "${SLITHER%/bin/slither}" "slither-analyzer==$SLITHER_VERSION"
}

# contract_analysis: after ensure_slither. Fails on a finding of high or medium impact. What is meant is answered in the
# source, with the reason, by `slither-disable-next-line`. In directories of its own, since slither cleans first.
contract_analysis() {
    local dir=$ROOT/target/contracts
    (cd "$ROOT" && FOUNDRY_OUT=$dir/slither FOUNDRY_CACHE_PATH=$dir/slither-cache timeout 600 "$SLITHER" . \
        --filter-paths node_modules --exclude-low --exclude-informational --exclude-optimization --fail-medium </dev/null)
}
