#!/bin/sh
# Installs what `make bench` compares with and is compiled with: OpenLDAP's slapd, CFSSL and a C compiler, from
# Debian's packages. Where that is not possible (no root, no apt-get) it says so; what needs them is then skipped, loudly.
set -eu
packages="slapd golang-cfssl gcc libc6-dev"
missing=""
for package in $packages; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "bench: not installed (needs root and apt-get):$missing" >&2
    exit 0
fi
# The benchmark starts a slapd of its own. Debian's package would set one up on port 389, and start it.
echo "slapd slapd/no_configuration boolean true" | debconf-set-selections
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
