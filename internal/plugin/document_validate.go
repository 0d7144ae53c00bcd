package plugin

import (
	"fmt"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/documentfile"
)

func (s *session) newDocumentValidate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Say all that is wrong with documents, by line and field",
		Long: `Say all that is wrong with documents, by line and field. What is odd and yet allowed, such as a field that v0.1 does
not know, is a note.

It exits with 0 where every file is good, notes or not, and with 1 where one is not, or cannot be read.`,
		Example: `  kubectl passport document validate agents/*.yaml packages/*.yaml`,
		Args:    between(1, -1, "one file at least"),
		RunE:    func(_ *cobra.Command, args []string) error { return s.validateDocuments(args) },
	}
}

func (s *session) validateDocuments(names []string) error {
	p, bad := &page{out: s.Out}, 0
	for _, name := range names {
		if !s.validateDocument(p, name) {
			bad++
		}
	}
	switch {
	case p.err != nil:
		return p.err
	case bad > 0:
		return fmt.Errorf("%d of %s cannot be used: each line above says where, and why", bad, counted(len(names), "file", "files"))
	default:
		return nil
	}
}

// validateDocument says of one file whether it is good.
func (s *session) validateDocument(p *page, name string) bool {
	data, err := s.readFile(name)
	if err != nil {
		p.line("%s", err)
		return false
	}
	file, err := documentfile.Read(data)
	if err != nil {
		for _, line := range problemLines(name, err) {
			p.line("%s", line)
		}
		return false
	}
	p.line("%s: good: %s", name, file.Subject())
	for _, finding := range findingsOf(file) {
		p.line("%s: note: %s", name, finding.Message)
	}
	return true
}

// findingsOf gives what is odd about a document.
func findingsOf(file *documentfile.File) []capability.Finding {
	if file.Agent != nil {
		return capability.Findings(file.Agent.Spec.Document)
	}
	return capability.PackageFindings(&file.Package.Spec.Document)
}
