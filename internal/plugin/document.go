package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/documentfile"
)

// maxFile bounds what is read of a file: more than any document, manifest or key may have.
const maxFile = 2 << 20

func (s *session) newDocument() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "document",
		Short: "Documents of agents and packages: import, compare, sign, verify, pair",
		Long: `Documents of agents and packages: what an agent can do (Agent Passport v0.1), what a package will do (Capability
Passport v0.1), who signed them, and whether the two fit.

A FILE holds a document as it is published, in YAML or JSON, or the manifest of an AgentPassport or CapabilityPassport
with one. Where KIND/NAME is taken, agentpassport/NAME and capabilitypassport/NAME are objects of the cluster.`,
		GroupID: groupDocument,
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.newDocumentImport(), s.newDocumentExport(), s.newDocumentValidate(), s.newDocumentDiff(),
		s.newDocumentSign(), s.newDocumentVerify(), s.newDocumentPair())
	return cmd
}

// readFile reads a file, or standard input where it is called "-".
func (s *session) readFile(name string) ([]byte, error) {
	in := s.In
	if name != stdin {
		file, err := os.Open(name) //nolint:gosec // the file that the caller names, with the caller's rights
		if err != nil {
			return nil, err
		}
		defer file.Close() //nolint:errcheck // it was read alone
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes: no document, manifest or key is so long", name, maxFile)
	}
	return data, nil
}

// documentIn reads the document in a file.
func (s *session) documentIn(name string) (*documentfile.File, error) {
	data, err := s.readFile(name)
	if err != nil {
		return nil, err
	}
	file, err := documentfile.Read(data)
	if err != nil {
		return nil, errors.New(strings.Join(problemLines(name, err), "\n"))
	}
	return file, nil
}

// problemLines are what is wrong with a file, a line for each.
func problemLines(name string, err error) []string {
	var problems capability.Problems
	if !errors.As(err, &problems) {
		return []string{name + ": " + clean(err.Error())}
	}
	lines := make([]string, 0, len(problems))
	for _, problem := range problems {
		where := name
		if problem.Line > 0 {
			where += fmt.Sprintf(":%d", problem.Line)
		}
		if problem.Path != "" {
			where += ": " + problem.Path
		}
		lines = append(lines, clean(where+": "+problem.Message))
	}
	return lines
}

// documentOf reads the document in a file, or of an object in the cluster.
func (s *session) documentOf(ctx context.Context, given string) (*documentfile.File, error) {
	kind, name, is := objectOf(given)
	if !is {
		return s.documentIn(given)
	}
	c, err := s.connect()
	if err != nil {
		return nil, err
	}
	return documentInCluster(ctx, c, kind, name)
}

// The kinds of objects that have a document.
const (
	kindAgentPassport      = "AgentPassport"
	kindCapabilityPassport = "CapabilityPassport"
)

// objectOf parts KIND/NAME, in the forms of kind that kubectl takes.
func objectOf(given string) (kind, name string, is bool) {
	before, name, found := strings.Cut(given, "/")
	if !found || name == "" || strings.Contains(name, "/") {
		return "", "", false
	}
	switch strings.ToLower(strings.TrimSuffix(before, "."+v1alpha1.GroupVersion.Group)) {
	case "agentpassport", "agentpassports", "apass":
		return kindAgentPassport, name, true
	case "capabilitypassport", "capabilitypassports", "cpass":
		return kindCapabilityPassport, name, true
	default:
		return "", "", false
	}
}

// documentInCluster reads an object that has a document.
func documentInCluster(ctx context.Context, c *cluster, kind, name string) (*documentfile.File, error) {
	if kind == kindCapabilityPassport {
		pkg := &v1alpha1.CapabilityPassport{}
		if err := c.Get(ctx, c.key(name), pkg); err != nil {
			return nil, err
		}
		return &documentfile.File{Package: pkg}, nil
	}
	agent := &v1alpha1.AgentPassport{}
	if err := c.Get(ctx, c.key(name), agent); err != nil {
		return nil, err
	}
	if agent.Spec.Document == nil {
		return nil, fmt.Errorf("AgentPassport %s in namespace %s has no document. To give it one: kubectl passport document import FILE --name=%s -n %s --apply",
			name, c.namespace, name, c.namespace)
	}
	return &documentfile.File{Agent: agent}, nil
}

// completeDocuments completes KIND/NAME, beside files.
func (s *session) completeDocuments(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if !strings.Contains(typed, "/") {
		return []cobra.Completion{"agentpassport/", "capabilitypassport/"}, cobra.ShellCompDirectiveNoSpace
	}
	var found []cobra.Completion
	for prefix, names := range map[string]cobra.CompletionFunc{"agentpassport/": s.completeAgents, "capabilitypassport/": s.completePackages} {
		if !strings.HasPrefix(typed, prefix) {
			continue
		}
		completions, _ := names(cmd, args, typed)
		for _, name := range completions {
			found = append(found, prefix+name)
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// typeOf is the type of an object of ours.
func typeOf(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind}
}
