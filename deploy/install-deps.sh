#!/bin/sh
# Installs everything that building, testing and running Pusher needs on Debian 12, by package name.
# Safe to run again: with nothing missing it asks no package server and changes nothing.
# Usage: deploy/install-deps.sh [--runtime]     --runtime: only what the programs need to run from a build
set -eu

build='build-essential cmake ninja-build pkg-config git ca-certificates
       libzmq3-dev libczmq-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libsodium-dev
       libuv1-dev libc-ares-dev libsqlite3-dev libssl-dev nettle-dev libkrb5-dev
       libjansson-dev libcyaml-dev libexpat1-dev'
runtime='gss-ntlmssp'
check='libcmocka-dev clang libclang-rt-14-dev llvm clang-tidy clang-format cppcheck valgrind gcovr spin'
lab='samba samba-common-bin samba-vfs-modules smbclient python3 python3-impacket python3-samba
     wine iproute2 nftables dnsmasq-base attr acl libcap2-bin procps util-linux sqlite3 fping'

case "${1-}" in
    --runtime) wanted="$build $runtime" ;;
    '')        wanted="$build $runtime $check $lab" ;;
    *)         echo "usage: $0 [--runtime]" >&2; exit 2 ;;
esac

missing=''
for package in $wanted; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "install-deps: these packages are missing and installing them needs root:$missing" >&2
    exit 1
fi
echo "install-deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# Services of these packages (smbd, nmbd, winbind) must not start on the admin's machine because of a test lab.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -q
# shellcheck disable=SC2086  # a list of names
apt-get install -y -q --no-install-recommends $missing
