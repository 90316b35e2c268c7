#!/bin/sh
# Shows Pusher at work on this machine alone: installs what is missing, builds, and brings up a lab with a head office and two
# branches of 20 stand-in Windows machines each, behind thin lines, some machines broken in different ways. Then it types what an
# administrator types, and prints each command: keys, sites, relays that enrol, one push to both branches with live progress, one
# merged report. Takes down what it started. Exit status 0 only if the report is what the lab's faults predict.
# Needs root on Debian 12; touches nothing outside this folder, /tmp and the lab's own network namespaces.
set -eu
cd "$(dirname "$0")/.."

[ $# -eq 0 ] || { echo "usage: $0" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "quickstart: needs root (network namespaces, /dev/net/tun, port 445); run it with sudo" >&2; exit 1; }

./deploy/install-deps.sh
cmake --preset release >/dev/null
cmake --build --preset release --target pusher pusher-coordinator pusher-relay -- --quiet
exec /usr/bin/python3 tests/lab/demo.py build/release/bin
