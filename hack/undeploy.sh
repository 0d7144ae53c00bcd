#!/bin/sh
# Removes the operator from the current cluster. Missions go first, while the operator can still revoke their passports,
# check out for them and take its finalizers off; then what serves them.
# Usage: undeploy.sh KUBECTL INSTALLER MANAGER [FLAGS of `manager end-missions`]
set -eu
cd "$(dirname "$0")/.."
kubectl=$1
installer=$2
manager=$3
shift 3

"$kubectl" get --raw /version >/dev/null
# The namespace takes the claim of the audit log's volume with it.
volume=$("$kubectl" get persistentvolumeclaim log-agent-passport-auditlog-0 --namespace=agent-passport-system \
  --ignore-not-found -o jsonpath='{.spec.volumeName}')
if [ -n "$volume" ] && [ "$("$kubectl" get persistentvolume "$volume" \
  -o jsonpath='{.spec.persistentVolumeReclaimPolicy}')" != Retain ]; then
  echo "undeploy: the audit log goes too, with volume $volume; to keep it, press Ctrl-C and run:" \
    "$kubectl patch persistentvolume $volume -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}'" >&2
fi

# The manager takes the cluster that kubectl takes, by a kubeconfig of that alone; kubectl in a Pod has none.
kubeconfig=$(mktemp)
trap 'rm -f "$kubeconfig"' EXIT
if "$kubectl" config view --raw --minify --flatten >"$kubeconfig" 2>/dev/null; then
  set -- --kubeconfig="$kubeconfig" "$@"
fi
"$manager" end-missions --patience=2m "$@"
"$kubectl" delete --ignore-not-found --timeout=2m -f "$installer"
