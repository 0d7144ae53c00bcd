// Package apiserver runs a real API server with the operator's CRDs, roles and admission policies in
// force, for test suites. It takes kube-apiserver, etcd and kubectl from KUBEBUILDER_ASSETS.
package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Manager is the user that the operator's manager is authenticated as.
const Manager = "system:serviceaccount:agent-passport-system:agent-passport-manager"

// Server is a running API server.
type Server struct {
	env        *envtest.Environment
	scheme     *runtime.Scheme
	mapper     meta.RESTMapper
	kubeconfig string
	kubectl    string
}

// The directories of config/ with admission policies.
const (
	// AllPolicies are those of Kubernetes 1.36 and later.
	AllPolicies = "admission"
	// ValidatingPolicies are those of Kubernetes before 1.36, where nothing is stamped.
	ValidatingPolicies = "admission/validating"
)

// Start runs an API server with the CRDs and roles of the project at root and with the policies of
// one directory, and returns once every policy is in force.
func Start(ctx context.Context, root, policies string) (*Server, error) {
	return StartWithCRDs(ctx, root, filepath.Join(root, "config", "crd", "bases"), policies)
}

// StartWithCRDs is Start with the CRDs in a directory in place of the project's own.
func StartWithCRDs(ctx context.Context, root, crds, policies string) (_ *Server, err error) {
	s, err := StartWith(&envtest.Environment{CRDDirectoryPaths: []string{crds}, ErrorIfCRDPathMissing: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.Stop()
		}
	}()
	admin := s.Admin()
	if err := installRoles(ctx, admin, filepath.Join(root, "config", "rbac")); err != nil {
		return nil, fmt.Errorf("install the roles: %w", err)
	}
	if err := s.installPolicies(ctx, admin, filepath.Join(root, "config", filepath.FromSlash(policies))); err != nil {
		return nil, fmt.Errorf("install the admission policies: %w", err)
	}
	return s, nil
}

// StartEmpty runs an API server with nothing of the project's on it.
func StartEmpty() (*Server, error) {
	return StartWith(&envtest.Environment{})
}

// StartWith runs the API server of an environment, with nothing of the project's on it.
func StartWith(env *envtest.Environment) (_ *Server, err error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS does not say where kube-apiserver is: run the tests with `make test`")
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	// A machine that runs other suites beside is slow to start one.
	env.ControlPlaneStartTimeout = 3 * time.Minute
	s := &Server{scheme: scheme, env: env}
	if _, err := s.env.Start(); err != nil {
		return nil, fmt.Errorf("start the API server: %w", err)
	}
	defer func() {
		if err != nil {
			_ = s.Stop()
		}
	}()
	if err := s.writeKubeconfig(); err != nil {
		return nil, err
	}
	httpClient, err := rest.HTTPClientFor(s.env.Config)
	if err != nil {
		return nil, err
	}
	if s.mapper, err = apiutil.NewDynamicRESTMapper(s.env.Config, httpClient); err != nil {
		return nil, err
	}
	return s, nil
}

// Stop ends the API server and removes its files.
func (s *Server) Stop() error {
	if s.kubeconfig != "" {
		_ = os.Remove(s.kubeconfig)
	}
	return s.env.Stop()
}

// Admin returns a client that may do everything (system:masters).
func (s *Server) Admin() client.Client {
	return s.as(rest.ImpersonationConfig{}, nil)
}

// As returns a client that the API server takes for the user; a ServiceAccount's name puts it into
// the groups of ServiceAccounts. Warnings of the API server go to onWarning, which may be nil.
func (s *Server) As(user string, onWarning func(message string)) client.Client {
	return s.as(rest.ImpersonationConfig{UserName: user, Groups: GroupsOf(user)}, onWarning)
}

func (s *Server) as(who rest.ImpersonationConfig, onWarning func(string)) client.Client {
	config := rest.CopyConfig(s.env.Config)
	config.Impersonate = who
	config.WarningHandler = warnings(onWarning)
	c, err := client.New(config, client.Options{Scheme: s.scheme, Mapper: s.mapper})
	if err != nil {
		panic(fmt.Sprintf("a client for %q: %v", who.UserName, err)) // the API server is gone
	}
	return client.WithFieldValidation(c, "Strict") // as kubectl does
}

// Kubectl runs kubectl as the user, or as an administrator where user is empty, with stdin, and
// returns what it printed on both outputs.
func (s *Server) Kubectl(ctx context.Context, user, stdin string, args ...string) (string, error) {
	if user != "" {
		args = append([]string{"--as=" + user}, args...)
		for _, group := range GroupsOf(user) {
			args = append([]string{"--as-group=" + group}, args...)
		}
	}
	return s.run(exec.CommandContext(ctx, s.kubectl, args...), stdin)
}

// Shell runs a line of shell in which kubectl is an administrator's, and returns what it printed.
func (s *Server) Shell(ctx context.Context, line string) (string, error) {
	return s.run(exec.CommandContext(ctx, "sh", "-c", line), "")
}

func (s *Server) run(cmd *exec.Cmd, stdin string) (string, error) {
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig,
		"PATH="+filepath.Dir(s.kubectl)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (s *Server) writeKubeconfig() error {
	kubectl, err := filepath.Abs(s.env.ControlPlane.KubectlPath)
	if err != nil {
		return err
	}
	s.kubectl = kubectl
	file, err := os.CreateTemp("", "agent-passport-kubeconfig-")
	if err != nil {
		return err
	}
	s.kubeconfig = file.Name()
	if _, err := file.Write(s.env.KubeConfig); err != nil {
		return err
	}
	return file.Close()
}

// warnings hands each warning to a function.
type warnings func(message string)

// HandleWarningHeader implements rest.WarningHandler.
func (w warnings) HandleWarningHeader(_ int, _, message string) {
	if w != nil {
		w(message)
	}
}

// GroupsOf returns the groups that the API server puts an authenticated user into.
func GroupsOf(user string) []string {
	groups := []string{"system:authenticated"}
	if account, isServiceAccount := strings.CutPrefix(user, "system:serviceaccount:"); isServiceAccount {
		namespace, _, _ := strings.Cut(account, ":")
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	return groups
}

// manifests returns the paths of the YAML files under dir, without kustomization files, in order.
func manifests(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".yaml" && entry.Name() != "kustomization.yaml" {
			files = append(files, path)
		}
		return err
	})
	slices.Sort(files)
	return files, err
}
