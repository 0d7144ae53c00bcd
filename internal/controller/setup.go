package controller

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/review"
	"agentpassport.dev/operator/internal/servingcert"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/internal/watched"
)

// The fields that the cache is indexed by. They are selectable fields of the CRDs too, so that a
// live read can ask for the same.
const (
	agentField    = "spec.agentRef.name"
	passportField = "spec.passportRef.name"
)

// Options of the controllers.
type Options struct {
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Keys of this replica; empty at first.
	Keys *Keyring
	// Namespace of the operator.
	Namespace string
	// ServiceAccount of the operator, in Namespace: whom namespaces consent to.
	ServiceAccount string
	// Issuer is the `iss` claim, an exact URL.
	Issuer string
	// TrustDomain of the subjects' SPIFFE IDs.
	TrustDomain string
	// GatewayAudience is in every `aud` claim.
	GatewayAudience string
	// RotationInterval is how long a key signs.
	RotationInterval time.Duration
	// Trail that every step is recorded in.
	Trail *AuditTrail
	// Channel is the authority of the channel to the gateways, empty at first; nil: no gateway is served.
	Channel *ChannelAuthority
	// GatewayURL is put into token Secrets, with the authority of the gateway's certificate; empty: neither
	// is. It needs Channel.
	GatewayURL string
	// GatewayNames are names under which clients reach the gateway, beside that of its Service.
	GatewayNames []string
	// Fresh says whether the cache may be behind; nil: nobody asks.
	Fresh *Freshness
	// Connections are what gateways say of credentials; nil: nobody says anything.
	Connections *ConnectionReports
	// Thresholds of the detectors; zero: the defaults.
	Thresholds review.Thresholds
	// Reports of gateways; absent: there are none.
	Reports *Reports
	// LiveGateways names the gateways that were up at a time; absent: there are none.
	LiveGateways func(ctx context.Context, at time.Time) ([]string, error)
	// Calls gives the audit log's sums of what gateways saw of one jti; absent: no verdict rests on them.
	Calls func(ctx context.Context, namespace, jti string) (wire.Calls, error)
	// PassportWorkers is how many passports are worked on at once.
	PassportWorkers int
	// Registry that the gauges are registered with; absent: controller-runtime's.
	Registry prometheus.Registerer
	// NewQueue replaces the queues of the controllers, for tests with a clock of their own.
	NewQueue func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// Username of the operator, as the API server knows it.
func (o Options) Username() string {
	return "system:serviceaccount:" + o.Namespace + ":" + o.ServiceAccount
}

// Authority is who issues passports under these options.
func (o Options) Authority() lifecycle.Authority {
	return lifecycle.Authority{
		Issuer:          o.Issuer,
		GatewayAudience: o.GatewayAudience,
		Subject: func(namespace, agent string) string {
			return token.Subject(o.TrustDomain, namespace, agent)
		},
	}
}

// CacheOptions bounds what the manager's cache holds: the operator's own kinds in the namespaces that it works in, and
// in its own namespace, of Secrets and ConfigMaps its own two, and the Leases of gateways.
func CacheOptions(namespace string, works watched.Namespaces) cache.Options {
	only := func(name string) cache.ByObject {
		return cache.ByObject{Namespaces: map[string]cache.Config{
			namespace: {FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name)},
		}}
	}
	return cache.Options{
		DefaultNamespaces:           works.Cache(),
		DefaultTransform:            cache.TransformStripManagedFields(),
		ReaderFailOnMissingInformer: true,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}:    only(KeySecretName),
			&corev1.ConfigMap{}: only(token.ConfigMapName),
			&coordinationv1.Lease{}: {Namespaces: map[string]cache.Config{
				namespace: {LabelSelector: labels.SelectorFromSet(labels.Set{v1alpha1.LabelGateway: "true"})},
			}},
		},
	}
}

// ClientOptions has Secrets, ConfigMaps and Namespaces read live: no contents of theirs are cached
// for a decision.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{
		DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}, &corev1.Namespace{}},
	}}
}

// Setup registers every controller with the manager.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) error {
	for _, index := range []struct {
		object client.Object
		field  string
		value  client.IndexerFunc
	}{
		{&v1alpha1.Passport{}, agentField, agentName},
		{&v1alpha1.Checkout{}, agentField, agentName},
		{&v1alpha1.Checkpoint{}, passportField, passportName},
		{&v1alpha1.Checkout{}, passportField, passportName},
		{&v1alpha1.CompatibilityCheck{}, agentField, agentName},
		{&v1alpha1.CompatibilityCheck{}, packageField, packageName},
	} {
		if err := mgr.GetFieldIndexer().IndexField(ctx, index.object, index.field, index.value); err != nil {
			return err
		}
	}
	for _, setup := range []func(ctrl.Manager, Options) error{
		setupSigningKeys, setupKeyringLoader, setupAgentPassports, setupAgentBlocks, setupCheckpoints, setupCheckouts, setupPassports,
		setupServiceConnections, setupChannelAuthority, setupGatewayCertificate,
		setupCapabilityPassports, setupVendorKeys, setupCompatibilityChecks, setupPolicyPacks,
		setupMissionTrail, setupBlockTrail, setupAgentTrail, setupConnectionTrail, setupDocumentTrails,
	} {
		if err := setup(mgr, options); err != nil {
			return err
		}
	}
	if options.Registry == nil {
		options.Registry = metrics.Registry
	}
	return RegisterGauges(options.Registry, mgr.GetCache(), options.Keys, options.RotationInterval)
}

func setupPassports(mgr ctrl.Manager, o Options) error {
	metadataClient, err := metadata.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	secretChanges := make(chan event.GenericEvent)
	r := NewPassportReconciler(mgr.GetClient(), mgr.GetAPIReader(), o)
	r.Recorder = mgr.GetEventRecorder("agent-passport-manager")
	r.secrets.watch = &secretWatch{
		client: metadataClient, changed: r.passOn(secretChanges), listed: r.lookAgain(secretChanges), wanted: make(chan string, 1024),
	}
	if err := mgr.Add(r.secrets.watch); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("passport").
		For(&v1alpha1.Passport{}).
		Watches(&v1alpha1.Checkpoint{}, &urgently{passportOf}, builder.WithPredicates(notDeleted)).
		Watches(&v1alpha1.Checkout{}, &urgently{passportOf}).
		Watches(&v1alpha1.AgentPassport{}, handler.EnqueueRequestsFromMapFunc(r.passportsOfAgent), specChanged).
		Watches(&v1alpha1.AgentBlock{}, handler.EnqueueRequestsFromMapFunc(r.passportsOfBlock), specChanged).
		WatchesRawSource(source.Channel(secretChanges, &handler.EnqueueRequestForObject{})).
		WatchesRawSource(source.Func(r.followKeys)).
		WatchesRawSource(source.Func(r.followAuthority)).
		WatchesRawSource(source.Func(o.Reports.follow)).
		WithOptions(o.controller(o.PassportWorkers)).
		Complete(retryConflicts{r})
}

// NewPassportReconciler gives a PassportReconciler without a watch on Secrets and without a
// Recorder: every question about a Secret is a live read.
func NewPassportReconciler(c client.Client, live client.Reader, o Options) *PassportReconciler {
	return &PassportReconciler{
		Client:     c,
		Live:       live,
		Clock:      o.Clock,
		Keys:       o.Keys,
		Authority:  o.Authority(),
		Thresholds: o.Thresholds,
		secrets: &tokenSecrets{
			client: c, live: live, manager: types.NamespacedName{Namespace: o.Namespace, Name: o.ServiceAccount},
			gateway: gatewayAccess{url: o.GatewayURL, authority: o.Channel},
		},
		lists:   &liveLists{reader: live, clock: o.Clock},
		ended:   newEndedPassports(c, o),
		trail:   o.Trail,
		reports: o.Reports,
	}
}

func setupCheckpoints(mgr ctrl.Manager, o Options) error {
	return ctrl.NewControllerManagedBy(mgr).Named("checkpoint").
		For(&v1alpha1.Checkpoint{}, builder.WithPredicates(notDeleted)).
		Watches(&v1alpha1.Passport{}, handler.Funcs{DeleteFunc: checkpointsOfDeleted(mgr.GetClient())}).
		WithOptions(o.controller(4)).
		Complete(retryConflicts{&CheckpointReconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: o.Clock}})
}

func setupCheckouts(mgr ctrl.Manager, o Options) error {
	r := NewCheckoutReconciler(mgr.GetClient(), mgr.GetAPIReader(), o)
	r.Recorder = mgr.GetEventRecorder("agent-passport-manager")
	return ctrl.NewControllerManagedBy(mgr).Named("checkout").
		For(&v1alpha1.Checkout{}, builder.WithPredicates(notDeleted)).
		Watches(&v1alpha1.Passport{}, handler.EnqueueRequestsFromMapFunc(r.checkoutsOfPassport), builder.WithPredicates(phaseOrCheckoutChanged)).
		WithOptions(o.controller(o.PassportWorkers)).
		Complete(retryConflicts{r})
}

// NewCheckoutReconciler gives a CheckoutReconciler without a Recorder.
func NewCheckoutReconciler(c client.Client, live client.Reader, o Options) *CheckoutReconciler {
	return &CheckoutReconciler{
		Client: c, Live: live, Clock: o.Clock, Thresholds: cmp.Or(o.Thresholds, review.DefaultThresholds()),
		Username: o.Username(), trail: o.Trail, observed: observations{gateways: o.LiveGateways, calls: o.Calls},
	}
}

func setupServiceConnections(mgr ctrl.Manager, o Options) error {
	r := NewServiceConnectionReconciler(mgr.GetClient(), mgr.GetAPIReader(), o)
	r.Recorder = mgr.GetEventRecorder("agent-passport-manager")
	return ctrl.NewControllerManagedBy(mgr).Named("serviceconnection").
		For(&v1alpha1.ServiceConnection{}, specChanged).
		Watches(&coordinationv1.Lease{}, handler.Funcs{}). // read alone
		WatchesRawSource(source.Channel(r.Reports.News(), &handler.EnqueueRequestForObject{})).
		WithOptions(o.controller(2)).
		Complete(retryConflicts{r})
}

// NewServiceConnectionReconciler gives a ServiceConnectionReconciler without a Recorder.
func NewServiceConnectionReconciler(c client.Client, live client.Reader, o Options) *ServiceConnectionReconciler {
	reports := o.Connections
	if reports == nil {
		reports = NewConnectionReports(c, live, o.Clock)
	}
	return &ServiceConnectionReconciler{Client: c, Clock: o.Clock, Reports: reports, Namespace: o.Namespace}
}

func setupChannelAuthority(mgr ctrl.Manager, o Options) error {
	if o.Channel == nil {
		return nil
	}
	everyReplica := false
	options := o.controller(1)
	options.NeedLeaderElection = &everyReplica
	request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.Namespace, Name: servingcert.ChannelSecretName}}
	return ctrl.NewControllerManagedBy(mgr).Named("channelauthority").
		WatchesRawSource(once(request)).
		WithOptions(options).
		Complete(retryConflicts{&ChannelAuthorityLoader{Client: mgr.GetClient(), Clock: o.Clock, Authority: o.Channel, Namespace: o.Namespace}})
}

func setupGatewayCertificate(mgr ctrl.Manager, o Options) error {
	if o.Channel == nil {
		return nil
	}
	request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.Namespace, Name: servingcert.GatewaySecretName}}
	return ctrl.NewControllerManagedBy(mgr).Named("gatewaycertificate").
		WatchesRawSource(once(request)).
		WatchesRawSource(source.Func(func(_ context.Context, queue requestQueue) error {
			o.Channel.OnChange(func() { queue.Add(request) })
			return nil
		})).
		WithOptions(o.controller(1)).
		Complete(retryConflicts{&GatewayCertificateReconciler{
			Client: mgr.GetClient(), Clock: o.Clock, Authority: o.Channel, Namespace: o.Namespace, Names: o.GatewayNames,
		}})
}

func setupAgentBlocks(mgr ctrl.Manager, o Options) error {
	return ctrl.NewControllerManagedBy(mgr).Named("agentblock").
		For(&v1alpha1.AgentBlock{}, specChanged).
		WithOptions(o.controller(2)).
		Complete(retryConflicts{&AgentBlockReconciler{Client: mgr.GetClient(), Clock: o.Clock}})
}

func setupAgentPassports(mgr ctrl.Manager, o Options) error {
	r := &AgentPassportReconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: o.Clock, Recorder: mgr.GetEventRecorder("agent-passport-manager")}
	return ctrl.NewControllerManagedBy(mgr).Named("agentpassport").
		For(&v1alpha1.AgentPassport{}, specChanged).
		Watches(&v1alpha1.AgentBlock{}, handler.EnqueueRequestsFromMapFunc(r.agentsOfBlock), specChanged).
		Watches(&v1alpha1.VendorKey{}, allOf(r.Client, &v1alpha1.AgentPassportList{}), specChanged).
		Watches(&v1alpha1.Passport{}, handler.EnqueueRequestsFromMapFunc(agentOfMission), builder.WithPredicates(phaseChanged)).
		Watches(&v1alpha1.Checkout{}, handler.EnqueueRequestsFromMapFunc(agentOfMission), builder.WithPredicates(decidedOrDeleted)).
		WithOptions(o.controller(2)).
		Complete(retryConflicts{r})
}

func setupSigningKeys(mgr ctrl.Manager, o Options) error {
	r := &SigningKeysReconciler{
		Client: mgr.GetClient(), Clock: o.Clock, Recorder: mgr.GetEventRecorder("agent-passport-manager"), Keys: o.Keys,
		Namespace: o.Namespace, Issuer: o.Issuer, Policy: token.DefaultPolicy(o.RotationInterval), Trail: o.Trail,
	}
	request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.Namespace, Name: KeySecretName}}
	keys := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{request}
	})
	return ctrl.NewControllerManagedBy(mgr).Named("signingkeys").
		WatchesRawSource(once(request)).
		Watches(&corev1.Secret{}, keys).
		Watches(&corev1.ConfigMap{}, keys).
		WithOptions(o.controller(1)).
		Complete(retryConflicts{r})
}

func setupKeyringLoader(mgr ctrl.Manager, o Options) error {
	everyReplica := false
	options := o.controller(1)
	options.NeedLeaderElection = &everyReplica
	return ctrl.NewControllerManagedBy(mgr).Named("keyringloader").
		For(&corev1.Secret{}).
		WithOptions(options).
		Complete(&KeyringLoader{Client: mgr.GetClient(), Keys: o.Keys, Namespace: o.Namespace})
}

// controller gives the options of a controller with so many workers.
func (o Options) controller(workers int) controller.Options {
	warm := true
	options := controller.Options{
		MaxConcurrentReconciles: max(workers, 1),
		EnableWarmup:            &warm,
		ReconciliationTimeout:   2 * time.Minute,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, time.Minute),
		NewQueue:                o.NewQueue,
	}
	if o.NewQueue != nil {
		several := true
		options.SkipNameValidation = &several
		options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](0, 0)
	}
	return options
}

// retryConflicts tries again, without an error, what was refused because the object read was not
// the newest: that is the API server doing its part, not a fault.
type retryConflicts struct{ reconcile.Reconciler }

func (r retryConflicts) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := r.Reconciler.Reconcile(ctx, request)
	if apierrors.IsConflict(err) {
		staleSkips.Inc()
		return reconcile.Result{RequeueAfter: 20 * time.Millisecond}, nil
	}
	return result, err
}

// passOn gives the function that the Secret watch tells of changes: one that the operator did not make
// brings the Secret's passport back.
func (r *PassportReconciler) passOn(events chan<- event.GenericEvent) func(context.Context, *metav1.PartialObjectMetadata) {
	return func(ctx context.Context, secret *metav1.PartialObjectMetadata) {
		owner := metav1.GetControllerOf(secret)
		if owner == nil || r.secrets.unchanged(owner.UID, client.ObjectKeyFromObject(secret)) {
			return
		}
		bringBack(ctx, events, &v1alpha1.Passport{ObjectMeta: metav1.ObjectMeta{Namespace: secret.Namespace, Name: owner.Name}})
	}
}

// lookAgain gives the function that the Secret watch tells of first lists: every passport whose Secret
// is not as it is known comes back.
func (r *PassportReconciler) lookAgain(events chan<- event.GenericEvent) func(context.Context, string) {
	return func(ctx context.Context, namespace string) {
		var passports v1alpha1.PassportList
		if err := r.List(ctx, &passports, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return
		}
		for i := range passports.Items {
			passport := &passports.Items[i]
			if !passport.Status.Phase.Finished() && !r.secrets.unchanged(passport.UID, secretOf(passport)) {
				bringBack(ctx, events, passport)
			}
		}
	}
}

func bringBack(ctx context.Context, events chan<- event.GenericEvent, passport *v1alpha1.Passport) {
	select {
	case events <- event.GenericEvent{Object: passport}:
	case <-ctx.Done():
	}
}

// followKeys brings back every passport that is not finished once there are keys, and once one that
// signed is dropped.
func (r *PassportReconciler) followKeys(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.Keys.OnChange(func(dropped bool) {
		if dropped {
			r.secrets.distrustAll()
		}
		r.bringAllBack(ctx, queue)
	})
	return nil
}

// followAuthority brings them back once there is an authority, and once it is another: it is in their Secrets.
func (r *PassportReconciler) followAuthority(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	if r.secrets.gateway.url == "" {
		return nil
	}
	r.secrets.gateway.authority.OnChange(func() {
		r.secrets.distrustAll()
		r.bringAllBack(ctx, queue)
	})
	return nil
}

func (r *PassportReconciler) bringAllBack(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	var passports v1alpha1.PassportList
	if err := r.List(ctx, &passports, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	for _, request := range unfinished(passports.Items) {
		queue.Add(request)
	}
}

func (r *PassportReconciler) passportsOfAgent(ctx context.Context, agent client.Object) []reconcile.Request {
	return r.passportsIn(ctx, agent.GetNamespace(), client.MatchingFields{agentField: agent.GetName()})
}

func (r *PassportReconciler) passportsOfBlock(ctx context.Context, object client.Object) []reconcile.Request {
	block, ok := object.(*v1alpha1.AgentBlock)
	if !ok || block.Spec.AgentRef == nil {
		return r.passportsIn(ctx, object.GetNamespace())
	}
	return r.passportsIn(ctx, block.Namespace, client.MatchingFields{agentField: block.Spec.AgentRef.Name})
}

func (r *PassportReconciler) passportsIn(ctx context.Context, namespace string, selectors ...client.ListOption) []reconcile.Request {
	var passports v1alpha1.PassportList
	options := append([]client.ListOption{client.InNamespace(namespace), client.UnsafeDisableDeepCopy}, selectors...)
	if err := r.List(ctx, &passports, options...); err != nil {
		return nil
	}
	return unfinished(passports.Items)
}

func unfinished(passports []v1alpha1.Passport) []reconcile.Request {
	var requests []reconcile.Request
	for i := range passports {
		if !passports[i].Status.Phase.Finished() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&passports[i])})
		}
	}
	return requests
}

func (r *AgentPassportReconciler) agentsOfBlock(ctx context.Context, object client.Object) []reconcile.Request {
	if block, ok := object.(*v1alpha1.AgentBlock); ok && block.Spec.AgentRef != nil {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: block.Namespace, Name: block.Spec.AgentRef.Name}}}
	}
	return requestsOf(ctx, r.Client, &v1alpha1.AgentPassportList{}, ownName, client.InNamespace(object.GetNamespace()))
}

func agentOfMission(_ context.Context, object client.Object) []reconcile.Request {
	names := agentName(object)
	if len(names) == 0 {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: names[0]}}}
}

func (r *CheckoutReconciler) checkoutsOfPassport(ctx context.Context, passport client.Object) []reconcile.Request {
	checkouts, err := checkoutsOf(ctx, r.Client, passport.GetNamespace(), passport.GetName())
	if err != nil {
		return nil
	}
	requests := make([]reconcile.Request, 0, len(checkouts))
	for i := range checkouts {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&checkouts[i])})
	}
	return requests
}

func checkpointsOfDeleted(reader client.Reader) func(context.Context, event.DeleteEvent, workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	return func(ctx context.Context, deleted event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		checkpoints, err := checkpointsOf(ctx, reader, deleted.Object.GetNamespace(), deleted.Object.GetName())
		if err != nil {
			return
		}
		for i := range checkpoints {
			queue.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&checkpoints[i])})
		}
	}
}

func passportOf(object client.Object) (reconcile.Request, bool) {
	names := passportName(object)
	if len(names) == 0 {
		return reconcile.Request{}, false
	}
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: names[0]}}, true
}

// urgently enqueues ahead of resyncs: a passport's life hangs on its checkpoints.
type urgently struct {
	request func(client.Object) (reconcile.Request, bool)
}

type requestQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Create implements handler.EventHandler.
func (u *urgently) Create(_ context.Context, e event.CreateEvent, queue requestQueue) {
	u.add(e.Object, queue)
}

// Update implements handler.EventHandler.
func (u *urgently) Update(_ context.Context, e event.UpdateEvent, queue requestQueue) {
	u.add(e.ObjectNew, queue)
}

// Delete implements handler.EventHandler.
func (u *urgently) Delete(_ context.Context, e event.DeleteEvent, queue requestQueue) {
	u.add(e.Object, queue)
}

// Generic implements handler.EventHandler.
func (u *urgently) Generic(_ context.Context, e event.GenericEvent, queue requestQueue) {
	u.add(e.Object, queue)
}

func (u *urgently) add(object client.Object, queue requestQueue) {
	if request, ok := u.request(object); ok {
		addUrgently(queue, request)
	}
}

func addUrgently(queue requestQueue, request reconcile.Request) {
	if prioritized, is := queue.(priorityqueue.PriorityQueue[reconcile.Request]); is {
		prioritized.AddWithOpts(priorityqueue.AddOpts{Priority: &urgent}, request)
		return
	}
	queue.Add(request)
}

// notDeleted passes everything on but deletions.
var notDeleted = predicate.Funcs{DeleteFunc: func(event.DeleteEvent) bool { return false }}

// specChanged passes on what changes a spec, and leaves out status: a sum on an agent is no news to
// its passports.
var specChanged = builder.WithPredicates(predicate.GenerationChangedPredicate{})

// changed passes on updates for which it matters how the object differs, and everything else.
func changed[T client.Object](matters func(before, after T) bool) predicate.Funcs {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, okBefore := e.ObjectOld.(T)
		after, okAfter := e.ObjectNew.(T)
		return !okBefore || !okAfter || matters(before, after)
	}}
}

// phaseChanged passes on what changes the number of live passports.
var phaseChanged = changed(func(before, after *v1alpha1.Passport) bool {
	return before.Status.Phase != after.Status.Phase
})

// phaseOrCheckoutChanged passes on what brings a mission's Checkout further.
var phaseOrCheckoutChanged = changed(func(before, after *v1alpha1.Passport) bool {
	return before.Status.Phase != after.Status.Phase || (before.Status.Checkout == nil) != (after.Status.Checkout == nil)
})

// decidedOrDeleted passes on what feeds an agent's baseline.
var decidedOrDeleted = changed(func(before, after *v1alpha1.Checkout) bool {
	return lifecycle.Decided(before) != lifecycle.Decided(after)
})

// once enqueues one request at the start.
func once(request reconcile.Request) source.Source {
	return source.Func(func(_ context.Context, queue requestQueue) error {
		queue.Add(request)
		return nil
	})
}

// agentName indexes missions and CompatibilityChecks by their agent.
func agentName(object client.Object) []string {
	switch object := object.(type) {
	case *v1alpha1.Passport:
		return []string{object.Spec.AgentRef.Name}
	case *v1alpha1.Checkout:
		return []string{object.Spec.AgentRef.Name}
	case *v1alpha1.CompatibilityCheck:
		return []string{object.Spec.AgentRef.Name}
	default:
		return nil
	}
}

// passportName indexes reports by their passport.
func passportName(object client.Object) []string {
	switch object := object.(type) {
	case *v1alpha1.Checkpoint:
		return []string{object.Spec.PassportRef.Name}
	case *v1alpha1.Checkout:
		return []string{object.Spec.PassportRef.Name}
	default:
		return nil
	}
}

// SyncCheck is a readiness check: the caches are filled and the signing keys are loaded.
func SyncCheck(mgr ctrl.Manager, keys *Keyring) func(context.Context) error {
	return func(ctx context.Context) error {
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return fmt.Errorf("the caches are not filled yet")
		}
		if _, ok := keys.Ring(); !ok {
			return fmt.Errorf("the signing keys are not loaded yet")
		}
		return nil
	}
}
