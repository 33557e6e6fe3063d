# shellcheck shell=bash
# The API of a running node against its own description, by schemathesis. Sourced, after common.sh.

# api_tests: requests made from the description, right ones and wrong ones, for about a minute. A node must answer each as the
# description says, and never fail.
api_tests() {
    local dir=$ROOT/target/schemathesis home devstack status=0
    [[ -x $dir/venv/bin/schemathesis ]] || python_environment "$dir/venv" schemathesis==4.32.5
    home=$(mktemp -d)
    XDG_STATE_HOME=$home "$ROOT/target/debug/assay" devstack --nodes 1 </dev/null >"$dir/devstack.log" 2>&1 &
    devstack=$!
    api_tests_of "$dir" "$home" || status=$?
    kill -INT "$devstack" 2>/dev/null || true
    wait "$devstack" || true
    rm -rf "${home:?}"
    ((status == 0)) || say "what the node said is in $dir/devstack.log"
    return "$status"
}

# api_tests_of DIRECTORY HOME: the tests, of the devstack that keeps its state in HOME.
api_tests_of() {
    local dir=$1 job api
    export XDG_STATE_HOME=$2
    wait_until 60 test -s "$XDG_STATE_HOME/assay/api" || return
    api=$(<"$XDG_STATE_HOME/assay/api")
    # A job that ended, for the requests about one.
    job=$(timeout 120 "$ROOT/target/debug/assay" job submit --concurrency 1 --output json assay/demo:1 -- echo hello 2>/dev/null |
        sed -n 's/^ *"job": "\(0x[0-9a-f]*\)".*/\1/p' | head -1) || return
    [[ -n $job ]] || return
    (
        cd "$dir" || return
        # The token stands in no argument, which other users could read.
        ASSAY_TOKEN=$(<"$(<"$XDG_STATE_HOME/assay/tokens/${api#http://}")")
        export ASSAY_TOKEN
        # shellcheck disable=SC2016 # schemathesis reads the variable.
        printf 'headers = { Authorization = "Bearer ${ASSAY_TOKEN}" }\n' >any.toml
        { cat any.toml && printf '[parameters]\n"path.job" = "%s"\n' "$job"; } >known.toml
        # Streams do not end, and a URL leads out of this machine. The job is needed until all have asked about it.
        conforms known.toml "$api" '/(events|inputs|forget)$' --include-path-regex '\{job\}' &&
            conforms any.toml "$api" '/(events|inputs)$'
    ) >"$dir/report.txt" 2>&1 || {
        cat "$dir/report.txt" >&2
        return 1
    }
}

# conforms CONFIG API EXCEPT [OPTION...]: half a minute of requests.
conforms() {
    local checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
    timeout 90 venv/bin/schemathesis --config-file "$1" run "$ROOT/docs/openapi.json" --url "$2" --exclude-path-regex "$3" \
        "${@:4}" --checks "$checks" --seed 1 --max-time 30 --request-timeout 20 --no-color
}
