package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// level is how a check came out.
type level string

// The levels. Only what is wrong makes status exit with 1.
const (
	fine    level = "ok"
	warning level = "warning"
	wrong   level = "WRONG"
	// unknown is what the caller may not see.
	unknown level = "unknown"
)

// check is one line of status: what was looked at, how it is, and what mends it.
type check struct {
	what  string
	level level
	how   string
	mend  string
}

type statusCommand struct {
	*session
}

func (s *session) newStatus() *cobra.Command {
	st := &statusCommand{session: s}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Check the cluster's set-up, and say what is wrong and how to mend it",
		Long: `Check the cluster's set-up: CRDs, admission policies, the manager, the gateway and the audit log, Leases, the consent
of each namespace with agents, credentials, the age of the signing keys, reviews that wait.

It exits with 1 where something is wrong. What the caller may not see is unknown, and says which right is missing.`,
		Example:           `  kubectl passport status`,
		GroupID:           groupCluster,
		Args:              exactly(0, "no argument"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return st.run(cmd.Context()) },
	}
	return cmd
}

func (st *statusCommand) run(ctx context.Context) error {
	c, err := st.connect()
	if err != nil {
		return err
	}
	checks, err := st.checks(ctx, c)
	if err != nil {
		return err
	}
	p := &page{out: st.Out}
	bad := 0
	for _, found := range checks {
		if found.level == wrong {
			bad++
		}
		p.line("%-8s %s: %s", found.level, found.what, found.how)
		if found.mend != "" {
			p.line("         -> %s", found.mend)
		}
	}
	if p.err != nil {
		return p.err
	}
	if bad > 0 {
		return coded(exitFailed, "%s wrong: each line above says what mends it", counted(bad, "thing is", "things are"))
	}
	return nil
}

// checks looks at everything, in the order in which it would be mended: without CRDs nothing else is looked at.
func (st *statusCommand) checks(ctx context.Context, c *cluster) ([]check, error) {
	kinds, err := st.kinds(c)
	if err != nil {
		return nil, err
	}
	all := []check{kinds}
	all = append(all, st.policies(ctx, c)...)
	all = append(all, st.workloads(ctx, c)...)
	all = append(all, st.leases(ctx, c)...)
	all = append(all, st.keys(ctx, c)...)
	if kinds.level == wrong {
		return all, nil
	}
	all = append(all, st.consents(ctx, c)...)
	all = append(all, st.credentials(ctx, c)...)
	return append(all, st.reviews(ctx, c)), nil
}

// unseen is a check that could not be made.
func unseen(what string, err error) check {
	if apierrors.IsForbidden(err) {
		return check{what: what, level: unknown, how: explain(err)}
	}
	return check{what: what, level: wrong, how: "the API server does not answer as it should: " + explain(err)}
}

// installHint mends what is not installed.
const installHint = "install the operator: kubectl apply --server-side -f install.yaml"

// missingCheck is a check of a list of names.
func missingCheck(what string, expected int, missing []string) check {
	if len(missing) == 0 {
		return check{what: what, level: fine, how: fmt.Sprintf("all %d there", expected)}
	}
	return check{what: what, level: wrong, how: "missing: " + joined(missing), mend: installHint}
}
