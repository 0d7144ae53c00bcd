package state

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/token"
)

// known is a passport as the watch brought it. It is never changed once made.
type known struct {
	passport *v1alpha1.Passport
	standing *decision.Standing
}

// ended says that it was issued once and lives no more.
func (k *known) ended() bool {
	return k.passport.Status.Issued != nil && k.passport.Status.Phase.Finished()
}

// agent is what counts of an AgentPassport.
type agent struct {
	uid     types.UID
	version string
	// suspension says that it is suspended; empty where it is not.
	suspension string
}

// setPassport takes in what the watch brought.
func (v *View) setPassport(before, now *v1alpha1.Passport) {
	if before != nil && before.UID != now.UID {
		v.removePassport(before)
	}
	last, _ := v.passports.get(now.UID)
	next := &known{passport: now, standing: decision.StandingOf(now)}
	v.passports.set(now.UID, next)
	v.jtis.set(token.JTI(string(now.UID)), next)
	v.awaitedPassports.tell(now.UID, now)
	if next.ended() && (last == nil || !last.ended()) {
		v.tellEnd(next.standing)
	}
}

func (v *View) removePassport(gone *v1alpha1.Passport) {
	last, found := v.passports.get(gone.UID)
	if !found {
		return
	}
	v.passports.remove(gone.UID)
	v.jtis.remove(token.JTI(string(gone.UID)))
	v.awaitedPassports.gone(gone.UID)
	if last.passport.Status.Issued != nil && !last.ended() {
		v.tellEnd(last.standing)
	}
}

func (v *View) tellEnd(standing *decision.Standing) {
	for _, told := range v.onEnd {
		told(standing)
	}
}

func (v *View) setAgent(_, now *v1alpha1.AgentPassport) {
	v.agents.set(nameOf(now), agentOf(now))
}

func (v *View) removeAgent(gone *v1alpha1.AgentPassport) { v.agents.remove(nameOf(gone)) }

func agentOf(object *v1alpha1.AgentPassport) agent {
	known := agent{uid: object.UID, version: object.ResourceVersion}
	if object.Spec.Suspend {
		known.suspension = "the suspension of AgentPassport " + object.Name
	}
	return known
}

// setBlock takes in an AgentBlock. What it blocks never changes; lifting is all that happens to it.
func (v *View) setBlock(before, now *v1alpha1.AgentBlock) {
	if before != nil {
		v.changeBlocks(before, false)
	}
	v.changeBlocks(now, now.Spec.Lifted == nil)
}

func (v *View) removeBlock(gone *v1alpha1.AgentBlock) { v.changeBlocks(gone, false) }

// changeBlocks has a block stand among those in force for its agent, or for its namespace, or not. For the blocks of one
// namespace, one goroutine alone calls it.
func (v *View) changeBlocks(block *v1alpha1.AgentBlock, inForce bool) {
	whom := blocked(block)
	before, _ := v.blocks.get(whom)
	names := slices.DeleteFunc(slices.Clone(before), func(name string) bool { return name == block.Name })
	if inForce {
		names = append(names, block.Name)
		slices.Sort(names)
	}
	if len(names) == 0 {
		v.blocks.remove(whom)
		return
	}
	v.blocks.set(whom, names)
}

// blocked is the agent that a block is on, with an empty name for its whole namespace.
func blocked(block *v1alpha1.AgentBlock) types.NamespacedName {
	whom := types.NamespacedName{Namespace: block.Namespace}
	if block.Spec.AgentRef != nil {
		whom.Name = block.Spec.AgentRef.Name
	}
	return whom
}

// connection is a ServiceConnection as the watch brought it.
type connection struct {
	*decision.Connection
	// credential is nil where it has none.
	credential *follower
}

func (v *View) setConnection(_, now *v1alpha1.ServiceConnection) {
	last, found := v.connections.get(nameOf(now))
	if found && last.UID == now.UID && last.Generation == now.Generation {
		return // its status alone has changed
	}
	parsed, err := decision.ConnectionOf(now)
	if err != nil {
		v.options.Log.Error(err, "a ServiceConnection cannot be read: calls to it are refused", "namespace", now.Namespace, "name", now.Name)
		v.removeConnection(now)
		return
	}
	next := &connection{Connection: parsed}
	if parsed.Credential != nil {
		next.credential = v.newFollower(now)
	}
	v.connections.set(nameOf(now), next)
	// The new one first, so that a Secret that both name is not let go of in between.
	if next.credential != nil {
		v.secrets.follow(next.credential)
	}
	if found && last.credential != nil {
		v.secrets.leave(last.credential)
	}
}

func (v *View) removeConnection(gone *v1alpha1.ServiceConnection) {
	last, found := v.connections.get(nameOf(gone))
	if !found {
		return
	}
	v.connections.remove(nameOf(gone))
	if last.credential != nil {
		v.secrets.leave(last.credential)
	}
}

// nameOf is the namespace and the name of an object.
func nameOf(object interface {
	GetNamespace() string
	GetName() string
},
) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}

// newer says whether one resourceVersion of an object is after another, of which an empty one is before
// all. Where they cannot be compared, the one that came last is.
func newer(version, than string) bool {
	if than == "" {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err != nil || order > 0
}
