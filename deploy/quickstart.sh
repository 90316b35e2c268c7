#!/bin/sh
# Shows Pusher at work on this machine alone: installs what is missing, builds, brings up a lab of 40 stand-in Windows
# machines in two subnets, some broken in different ways, pushes a package to them with live progress, prints the report,
# and takes down what it started. Exit status 0 only if the report is what the lab's faults predict.
# Needs root on Debian 12; touches nothing outside this folder and the lab's own network namespaces.
set -eu
cd "$(dirname "$0")/.."

[ $# -eq 0 ] || { echo "usage: $0" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "quickstart: needs root (network namespaces, port 445); run it with sudo" >&2; exit 1; }

./deploy/install-deps.sh
cmake --preset release >/dev/null
cmake --build --preset release --target pusher pusher-coordinator pusher-relay -- --quiet
exec /usr/bin/python3 tests/lab/demo.py build/release/bin
