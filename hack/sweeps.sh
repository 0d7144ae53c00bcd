#!/bin/sh
# Plays the sweeps of the controllers, two at once and without the race detector. KUBEBUILDER_ASSETS says where
# kube-apiserver is; what is given goes to `go test`. `make test` calls it.
export CGO_ENABLED=0
go test -timeout=45m ./internal/controller -ginkgo.label-filter=crash "$@" &
crash=$!
go test -timeout=45m ./internal/controller -ginkgo.label-filter='takeover || program' "$@"
takeover=$?
wait "$crash" && exit "$takeover"
