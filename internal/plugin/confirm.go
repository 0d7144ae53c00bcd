package plugin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// consent is how a command that changes something asks first.
type consent struct {
	yes, dryRun bool
}

func (a *consent) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&a.yes, "yes", "y", false, "Do not ask.")
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "Ask the API server whether it would be done, and do nothing.")
}

// ask asks, and returns nil where the answer is yes. A dry run needs no answer.
func (s *session) confirm(a *consent, question string) error {
	if a.yes || a.dryRun {
		return nil
	}
	if _, err := fmt.Fprintf(s.ErrOut, "%s [y/N] ", question); err != nil {
		return err
	}
	answer, err := bufio.NewReader(s.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	case "":
		return errors.New("nothing was done: nobody said yes. Where nobody can answer, give --yes")
	default:
		return errors.New("nothing was done: the answer was no")
	}
}

// patches are the options of a write.
func (a *consent) patches() []client.PatchOption {
	if a.dryRun {
		return []client.PatchOption{client.DryRunAll}
	}
	return nil
}

func (a *consent) creates() []client.CreateOption {
	if a.dryRun {
		return []client.CreateOption{client.DryRunAll}
	}
	return nil
}

// done says what was done, or would have been.
func (a *consent) done(did string) string {
	if a.dryRun {
		return did + " (dry run: nothing was changed)"
	}
	return did
}

// each does something to each of many, says of each how it went, and goes on after a failure. The error counts
// the failures.
func each[T client.Object](s *session, all []T, do func(T) (string, error)) error {
	failed := 0
	for _, one := range all {
		did, err := do(one)
		if err != nil {
			failed++
			_, _ = fmt.Fprintf(s.ErrOut, "failed: %s in namespace %s: %s\n", one.GetName(), one.GetNamespace(), explain(err))
			continue
		}
		if _, err := fmt.Fprintln(s.Out, did); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed, each for the reason above", failed, len(all))
	}
	return nil
}
