package plugin

import (
	"context"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/token"
)

// The forms of a document.
const (
	formatYAML = "yaml"
	formatJSON = "json"
)

func (s *session) newDocumentExport() *cobra.Command {
	format := formatYAML
	cmd := &cobra.Command{
		Use:   "export KIND/NAME | FILE",
		Short: "Print a document alone, in one form, byte for byte the same each time",
		Long: `Print a document alone, in one form: the fields in the order of the specification, those that it does not know after
them. The same document gives the same bytes, whatever the order of its fields and the way that it came; so it can be
kept in Git and compared.

With -o json it is the canonical JSON (RFC 8785) that a vendor signs, without a line break at its end.`,
		Example: `  kubectl passport document export agentpassport/support-bot -n agents > support-bot.yaml
  kubectl passport document export capabilitypassport/costguard -n agents -o json | sha256sum`,
		Args:              exactly(1, "KIND/NAME, or one file"),
		ValidArgsFunction: s.completeDocuments,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.exportDocument(cmd.Context(), args[0], format) },
	}
	cmd.Flags().StringVarP(&format, "output", "o", formatYAML, "The form: yaml, or json, which is canonical.")
	s.complete(cmd, "output", cobra.FixedCompletions([]string{formatYAML, formatJSON}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (s *session) exportDocument(ctx context.Context, given, format string) error {
	if format != formatYAML && format != formatJSON {
		return misuse("--output=%s: want yaml or json", format)
	}
	file, err := s.documentOf(ctx, given)
	if err != nil {
		return err
	}
	raw := file.Document().Raw()
	exported := capability.Export(raw)
	if format == formatJSON {
		if exported, err = token.CanonicalJSON(raw); err != nil {
			return err
		}
	}
	_, err = s.Out.Write(exported)
	return err
}
