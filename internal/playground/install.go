package playground

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
)

// kubectl runs the kubectl at path as the user of kubeconfig.
type kubectl struct {
	path, kubeconfig string
}

func (k kubectl) run(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, k.path, args...)
	cmd.Env = os.Environ()
	if k.kubeconfig != "" {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+k.kubeconfig)
	}
	cmd.Stdin = stdin
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("kubectl %s: %w\n%s", args[0], err, bytes.TrimSpace(complaints.Bytes()))
	}
	return out.Bytes(), nil
}

// apply applies a kustomization, or a file, as a person would. force takes fields over from
// whoever applied them before.
func (k kubectl) apply(ctx context.Context, root string, path ...string) error {
	target := filepath.Join(append([]string{root, "config"}, path...)...)
	source := "--filename=" + target
	if info, err := os.Stat(target); err != nil {
		return err
	} else if info.IsDir() {
		source = "--kustomize=" + target
	}
	_, err := k.run(ctx, nil, "apply", "--server-side", "--force-conflicts", source)
	return err
}

// install puts on the cluster what the operator needs before it runs. It returns the kinds of
// admission policy that the cluster is too old for.
func (k kubectl) install(ctx context.Context, root string, admin client.Client) ([]string, error) {
	for _, path := range [][]string{{"crd"}, {"manager", "namespace.yaml"}, {"rbac"}} {
		if err := k.apply(ctx, root, path...); err != nil {
			return nil, err
		}
	}
	if _, err := k.run(ctx, nil, "wait", "--for=condition=Established", "--timeout=30s",
		"--filename="+filepath.Join(root, "config", "crd", "bases")); err != nil {
		return nil, err
	}
	return k.applyPolicies(ctx, root, admin)
}

// applyPolicies applies config/admission, without the kinds that the cluster does not serve.
func (k kubectl) applyPolicies(ctx context.Context, root string, admin client.Client) ([]string, error) {
	rendered, err := k.run(ctx, nil, "kustomize", filepath.Join(root, "config", "admission"))
	if err != nil {
		return nil, err
	}
	var served bytes.Buffer
	unserved := map[string]bool{}
	for decoder := utilyaml.NewYAMLToJSONDecoder(bytes.NewReader(rendered)); ; {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		kind := object.GroupVersionKind()
		if _, err := admin.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(err) {
			unserved[kind.Kind] = true
			continue
		} else if err != nil {
			return nil, err
		}
		document, err := yaml.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		served.WriteString("---\n")
		served.Write(document)
	}
	if _, err := k.run(ctx, &served, "apply", "--server-side", "--force-conflicts", "--filename=-"); err != nil {
		return nil, err
	}
	var kinds []string
	for kind := range unserved {
		kinds = append(kinds, kind)
	}
	if len(kinds) > 0 {
		return kinds, nil
	}
	return nil, awaitPolicies(ctx, admin)
}

// awaitPolicies waits until the API server, which reads policies a moment after they are stored,
// stamps the author of a block: tried without storing one.
func awaitPolicies(ctx context.Context, admin client.Client) error {
	return eventually(ctx, 30*time.Second, "the admission policies to take effect", func(ctx context.Context) (string, error) {
		block := &v1alpha1.AgentBlock{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-", Namespace: metav1.NamespaceDefault},
			Spec:       v1alpha1.AgentBlockSpec{Reason: "A dry run."},
		}
		if err := admin.Create(ctx, block, client.DryRunAll); err != nil {
			return "", err
		}
		if block.Spec.By == nil {
			return "a block without author is let through as it is", nil
		}
		return "", nil
	})
}
