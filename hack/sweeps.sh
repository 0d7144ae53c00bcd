#!/bin/sh
# Plays the sweeps of the controllers, two at once, and beside them the packages in BESIDE, all without the race detector.
# KUBEBUILDER_ASSETS says where kube-apiserver is; what is given goes to `go test`. `make test` calls it.
export CGO_ENABLED=0
status=0
go test -timeout=45m ./internal/controller -ginkgo.label-filter=crash "$@" &
crash=$!
if [ -n "${BESIDE-}" ]; then
  # shellcheck disable=SC2086 # a list of packages
  go test -p=1 -timeout=45m $BESIDE "$@" &
  beside=$!
fi
go test -timeout=45m ./internal/controller -ginkgo.label-filter='takeover || program' "$@" || status=1
wait "$crash" || status=1
[ -z "${beside-}" ] || wait "$beside" || status=1
exit "$status"
