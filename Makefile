# The Agent Passport Operator. `make` alone prints what there is to do.

IMG        ?= agent-passport-operator:dev
PLATFORMS  ?= linux/$(shell go env GOARCH)
IMAGE      ?= agent-passport-operator
VERSION    ?=
CLUSTER    ?=
KUBECTL    ?= $(shell command -v kubectl 2>/dev/null || ls bin/controlplane/*/kubectl 2>/dev/null | tail -n 1)

# The build tools live in a module of their own; Go builds and caches them on first use.
TOOL       := go tool -modfile=hack/tools/go.mod
PLAYGROUND := go run ./hack/playground

# The race detector needs a C compiler.
RACE       := $(if $(shell command -v cc 2>/dev/null),-race)
PACKAGES   ?= ./...
TESTFLAGS  ?=

.PHONY: help
help: ## Print this list.
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Try it

.PHONY: run
run: bin/playground ## A local API server with the operator and a living mission. CLUSTER=current: your own cluster.
	@bin/playground run $(if $(CLUSTER),--cluster=$(CLUSTER))

.PHONY: demo
demo: bin/playground ## Play the whole story (about two minutes), check every step, exit 0 if all is well.
	@bin/playground demo

##@ Work on it

.PHONY: build
build: bin/manager bin/auditlog bin/gateway bin/mission bin/kubectl-passport ## Build the operator's binaries, what agents run, and the kubectl plugin, into bin/.

.PHONY: test
test: bin/manager ## Every test: unit, real API server, end to end. PACKAGES and TESTFLAGS narrow it.
	@CGO_ENABLED=0 go run -modfile=hack/tools/go.mod -tags=remove_all_sd github.com/prometheus/prometheus/cmd/promtool --version >/dev/null # built before the tests, not beside them
	@echo "make test: race detector $(if $(RACE),on,off (no C compiler found))"
	@assets="$$($(PLAYGROUND) assets --controller-manager)" && export KUBEBUILDER_ASSETS="$$assets" && status=0; \
	  CGO_ENABLED=$(if $(RACE),1,0) go test $(RACE) -shuffle=on -timeout=45m $(TESTFLAGS) $(RACED) || status=1; \
	  $(if $(SWEPT),BESIDE="$(if $(SPLIT),$(PLAIN))" hack/sweeps.sh $(TESTFLAGS) || status=1;) exit $$status

# The sweeps of the controllers skip themselves under the race detector: see internal/controller/sweep_test.go.
SWEPT = $(and $(RACE),$(filter ./... ./internal/... ./internal/controller/... ./internal/controller,$(PACKAGES)))
# Suites that do little themselves: they are played beside the sweeps, and without the race detector too.
PLAIN = ./test/chart ./test/docs
SPLIT = $(and $(RACE),$(filter ./...,$(PACKAGES)))
RACED = $(if $(SPLIT),$$(go list ./... | grep -vxF "$$(go list $(PLAIN))"),$(PACKAGES))

.PHONY: bench
bench: bin/manager bin/gateway ## Measure: issue rates against the ceiling of the API server, and what a call through the gateway costs.
	@assets="$$($(PLAYGROUND) assets)" && export KUBEBUILDER_ASSETS="$$assets" && \
	  go test -run='^$$' -bench=. -timeout=30m $(TESTFLAGS) ./internal/gateway/... && \
	  go test -run='^$$' -bench=. -benchtime=1x -timeout=90m $(TESTFLAGS) ./test/bench/...

.PHONY: lint lint-code lint-api lint-workflows
lint: lint-code lint-api lint-workflows ## Lint the code, the API types against the Kubernetes API conventions, and the workflow files.
lint-code:
	$(TOOL) golangci-lint-kube-api-linter run
lint-api:
	$(TOOL) golangci-lint-kube-api-linter run --config=.golangci-kal.yml ./api/...
lint-workflows:
	$(TOOL) actionlint
	$(TOOL) actionlint docs/documents.github.yaml

.PHONY: fmt
fmt: ## Format the code as lint wants it.
	$(TOOL) golangci-lint-kube-api-linter fmt

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what the operator calls.
	$(TOOL) govulncheck ./...

.PHONY: generate
generate: ## Regenerate the code that follows from the API types.
	$(TOOL) controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: ## Regenerate the CRDs and the manager's role.
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=agent-passport-manager paths=./internal/controller/... paths=./cmd/... \
	  output:rbac:dir=config/rbac
	$(MAKE) --no-print-directory chart

.PHONY: chart
chart: ## Rewrite what the Helm chart takes from config/, and the table of its values in docs/install.md.
	go run ./hack/chart

.PHONY: docs
docs: ## Regenerate docs/api-reference.md.
	@mkdir -p docs
	$(TOOL) crd-ref-docs --source-path=api --config=hack/crd-ref-docs.yaml --renderer=markdown --log-level=ERROR \
	  --output-path=docs/api-reference.md

.PHONY: verify
verify: ## Fail if generated files, formatting or go.mod are not up to date, or a command no longer compiles for a platform it is released for.
	@hack/verify.sh

.PHONY: clean
clean: ## Remove what was built, and the playground's state.
	rm -rf bin dist .playground

##@ Put it on a cluster

.PHONY: image
image: ## Build the image IMG from static binaries, for PLATFORMS; with buildah, podman or docker.
	@hack/image.sh "$(IMG)" "$(PLATFORMS)"

.PHONY: build-installer
build-installer: dist/default/kustomization.yaml dist/before-1.36/kustomization.yaml ## Write dist/install.yaml, all that `kubectl apply` needs, and one for Kubernetes before 1.36.
	$(TOOL) kustomize build dist/default --output=dist/install.yaml
	$(TOOL) kustomize build dist/before-1.36 --output=dist/install-before-1.36.yaml

.PHONY: release
release: ## Make release VERSION (such as v0.1.0) in dist/release: archives, image, manifests, SBOM, checksums. IMAGE: where the image will be.
	@go run ./hack/release $(VERSION) --image=$(IMAGE)

.PHONY: install
install: need-kubectl ## Install the CRDs into the current cluster.
	$(TOOL) kustomize build config/crd | $(KUBECTL) apply --server-side -f -

.PHONY: uninstall
uninstall: need-kubectl ## Remove the CRDs, and with them every passport, from the current cluster.
	$(TOOL) kustomize build config/crd | $(KUBECTL) delete --ignore-not-found -f -

# Kubernetes 1.36 and later has MutatingAdmissionPolicy v1.
FLAVOUR = $(if $(shell $(KUBECTL) api-resources --api-group=admissionregistration.k8s.io -o name 2>/dev/null | grep mutatingadmissionpolicies),install,install-before-1.36)

.PHONY: deploy
deploy: need-kubectl build-installer ## Install everything, with the image IMG, into the current cluster.
	$(KUBECTL) apply --server-side --force-conflicts -f dist/$(FLAVOUR).yaml

.PHONY: undeploy
undeploy: need-kubectl build-installer bin/manager ## Remove everything from the current cluster; missions first, while the operator can end them.
	@hack/undeploy.sh "$(KUBECTL)" dist/$(FLAVOUR).yaml bin/manager

.PHONY: need-kubectl
need-kubectl:
	@test -n "$(KUBECTL)" || { echo "kubectl is missing: install it, or build it with '$(PLAYGROUND) assets'" >&2; exit 1; }

# The overlays name the image without an edit to any file under version control.
.PHONY: dist/default/kustomization.yaml dist/before-1.36/kustomization.yaml
dist/default/kustomization.yaml dist/before-1.36/kustomization.yaml:
	@mkdir -p $(@D)
	@img='$(IMG)'; \
	case "$${img##*/}" in \
	  *@*) ref="newName: $${img%@*}, digest: $${img##*@}" ;; \
	  *:*) ref="newName: $${img%:*}, newTag: \"$${img##*:}\"" ;; \
	  *)   ref="newName: $$img, newTag: latest" ;; \
	esac; \
	printf '%s\n' 'apiVersion: kustomize.config.k8s.io/v1beta1' 'kind: Kustomization' \
	  'resources: [../../config/$(notdir $(@D))]' \
	  "images: [{name: agent-passport-operator, $$ref}]" > $@

# What Go builds, Go knows how to keep up to date.
.PHONY: bin/manager bin/auditlog bin/gateway bin/mission bin/kubectl-passport bin/playground
bin/manager bin/auditlog bin/gateway bin/mission bin/kubectl-passport:
	@CGO_ENABLED=0 go build -trimpath -o $@ ./cmd/$(@F)
bin/playground:
	@go build -o $@ ./hack/playground
