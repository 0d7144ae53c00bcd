package plugin

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/token"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func conditions(kind v1alpha1.ConditionType, status metav1.ConditionStatus, reason string) []metav1.Condition {
	return []metav1.Condition{{Type: string(kind), Status: status, Reason: reason, Message: "because"}}
}

func TestWhatBecameOfAPassport(t *testing.T) {
	standard := &v1alpha1.IssuedTerms{Mode: v1alpha1.ModeStandard}
	for name, test := range map[string]struct {
		status          v1alpha1.PassportStatus
		issued, mission int
	}{
		"not seen":    {v1alpha1.PassportStatus{}, exitNeverCame, exitNeverCame},
		"pending":     {v1alpha1.PassportStatus{Phase: v1alpha1.PhasePending}, exitNeverCame, exitNeverCame},
		"active":      {v1alpha1.PassportStatus{Phase: v1alpha1.PhaseActive}, exitGood, exitNeverCame},
		"standard":    {v1alpha1.PassportStatus{Phase: v1alpha1.PhaseActive, Issued: standard}, exitGood, exitBad},
		"rejected":    {v1alpha1.PassportStatus{Phase: v1alpha1.PhaseRejected}, exitBad, exitBad},
		"expired":     {v1alpha1.PassportStatus{Phase: v1alpha1.PhaseExpired}, exitBad, exitNeverCame},
		"revoked":     {v1alpha1.PassportStatus{Phase: v1alpha1.PhaseRevoked}, exitBad, exitNeverCame},
		"checked out": {v1alpha1.PassportStatus{Phase: v1alpha1.PhaseCheckedOut}, exitBad, exitNeverCame},
	} {
		t.Run(name, func(t *testing.T) {
			passport := &v1alpha1.Passport{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "ticket"}, Status: test.status}
			for _, is := range []struct {
				outcome
				want int
			}{{issueOutcome(passport), test.issued}, {missionOutcome(passport), test.mission}} {
				if is.code != is.want || !strings.HasPrefix(is.text, "passport ticket in namespace agents ") {
					t.Errorf("%d %q, want %d", is.code, is.text, is.want)
				}
			}
		})
	}
}

func TestWhatBecameOfACheckout(t *testing.T) {
	judged := v1alpha1.CheckoutStatus{Verdict: v1alpha1.VerdictFlagged}
	with := func(status v1alpha1.CheckoutStatus, found []metav1.Condition) v1alpha1.CheckoutStatus {
		status.Conditions = found
		return status
	}
	reviewed := &v1alpha1.Review{Decision: v1alpha1.DecisionApproved}
	for name, test := range map[string]struct {
		status v1alpha1.CheckoutStatus
		review *v1alpha1.Review
		want   int
	}{
		"no verdict":     {v1alpha1.CheckoutStatus{}, nil, exitNeverCame},
		"does not count": {with(v1alpha1.CheckoutStatus{}, conditions(v1alpha1.ConditionStalled, metav1.ConditionTrue, "AlreadyCheckedOut")), nil, exitBad},
		"accepted":       {with(judged, conditions(v1alpha1.ConditionAccepted, metav1.ConditionTrue, "Approved")), reviewed, exitGood},
		"blocked":        {with(judged, conditions(v1alpha1.ConditionAccepted, metav1.ConditionFalse, "Blocked")), reviewed, exitBad},
		"waits":          {with(judged, conditions(v1alpha1.ConditionAccepted, metav1.ConditionUnknown, "AwaitingReview")), nil, exitAwaitsReview},
		"just decided":   {with(judged, conditions(v1alpha1.ConditionAccepted, metav1.ConditionUnknown, "AwaitingReview")), reviewed, exitNeverCame},
	} {
		t.Run(name, func(t *testing.T) {
			checkout := &v1alpha1.Checkout{Status: test.status, Spec: v1alpha1.CheckoutSpec{Review: test.review}}
			if is := checkoutOutcome(checkout); is.code != test.want || is.text == "" {
				t.Errorf("%d %q, want %d", is.code, is.text, test.want)
			}
			if awaitsReview(checkout) != (test.want == exitAwaitsReview) {
				t.Error("awaitsReview says something else")
			}
		})
	}
}

func TestExplain(t *testing.T) {
	group := schema.GroupResource{Group: "agentpassport.dev", Resource: "passports"}
	rbac := func(message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden, Code: 403, Message: message}}
	}
	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"a right in a namespace": {
			rbac(`passports.agentpassport.dev is forbidden: User "alice" cannot list resource "passports" in API group "agentpassport.dev" in the namespace "agents"`),
			[]string{"alice may not list passports.agentpassport.dev in namespace agents: ", "kubectl create rolebinding 'passports-list-alice' -n agents --clusterrole=agent-passport-viewer --user='alice'"},
		},
		"a right of a ServiceAccount cluster-wide": {
			rbac(`x is forbidden: User "system:serviceaccount:a:b" cannot patch resource "checkouts" in API group "agentpassport.dev" at the cluster scope`),
			[]string{"in any namespace", "kubectl create clusterrolebinding 'checkouts-patch-a-b' --clusterrole=agent-passport-reviewer --serviceaccount=a:b"},
		},
		"a right that no role of ours has, with what it was for": {
			fmt.Errorf("the token cannot be read: %w", rbac(`secrets "x" is forbidden: User "o'hara" cannot get resource "secrets" in API group "" in the namespace "agents"`)),
			[]string{"the token cannot be read: o'hara may not get secrets in namespace agents: that takes an administrator"},
		},
		"an admission policy": {
			rbac(`passports.agentpassport.dev "x" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: alice may not act as agent bot: do this`),
			[]string{"alice may not act as agent bot: do this"},
		},
		"another policy": {rbac("no idea"), []string{"no idea"}},
		"no such kind":   {&meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "agentpassport.dev", Kind: "Passport"}}, []string{"The operator is not installed", "kubectl passport status"}},
		"no such object": {apierrors.NewNotFound(group, "x"), []string{"To see what there is: kubectl passport list -A"}},
		"nobody":         {apierrors.NewUnauthorized("x"), []string{"log in again"}},
		"anything":       {errors.New("anything"), []string{"anything"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(test.err)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q lacks %q", got, want)
				}
			}
			if strings.Contains(got, "ValidatingAdmissionPolicy") {
				t.Errorf("%q", got)
			}
		})
	}
}

func flag(kind, service string, severity v1alpha1.Severity) v1alpha1.Flag {
	return v1alpha1.Flag{Type: kind, Service: v1alpha1.ServiceName(service), Severity: severity}
}

func found(name, agent string, flags ...v1alpha1.Flag) *v1alpha1.Checkout {
	return &v1alpha1.Checkout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: name},
		Spec:       v1alpha1.CheckoutSpec{AgentRef: v1alpha1.AgentReference{Name: agent}}, Status: v1alpha1.CheckoutStatus{Flags: flags},
	}
}

func TestGrouped(t *testing.T) {
	undeclared := flag("undeclared_service", "notion", v1alpha1.SeverityWarning)
	var got []string
	for _, g := range grouped([]*v1alpha1.Checkout{
		found("a", "bot", undeclared, flag("unused_service", "slack", v1alpha1.SeverityInfo)),
		found("b", "bot", flag("actions_mismatch", "", v1alpha1.SeverityCritical), undeclared),
		found("c", "other", undeclared),
	}) {
		names := make([]string, len(g.checkouts))
		for i, checkout := range g.checkouts {
			names[i] = checkout.Name
		}
		got = append(got, fmt.Sprintf("%s %s %s %s: %s", g.agent, g.flag, g.service, g.severity, strings.Join(names, " ")))
	}
	want := []string{"bot actions_mismatch  critical: b", "bot undeclared_service notion warning: a b", "other undeclared_service notion warning: c"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPicked(t *testing.T) {
	undeclared, mismatch := flag("undeclared_service", "notion", v1alpha1.SeverityWarning), flag("actions_mismatch", "", v1alpha1.SeverityCritical)
	both := found("b", "bot", mismatch, undeclared, flag("unused_service", "slack", v1alpha1.SeverityInfo))
	for _, test := range []struct {
		pick   pick
		has    bool
		others int
	}{
		{pick{flag: "undeclared_service"}, true, 1},
		{pick{service: "notion"}, true, 1},
		{pick{agent: "bot"}, true, 0},
		{pick{agent: "other"}, false, 0},
		{pick{flag: "unused_service"}, false, 2},
		{pick{flag: "undeclared_service", service: "slack"}, false, 2},
	} {
		if has, others := test.pick.picked(both); has != test.has || len(others) != test.others {
			t.Errorf("%+v: %t, %v", test.pick, has, others)
		}
	}
}

func TestBlocksToLift(t *testing.T) {
	block := func(name, agent string, lifted bool) *v1alpha1.AgentBlock {
		b := &v1alpha1.AgentBlock{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if agent != "" {
			b.Spec.AgentRef = &v1alpha1.AgentReference{Name: agent}
		}
		if lifted {
			b.Spec.Lifted = &v1alpha1.BlockLift{Reason: "x"}
		}
		return b
	}
	all := []*v1alpha1.AgentBlock{block("a", "bot", false), block("b", "bot", true), block("c", "other", false), block("d", "", false)}
	for args, want := range map[string][2]string{"bot": {"a", "d"}, "agentblock/c": {"c", ""}, "agentblock/b": {"", ""}, "": {"a c d", ""}} {
		var given []string
		if args != "" {
			given = []string{args}
		}
		chosen, wide := blocksToLift(all, given)
		if got := [2]string{namesOf(chosen), namesOf(wide)}; got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}

func namesOf(blocks []*v1alpha1.AgentBlock) string {
	names := make([]string, len(blocks))
	for i, block := range blocks {
		names[i] = block.Name
	}
	return strings.Join(names, " ")
}

func TestRotationPlan(t *testing.T) {
	ring, err := token.NewRing(rand.Reader, noon)
	if err != nil {
		t.Fatal(err)
	}
	published, _ := token.MarkPublished(ring, noon)
	for name, test := range map[string]struct {
		ring      token.Ring
		emergency bool
		after     time.Duration
		want      string
	}{
		"not published": {ring, false, 0, "10 minutes after it is published"},
		"too early":     {published, false, time.Minute, "from 2026-08-01T12:10:00Z on"},
		"in time":       {published, false, time.Hour, "the next key signs from now on"},
		"emergency":     {published, true, time.Minute, "every live token is signed again"},
	} {
		if got := rotationPlan(test.ring, test.emergency, noon.Add(test.after)); !strings.Contains(got, test.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWhoUsed(t *testing.T) {
	bot := &audit.Agent{Name: "bot"}
	call := func(service string, outcome audit.Outcome, after time.Duration) audit.Record {
		return audit.Record{
			Namespace: "agents", Agent: bot, PassportJTI: "pp_1", Action: audit.CredentialProxy, Outcome: outcome, Time: noon.Add(after),
			Facts: &audit.Facts{Call: &audit.Call{Service: service}},
		}
	}
	report := audit.Record{
		Namespace: "agents", Agent: bot, PassportJTI: "pp_2", Action: audit.PassportCheckpoint, Time: noon.Add(-time.Hour),
		Facts: &audit.Facts{ServicesUsed: []string{"slack", "stripe"}},
	}
	users := usages{}
	for _, record := range []audit.Record{
		call("stripe", audit.Success, 0), call("stripe", audit.Blocked, time.Minute), call("slack", audit.Success, 0), report, report, {Action: audit.KeyRotate},
	} {
		users.count(record, "stripe")
	}
	all := users.sorted()
	if len(all) != 1 {
		t.Fatalf("%v", all)
	}
	u := all[0]
	if u.Calls != 1 || u.Refused != 1 || u.Reported != 1 || !slices.Equal(u.Missions, []string{"pp_1", "pp_2"}) ||
		!u.First.Equal(noon.Add(-time.Hour)) || !u.Last.Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v", u)
	}
}

func TestInSeconds(t *testing.T) {
	for given, want := range map[time.Duration]int32{0: 0, time.Minute: 60, 30 * 24 * time.Hour: 2592000} {
		if got, err := inSeconds("ttl", given); err != nil || got != want {
			t.Errorf("%s: %d, %v", given, got, err)
		}
	}
	for _, given := range []time.Duration{-time.Second, time.Millisecond, 31 * 24 * time.Hour} {
		if _, err := inSeconds("ttl", given); exitCode(err) != exitMisused {
			t.Errorf("%s: %v", given, err)
		}
	}
}

func TestWhatAgentsWriteDoesNotMoveTheCursor(t *testing.T) {
	var out bytes.Buffer
	p := page{out: &out}
	p.row("mission", "%s", "a\x1b[2Jb\nnext  forged\rc")
	if got := out.String(); strings.ContainsAny(got, "\x1b\r") || strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
	if got := orNone("a\x1b[2J\nb"); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%q", got)
	}
}

func TestExitCodes(t *testing.T) {
	for want, err := range map[int]error{
		exitGood: nil, exitFailed: errors.New("x"), exitMisused: misuse("x"), exitBad: fmt.Errorf("x: %w", ended(exitBad)), exitNeverCame: coded(exitNeverCame, "x"),
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	if exitCode(fmt.Errorf("x: %w", audit.ErrBreak)) != exitBad {
		t.Error("a trail that does not hold")
	}
	if ended(exitGood) != nil {
		t.Error("a good end is no error")
	}
}

// What is wrong with a command line is the caller's to mend, whatever of it is wrong, and needs no cluster.
func TestMisuse(t *testing.T) {
	for line, says := range map[string]string{
		"audit bundle --agent=support-bot": `required flag(s) "data-dir", "from", "key", "output", "to" not set: see kubectl passport audit bundle --help`,
		"audit verify ./copy":              "--key is required",
		"audit verify ./copy --key=k -o x": "--output x: want text or json",
		"audit verify --all-of-it":         "unknown flag: --all-of-it: see kubectl passport audit verify --help",
		"issued":                           `there is no command "issued"`,
	} {
		var out, complaints bytes.Buffer
		options := Options{Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &complaints}, Clock: clocktesting.NewFakeClock(noon)}
		if code := Run(t.Context(), options, strings.Fields(line)); code != exitMisused || !strings.Contains(complaints.String(), says) {
			t.Errorf("%s: exit code %d: %s", line, code, complaints.String())
		}
	}
}

func TestTimeLeft(t *testing.T) {
	at := metav1.NewTime(noon)
	passport := &v1alpha1.Passport{Status: v1alpha1.PassportStatus{Phase: v1alpha1.PhaseActive, ExpirationTime: &at}}
	for before, want := range map[time.Duration]string{90*time.Second + time.Millisecond: "1m30s", 0: "0s", -time.Minute: "0s"} {
		if got := timeLeft(passport, noon.Add(-before)); got != want {
			t.Errorf("%s before: %q, want %q", before, got, want)
		}
	}
	passport.Status.Phase = v1alpha1.PhaseRevoked
	if got := timeLeft(passport, noon); got != "-" {
		t.Errorf("%q", got)
	}
}
