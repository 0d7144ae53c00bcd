#!/bin/sh
# Removes the operator from the current cluster. Passports go first, while the operator can still
# revoke them and take their finalizers off; then what serves them.
set -eu
cd "$(dirname "$0")/.."
kubectl=$1
installer=$2

"$kubectl" get --raw /version >/dev/null
if "$kubectl" get crd passports.agentpassport.dev >/dev/null 2>&1; then
  if ! "$kubectl" delete passports.agentpassport.dev --all --all-namespaces --timeout=2m; then
    # The operator does not answer: a finalizer that it will not take off must not hold anything up.
    "$kubectl" get passports.agentpassport.dev --all-namespaces \
      -o jsonpath='{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}' |
      while read -r namespace name; do
        "$kubectl" patch passports.agentpassport.dev "$name" --namespace="$namespace" \
          --type=merge --patch='{"metadata":{"finalizers":null}}'
      done
  fi
fi
"$kubectl" delete --ignore-not-found --timeout=2m -f "$installer"
