# shellcheck shell=bash
# The compiler and the build. One profile (dev) and one target directory serve the tests and the demo alike: a second
# profile would compile the whole dependency graph a second time.

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
