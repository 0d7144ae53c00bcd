package state

import (
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
)

const (
	// liveTimeout bounds one live look.
	liveTimeout = 3 * time.Second
	// confirmedFor is how long a live look that changed nothing is not repeated.
	confirmedFor = time.Second
	// liveLooks a second, for all tokens together, and how many may come at once.
	liveLooks, liveBurst = 50, 100
	// broughtWithin is how long a watch that is not lost may take to bring what it has, and more.
	broughtWithin = time.Minute
	// mostLiveBlocks is how many blocks of an agent a live look asks for.
	mostLiveBlocks = 8
)

// Look gives what is known of a verified token's passport, of its agent, and of the connection of a
// service. It asks nobody. A nil token gives the time and Lost alone. Whoever calls is left out: the zero
// CallerState is for the caller of Look to replace.
func (v *View) Look(verified *Verified, service v1alpha1.ServiceName) decision.Situation {
	situation := decision.Situation{Now: v.options.Clock.Now(), Lost: v.Lost()}
	if verified == nil {
		return situation
	}
	passport, found := v.jtis.get(verified.Claims.ID)
	if !found {
		return situation
	}
	v.complete(&situation, passport.standing, service)
	return situation
}

// complete adds what goes with a passport.
func (v *View) complete(situation *decision.Situation, standing *decision.Standing, service v1alpha1.ServiceName) {
	situation.Standing = standing
	owner, found := v.agents.get(types.NamespacedName{Namespace: standing.Namespace, Name: standing.Agent})
	situation.AgentGone = !found || owner.uid != standing.AgentUID
	situation.Blocked = owner.suspension
	if name := v.blockOf(standing.Namespace, standing.Agent); name != "" {
		situation.Blocked = "AgentBlock " + name
	}
	if known, found := v.connections.get(types.NamespacedName{Namespace: standing.Namespace, Name: string(service)}); found {
		situation.Connection = known.Connection
	}
}

// blockOf names a block in force for an agent; empty for none.
func (v *View) blockOf(namespace, agent string) string {
	if names, found := v.blocks.get(types.NamespacedName{Namespace: namespace}); found {
		return names[0]
	}
	if names, found := v.blocks.get(types.NamespacedName{Namespace: namespace, Name: agent}); found {
		return names[0]
	}
	return ""
}

// LookLive is Look with what would refuse the token read anew from the API server, for a state that a
// watch may not have brought yet: a passport issued a moment ago, an expiry that a checkpoint moved, a
// block that was lifted. An answer that changed nothing is believed for a second, and the looks for all
// tokens together are limited; past the limit it is Look. Where the API server does not answer, the error
// says so, and the Situation is that of Look.
func (v *View) LookLive(ctx context.Context, verified *Verified, service v1alpha1.ServiceName) (decision.Situation, error) {
	situation := v.Look(verified, service)
	if verified == nil || situation.Lost != "" || v.wasDeleted(verified) || !v.mayLookLive(verified.Claims.ID) {
		return situation, nil
	}
	// Whoever asks for the same passport meanwhile gets the same answer, and whoever gives up ends it for
	// nobody else.
	answer := v.looking.DoChan(verified.Claims.ID, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), liveTimeout)
		defer cancel()
		return v.readLive(ctx, verified)
	})
	select {
	case <-ctx.Done():
		return situation, context.Cause(ctx)
	case result := <-answer:
		if result.Err != nil {
			return situation, result.Err
		}
		return v.merge(result.Val.(*live), verified, service), nil
	}
}

// wasDeleted says whether a passport is not known that the watch would have brought by now, were it there:
// whoever keeps old tokens has nobody ask the API server for them.
func (v *View) wasDeleted(verified *Verified) bool {
	_, found := v.jtis.get(verified.Claims.ID)
	return !found && v.options.Clock.Since(time.Unix(verified.Claims.IssuedAt, 0)) > v.options.WatchSilence+broughtWithin
}

func (v *View) mayLookLive(jti string) bool {
	now := v.options.Local.Now()
	if at, found := v.confirmed.Get(jti); found && now.Sub(at) < confirmedFor {
		return false
	}
	return v.liveLooks.AllowN(now, 1)
}

// live is what the API server says of a passport.
type live struct {
	// passport, nil where it is not there.
	passport *known
	// agent, zero where it is not there.
	agent agent
	// lifted are the blocks that are in force no more; asked are all that were in force.
	lifted []string
}

// readLive reads the passport, its agent, and the blocks that are known to be in force for it.
func (v *View) readLive(ctx context.Context, verified *Verified) (*live, error) {
	var answer live
	passport, err := v.livePassport(ctx, verified)
	if err != nil || passport == nil {
		return &answer, err
	}
	answer.passport = &known{passport: passport, standing: decision.StandingOf(passport)}
	whom := types.NamespacedName{Namespace: passport.Namespace, Name: passport.Spec.AgentRef.Name}
	var owner v1alpha1.AgentPassport
	switch err := v.live.Get(ctx, whom, &owner); {
	case err == nil:
		answer.agent = agentOf(&owner)
	case !apierrors.IsNotFound(err):
		return nil, err
	}
	answer.lifted, err = v.liftedBlocks(ctx, whom)
	return &answer, err
}

// livePassport is nil where there is none. One that no watch has brought yet is found among the live ones
// of its agent, since a token tells the UID of its Passport and not the name.
func (v *View) livePassport(ctx context.Context, verified *Verified) (*v1alpha1.Passport, error) {
	if last, found := v.jtis.get(verified.Claims.ID); found {
		var passport v1alpha1.Passport
		err := v.live.Get(ctx, nameOf(last.passport), &passport)
		if apierrors.IsNotFound(err) || (err == nil && passport.UID != last.passport.UID) {
			return nil, nil //nolint:nilnil // it is not there
		}
		return &passport, err
	}
	owner := verified.Claims.Passport.Agent
	if !v.options.Works.Hold(owner.Namespace) {
		return nil, nil //nolint:nilnil // of what is there, nothing is known
	}
	var active v1alpha1.PassportList
	err := v.live.List(ctx, &active, client.InNamespace(owner.Namespace),
		client.MatchingFields{"spec.agentRef.name": owner.Name, "status.phase": string(v1alpha1.PhaseActive)})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(active.Items, func(p v1alpha1.Passport) bool { return string(p.UID) == verified.Claims.Mission.ID })
	if i < 0 {
		return nil, nil //nolint:nilnil // it is not there
	}
	return &active.Items[i], nil
}

// liftedBlocks are those of the blocks known to be in force for an agent that are lifted or deleted.
func (v *View) liftedBlocks(ctx context.Context, whom types.NamespacedName) ([]string, error) {
	names := v.blocksOf(whom)
	var lifted []string
	for _, name := range names[:min(len(names), mostLiveBlocks)] {
		var block v1alpha1.AgentBlock
		err := v.live.Get(ctx, types.NamespacedName{Namespace: whom.Namespace, Name: name}, &block)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		if err != nil || block.Spec.Lifted != nil {
			lifted = append(lifted, name)
		}
	}
	return lifted, nil
}

// blocksOf names the blocks in force for an agent.
func (v *View) blocksOf(whom types.NamespacedName) []string {
	all, _ := v.blocks.get(types.NamespacedName{Namespace: whom.Namespace})
	own, _ := v.blocks.get(whom)
	return slices.Concat(all, own)
}

// merge takes of the watches and the live look what is newer. A block that came since then counts.
func (v *View) merge(answer *live, verified *Verified, service v1alpha1.ServiceName) decision.Situation {
	before := v.Look(verified, service)
	if answer.passport == nil {
		after := before
		after.Standing = nil
		return v.noteConfirmed(before, after, verified)
	}
	after := decision.Situation{Now: before.Now, Lost: before.Lost}
	standing := answer.passport.standing
	last, found := v.jtis.get(verified.Claims.ID)
	if found && !newer(answer.passport.passport.ResourceVersion, last.passport.ResourceVersion) {
		standing = last.standing
	}
	v.complete(&after, standing, service)
	whom := types.NamespacedName{Namespace: standing.Namespace, Name: standing.Agent}
	owner, found := v.agents.get(whom)
	if !found || newer(answer.agent.version, owner.version) {
		owner = answer.agent
	}
	after.AgentGone, after.Blocked = owner.uid != standing.AgentUID, owner.suspension
	for _, name := range v.blocksOf(whom) {
		if !slices.Contains(answer.lifted, name) {
			after.Blocked = "AgentBlock " + name
			break
		}
	}
	return v.noteConfirmed(before, after, verified)
}

// noteConfirmed remembers a live look that changed nothing.
func (v *View) noteConfirmed(before, after decision.Situation, verified *Verified) decision.Situation {
	if before.Standing == after.Standing && before.Blocked == after.Blocked && before.AgentGone == after.AgentGone {
		v.confirmed.Add(verified.Claims.ID, v.options.Local.Now())
	}
	return after
}
