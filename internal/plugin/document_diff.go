package plugin

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/documentfile"
)

// The exit codes of diff, as of diff(1).
const (
	exitDiffers    = 1
	exitDiffFailed = 2
)

func (s *session) newDocumentDiff() *cobra.Command {
	format := ""
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what an agent or a package gained or lost between two documents",
		Long: `Say what an agent or a package gained or lost between two documents. Each is a file, or KIND/NAME. The order of
statements means nothing, and is no difference. Codes that stand beside the documents are compared too.

  +  gained, or there now
  -  lost, or no longer there
  ~  has another value

It exits with 0 where the two say the same, with 1 where they differ, and with 2 where that cannot be said, as diff
does.`,
		Example: `  kubectl passport document diff agentpassport/support-bot support-bot-1.5.yaml -n agents
  kubectl passport document diff <(git show main:agents/codex.yaml) agents/codex.yaml`,
		Args:              exactly(2, "the old document and the new one"),
		ValidArgsFunction: s.completeDocuments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return asDiff(s.diffDocuments(cmd.Context(), args[0], args[1], format))
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "", "Print the changes as json or yaml.")
	s.complete(cmd, "output", cobra.FixedCompletions([]string{formatJSON, formatYAML}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// asDiff gives a failure that has no code of its own the one of diff(1).
func asDiff(err error) error {
	if exitCode(err) != exitFailed || errors.Is(err, errSilent) { // 1 alone is a difference, which is said already
		return err
	}
	return codedError{exitDiffFailed, err}
}

func (s *session) diffDocuments(ctx context.Context, before, after, format string) error {
	if format != "" && format != formatJSON && format != formatYAML {
		return misuse("--output=%s: want json or yaml", format)
	}
	if before == stdin && after == stdin {
		return misuse("standard input holds one document: name a file for the other")
	}
	was, err := s.documentOf(ctx, before)
	if err != nil {
		return err
	}
	is, err := s.documentOf(ctx, after)
	if err != nil {
		return err
	}
	if (was.Agent == nil) != (is.Agent == nil) {
		return errors.New("one is an agent's document and the other a package's: `kubectl passport document pair` holds these against each other")
	}
	changes := changesOf(was, is)
	if err := s.printChanges(changes, format); err != nil {
		return err
	}
	if len(changes) > 0 {
		return ended(exitDiffers)
	}
	return nil
}

// changesOf gives what changed in the document, and in the codes beside it.
func changesOf(was, is *documentfile.File) []capability.Change {
	changes := capability.Diff(was.Document(), is.Document())
	before, after := codeLists(was.Codes()), codeLists(is.Codes())
	for i, list := range before {
		changes = append(changes, missingCodes(list, after[i].codes, capability.Lost)...)
		changes = append(changes, missingCodes(after[i], list.codes, capability.Gained)...)
	}
	return changes
}

// codeList is one list of codes, and where it stands.
type codeList struct {
	path  string
	codes []v1alpha1.CapabilityCode
}

func codeLists(codes *v1alpha1.CapabilityCodes) []codeList {
	if codes == nil {
		codes = &v1alpha1.CapabilityCodes{}
	}
	return []codeList{
		{"codes.reads", codes.Reads},
		{"codes.writes", codes.Writes},
		{"codes.accesses", codes.Accesses},
		{"codes.spends", codes.Spends},
		{"codes.exposes", codes.Exposes},
		{"codes.approvals", codes.Approvals},
	}
}

// missingCodes gives those of a list that another lacks, as a change of that kind.
func missingCodes(list codeList, other []v1alpha1.CapabilityCode, kind capability.ChangeKind) []capability.Change {
	has := make(map[v1alpha1.CapabilityCode]bool, len(other))
	for _, code := range other {
		has[code] = true
	}
	var changes []capability.Change
	for _, code := range list.codes {
		switch {
		case has[code]:
		case kind == capability.Lost:
			changes = append(changes, capability.Change{Path: list.path, Kind: kind, Before: string(code)})
		default:
			changes = append(changes, capability.Change{Path: list.path, Kind: kind, After: string(code)})
		}
	}
	return changes
}

// changeRow is a change as -o prints it.
type changeRow struct {
	Path   string                `json:"path"`
	Change capability.ChangeKind `json:"change"`
	Before string                `json:"before,omitempty"`
	After  string                `json:"after,omitempty"`
}

func (s *session) printChanges(changes []capability.Change, format string) error {
	if format == "" {
		p := &page{out: s.Out}
		sayChanges(p, changes)
		return p.err
	}
	rows := make([]changeRow, 0, len(changes))
	for _, change := range changes {
		rows = append(rows, changeRow{change.Path, change.Kind, change.Before, change.After})
	}
	written, err := json.MarshalIndent(rows, "", "    ")
	if err == nil && format == formatYAML {
		written, err = yaml.JSONToYAML(written)
	} else {
		written = append(written, '\n')
	}
	if err != nil {
		return err
	}
	_, err = s.Out.Write(written)
	return err
}

// sayChanges prints a line for each change.
func sayChanges(p *page, changes []capability.Change) {
	for _, change := range changes {
		switch change.Kind {
		case capability.Gained, capability.Added:
			p.line("+ %s: %s", change.Path, change.After)
		case capability.Lost, capability.Removed:
			p.line("- %s: %s", change.Path, change.Before)
		default:
			p.line("~ %s: %s -> %s", change.Path, change.Before, change.After)
		}
	}
}
