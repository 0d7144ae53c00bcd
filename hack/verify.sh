#!/bin/sh
# Fails if a generated file, the formatting or go.mod is not what the sources say, or a command no longer compiles for a
# platform that it is released for. Afterwards the working tree holds what it should.
set -eu
cd "$(dirname "$0")/.."

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT

# What `make generate manifests docs` writes.
generated="api config/crd/bases config/rbac charts docs/api-reference.md docs/install.md"
for path in $generated; do
  mkdir -p "$before/$(dirname "$path")"
  if [ -e "$path" ]; then cp -R "$path" "$before/$path"; fi
done

make --no-print-directory generate manifests docs

status=0
for path in $generated; do
  if ! diff -r -u -N "$before/$path" "$path"; then
    echo "verify: $path was not up to date: commit what 'make generate manifests docs' wrote" >&2
    status=1
  fi
done

unformatted=$(go tool -modfile=hack/tools/go.mod golangci-lint-kube-api-linter fmt --diff) || true
if [ -n "$unformatted" ]; then
  printf '%s\n' "$unformatted"
  echo "verify: not formatted: run 'make fmt'" >&2
  status=1
fi

if ! go mod tidy -diff; then
  echo "verify: go.mod or go.sum is not tidy: run 'go mod tidy'" >&2
  status=1
fi

if ! go run ./hack/release check; then
  echo "verify: a command does not compile for a platform that hack/release/release.yaml names" >&2
  status=1
fi

if [ "$status" -eq 0 ]; then echo "verify: generated files, formatting and go.mod are up to date, and commands compile for their platforms"; fi
exit "$status"
