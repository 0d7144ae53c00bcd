#!/bin/sh
# Removes the operator from the current cluster. Passports go first, while the operator can still
# revoke them, check out for them and take its finalizers off; then Checkouts; then what serves them.
set -eu
cd "$(dirname "$0")/.."
kubectl=$1
installer=$2

# remove KIND: deletes every object of a kind that has a finalizer of the operator's.
remove() {
  "$kubectl" get crd "$1" >/dev/null 2>&1 || return 0
  "$kubectl" delete "$1" --all --all-namespaces --timeout=2m && return 0
  # The operator does not answer: a finalizer that it will not take off must not hold anything up.
  "$kubectl" get "$1" --all-namespaces \
    -o jsonpath='{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}' |
    while read -r namespace name; do
      "$kubectl" patch "$1" "$name" --namespace="$namespace" \
        --type=merge --patch='{"metadata":{"finalizers":null}}'
    done
}

"$kubectl" get --raw /version >/dev/null
remove passports.agentpassport.dev
remove checkouts.agentpassport.dev
"$kubectl" delete --ignore-not-found --timeout=2m -f "$installer"
