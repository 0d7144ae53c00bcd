package plugin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

const (
	passportPrefix = "passport/"
	checkoutPrefix = "checkout/"
	// What wait waits for.
	forOutcome = "outcome"
	forIssued  = "issued"
)

// waitTarget is what a command waits for.
type waitTarget struct {
	passport, checkout string
	// issued waits until the passport is issued, not until its mission is decided.
	issued bool
	// forReview waits for the reviewer too.
	forReview bool
}

type waitCommand struct {
	*session
	timeout time.Duration
	what    string
	target  waitTarget
}

func (s *session) newWait() *cobra.Command {
	w := &waitCommand{session: s}
	cmd := &cobra.Command{
		Use:   "wait [passport/]NAME | checkout/NAME",
		Short: "Wait for the outcome of a mission, with an exit code that says which",
		Long: `Wait for the outcome of a mission, with an exit code that says which. It never waits longer than --timeout.

   0  good: the verdict is Clean, or a reviewer approved; with --for=issued, the passport is Active
   1  it could not be asked: no right, no API server
   2  bad, for good: blocked by a reviewer, never issued, or a Checkout that does not count
   3  a reviewer has to decide; with --wait-for-review, nobody did in time
   4  nothing came in time, or there is no such Passport or Checkout
  64  the command line is wrong`,
		Example: `  kubectl passport wait answer-ticket-4711 --timeout=30m
  kubectl passport wait checkout/answer-ticket-4711 --wait-for-review --timeout=4h
  kubectl passport wait passport/answer-ticket-4711 --for=issued`,
		GroupID:           groupMission,
		Args:              exactly(1, "one passport, or checkout/NAME"),
		ValidArgsFunction: s.completeTargets,
		RunE:              func(cmd *cobra.Command, args []string) error { return w.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().DurationVar(&w.timeout, "timeout", 5*time.Minute, "How long to wait at most.")
	cmd.Flags().StringVar(&w.what, "for", forOutcome, "What to wait for: outcome (the mission is decided) or issued (the passport is Active).")
	cmd.Flags().BoolVar(&w.target.forReview, "wait-for-review", false, "Wait for the reviewer too, where a person has to decide.")
	s.complete(cmd, "for", cobra.FixedCompletions([]string{forOutcome, forIssued}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (w *waitCommand) run(ctx context.Context, given string) error {
	name, isCheckout := strings.CutPrefix(given, checkoutPrefix)
	name = strings.TrimPrefix(name, passportPrefix)
	switch {
	case name == "" || strings.Contains(name, "/"):
		return misuse("%q: want a passport's name, or checkout/NAME", given)
	case w.what != forOutcome && w.what != forIssued:
		return misuse("--for=%s: want outcome or issued", w.what)
	case w.what == forIssued && isCheckout:
		return misuse("--for=issued is for a passport: a checkout is not issued")
	case w.timeout <= 0:
		return misuse("--timeout=%s: want more than 0", w.timeout)
	}
	w.target.issued = w.what == forIssued
	if isCheckout {
		w.target.checkout = name
	} else {
		w.target.passport = name
	}
	c, err := w.connect()
	if err != nil {
		return err
	}
	came, err := w.await(ctx, c, w.target, w.timeout)
	if err != nil {
		return err
	}
	return w.say(came)
}

// say says what came of it, with further lines, and ends with its code.
func (s *session) say(came outcome, more ...string) error {
	p := page{out: s.Out}
	p.line("%s", came.text)
	for _, line := range more {
		p.line("  %s", line)
	}
	if p.err != nil {
		return p.err
	}
	return ended(came.code)
}

// await waits for what becomes of a target, for as long as timeout at most. On the way it says on ErrOut what it
// waits for, each time that changes.
func (s *session) await(ctx context.Context, c *cluster, target waitTarget, timeout time.Duration) (outcome, error) {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if missing, err := c.missing(waiting, target); err != nil || missing != "" {
		return outcome{exitNeverCame, missing}, err
	}
	f := newFollowing()
	passports, checkouts := f.followMission(waiting, c, target)
	var now outcome
	told := ""
	f.until(waiting, func() bool {
		now = look(c.namespace, target, passports, checkouts)
		enough := !now.undecided() && (now.code != exitAwaitsReview || !target.forReview)
		if !enough && now.text != told {
			told = now.text
			_, _ = fmt.Fprintln(s.ErrOut, "waiting:", clean(told))
		}
		return enough
	})
	if ctx.Err() != nil {
		return now, fmt.Errorf("interrupted: %s", now.text)
	}
	if now.text == "" {
		now = outcome{exitNeverCame, "the API server gave no answer in time"}
	}
	if now.undecided() {
		now.text = fmt.Sprintf("not within %s: %s", timeout, now.text)
	}
	return now, nil
}

// missing asks once for what is waited for: whoever may not read it is told so at once.
func (c *cluster) missing(ctx context.Context, target waitTarget) (string, error) {
	kind, name := "passport", target.passport
	var object client.Object = &v1alpha1.Passport{}
	if target.checkout != "" {
		kind, name, object = "checkout", target.checkout, &v1alpha1.Checkout{}
	}
	err := c.Get(ctx, c.key(name), object)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("there is no %s %s in namespace %s: it was never created, or it was deleted", kind, name, c.namespace), nil
	}
	return "", err
}

// followMission follows a Passport and its Checkouts, or one Checkout.
func (f *following) followMission(ctx context.Context, c *cluster, target waitTarget) (passports, checkouts cache.Store) {
	if target.checkout != "" {
		return nil, f.follow(ctx, c, c.namespace, checkoutLists, &v1alpha1.Checkout{}, named(target.checkout))
	}
	passports = f.follow(ctx, c, c.namespace, passportLists, &v1alpha1.Passport{}, named(target.passport))
	if target.issued {
		return passports, nil
	}
	// Not by a field selector: API servers before 1.31 know none of ours.
	return passports, f.follow(ctx, c, c.namespace, checkoutLists, &v1alpha1.Checkout{}, fields.Everything())
}

// look is what became of a target, by what is stored now.
func look(namespace string, target waitTarget, passports, checkouts cache.Store) outcome {
	if target.checkout != "" {
		checkout, ok := stored[*v1alpha1.Checkout](checkouts, types.NamespacedName{Namespace: namespace, Name: target.checkout})
		if !ok {
			return gone("checkout", target.checkout, namespace)
		}
		return checkoutOutcome(checkout)
	}
	passport, ok := stored[*v1alpha1.Passport](passports, types.NamespacedName{Namespace: namespace, Name: target.passport})
	switch {
	case !ok:
		return gone("passport", target.passport, namespace)
	case target.issued:
		return issueOutcome(passport)
	case passport.Status.Checkout == nil:
		return missionOutcome(passport)
	}
	reference := passport.Status.Checkout
	checkout, ok := stored[*v1alpha1.Checkout](checkouts, types.NamespacedName{Namespace: namespace, Name: reference.Name})
	if !ok || checkout.UID != reference.UID {
		return outcome{exitNeverCame, fmt.Sprintf("checkout %s of passport %s in namespace %s is not there: it comes in a moment, or it was deleted",
			reference.Name, passport.Name, namespace)}
	}
	return checkoutOutcome(checkout)
}

// gone is what was there when waiting began. It may be made again; a wait for it would say nothing of the first.
func gone(kind, name, namespace string) outcome {
	return outcome{exitNeverCame, fmt.Sprintf("%s %s in namespace %s was deleted", kind, name, namespace)}
}
