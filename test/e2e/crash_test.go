package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("A manager that is killed in the middle of its work", atTheEnd, func() {
	It("loses no passport, and issues none twice", func(ctx SpecContext) { crashes.end(ctx) })
})

// missions is how many passports are asked for while the manager is killed, again and again.
const missions = 200

// killWhileIssuing kills the manager with SIGKILL, three times, once so and so many tokens are there.
func killWhileIssuing(p *place) (found string) {
	tokens := p.watchTokens()
	p.g.Expect(p.start()).To(Succeed())
	created := make(chan error, 1)
	go func() {
		out, err := p.run(p.bot, manyMissions(), "create", "--filename=-")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		created <- err
	}()
	var kills []string
	for third := range 3 {
		moment := missions/4*(third+1) + rand.IntN(missions/5) - missions/10
		p.g.Eventually(p.ctx, tokens.count).WithPolling(time.Millisecond).WithTimeout(3 * soon).Should(BeNumerically(">=", moment))
		p.manager.Kill()
		half := p.halfIssued(tokens)
		p.g.Expect(p.start()).To(Succeed())
		kills = append(kills, fmt.Sprintf("at %d of %d with %d half issued", tokens.count(), missions, half))
	}
	p.g.Expect(<-created).To(Succeed())
	p.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "passports", "--all")

	var passports v1alpha1.PassportList
	p.g.Expect(p.Admin().List(p.ctx, &passports, client.InNamespace(p.namespace))).To(Succeed())
	p.g.Expect(passports.Items).To(HaveLen(missions))
	var secrets corev1.SecretList
	p.g.Expect(p.Admin().List(p.ctx, &secrets, client.InNamespace(p.namespace))).To(Succeed())
	p.g.Expect(secrets.Items).To(HaveLen(missions))
	p.g.Eventually(p.ctx, tokens.count).Should(Equal(missions))
	p.g.Expect(tokens.broken()).To(BeEmpty())
	seen := map[string]string{}
	for i := range passports.Items {
		passport := &passports.Items[i]
		p.g.Expect(passport.Status.Phase).To(Equal(v1alpha1.PhaseActive), passport.Name)
		p.g.Expect(seen).NotTo(HaveKey(passport.Status.JTI), passport.Name)
		seen[passport.Status.JTI] = passport.Name
		p.g.Expect(tokens.of(passport.UID)).To(ConsistOf(
			And(HaveField("ID", passport.Status.JTI), HaveField("Expiry", passport.Status.ExpirationTime.Unix()))), passport.Name)
	}
	return "killed " + strings.Join(kills, ", ")
}

// halfIssued counts the passports that have a token and do not know it.
func (p *place) halfIssued(tokens *tokenWatch) (half int) {
	var passports v1alpha1.PassportList
	p.g.Expect(p.Admin().List(p.ctx, &passports, client.InNamespace(p.namespace))).To(Succeed())
	for i := range passports.Items {
		if passports.Items[i].Status.JTI == "" && len(tokens.of(passports.Items[i].UID)) > 0 {
			half++
		}
	}
	return half
}

func manyMissions() string {
	var manifests strings.Builder
	for i := range missions {
		fmt.Fprintf(&manifests, `---
apiVersion: agentpassport.dev/v1alpha1
kind: Passport
metadata: {name: ticket-%d}
spec:
  agentRef: {name: support-bot}
  intent: {summary: Answer ticket %[1]d, services: [slack]}
`, i)
	}
	return manifests.String()
}

// tokenWatch remembers every token that a namespace's Secrets ever held.
type tokenWatch struct {
	mu sync.Mutex
	// seen holds the different contents by passport.
	seen   map[types.UID]map[content]bool
	errors []error
}

// watchTokens watches the namespace's Secrets from now on, and misses no change.
func (p *place) watchTokens() *tokenWatch {
	clients, err := kubernetes.NewForConfig(p.Config(""))
	p.g.Expect(err).NotTo(HaveOccurred())
	secrets := clients.CoreV1().Secrets(p.namespace)
	list, err := secrets.List(p.ctx, metav1.ListOptions{})
	p.g.Expect(err).NotTo(HaveOccurred())
	watcher, err := watchtools.NewRetryWatcherWithContext(p.ctx, list.ResourceVersion, &toolscache.ListWatch{WatchFuncWithContext: secrets.Watch})
	p.g.Expect(err).NotTo(HaveOccurred())
	w := &tokenWatch{seen: map[types.UID]map[content]bool{}}
	go func() {
		for event := range watcher.ResultChan() {
			if secret, ok := event.Object.(*corev1.Secret); ok {
				w.see(secret)
			} else {
				w.fail(fmt.Errorf("the watch ended: %v", event.Object))
			}
		}
	}()
	return w
}

func (w *tokenWatch) see(secret *corev1.Secret) {
	token, err := open(string(secret.Data[v1alpha1.SecretKeyToken]))
	if err != nil {
		w.fail(fmt.Errorf("secret %s: %w", secret.Name, err))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	passport := types.UID(secret.Labels[v1alpha1.LabelPassportUID])
	if w.seen[passport] == nil {
		w.seen[passport] = map[content]bool{}
	}
	w.seen[passport][token] = true
}

func (w *tokenWatch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors = append(w.errors, err)
}

// of gives the different tokens that a passport ever had.
func (w *tokenWatch) of(passport types.UID) (tokens []content) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for token := range maps.Keys(w.seen[passport]) {
		tokens = append(tokens, token)
	}
	return tokens
}

// count gives how many passports have had a token.
func (w *tokenWatch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// broken gives what went wrong with the watch, or with what it saw.
func (w *tokenWatch) broken() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.errors
}
