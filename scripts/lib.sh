# What the scripts share; it is sourced, not run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script=scripts/$(basename "$0")

say() { printf '%s: %s\n' "$script" "$*"; }

fail() {
	printf '%s: %s\n' "$script" "$*" >&2
	exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

has_header_of() { has pkg-config && pkg-config --exists "$1"; }
