// Package offline has the commands that need no service: they check a copy of the audit log, or a part of it, and
// pack one.
package offline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/audit/bundle"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/proof"
	"agentpassport.dev/operator/internal/audit/witness"
	"agentpassport.dev/operator/internal/commandline"
)

type verifyFlags struct {
	key       string
	heads     []string
	witnesses string
	output    string
}

// NewVerify is the command that checks a folder or a bundle offline.
func NewVerify() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify DIR|BUNDLE --key KEY",
		Short: "Check a copy of the log's data directory, or a bundle, offline.",
		Long: `Check a copy of the log's data directory, or a bundle, offline, by a public key alone.

Of a directory it checks all epochs: every record and its hash, the links of every passport and agent, every
tile, the heads, the chain of the keys, and that all of it is what the heads given by --head were signed for.

It exits with 0 where all holds, with 2 where something does not, and names the first place, and with 1 where that
cannot be said.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&f.key, "key", "", "A key of the log that you know, best the newest that you have checked: <name>+<hash>+<key>, or a file with it.")
	cmd.Flags().StringArrayVar(&f.heads, "head", nil, "A file with a head that was kept elsewhere: a signed checkpoint, or the ConfigMap agent-passport-auditlog as kubectl prints it with -o yaml. May be given more than once.")
	cmd.Flags().StringVar(&f.witnesses, "witnesses", "", "A file with the policy of witnesses: which there are, and how many have to have signed.")
	cmd.Flags().StringVarP(&f.output, "output", "o", "text", "How to print the result: text or json.")
	return cmd
}

func (f *verifyFlags) run(cmd *cobra.Command, path string) error {
	if f.output != "text" && f.output != "json" {
		return commandline.Misusef("--output %s: want text or json", f.output)
	}
	key, err := readKey(f.key)
	if err != nil {
		return err
	}
	heads, err := readHeads(f.heads)
	if err != nil {
		return err
	}
	policy, err := readPolicy(f.witnesses)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() && len(heads) > 0 {
		return commandline.Misusef("--head is for a directory: a bundle is proven against its own head")
	}
	out := cmd.OutOrStdout()
	if !info.IsDir() {
		report, err := verifyBundle(path, key, policy)
		return f.print(out, report, err, func() error { return printBundle(out, report) })
	}
	report, err := proof.Folder(cmd.Context(), proof.Options{Dir: path, Key: key, Known: heads, Policy: policy})
	return f.print(out, report, err, func() error { return printFolder(out, report) })
}

func verifyBundle(path string, key keys.Public, policy *witness.Policy) (*bundle.Report, error) {
	file, err := os.Open(path) //nolint:gosec // G304: the caller says which file
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(file, bundle.MaxBytes+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	b, err := bundle.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return bundle.Verify(b, key, policy)
}

// Result is what verify prints as JSON.
type Result struct {
	// Whole says that all holds.
	Whole bool `json:"whole"`
	// Break is the first place that does not; nil where all holds.
	Break *Place `json:"break,omitempty"`
	// Report is a *proof.Report or a *bundle.Report; nil where something does not hold.
	Report any `json:"report,omitempty"`
}

// Place is the first place that does not hold.
type Place struct {
	Epoch    uint64  `json:"epoch,omitempty"`
	Position *uint64 `json:"position,omitempty"`
	ID       string  `json:"id,omitempty"`
	Why      string  `json:"why"`
}

// print prints a result and returns why it is none.
func (f *verifyFlags) print(out io.Writer, report any, failed error, text func() error) error {
	var broken *proof.Break
	switch {
	case failed != nil && !errors.As(failed, &broken):
		return failed
	case f.output == "json":
		r := Result{Whole: failed == nil}
		if failed == nil {
			r.Report = report
		} else {
			r.Break = &Place{Epoch: broken.Epoch, Why: broken.Why()}
			if position, id, known := broken.Place(); known {
				r.Break.Position, r.Break.ID = &position, id
			}
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return errors.Join(encoder.Encode(r), failed)
	case failed != nil:
		return failed
	default:
		return text()
	}
}
