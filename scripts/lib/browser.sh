# shellcheck shell=bash
# The browser in which the dashboard is tested. Sourced, after common.sh.

# ensure_chromium: Debian's; what drives it is in package.json.
ensure_chromium() {
    have chromium || apt_install "the browser that the dashboard is tested in" chromium fonts-dejavu-core
}
