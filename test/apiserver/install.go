package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// policiesInForce bounds the wait for the API server to load the admission policies.
const policiesInForce = 2 * time.Minute

// Decode reads the objects of a YAML stream.
func Decode(stream []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

func decodeDir(dir string) ([]*unstructured.Unstructured, error) {
	files, err := manifests(dir)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		stream, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found, err := Decode(stream)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

// installRoles creates the operator's namespace and all that is in dir.
func installRoles(ctx context.Context, admin client.Client, dir string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "agent-passport-system"}}
	if err := admin.Create(ctx, namespace); err != nil {
		return err
	}
	objects, err := decodeDir(dir)
	if err != nil {
		return err
	}
	return createAll(ctx, admin, objects)
}

// installPolicies creates the policies in dir and waits until the API server obeys them.
//
// The API server loads policies and bindings, each in the order of their creation, and takes them
// into force all at once. So it obeys all of ours when it obeys a canary that was created last.
func (s *Server) installPolicies(ctx context.Context, admin client.Client, dir string) error {
	rendered, err := s.Kubectl(ctx, "", "", "kustomize", dir)
	if err != nil {
		return fmt.Errorf("%w: %s", err, rendered)
	}
	ours, err := Decode([]byte(rendered))
	if err != nil {
		return err
	}
	canaries, err := Decode([]byte(canaries))
	if err != nil {
		return err
	}
	var policies, bindings []*unstructured.Unstructured
	for _, object := range append(ours, canaries...) {
		if _, isBinding, _ := unstructured.NestedString(object.Object, "spec", "policyName"); isBinding {
			bindings = append(bindings, object)
		} else {
			policies = append(policies, object)
		}
	}
	if err := createAll(ctx, admin, append(policies, bindings...)); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, policiesInForce, true,
		func(ctx context.Context) (bool, error) {
			err := admin.Create(ctx, canary(), client.DryRunAll)
			switch {
			case apierrors.IsInvalid(err):
				return true, nil
			case err == nil, apierrors.IsServiceUnavailable(err): // the schema of new CRDs is not read yet
				return false, nil
			default:
				return false, err
			}
		})
}

func createAll(ctx context.Context, c client.Client, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		if err := c.Create(ctx, object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// canary is an AgentBlock that the canary policies refuse.
func canary() *v1alpha1.AgentBlock {
	return &v1alpha1.AgentBlock{
		ObjectMeta: metav1.ObjectMeta{Name: "canary", Namespace: "default"},
		Spec:       v1alpha1.AgentBlockSpec{Reason: "is admission in force?"},
	}
}

// canaries mark the canary, and refuse what is marked.
const canaries = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: canary}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules:
      - apiGroups: [agentpassport.dev]
        apiVersions: [v1alpha1]
        operations: [CREATE]
        resources: [agentblocks]
        resourceNames: [canary]
  mutations:
    - patchType: JSONPatch
      jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'canary': 'marked'}}]"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: canary}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [agentpassport.dev]
        apiVersions: [v1alpha1]
        operations: [CREATE]
        resources: [agentblocks]
        resourceNames: [canary]
  validations:
    - expression: "!has(object.metadata.labels)"
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: canary}
spec: {policyName: canary}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: canary}
spec: {policyName: canary, validationActions: [Deny]}
`
