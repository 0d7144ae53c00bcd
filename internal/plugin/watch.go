package plugin

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// redraw moves the cursor to the upper left corner and clears what is below.
const redraw = "\x1b[H\x1b[J"

type watchCommand struct {
	*session
	choice
	every time.Duration
}

func (s *session) newWatch() *cobra.Command {
	w := &watchCommand{session: s}
	cmd := &cobra.Command{
		Use:   "watch [PASSPORT]",
		Short: "Watch passports live, with a countdown; where nobody looks, a line for each change",
		Long: `Watch passports live, with a countdown, until Ctrl-C. Where the output is no terminal, it prints a line for each
change instead.

Without --phase it shows those that are live. In a line for each change an end is told too.`,
		Example: `  kubectl passport watch -n agents
  kubectl passport watch -A --agent=support-bot | tee missions.log`,
		GroupID:           groupMission,
		Args:              between(0, 1, "one passport at most"),
		ValidArgsFunction: s.completePassports,
		RunE:              func(cmd *cobra.Command, args []string) error { return w.run(cmd.Context(), args) },
	}
	w.add(s, cmd)
	cmd.Flags().DurationVar(&w.every, "every", time.Second, "How often the countdown is drawn.")
	must(cmd.Flags().MarkHidden("selector"))
	return cmd
}

func (w *watchCommand) run(ctx context.Context, args []string) error {
	switch {
	case w.every <= 0:
		return misuse("--every=%s: want more than 0", w.every)
	case w.labels != "":
		return misuse("watch takes no --selector: narrow it with --agent and --phase")
	case len(args) == 1 && w.all:
		return misuse("a passport has one namespace: leave --all-namespaces out")
	}
	if err := w.check(); err != nil {
		return err
	}
	c, err := w.connect()
	if err != nil {
		return err
	}
	// Asked once by itself: whoever may not list them is told so, and nothing is tried again and again.
	if err := c.List(ctx, &v1alpha1.PassportList{}, c.in(w.all), client.Limit(1)); err != nil {
		return err
	}
	selector, namespace := fields.Everything(), c.namespace
	if len(args) == 1 {
		selector = named(args[0])
	}
	if w.all {
		namespace = ""
	}
	f := newFollowing()
	store := f.follow(ctx, c, namespace, passportLists, &v1alpha1.Passport{}, selector)
	if !f.ready(ctx) {
		return nil
	}
	if w.terminal {
		return w.draw(ctx, c, f, store)
	}
	return w.tell(ctx, f, store)
}

// draw draws the table over and over.
func (w *watchCommand) draw(ctx context.Context, c *cluster, f *following, store cache.Store) error {
	if len(w.phases) == 0 {
		w.phases = []string{"live"}
	}
	ticker := w.local.NewTicker(w.every)
	defer ticker.Stop()
	for {
		if err := w.drawOnce(c, store); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.changed:
		case <-ticker.C():
		}
	}
}

// drawOnce draws into memory first, so that the screen does not flicker.
func (w *watchCommand) drawOnce(c *cluster, store cache.Store) error {
	now := w.clock.Now()
	var screen strings.Builder
	found := w.among(store)
	screen.WriteString(redraw)
	_, _ = fmt.Fprintf(&screen, "%s, %s, at %s. Ctrl-C ends it.\n\n", counted(len(found), "passport", "passports"), where(c, w.all), clockTime(now))
	if len(found) > 0 {
		if err := passportTable(found, w.all, now).show(&screen, printers.PrintOptions{}); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w.Out, screen.String())
	return err
}

// among are the chosen passports of a store, in the order of namespaces and names.
func (w *watchCommand) among(store cache.Store) []*v1alpha1.Passport {
	var found []*v1alpha1.Passport
	for _, object := range store.List() {
		if p, ok := object.(*v1alpha1.Passport); ok && w.chosen(p) {
			found = append(found, p)
		}
	}
	sortPassports(found)
	return found
}

// tell prints a line for each passport, and one for each change.
func (w *watchCommand) tell(ctx context.Context, f *following, store cache.Store) error {
	told := map[string]string{}
	for {
		if err := w.tellChanges(store, told); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.changed:
		}
	}
}

func (w *watchCommand) tellChanges(store cache.Store, told map[string]string) error {
	now := w.clock.Now()
	there := map[string]bool{}
	for _, p := range w.among(store) {
		key := p.Namespace + "/" + p.Name
		there[key] = true
		state := stateLine(p)
		if told[key] == state {
			continue
		}
		told[key] = state
		if _, err := fmt.Fprintf(w.Out, "%s  %s  %s\n", stamp(now), key, clean(state)); err != nil {
			return err
		}
	}
	for key := range told {
		if !there[key] {
			delete(told, key)
			if _, err := fmt.Fprintf(w.Out, "%s  %s  is out of the list\n", stamp(now), key); err != nil {
				return err
			}
		}
	}
	return nil
}

// stateLine is what changes about a passport, on one line.
func stateLine(p *v1alpha1.Passport) string {
	reason, _ := whyOf(p)
	line := p.Spec.AgentRef.Name + "  " + string(phaseOf(p))
	if reason != "" {
		line += "  " + reason
	}
	if p.Status.Phase == v1alpha1.PhaseActive {
		line += "  expires " + moment(p.Status.ExpirationTime)
	}
	for _, signal := range p.Status.Signals {
		line += "  " + string(signal.Severity) + ":" + signal.Type
	}
	return line
}
