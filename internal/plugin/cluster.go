package plugin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

const (
	// defaultOperatorNamespace is where the operator runs, unless it was installed elsewhere.
	defaultOperatorNamespace = "agent-passport-system"
	// managerAccount and gatewayAccount are its ServiceAccounts there.
	managerAccount = "agent-passport-manager"
	gatewayAccount = "agent-passport-gateway"
)

// scheme knows every kind that the plugin reads or writes.
var scheme = func() *runtime.Scheme {
	made := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(made))
	utilruntime.Must(v1alpha1.AddToScheme(made))
	return made
}()

// cluster is the API server that the kubeconfig names.
type cluster struct {
	client.Client
	watching client.WithWatch
	config   *rest.Config
	// namespace of the kubeconfig, or of -n.
	namespace string
}

func (s *session) addConfigFlags(root *cobra.Command) {
	s.flags = genericclioptions.NewConfigFlags(true).WithWrapConfigFn(s.wrap)
	s.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&s.operatorNamespace, "operator-namespace", defaultOperatorNamespace,
		"The namespace that the operator runs in.")
	s.complete(root, "namespace", s.completeNamespaces)
	s.complete(root, "context", s.completeContexts)
}

// wrap has requests say who sends them, and the clock follow the answers.
func (s *session) wrap(config *rest.Config) *rest.Config {
	config.UserAgent = fieldManager + "/" + s.version
	config.QPS, config.Burst = 50, 300 // as kubectl has it
	config.WarningHandler = rest.NewWarningWriter(s.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return s.clock.Wrap(next) })
	return config
}

// connect gives the cluster. It asks nothing yet.
func (s *session) connect() (*cluster, error) {
	config, err := s.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig cannot be used: %w. See --kubeconfig and --context", err)
	}
	namespace, _, err := s.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig cannot be used: %w. See --kubeconfig and --context", err)
	}
	watching, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	writing := client.WithFieldValidation(client.WithFieldOwner(watching, fieldManager), "Strict")
	return &cluster{Client: writing, watching: watching, config: config, namespace: namespace}, nil
}

// in is the namespace for a list: all of them, or the one of the kubeconfig.
func (c *cluster) in(all bool) client.ListOption {
	if all {
		return client.InNamespace("")
	}
	return client.InNamespace(c.namespace)
}

func (c *cluster) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: c.namespace, Name: name}
}

// patch writes what was changed in an object since it was read, if the object of its name is still that one.
func (c *cluster) patch(ctx context.Context, changed, read client.Object, options ...client.PatchOption) error {
	nobody := read.DeepCopyObject().(client.Object)
	nobody.SetUID("") // so that the patch names the UID, which the API server compares
	return c.Patch(ctx, changed, client.MergeFrom(nobody), options...)
}
