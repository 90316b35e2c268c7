#!/bin/sh
# Installs what is missing, builds, and runs every test; then what tries to break it. Ends with a table of that.
# Usage: deploy/test.sh [--quick]     --quick: unit tests and tree rules of the sanitized build only
set -eu
cd "$(dirname "$0")/.."

started=$(date +%s)
part() {
    now=$(date +%s)
    printf '\n== %s (minute %d)\n' "$1" $(((now - started) / 60))
}

part 'install'
./deploy/install-deps.sh

part 'build: address and undefined-behaviour sanitizers, warnings are errors'
cmake --preset dev >/dev/null
cmake --build --preset dev
if [ "${1-}" = --quick ]; then
    exec ctest --preset dev -L quick
fi

part 'static analysis: clang-tidy, cppcheck'
cmake --preset tidy >/dev/null
cmake --build --preset tidy
tests/lint/tidy
tests/lint/cppcheck

part 'unit tests under valgrind'
cmake --preset plain >/dev/null
cmake --build --preset plain
tests/unit/valgrind build/plain

# What needs nothing but a processor runs beside each other; what brings up machines, alone.
part 'quick tests, sanitized build'
ctest --preset dev -L 'quick|failing|model' -j "$(nproc)"
# What was skipped is said aloud; root can run every test, so there it is a failure.
skipped=$(grep 'SKIPPED \] [a-z]' build/dev/Testing/Temporary/LastTest.log | sort -u || true)
if [ -n "$skipped" ]; then
    printf 'skipped:\n%s\n' "$skipped"
    [ "$(id -u)" -ne 0 ] || exit 1
fi

part 'all other tests, sanitized build'
ctest --preset dev -LE 'quick|failing|model' --fixture-exclude-setup reasons

part 'what tries to break it (docs/TESTING.md)'
tests/prove commit --only simulation mutants fuzzing kills chaos

part 'done'
