package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Whatever happens in whatever order, however far the operator's caches are behind and wherever it
// crashes: in the end a mission stands as the model says, which saw everything at once.

func TestLifecycleOfAMissionThatIsLeftAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { live(newWorld(t, features{inFlight: true})) })
}

func TestLifecycleOfAMissionThatIsEnded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { live(newWorld(t, features{ends: true})) })
}

func TestLifecycleWherePeopleDeleteCheckpoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { live(newWorld(t, features{inFlight: true, cleaning: true})) })
}

func TestLifecycleWhereARestartSeesAnOlderCache(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { live(newWorld(t, features{regress: true})) })
}

func TestLifecycleWhereTheCacheLacksReportsBeforeARevocation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { live(newWorld(t, features{ends: true, hasty: true})) })
}

// live leads one mission to its end.
func live(w *world) {
	actions := map[string]func(*rapid.T){
		"wait": func(*rapid.T) {
			w.step(time.Duration(rapid.IntRange(0, 400_000).Draw(w.T, "millis")) * time.Millisecond)
		},
		"pause": func(*rapid.T) { w.step(time.Duration(rapid.IntRange(0, 5_000).Draw(w.T, "millis")) * time.Millisecond) },
		"sleep until it has to wake": func(*rapid.T) {
			if w.wake.After(w.now) {
				w.step(w.wake.Sub(w.now))
			}
		},
		"report": func(*rapid.T) {
			ago := time.Duration(0)
			if w.inFlight {
				ago = time.Duration(rapid.IntRange(0, 4).Draw(w.T, "inFlight")) * time.Second
			}
			w.report(ago)
		},
		"report often": func(*rapid.T) {
			for range rapid.IntRange(2, 30).Draw(w.T, "times") {
				w.report(0)
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 2).Draw(w.T, "pause")) * time.Second)
			}
		},
		"look": func(*rapid.T) {
			w.step(0)
			w.budget = rapid.IntRange(-1, 30).Draw(w.T, "crash")
			w.reconcile(w.view())
			w.budget = -1
			w.step(0)
		},
		"restart": func(*rapid.T) {
			w.ownWrite, w.wake = 0, time.Time{}
			if w.regress {
				w.passportSeen, w.restSeen = len(w.past)-1, 0
			}
		},
		"settle": func(*rapid.T) {
			w.step(0)
			w.settle()
			w.step(0)
		},
	}
	if w.ends {
		for name, action := range endings(w) {
			actions[name] = action
		}
	}
	if w.cleaning {
		actions["delete a checkpoint that is counted"] = w.clean
	}
	w.Repeat(actions)
	w.step(0)
	for rounds := 0; ; rounds++ {
		w.settle()
		if w.stored().passport.Status.Phase.Finished() {
			break
		}
		if rounds > 1000 {
			w.Fatal("immortal")
		}
		w.now = w.wake
	}
	w.step(2 * time.Hour)
	w.settle()
}

// endings are what may end a mission from outside.
func endings(w *world) map[string]func(*rapid.T) {
	change := func(rare int, change func(*objects)) func(*rapid.T) {
		return func(*rapid.T) {
			if rapid.IntRange(1, rare).Draw(w.T, "rare") == rare {
				w.commit(change)
			}
		}
	}
	passport := func(set func(*v1alpha1.Passport)) func(*objects) {
		return func(o *objects) {
			set(o.passport)
			o.passport.ResourceVersion = w.nextVersion()
		}
	}
	return map[string]func(*rapid.T){
		"block": func(*rapid.T) {
			whom := rapid.SampledFrom([]string{"bot", "", "other"}).Draw(w.T, "whom")
			if rapid.IntRange(1, 2).Draw(w.T, "rare") == 1 {
				w.sequence++
				w.block(block(0, "stop-"+time.Duration(w.sequence).String(), whom))
			}
		},
		"lift": func(*rapid.T) {
			w.commit(func(o *objects) {
				if n := len(o.blocks); n > 0 {
					o.blocks[rapid.IntRange(0, n-1).Draw(w.T, "which")].Spec.Lifted = &v1alpha1.BlockLift{Reason: "fine"}
				}
			})
		},
		"suspend": change(4, func(o *objects) {
			if o.agent != nil {
				o.agent.Spec.Suspend = true
			}
		}),
		"resume": change(1, func(o *objects) {
			if o.agent != nil {
				o.agent.Spec.Suspend = false
			}
		}),
		"delete the agent": change(6, func(o *objects) { o.agent = nil }),
		"apply the agent again": change(1, func(o *objects) {
			if o.agent == nil {
				o.agent = agent(func(a *v1alpha1.AgentPassport) { a.UID = "another-agent" })
			}
		}),
		"revoke": change(6, passport(func(p *v1alpha1.Passport) { p.Spec.Revocation = &v1alpha1.Revocation{Reason: "stop"} })),
		"delete": change(6, passport(func(p *v1alpha1.Passport) {
			if p.DeletionTimestamp == nil {
				p.DeletionTimestamp = &metav1.Time{Time: w.now.Truncate(time.Second)}
			}
		})),
	}
}

// clean deletes a checkpoint that is marked or folded.
func (w *world) clean(*rapid.T) {
	folded := map[string]bool{}
	for _, uid := range w.stored().passport.Status.Folded {
		folded[string(uid)] = true
	}
	for _, checkpoint := range w.stored().checkpoints {
		if (Marked(&checkpoint) || folded[string(checkpoint.UID)]) && rapid.Bool().Draw(w.T, "delete") {
			w.remove(checkpoint.UID)
		}
	}
}
