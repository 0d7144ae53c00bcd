package offline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/audit/bundle"
	"agentpassport.dev/operator/internal/audit/proof"
)

type bundleFlags struct {
	agent             bundle.Agent
	from, to          string
	dir, key, witness string
	heads             []string
	output            string
}

// NewBundle is the command that packs what one agent did.
func NewBundle() *cobra.Command {
	var f bundleFlags
	cmd := &cobra.Command{
		Use:   "bundle --agent NAME --from TIME --to TIME --data-dir DIR --key KEY -o FILE",
		Short: "Pack what one agent did into a file that verifies alone.",
		Long: `Pack what one agent did into a file that verifies alone: every record of each of its missions with a step in
that time, its issues from the first on, a proof for each, the signed head, and the keys of the log.

The data directory is a copy; all of it is checked first. "verify FILE" checks the file, and says what
it proves and what it does not.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.agent.Name, "agent", "", "The name of the AgentPassport.")
	cmd.Flags().StringVarP(&f.agent.Namespace, "namespace", "n", "default", "Its namespace.")
	cmd.Flags().StringVar(&f.from, "from", "", "The time from which on, RFC 3339, or a day, in UTC.")
	cmd.Flags().StringVar(&f.to, "to", "", "The time before which.")
	cmd.Flags().StringVar(&f.dir, "data-dir", "", "A copy of the log's data directory.")
	cmd.Flags().StringVar(&f.key, "key", "", "A key of the log that you know: <name>+<hash>+<key>, or a file with it.")
	cmd.Flags().StringArrayVar(&f.heads, "head", nil, "A file with a head that was kept elsewhere, as for verify. May be given more than once.")
	cmd.Flags().StringVar(&f.witness, "witnesses", "", "A file with the policy of witnesses, as for verify.")
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "The file to write. One that is there is not written over.")
	for _, name := range []string{"agent", "from", "to", "data-dir", "key", "output"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // a flag of this name was just made
		}
	}
	return cmd
}

func (f *bundleFlags) run(cmd *cobra.Command) error {
	options := proof.Options{Dir: f.dir}
	from, err := readTime("from", f.from)
	if err != nil {
		return err
	}
	to, err := readTime("to", f.to)
	if err != nil {
		return err
	}
	if options.Key, err = readKey(f.key); err != nil {
		return err
	}
	if options.Known, err = readHeads(f.heads); err != nil {
		return err
	}
	if options.Policy, err = readPolicy(f.witness); err != nil {
		return err
	}
	b, err := bundle.Make(cmd.Context(), options, f.agent, from, to)
	if err != nil {
		return err
	}
	if err := f.write(b); err != nil {
		return err
	}
	report, err := bundle.Verify(b, options.Key, options.Policy)
	if err != nil {
		return err
	}
	return printBundle(cmd.OutOrStdout(), report)
}

// write writes the bundle, whole or not at all.
func (f *bundleFlags) write(b *bundle.Bundle) error {
	file, err := os.CreateTemp(filepath.Dir(f.output), filepath.Base(f.output)+".*")
	if err != nil {
		return err
	}
	err = b.Write(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	// A link, unlike a rename, does not replace what is there.
	if err := os.Link(file.Name(), f.output); err != nil {
		return errors.Join(fmt.Errorf("--output: %w", err), os.Remove(file.Name()))
	}
	return os.Remove(file.Name())
}
