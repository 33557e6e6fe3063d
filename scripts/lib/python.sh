# shellcheck shell=bash
# The Python client: its types, its wheel, and its tests against a devstack. Sourced, after common.sh.

# client_tests: what is tested is the wheel, as somebody installs it.
client_tests() {
    local dir=$ROOT/target/python
    [[ -x $dir/venv/bin/mypy ]] || python_environment "$dir/venv" mypy==1.18.2
    rm -rf "${dir:?}/client" "${dir:?}/wheels"
    # A build leaves files beside the sources.
    cp -r "$ROOT/clients/python" "$dir/client"
    (
        cd "$dir/client" || return
        local pip=(timeout 300 ../venv/bin/pip --quiet --disable-pip-version-check)
        "${pip[@]}" wheel --no-deps --wheel-dir ../wheels . >&2 &&
            "${pip[@]}" install --force-reinstall ../wheels/*.whl >&2 &&
            timeout 120 ../venv/bin/mypy &&
            ASSAY=$ROOT/target/debug/assay timeout 180 ../venv/bin/python -B -m unittest discover -s tests </dev/null
    )
}
