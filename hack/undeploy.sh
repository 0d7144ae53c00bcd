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
# The namespace takes the claim of the audit log's volume with it.
volume=$("$kubectl" get persistentvolumeclaim log-agent-passport-auditlog-0 --namespace=agent-passport-system \
  --ignore-not-found -o jsonpath='{.spec.volumeName}')
if [ -n "$volume" ] && [ "$("$kubectl" get persistentvolume "$volume" \
  -o jsonpath='{.spec.persistentVolumeReclaimPolicy}')" != Retain ]; then
  echo "undeploy: the audit log goes too, with volume $volume; to keep it, press Ctrl-C and run:" \
    "$kubectl patch persistentvolume $volume -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}'" >&2
fi
remove passports.agentpassport.dev
remove checkouts.agentpassport.dev
"$kubectl" delete --ignore-not-found --timeout=2m -f "$installer"
