package controller_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/test/apiserver"
)

// world is one namespace with the reconcilers at work in it, under a clock that the spec steps. The
// reconcilers act as the operator's ServiceAccount. They read live and run when settle is called, so
// that a spec decides what happens before what.
type world struct {
	ctx       context.Context
	namespace string
	admin     client.Client
	clock     *clocktesting.FakeClock
	keys      *controller.Keyring
	// channel and gatewayURL are what token Secrets say of the gateway; zero: nothing.
	channel    *controller.ChannelAuthority
	gatewayURL string
	// credentials are what gateways say, in a managed world.
	credentials *controller.ConnectionReports
	// again is what gateways say again to a manager that has just begun; nil: nothing.
	again func()

	mu sync.Mutex
	// writes are those of the operator's that landed, in order, such as "create Secret mission-token".
	writes []string
	// attempts counts those that were tried.
	attempts int
	// fault may refuse, or lose the answer of, the attempt of this number.
	fault func(number int, write string, land func() error) error
	told  *events.FakeRecorder
	log   *logOfWorld

	gateways gateways
	reports  *controller.Reports

	passports   *controller.PassportReconciler
	checkpoints *controller.CheckpointReconciler
	checkouts   *controller.CheckoutReconciler
	agents      *controller.AgentPassportReconciler
	blocks      *controller.AgentBlockReconciler
	connections *controller.ServiceConnectionReconciler

	missionTrail *controller.MissionTrailReconciler
	blockTrail   *controller.BlockTrailReconciler
	agentTrail   *controller.AgentTrailReconciler

	connectionTrail *controller.ConnectionTrailReconciler

	// documents says that there are documents, packs or vendors' keys, which the rounds look at too.
	documents  bool
	packages   *controller.CapabilityPassportReconciler
	checks     *controller.CompatibilityCheckReconciler
	packs      *controller.PolicyPackReconciler
	vendorKeys *controller.VendorKeyReconciler

	packageTrail   *controller.PackageTrailReconciler
	packTrail      *controller.PackTrailReconciler
	vendorKeyTrail *controller.VendorKeyTrailReconciler
	// client and options are what all of these were made with.
	client  client.Client
	options controller.Options
}

const issuer = "https://passports.example.com"

// newWorld gives a world whose clock stands at the real second: the API server stamps objects with
// real time.
func newWorld(ctx context.Context) *world {
	GinkgoHelper()
	namespace, err := server.Namespace(ctx, "world")
	Expect(err).NotTo(HaveOccurred())
	ring, err := token.NewRing(rand.Reader, time.Now())
	Expect(err).NotTo(HaveOccurred())
	w := &world{
		ctx: ctx, namespace: namespace, admin: server.Admin(), keys: &controller.Keyring{},
		clock: clocktesting.NewFakeClock(time.Now().Truncate(time.Second)),
	}
	w.keys.Set(ring)
	w.log = &logOfWorld{w: w, epoch: 1, held: map[uint64]audit.Record{}}
	w.restart()
	return w
}

// restart drops all that the operator holds in memory but its keys.
func (w *world) restart() {
	GinkgoHelper()
	w.useClient(server.Config(apiserver.Manager), w.clock)
}

// useClient makes new reconcilers, which reach the API server by config and tell the time by now.
func (w *world) useClient(config *rest.Config, now clock.PassiveClock) {
	GinkgoHelper()
	plain, err := client.NewWithWatch(config, client.Options{Scheme: server.Admin().Scheme()})
	Expect(err).NotTo(HaveOccurred())
	c := w.observed(plain)
	options := controller.Options{
		Clock: now, Keys: w.keys, Namespace: apiserver.OperatorNamespace, ServiceAccount: apiserver.ManagerServiceAccount,
		Issuer: issuer, TrustDomain: "example.org", GatewayAudience: "gateway",
		Channel: w.channel, GatewayURL: w.gatewayURL,
	}
	options.Trail = controller.NewAuditTrail(w.log, options.Username())
	w.observe(&options)
	w.reports = controller.NewReports(c, c)
	options.Reports = w.reports
	w.told = events.NewFakeRecorder(1000)
	w.passports = controller.NewPassportReconciler(c, c, options)
	w.passports.Recorder = w.told
	w.checkpoints = &controller.CheckpointReconciler{Client: c, Live: c, Clock: now}
	w.checkouts = controller.NewCheckoutReconciler(c, c, options)
	w.checkouts.Recorder = w.told
	w.agents = &controller.AgentPassportReconciler{Client: c, Live: c, Clock: now, Recorder: w.told}
	w.blocks = &controller.AgentBlockReconciler{Client: c, Clock: now}
	w.connections = controller.NewServiceConnectionReconciler(c, c, options)
	w.connections.Recorder = w.told
	w.missionTrail = controller.NewMissionTrailReconciler(c, options)
	w.blockTrail = controller.NewBlockTrailReconciler(c, options)
	w.agentTrail = controller.NewAgentTrailReconciler(c, options)
	w.connectionTrail = controller.NewConnectionTrailReconciler(c, options)
	w.packages = &controller.CapabilityPassportReconciler{Client: c, Clock: now, Recorder: w.told}
	w.checks = &controller.CompatibilityCheckReconciler{Client: c, Clock: now, Recorder: w.told}
	w.packs = &controller.PolicyPackReconciler{Client: c, Clock: now, Recorder: w.told}
	w.vendorKeys = &controller.VendorKeyReconciler{Client: c, Clock: now, Recorder: w.told}
	w.packageTrail = controller.NewPackageTrailReconciler(c, options)
	w.packTrail = controller.NewPackTrailReconciler(c, options)
	w.vendorKeyTrail = controller.NewVendorKeyTrailReconciler(c, options)
	w.client, w.options = c, options
}

// observed gives the client with every write of its counted, and open to faults.
func (w *world) observed(plain client.WithWatch) client.WithWatch {
	return interceptor.NewClient(plain, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return w.write("create", o, func() error { return c.Create(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return w.write("update", o, func() error { return c.Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return w.write("patch", o, func() error { return c.Patch(ctx, o, p, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return w.write("delete", o, func() error { return c.Delete(ctx, o, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return w.write("update "+sub, o, func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
	})
}

// write counts a write of the operator's, and lets a fault have it.
func (w *world) write(verb string, object client.Object, do func() error) error {
	kind := fmt.Sprintf("%T", object)
	name := fmt.Sprintf("%s %s %s", verb, kind[strings.LastIndex(kind, ".")+1:], object.GetName())
	landed := func() error {
		err := do()
		if err == nil {
			w.mu.Lock()
			w.writes = append(w.writes, name)
			w.mu.Unlock()
		}
		return err
	}
	w.mu.Lock()
	w.attempts++
	number, fault := w.attempts, w.fault
	w.mu.Unlock()
	if fault != nil {
		return fault(number, name, landed)
	}
	return landed()
}

// wrote gives the operator's writes since the last call.
func (w *world) wrote() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	writes := w.writes
	w.writes = nil
	return writes
}

// events gives the Events told since the last call.
func (w *world) events() []string {
	var told []string
	for {
		select {
		case event := <-w.told.Events:
			told = append(told, event)
		default:
			return told
		}
	}
}

// settle runs every reconciler on every object until nothing is written any more.
func (w *world) settle() {
	GinkgoHelper()
	Expect(w.settleUntil(40)).To(Succeed())
}

// settleUntil is settle, for at most so many rounds, and gives the first error that lasts.
func (w *world) settleUntil(rounds int) error {
	var last error
	for range rounds {
		before := w.count()
		last = w.round()
		if last == nil && w.count() == before {
			return nil
		}
	}
	return fmt.Errorf("not settled after %d rounds: %w; writes: %v", rounds, last, w.writes)
}

// count counts what was written, to the API server and to the audit log.
func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	return len(w.writes) + w.log.appended
}

// round looks at everything once. What a look makes, the next round finds.
func (w *world) round() error {
	var last error
	w.mark()
	defer w.tells(w.ctx)()
	missions := map[string]bool{}
	for _, kind := range append(w.documentKinds(), []kindOfWorld{
		{&v1alpha1.AgentPassportList{}, []reconcileFunc{w.agents.Reconcile, w.agentTrail.Reconcile}},
		{&v1alpha1.AgentBlockList{}, []reconcileFunc{w.blocks.Reconcile, w.blockTrail.Reconcile}},
		{&v1alpha1.ServiceConnectionList{}, []reconcileFunc{w.connections.Reconcile, w.connectionTrail.Reconcile}},
		{&v1alpha1.PassportList{}, []reconcileFunc{w.passports.Reconcile}},
		{&v1alpha1.CheckpointList{}, []reconcileFunc{w.checkpoints.Reconcile}},
		{&v1alpha1.CheckoutList{}, []reconcileFunc{w.checkouts.Reconcile}},
	}...) {
		if err := w.admin.List(w.ctx, kind.list, kind.of(w)); err != nil {
			return err
		}
		for _, reconcile := range kind.reconcile {
			if err := w.reconcileEach(kind.list, reconcile); err != nil {
				last = err
			}
		}
		nameMissions(kind.list, missions)
	}
	for _, name := range slices.Sorted(maps.Keys(missions)) {
		if _, err := w.missionTrail.Reconcile(w.ctx, w.request(name)); err != nil {
			last = err
		}
	}
	return last
}

// kindOfWorld is a kind, with what looks at each object of it.
type kindOfWorld struct {
	list      client.ObjectList
	reconcile []reconcileFunc
}

// of selects the world's own: what belongs to the cluster is told by a label.
func (k kindOfWorld) of(w *world) client.ListOption {
	if _, is := k.list.(*v1alpha1.VendorKeyList); is {
		return client.MatchingLabels{worldLabel: w.namespace}
	}
	return client.InNamespace(w.namespace)
}

type reconcileFunc func(context.Context, ctrl.Request) (ctrl.Result, error)

// nameMissions notes the names of Passports, and those that reports name.
func nameMissions(list client.ObjectList, names map[string]bool) {
	switch list := list.(type) {
	case *v1alpha1.PassportList:
		for i := range list.Items {
			names[list.Items[i].Name] = true
		}
	case *v1alpha1.CheckpointList:
		for i := range list.Items {
			names[list.Items[i].Spec.PassportRef.Name] = true
		}
	case *v1alpha1.CheckoutList:
		for i := range list.Items {
			names[list.Items[i].Spec.PassportRef.Name] = true
		}
	}
}

func (w *world) request(name string) ctrl.Request {
	return ctrl.Request{NamespacedName: types.NamespacedName{Namespace: w.namespace, Name: name}}
}

// reconcileEach reconciles every object of a list, and gives the last error but conflicts.
func (w *world) reconcileEach(list client.ObjectList, reconcile reconcileFunc) error {
	var last error
	err := meta.EachListItem(list, func(item runtime.Object) error {
		object, err := meta.Accessor(item)
		if err != nil {
			return err
		}
		_, err = reconcile(w.ctx, w.request(object.GetName()))
		if err != nil && !apierrors.IsConflict(err) {
			last = err
		}
		return nil
	})
	return errors.Join(err, last)
}

// agent makes an AgentPassport; with may change it first.
func (w *world) agent(with ...func(*v1alpha1.AgentPassport)) *v1alpha1.AgentPassport {
	GinkgoHelper()
	agent := &v1alpha1.AgentPassport{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "support-bot"},
		Spec: v1alpha1.AgentPassportSpec{Grants: []v1alpha1.ServiceGrant{
			{Service: "github", Scopes: []v1alpha1.Scope{"repo:read", "repo:write"}},
			{Service: "notion"},
			{Service: "slack", Scopes: []v1alpha1.Scope{"chat:write"}},
		}},
	}
	for _, change := range with {
		change(agent)
	}
	Expect(w.admin.Create(w.ctx, agent)).To(Succeed())
	return agent
}

// in gives the agent a mode.
func in(mode v1alpha1.AccountabilityMode) func(*v1alpha1.AgentPassport) {
	return func(agent *v1alpha1.AgentPassport) { agent.Spec.Accountability.Mode = mode }
}

// passport makes a Passport named mission; with may change it first.
func (w *world) passport(with ...func(*v1alpha1.Passport)) *v1alpha1.Passport {
	GinkgoHelper()
	passport := &v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "mission"},
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: "support-bot"},
			Intent: &v1alpha1.Intent{
				Summary:  "Answer one customer ticket and post a resolution",
				Services: []v1alpha1.ServiceName{"slack", "github"}, EstimatedDurationSeconds: 900,
			},
		},
	}
	for _, change := range with {
		change(passport)
	}
	Expect(w.admin.Create(w.ctx, passport)).To(Succeed())
	return passport
}

// checkpoint makes a Checkpoint for the mission, and gives it with the time that the API server
// stamped on it.
func (w *world) checkpoint(name string, with ...func(*v1alpha1.Checkpoint)) *v1alpha1.Checkpoint {
	GinkgoHelper()
	checkpoint := &v1alpha1.Checkpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: v1alpha1.CheckpointSpec{
			PassportRef:  v1alpha1.PassportReference{Name: "mission"},
			AgentRef:     v1alpha1.AgentReference{Name: "support-bot"},
			ServicesUsed: []v1alpha1.ServiceName{"slack"}, ActionsCount: 3, Summary: "Pulled ticket context; drafting reply",
		},
	}
	for _, change := range with {
		change(checkpoint)
	}
	Expect(w.admin.Create(w.ctx, checkpoint)).To(Succeed())
	return checkpoint
}

// checkout makes a Checkout of the mission, and gives it with the time that the API server stamped on
// it.
func (w *world) checkout(name string, with ...func(*v1alpha1.Checkout)) *v1alpha1.Checkout {
	GinkgoHelper()
	checkout := &v1alpha1.Checkout{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: v1alpha1.CheckoutSpec{
			PassportRef:  v1alpha1.PassportReference{Name: "mission"},
			AgentRef:     v1alpha1.AgentReference{Name: "support-bot"},
			ServicesUsed: []v1alpha1.ServiceName{"slack", "github"}, ActionsCount: ptr.To(int64(12)), Summary: "Ticket resolved; PR merged; customer notified",
		},
	}
	for _, change := range with {
		change(checkout)
	}
	Expect(w.admin.Create(w.ctx, checkout)).To(Succeed())
	return checkout
}

// judgement reads a Checkout.
func (w *world) judgement(name string) *v1alpha1.Checkout {
	GinkgoHelper()
	checkout := &v1alpha1.Checkout{}
	Expect(w.get(name, checkout)).To(Succeed())
	return checkout
}

// review decides a Checkout as a person who had no part in the mission.
func (w *world) review(name string, decision v1alpha1.Decision, notes string) {
	GinkgoHelper()
	checkout := w.judgement(name)
	patch := client.MergeFrom(checkout.DeepCopy())
	checkout.Spec.Review = &v1alpha1.Review{Decision: decision, Notes: notes}
	Expect(server.Admin().Patch(w.ctx, checkout, patch)).To(Succeed())
}

// accepted gives the status and the reason of a Checkout's Accepted condition.
func accepted(checkout *v1alpha1.Checkout) string {
	condition := meta.FindStatusCondition(checkout.Status.Conditions, string(v1alpha1.ConditionAccepted))
	if condition == nil {
		return ""
	}
	return string(condition.Status) + " " + condition.Reason
}

// block makes an AgentBlock for the agent.
func (w *world) block(name string) *v1alpha1.AgentBlock {
	GinkgoHelper()
	block := &v1alpha1.AgentBlock{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec:       v1alpha1.AgentBlockSpec{AgentRef: &v1alpha1.AgentReference{Name: "support-bot"}, Reason: "looks odd"},
	}
	Expect(w.admin.Create(w.ctx, block)).To(Succeed())
	return block
}

// mission reads the Passport named mission.
func (w *world) mission() *v1alpha1.Passport {
	GinkgoHelper()
	passport := &v1alpha1.Passport{}
	Expect(w.get("mission", passport)).To(Succeed())
	return passport
}

func (w *world) get(name string, object client.Object) error {
	return w.admin.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, object)
}

// claims reads and verifies the token in the mission's Secret.
func (w *world) claims() *token.Claims {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(w.get("mission-token", secret)).To(Succeed())
	keys, err := token.ParseJWKS(secret.Data[v1alpha1.SecretKeyJWKS])
	Expect(err).NotTo(HaveOccurred())
	claims, err := token.VerifySignature(string(secret.Data[v1alpha1.SecretKeyToken]), keys)
	Expect(err).NotTo(HaveOccurred())
	return claims
}

// secretGone says that the mission's Secret is not there.
func (w *world) secretGone() bool {
	return apierrors.IsNotFound(w.get("mission-token", &corev1.Secret{}))
}

// ready gives the reason of an object's Ready condition, or of Succeeded in its place.
func ready(conditions []metav1.Condition) v1alpha1.Reason {
	for _, condition := range conditions {
		if condition.Type == string(v1alpha1.ConditionReady) || condition.Type == string(v1alpha1.ConditionSucceeded) {
			return v1alpha1.Reason(condition.Reason)
		}
	}
	return ""
}

func inNamespace(w *world) client.InNamespace { return client.InNamespace(w.namespace) }

// withdrawConsent takes the namespace's consent back, and waits until the API server minds it.
func (w *world) withdrawConsent() {
	GinkgoHelper()
	Expect(w.admin.DeleteAllOf(w.ctx, &rbacv1.RoleBinding{}, inNamespace(w))).To(Succeed())
	Eventually(w.consented).Should(BeFalse())
}

// consented says whether the API server lets the operator read Secrets of the namespace.
func (w *world) consented() bool {
	manager := server.As(apiserver.Manager, nil)
	return !apierrors.IsForbidden(manager.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: "any"}, &corev1.Secret{}))
}
