# shellcheck shell=bash
# A Docker engine that answers, and the demo image in it. The engine is asked through its socket: a `docker` on PATH
# proves nothing, and no client is needed.

IMAGE=assay/demo:1

engine() { python3 "$LIB/engine.py" "$@"; }

engine_answers() { engine ping >/dev/null 2>&1; }

ensure_engine() {
    have python3 || apt_install python3 python3
    local answer
    if answer=$(engine ping 2>&1); then
        say "engine: $answer"
        return
    fi
    [[ -z ${DOCKER_HOST:-} ]] || die "DOCKER_HOST is set, but $answer" "start that engine, or unset DOCKER_HOST"
    [[ $answer != *Permission* ]] || die "$answer" "sudo usermod -aG docker \"\$USER\", and log in again"
    ((EUID == 0)) || die "no Docker engine: $answer" \
        "sudo apt-get install docker.io and sudo systemctl start docker; or point DOCKER_HOST at an engine"
    mkdir -p "$STATE_DIR"
    # Two scripts at once must not start two engines.
    exec 9>"$STATE_DIR/engine.lock"
    flock -w 900 9 || die "another script has been setting up the engine for 15 minutes" "end it, and try again"
    have dockerd || apt_install "a Docker engine" docker.io 9>&-
    engine_answers || start_engine
    exec 9>&-
    answer=$(engine ping) || die "the engine stopped answering" "look at $STATE_DIR/dockerd.log"
    say "engine: $answer"
}

start_engine() {
    # Installing the package, or the start of the machine, may have begun to start one.
    if pidof dockerd >/dev/null && wait_until 30 engine_answers; then
        return
    fi
    if [[ -d /run/systemd/system ]]; then
        say "starting the engine with systemd"
        timeout 90 systemctl start docker || die "systemctl start docker failed" "journalctl -u docker"
        wait_until 30 engine_answers || die "the engine does not answer after 30 s" "journalctl -u docker"
        return
    fi
    # Without a packet filter in the kernel the default network cannot be made. Jobs run without a network anyway.
    start_dockerd || start_dockerd --iptables=false --ip6tables=false --bridge=none || {
        tail -n 20 "$STATE_DIR/dockerd.log" >&2
        die "dockerd does not start; the end of its log is above" \
            "read $STATE_DIR/dockerd.log, or point DOCKER_HOST at an engine"
    }
}

# start_dockerd ARGUMENT...: starts it so that it outlives this script, and waits until it answers.
start_dockerd() {
    say "starting dockerd${1:+ $*} (log: $STATE_DIR/dockerd.log)"
    forget_dead /var/run/docker.pid
    forget_dead /var/run/docker/containerd/containerd.pid
    setsid nohup dockerd "$@" >>"$STATE_DIR/dockerd.log" 2>&1 </dev/null 9>&- &
    local pid=$!
    # It answers, or it is gone: whichever comes first ends the wait.
    wait_until 60 answers_or_gone "$pid" || kill "$pid"
    engine_answers
}

answers_or_gone() { engine_answers || ! kill -0 "$1" 2>/dev/null; }

# forget_dead PIDFILE: where the machine was stopped hard, the file names a process that is somebody else by now, and
# dockerd would refuse to start.
forget_dead() {
    local pid
    [[ -r $1 ]] && pid=$(<"$1") || return 0
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == @(dockerd|containerd) ]] || rm -f "$1"
}

# The image is Debian's static busybox and nothing else: no registry is asked.
ensure_demo_image() {
    if engine has-image "$IMAGE"; then
        say "image: $IMAGE is there"
        return
    fi
    local work busybox
    work=$(mktemp -d)
    busybox=$(static_busybox "$work")
    python3 "$LIB/demo_image.py" "$IMAGE" "$busybox" | engine load || die "the engine does not take $IMAGE"
    rm -r "$work"
    say "image: $IMAGE made from $busybox"
}

# static_busybox DIR: prints the path of one. Debian's package is unpacked into DIR rather than installed, because
# installing it removes the other busybox.
static_busybox() {
    local path
    if path=$(command -v busybox) && ! ldd "$path" >/dev/null 2>&1; then
        printf '%s\n' "$path"
        return
    fi
    say "fetching busybox-static"
    (cd "$1" && with_apt busybox-static download busybox-static && dpkg-deb -x busybox-static_*.deb .)
    printf '%s\n' "$1/bin/busybox"
}
