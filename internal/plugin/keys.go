package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/token"
)

const (
	// keySecretName is the Secret of the operator that holds the signing keys, under keySecretData.
	keySecretName = "agent-passport-signing-keys"
	keySecretData = "keys.json"
	// annotationRotate on it asks for a rotation.
	annotationRotate = "agentpassport.dev/rotate"
	rotateNow        = "now"
	rotateEmergency  = "emergency"
)

func (s *session) newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "Rotate the keys that sign tokens",
		GroupID: groupCluster,
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.newKeysRotate())
	return cmd
}

type rotateCommand struct {
	*session
	consent

	emergency, wait bool
	timeout         time.Duration
}

func (s *session) newKeysRotate() *cobra.Command {
	r := &rotateCommand{session: s}
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Have the next key sign; in an emergency, drop the current one at once",
		Long: `Have the next key sign, without cutting any token short: as soon as verifiers know that key, which takes 10 minutes
at most. It shows what will happen, and asks.

With --emergency, where a key may have leaked, the current key is dropped at once and every live token is signed
again. Verifiers refuse the old tokens once they fetch the keys, within 5 minutes. If the Secret itself may have
leaked, the next key has too: rotate twice.`,
		Example: `  kubectl passport keys rotate
  kubectl passport keys rotate --emergency --yes`,
		Args: exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&r.emergency, "emergency", false, "A key may have leaked: drop the current key at once.")
	cmd.Flags().BoolVar(&r.wait, "wait", true, "Wait until the operator has taken the request.")
	cmd.Flags().DurationVar(&r.timeout, "timeout", 30*time.Second, "How long to wait at most.")
	r.add(cmd)
	return cmd
}

func (r *rotateCommand) run(ctx context.Context) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	secret, ring, err := r.ring(ctx, c)
	if err != nil {
		return err
	}
	if asked := secret.Annotations[annotationRotate]; asked != "" {
		return fmt.Errorf("a rotation is asked for already (%s=%s), and the operator has not taken it yet. Does it run? kubectl passport status", annotationRotate, asked)
	}
	if err := r.preview(ring); err != nil {
		return err
	}
	question := "Rotate the signing key?"
	if r.emergency {
		question = "Drop the signing key now?"
	}
	if err := r.confirm(&r.consent, question); err != nil {
		return err
	}
	changed := secret.DeepCopy()
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	changed.Annotations[annotationRotate] = r.how()
	if err := c.patch(ctx, changed, secret, r.patches()...); err != nil {
		return err
	}
	if r.dryRun || !r.wait {
		_, err := fmt.Fprintln(r.Out, r.done("rotation "+r.how()+" asked for"))
		return err
	}
	return r.taken(ctx, c)
}

func (r *rotateCommand) how() string {
	if r.emergency {
		return rotateEmergency
	}
	return rotateNow
}

// ring reads the keys. Nothing of them is printed but their ids and times.
func (r *rotateCommand) ring(ctx context.Context, c *cluster) (*corev1.Secret, token.Ring, error) {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: r.operatorNamespace, Name: keySecretName}
	err := c.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		return nil, token.Ring{}, fmt.Errorf("there is no Secret %s in namespace %s: the operator makes it at its first start, or it runs elsewhere (--operator-namespace)", key.Name, key.Namespace)
	}
	if err != nil {
		return nil, token.Ring{}, fmt.Errorf("the signing keys cannot be read, which takes get and patch on Secret %s: %w", key.Name, err)
	}
	ring, err := token.ParseRing(secret.Data[keySecretData])
	if err != nil {
		return nil, token.Ring{}, fmt.Errorf("the Secret %s in namespace %s is damaged: restore it from a backup, or delete it to begin with new keys: %w", key.Name, key.Namespace, err)
	}
	return secret, ring, nil
}

// preview says what the operator will do.
func (r *rotateCommand) preview(ring token.Ring) error {
	now := r.clock.Now()
	p := page{out: r.ErrOut}
	p.row("signs", "%s, since %s (%s)", ring.Current.ID, stamp(ring.Current.ActivatedAt), span(now.Sub(ring.Current.ActivatedAt)))
	published := "not published yet"
	if !ring.Next.PublishedAt.IsZero() {
		published = "published since " + stamp(ring.Next.PublishedAt)
	}
	p.row("next", "%s, %s", ring.Next.ID, published)
	p.row("so", "%s", rotationPlan(ring, r.emergency, now))
	return p.err
}

// rotationPlan says what a rotation does, and when.
func rotationPlan(ring token.Ring, emergency bool, now time.Time) string {
	if emergency {
		return "the current key leaves the key set now, the next one signs, and every live token is signed again; verifiers may accept the old key for 5 minutes"
	}
	requested := token.RequestRotation(ring)
	at := token.NextChange(requested, now, token.DefaultPolicy(0))
	switch {
	case ring.Next.PublishedAt.IsZero():
		return "the next key signs 10 minutes after it is published; no token is cut short"
	case at.After(now):
		return "the next key signs from " + stamp(at) + " on, once verifiers know it; no token is cut short"
	default:
		return "the next key signs from now on, and the current one verifies for another hour; no token is cut short"
	}
}

// errNotTaken is a request that the operator has not looked at.
var errNotTaken = errors.New("the operator has not taken the request yet")

// taken waits until the operator has taken the annotation off.
func (r *rotateCommand) taken(ctx context.Context, c *cluster) error {
	waiting, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for {
		secret, ring, err := r.ring(waiting, c)
		switch {
		case waiting.Err() != nil:
			return coded(exitNeverCame, "%w, within %s. Does it run? kubectl passport status", errNotTaken, r.timeout)
		case err != nil:
			return err
		case secret.Annotations[annotationRotate] == "":
			_, err := fmt.Fprintf(r.Out, "rotation %s taken: %s signs, %s is next\n", r.how(), ring.Current.ID, ring.Next.ID)
			return err
		}
		select {
		case <-waiting.Done():
		case <-r.local.After(200 * time.Millisecond):
		}
	}
}
