package playground

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// CurrentCluster as Session.Cluster is the cluster of the current kubeconfig.
const CurrentCluster = "current"

// Session is a playground from its start to its end.
type Session struct {
	// Root is the directory of the operator's module.
	Root string
	// Screen is where it speaks.
	Screen *Screen
	// Clock is the wall's.
	Clock clock.PassiveClock
	// Cluster is empty for a control plane of its own, or CurrentCluster.
	Cluster string

	state   string
	cfg     *rest.Config
	admin   client.Client
	kubectl kubectl
	manager *manager
	// auditLog that the manager writes to.
	auditLog *auditLog
	gateway  *gateway
	// upstreams that the gateway reaches.
	upstreams []*upstream
	// stamped says that the cluster has mutating policies, which record who writes what.
	stamped bool
	// closers end what was started, the last first.
	closers []closer
}

type closer struct {
	name string
	end  func() error
}

// Run starts everything, plays missions up to one that lives, tells what to type next, and stays up
// until ctx is over. Then it ends all that it started.
func (s *Session) Run(ctx context.Context) error {
	s.state = filepath.Join(s.Root, ".playground")
	if err := os.MkdirAll(s.state, 0o700); err != nil {
		return err
	}
	err := s.stayUp(ctx)
	if ctx.Err() != nil {
		err = nil // to be told to stop is how a playground ends well
	}
	return errors.Join(err, s.close())
}

func (s *Session) stayUp(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	ctx, cancel := s.watched(ctx)
	defer cancel()
	stage, err := s.stage(ctx)
	if err != nil {
		return err
	}
	last, err := s.introduce(ctx, stage)
	if err != nil {
		return err
	}
	end := chapter{"Everything stays up; Ctrl-C ends it. Meanwhile:", []step{{"watch the passport end", last.awaitEnd}}}
	if err := stage.play(ctx, end); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// introduce plays missions up to one that lives, which it returns, and tells what to type next.
func (s *Session) introduce(ctx context.Context, stage *stage) (*mission, error) {
	first, left, last := stage.newMission(), stage.newMission(), stage.newMission()
	first.spoken = true
	err := stage.play(ctx, first.approved(), stage.newMission().blocked(), s.newHTTPMission(stage).called(), left.undecided(), last.lived())
	if err == nil {
		err = hire(ctx, s.admin, auditorName, auditorRole)
	}
	if err == nil {
		s.Screen.Text(s.nextCommands(&left.checkout, &last.passport))
	}
	return last, err
}

// Demo plays missions to their ends on a control plane of its own, in a directory that it removes.
// Its error names the step that went wrong.
func (s *Session) Demo(ctx context.Context) (err error) {
	s.state, err = os.MkdirTemp("", "agent-passport-demo-")
	if err != nil {
		return err
	}
	defer func() {
		stopped := s.close()
		if err = errors.Join(err, stopped); err == nil {
			err = os.RemoveAll(s.state)
		} else {
			s.Screen.Line("logs", "kept in %s", filepath.Join(s.state, "logs"))
		}
	}()

	if err := s.start(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	ctx, cancel := s.watched(ctx)
	defer cancel()
	stage, err := s.stage(ctx)
	if err != nil {
		return err
	}
	first := stage.newMission()
	auditor := &auditor{auditLog: s.auditLog, admin: s.admin, root: s.Root, state: s.state}
	return stage.play(ctx, first.approved(), stage.newMission().blocked(), s.newHTTPMission(stage).called(), s.newHTTPMission(stage).strayed(),
		stage.newMission().died(), auditor.audited(first,
			"passport.issue (success)", "passport.checkpoint (success)", "passport.seen (success)", "passport.checkout (pending)", "passport.review_decide (success)"))
}

// newHTTPMission is one over HTTP that has not begun.
func (s *Session) newHTTPMission(stage *stage) *httpMission {
	return &httpMission{stage: stage, gateway: s.gateway, upstreams: s.upstreams, admin: s.admin}
}

// watched is over as soon as the manager or the gateway is.
func (s *Session) watched(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	for _, watched := range []*process{s.manager.process, s.gateway.process} {
		go func() {
			select {
			case <-watched.ended:
				cancel(fmt.Errorf("the %s has ended by itself (%v); see %s", watched.name, watched.err, watched.log)) //nolint:errorlint // nothing to unwrap
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// stage lets the actors onto the cluster of the session.
func (s *Session) stage(ctx context.Context) (*stage, error) {
	played, err := newActors(ctx, s.cfg, s.admin, s.Screen)
	if err != nil {
		return nil, err
	}
	s.Screen.Line("actors", "%s, %s and %s, each a ServiceAccount of its own", agentName, reviewerName, responderName)
	return &stage{actors: played, clock: s.Clock, screen: s.Screen, jwks: s.manager.jwks, stamped: s.stamped}, nil
}

// start brings up the control plane, what is installed on it, the manager and the samples.
func (s *Session) start(ctx context.Context) error {
	s.Screen.Title("Agent Passport Operator: playground")
	lock, err := lockState(ctx, s.state)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, closer{end: lock.Close})
	ended, err := endLeftovers(ctx, s.state)
	if err != nil {
		return err
	}
	if ended > 0 {
		s.Screen.Line("cleaned up", "%d processes that an earlier run left behind", ended)
	}

	connect := s.connectOwn
	if s.Cluster == CurrentCluster {
		connect = s.connectCurrent
	}
	if err := connect(ctx); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if s.admin, err = client.New(s.cfg, client.Options{Scheme: scheme}); err != nil {
		return err
	}

	unserved, err := s.kubectl.install(ctx, s.Root, s.admin)
	if err != nil {
		return err
	}
	s.stamped = len(unserved) == 0
	s.Screen.Line("installed", "CRDs, RBAC and admission policies")
	if len(unserved) > 0 {
		s.Screen.Line("", "(this cluster is too old for %s: names stay as their authors write them)", strings.Join(unserved, ", "))
	}

	s.auditLog, err = startAuditLog(ctx, s.Root, s.state, s.cfg, s.admin, s.Cluster == "")
	if err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"audit log", s.auditLog.stop})
	s.Screen.Line("audit log", "%s, kept in %s", s.auditLog.url, s.short(s.auditLog.dir))
	s.manager, err = startManager(ctx, s.Root, s.state, s.cfg, s.admin, s.auditLog)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"manager", s.manager.stop})
	s.Screen.Line("manager", "running as ServiceAccount %s, log %s", managerAccount, s.short(s.manager.log))
	s.gateway, err = startGateway(ctx, s.Root, s.state, s.cfg, s.admin, s.manager, s.auditLog)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"gateway", s.gateway.stop})
	s.Screen.Line("gateway", "%s, log %s", s.gateway.url, s.short(s.gateway.log))
	if err := s.samples(ctx); err != nil {
		return err
	}
	return s.connect(ctx)
}

// connectOwn starts a control plane.
func (s *Session) connectOwn(ctx context.Context) error {
	provider := &Provider{Root: s.Root, Screen: s.Screen, Clock: s.Clock}
	assets, err := provider.Provide(ctx)
	if err != nil {
		return err
	}
	plane, err := startControlPlane(assets, s.state)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, closer{"API server and etcd", plane.stop})
	s.cfg = plane.admin
	s.kubectl = kubectl{path: filepath.Join(assets, "kubectl"), kubeconfig: filepath.Join(s.state, "kubeconfig")}
	s.Screen.Line("API server", "%s, state in %s", strings.TrimSuffix(s.cfg.Host, "/"), s.short(s.state))
	return writeKubeconfig(s.kubectl.kubeconfig, s.cfg, agentNamespace)
}

// connectCurrent takes the cluster that kubectl talks to.
func (s *Session) connectCurrent(ctx context.Context) error {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{})
	raw, err := loader.RawConfig()
	if err != nil {
		return err
	}
	if s.cfg, err = loader.ClientConfig(); err != nil {
		return err
	}
	s.Screen.Line("cluster", "context %q, %s", raw.CurrentContext, s.cfg.Host)
	s.Screen.Line("", "(this installs CRDs, RBAC and admission policies there: it needs the rights of an administrator)")
	if s.kubectl.path, err = exec.LookPath("kubectl"); err == nil {
		return nil
	}
	assets, err := (&Provider{Root: s.Root, Screen: s.Screen, Clock: s.Clock}).Provide(ctx)
	s.kubectl.path = filepath.Join(assets, "kubectl")
	return err
}

// samples applies config/samples and waits until the operator has read the agents in it.
func (s *Session) samples(ctx context.Context) error {
	if err := s.kubectl.apply(ctx, s.Root, "samples"); err != nil {
		return err
	}
	// On a cluster of its own, what an earlier visitor did is undone; elsewhere it is not ours.
	if s.Cluster == "" {
		if err := s.tidy(ctx); err != nil {
			return err
		}
	}
	var names []string
	err := eventually(ctx, patience, "the operator to read the sample agents", func(ctx context.Context) (string, error) {
		var agents v1alpha1.AgentPassportList
		if err := s.admin.List(ctx, &agents, client.InNamespace(agentNamespace)); err != nil {
			return "", err
		}
		names = names[:0]
		for i := range agents.Items {
			agent := &agents.Items[i]
			if !meta.IsStatusConditionTrue(agent.Status.Conditions, string(v1alpha1.ConditionReady)) {
				return agent.Name + " is not Ready", nil
			}
			names = append(names, agent.Name)
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	s.Screen.Line("samples", "agents %s in namespace %s", strings.Join(names, " and "), agentNamespace)
	return nil
}

// connect starts the outside services, and connects them.
func (s *Session) connect(ctx context.Context) error {
	var urls []string
	for _, name := range upstreamNames {
		up, err := startUpstream(ctx, name, s.admin, s.Screen)
		if err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
		s.closers = append(s.closers, closer{end: up.stop})
		s.upstreams = append(s.upstreams, up)
		urls = append(urls, fmt.Sprintf("%s at %s", name, up.url))
	}
	err := eventually(ctx, patience, "the gateway to read the credentials", func(ctx context.Context) (string, error) {
		var connections v1alpha1.ServiceConnectionList
		if err := s.admin.List(ctx, &connections, client.InNamespace(agentNamespace)); err != nil {
			return "", err
		}
		for i := range connections.Items {
			one := &connections.Items[i]
			if !meta.IsStatusConditionTrue(one.Status.Conditions, string(v1alpha1.ConditionReady)) {
				return "ServiceConnection " + one.Name + " is not Ready", nil
			}
		}
		return "", nil
	})
	s.Screen.Line("services", "%s; each shows here what reaches it", strings.Join(urls, ", "))
	return err
}

// tidy takes away the missions of an earlier visit, and what they led to, so that all can be done
// again. Passports go first: one that ends without a checkout gets one from the operator.
func (s *Session) tidy(ctx context.Context) error {
	removed := 0
	for _, list := range []client.ObjectList{
		&v1alpha1.PassportList{}, &v1alpha1.CheckoutList{}, &v1alpha1.AgentBlockList{},
	} {
		n, err := removeAll(ctx, s.admin, list)
		if err != nil {
			return err
		}
		removed += n
	}
	if removed > 0 {
		s.Screen.Line("removed", "%d passports, checkouts and blocks of an earlier visit", removed)
	}
	return nil
}

// removeAll deletes the objects of one kind in the agents' namespace, and waits until the operator has
// let go of them. It says how many there were.
func removeAll(ctx context.Context, admin client.Client, list client.ObjectList) (removed int, err error) {
	if err := admin.List(ctx, list, client.InNamespace(agentNamespace)); err != nil {
		return 0, err
	}
	removed = meta.LenList(list)
	err = meta.EachListItem(list, func(item runtime.Object) error {
		object, ok := item.(client.Object)
		if !ok {
			return fmt.Errorf("a list of %T", item)
		}
		return client.IgnoreNotFound(admin.Delete(ctx, object))
	})
	if err != nil {
		return 0, err
	}
	return removed, eventually(ctx, patience, "what an earlier visit left to go", func(ctx context.Context) (string, error) {
		if err := admin.List(ctx, list, client.InNamespace(agentNamespace)); err != nil {
			return "", err
		}
		if left := meta.LenList(list); left > 0 {
			return fmt.Sprintf("%d of %d objects are still there", left, removed), nil
		}
		return "", nil
	})
}

// close ends what was started, the last first, and says so.
func (s *Session) close() error {
	var errs []error
	var names []string
	for len(s.closers) > 0 {
		last := s.closers[len(s.closers)-1]
		s.closers = s.closers[:len(s.closers)-1]
		if err := last.end(); err != nil {
			errs = append(errs, fmt.Errorf("ending %s: %w", last.name, err))
		} else if last.name != "" {
			names = append(names, last.name)
		}
	}
	if len(names) > 0 {
		s.Screen.Text("\n")
		s.Screen.Line("ended", "%s", strings.Join(names, ", then "))
	}
	if len(names) > 0 && s.Cluster == CurrentCluster {
		s.Screen.Line("", "(what was installed stays in the cluster; `make undeploy` removes it)")
	}
	return errors.Join(errs...)
}

// short is a path as seen from the module's root.
func (s *Session) short(path string) string {
	if rel, err := filepath.Rel(s.Root, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
