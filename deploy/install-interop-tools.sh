#!/bin/sh
# Installs the programs that tests/interop runs against the service, from Debian's packages.
# Where that is not possible (no root, no apt-get) it says so; the tests then skip, loudly, what is absent.
set -eu
packages="ldap-utils libsasl2-modules openssl curl gnupg gpgsm dirmngr libnss3-tools openjdk-17-jdk-headless gnutls-bin \
chromium chromium-driver postfix postfix-mta-sts-resolver softhsm2"
missing=""
for package in $packages; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "interop: not installed (needs root and apt-get):$missing" >&2
    exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
