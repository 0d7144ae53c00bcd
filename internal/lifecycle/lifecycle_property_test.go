package lifecycle

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Whatever happens in whatever order, however far the operator's caches are behind, whatever write
// fails and wherever the operator crashes: in the end every mission stands as its book says, which saw
// everything at once.

func TestLifecycleOfAMissionThatIsLeftAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { play(t, features{inFlight: true}) })
}

func TestLifecycleOfAMissionThatIsCheckedOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { play(t, features{inFlight: true, checkouts: true, reviews: true}) })
}

func TestLifecycleOfAMissionThatIsEnded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { play(t, features{checkouts: true, ends: true}) })
}

func TestLifecycleWherePeopleDelete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { play(t, features{inFlight: true, checkouts: true, reviews: true, deletions: true}) })
}

func TestLifecycleOfMissionsOfOneAgent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		play(t, features{missions: 3, checkouts: true, ends: true, reviews: true, deletions: true})
	})
}

func TestLifecycleWhereEverythingHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		play(t, features{missions: 2, inFlight: true, checkouts: true, ends: true, reviews: true, deletions: true, secrets: true, faults: true})
	})
}

func TestLifecycleOfAMissionThatGatewaysSee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { play(t, features{gateways: true, checkouts: true, faults: true}) })
}

func TestLifecycleOfMissionsThatGatewaysSee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		play(t, features{missions: 2, gateways: true, inFlight: true, checkouts: true, ends: true, reviews: true, deletions: true, faults: true})
	})
}

func TestLifecycleOfABaseline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		play(t, features{past: true, ends: true, reviews: true, deletions: true, faults: true})
	})
}

// features are what may happen in a program beyond checkpoints, lagging caches and crashes.
type features struct {
	// missions of the one agent, one at least.
	missions int
	// inFlight: a report may be seen up to four seconds after its stamp, behind younger ones.
	inFlight bool
	// checkouts: agents check out, in time or late, more than once, and of others' missions.
	checkouts bool
	// ends: blocks, suspensions, revocations, and a deleted agent.
	ends bool
	// reviews: people decide on what was flagged, and lift blocks.
	reviews bool
	// deletions: people delete missions, and what is counted or decided.
	deletions bool
	// secrets: people write into Secrets.
	secrets bool
	// gateways: gateways see calls, report what they see, and are lost.
	gateways bool
	// past: there are checkouts of missions that are over, up to thirty at once.
	past bool
	// faults: writes fail, and others act between what the operator reads and what it writes.
	faults bool
}

// program draws what happens in a world.
type program struct {
	*rapid.T
	w    *world
	with features
	// failing is how many of a hundred writes fail.
	failing int
}

func (p *program) number(name string, from, to int) int {
	return rapid.IntRange(from, to).Draw(p.T, name)
}

// play draws one program, and plays it to the end of its missions.
func play(t *rapid.T, with features) {
	p := &program{T: t, with: with}
	p.w = newWorld(t, p.number("seed", 0, 1000), p.drawDuties())
	if rapid.Bool().Draw(t, "experienced") {
		p.w.gainsExperience()
	}
	p.w.older = rapid.Bool().Draw(t, "older")
	if with.inFlight {
		p.w.underWay = 4
	}
	if with.faults {
		p.failing = rapid.SampledFrom([]int{0, 10, 20, 30}).Draw(t, "failing")
	}
	for _, name := range []string{"m1", "m2", "m3"}[:max(with.missions, 1)] {
		p.w.requests(name, p.drawWish())
	}
	p.w.now = noon
	if rapid.Bool().Draw(t, "issued") {
		p.w.settle()
	}
	p.Repeat(p.actions())
	p.finale()
}

func (p *program) drawDuties() duties {
	drawn := duties{
		mode: rapid.SampledFrom([]v1alpha1.AccountabilityMode{
			v1alpha1.ModeEnforced, v1alpha1.ModeEnforced, v1alpha1.ModeEnforced, v1alpha1.ModeLogged, v1alpha1.ModeStandard,
		}).Draw(p.T, "mode"),
		onWarning: rapid.Bool().Draw(p.T, "onWarning"), onCritical: rapid.Bool().Draw(p.T, "onCritical"),
	}
	for range p.number("exceptions", 0, 2) {
		kind := rapid.SampledFrom([]string{
			"credential_outside_scope", "checkpoint_silence", "checkpoint_burst", "abandoned_mission", "signal_raised", "late_checkout",
			"no_checkout", "ungranted_service", "undeclared_service", "actions_mismatch",
			"scope_drift", "foreign_workload", "constraint_violation", "denied_calls", "unreported_service",
		}).Draw(p.T, "accepted")
		until := rapid.SampledFrom([]int{100, 10_000_000}).Draw(p.T, "until")
		drawn.accepted = append(drawn.accepted, modelException{kind: kind, until: until})
	}
	return drawn
}

func (p *program) drawWish() wish {
	return wish{
		ttl: p.number("ttl", 60, 400), interval: p.number("interval", 60, 300),
		limit:    rapid.SampledFrom([]int{60, 100, 350, 1000, 86400}).Draw(p.T, "limit"),
		estimate: rapid.SampledFrom([]int{0, 100, 1000}).Draw(p.T, "estimate"),
		keep:     rapid.SampledFrom([]int{-1, 0, 60, 7200}).Draw(p.T, "keep"),
	}
}

// actions are what may happen next.
func (p *program) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"wait":  func(*rapid.T) { p.pass(p.number("millis", 0, 400_000)) },
		"pause": func(*rapid.T) { p.pass(p.number("millis", 0, 5_000)) },
		"sleep until the operator has to wake": func(*rapid.T) {
			if next := p.w.next(); next.After(p.w.now) {
				p.w.now = next
			}
		},
		"report": func(*rapid.T) { p.report() },
		"report often": func(*rapid.T) {
			for range p.number("times", 2, 30) {
				p.report()
				p.pass(1000 * p.number("pause", 0, 2))
			}
		},
		"look":    func(*rapid.T) { p.look() },
		"restart": func(*rapid.T) { p.regress() },
		"settle":  func(*rapid.T) { p.w.settle() },
	}
	add := func(feature bool, more map[string]func()) {
		for name, action := range more {
			if feature {
				actions[name] = func(*rapid.T) { action() }
			}
		}
	}
	add(p.with.checkouts, p.checkoutActions())
	add(p.with.ends, p.endings())
	add(p.with.reviews, p.reviewActions())
	add(p.with.deletions, p.deletionActions())
	add(p.with.secrets, p.secretActions())
	add(p.with.gateways, p.gatewayActions())
	add(p.with.past, map[string]func(){"accept missions": func() {
		for range p.number("missions", 1, 30) {
			p.w.pastMission(int64(p.number("total", 0, 100)))
		}
	}})
	return actions
}

func (p *program) pick(name string, from ...string) string {
	return rapid.SampledFrom(from).Draw(p.T, name)
}

func (p *program) pass(millis int) { p.w.now = p.w.now.Add(time.Duration(millis) * time.Millisecond) }

// rarely says whether something happens that would otherwise end too many programs early.
func (p *program) rarely(one int) bool { return p.number("rare", 1, one) == one }

func (p *program) name() string {
	if p.with.missions < 2 {
		return "m1"
	}
	return rapid.SampledFrom([]string{"m1", "m2", "m3"}[:p.with.missions]).Draw(p.T, "mission")
}

// ago is how long a report is under way.
func (p *program) underWay() int {
	if p.w.underWay == 0 {
		return 0
	}
	return p.number("ago", 0, p.w.underWay)
}

func (p *program) services() []v1alpha1.ServiceName {
	return rapid.SampledFrom([][]v1alpha1.ServiceName{
		nil, nil, {"slack"}, {"slack"}, {"slack", "notion"}, {"notion"}, {"slack", "stripe"}, {"stripe"},
	}).Draw(p.T, "services")
}

func (p *program) report() {
	services := p.services()
	if p.w.duties.mode == v1alpha1.ModeEnforced && !p.rarely(4) {
		services = nil
	}
	agent, by := "bot", rapid.SampledFrom([]string{"bot", "pipeline"}).Draw(p.T, "by")
	if p.rarely(10) {
		agent = "other"
	}
	p.w.checkpointOf(agent, p.name(), p.underWay(), int32(p.number("actions", 0, 100)), by, services...)
}

func (p *program) checkoutActions() map[string]func() {
	checkOut := func(agent string) {
		var actions *int64
		if total := p.number("total", -1, 300); total >= 0 {
			count := int64(total)
			actions = &count
		}
		p.w.checksOut(agent, p.name(), p.underWay(), actions, "bot", p.services()...)
	}
	return map[string]func(){
		"check out": func() {
			if p.rarely(2) {
				checkOut("bot")
			}
		},
		"check out twice": func() {
			if p.rarely(6) {
				checkOut("bot")
				checkOut("bot")
			}
		},
		"another agent checks out": func() { checkOut("other") },
	}
}

func (p *program) endings() map[string]func() {
	return map[string]func(){
		"block": func() {
			whom := rapid.SampledFrom([]string{"bot", "", "other"}).Draw(p.T, "whom")
			if p.rarely(2) {
				p.w.blocksAgent(whom)
			}
		},
		"suspend": func() {
			if p.rarely(4) {
				p.w.suspends(true)
			}
		},
		"resume": func() { p.w.suspends(false) },
		"delete the agent": func() {
			if p.rarely(6) {
				p.w.deletesAgent()
			}
		},
		"apply the agent": func() { p.w.appliesAgent() },
		"revoke": func() {
			if passport, there := named(p.w.passports.live(), p.name()); there && p.rarely(6) {
				p.w.revokes(passport.Name)
			}
		},
		"lift": func() { p.lift() },
	}
}

func (p *program) lift() {
	if blocks := p.w.blocks.live(); len(blocks) > 0 {
		p.w.lifts(blocks[p.number("which", 0, len(blocks)-1)].Name)
	}
}

func (p *program) reviewActions() map[string]func() {
	return map[string]func(){
		"review": func() {
			for _, checkout := range p.w.checkouts.live() {
				if p.rarely(2) {
					p.w.reviews(checkout.Name, p.decision())
				}
			}
		},
		"lift": func() { p.lift() },
	}
}

func (p *program) decision() v1alpha1.Decision {
	return rapid.SampledFrom([]v1alpha1.Decision{v1alpha1.DecisionApproved, v1alpha1.DecisionBlocked}).Draw(p.T, "decision")
}

func (p *program) deletionActions() map[string]func() {
	return map[string]func(){
		"delete a mission": func() {
			if passport, there := named(p.w.passports.live(), p.name()); there && p.rarely(3) {
				p.w.deletesPassport(passport.Name)
			}
		},
		"ask again": func() {
			name := p.name()
			if _, there := named(p.w.passports.live(), name); !there {
				p.pass(2000)
				p.w.requests(name, p.drawWish())
			}
		},
		"delete checkpoints": func() {
			for _, checkpoint := range p.w.checkpoints.live() {
				if p.rarely(3) {
					p.w.deletesCheckpoint(checkpoint.Name)
				}
			}
		},
		"delete checkouts": func() {
			for _, checkout := range p.w.checkouts.live() {
				if p.rarely(3) {
					p.w.deletesCheckout(checkout.Name)
				}
			}
		},
	}
}

func (p *program) secretActions() map[string]func() {
	name := func() string { return p.name() + "-token" }
	return map[string]func(){
		"edit a Secret":   func() { p.w.editsSecret(name()) },
		"delete a Secret": func() { p.w.deletesSecret(name()) },
		"take a Secret's name": func() {
			if p.rarely(6) {
				p.w.takesSecretName(name())
			}
		},
	}
}

// look has the operator look at something, or at everything, through caches that may lag, and crash at
// some write, or not.
func (p *program) look() {
	fresh := rapid.Bool().Draw(p.T, "fresh")
	if !fresh {
		p.lag()
	}
	if p.with.gateways {
		p.w.reach = p.number("reach", 0, len(p.w.sightings))
	}
	crash := p.number("crash", -1, 12)
	p.w.fate = func() fate {
		crash--
		switch {
		case crash == -1:
			return rapid.SampledFrom([]fate{diesBefore, diesAfter}).Draw(p.T, "crash")
		case p.failing > 0 && p.number("fault", 1, 100) <= p.failing:
			return rapid.SampledFrom([]fate{fails, unanswered}).Draw(p.T, "fault")
		default:
			return lands
		}
	}
	if p.with.faults {
		p.w.meanwhile = func() {
			if p.rarely(10) {
				p.act()
			}
		}
	}
	looks := p.w.looks()
	if which := p.number("which", -3, len(looks)-1); which >= 0 {
		looks = looks[which : which+1]
	}
	for _, look := range looks {
		if fresh {
			p.w.catchUp()
		}
		_ = look()
	}
	p.w.meanwhile, p.w.fate, p.w.reach = nil, func() fate { return lands }, forever
}

// act is something that others do.
func (p *program) act() {
	switch p.number("act", 0, 4) {
	case 0:
		p.w.checksOut("bot", p.name(), p.underWay(), nil, "bot", p.services()...)
	case 1:
		p.w.blocksAgent("bot")
	case 2:
		if passport, there := named(p.w.passports.live(), p.name()); there {
			p.w.deletesPassport(passport.Name)
		}
	case 3:
		p.lift()
	default:
		p.report()
	}
}

// lag brings each cache on, by itself.
func (p *program) lag() {
	on := func(seen *int, past int) { *seen = p.number("seen", *seen, past-1) }
	on(&p.w.passports.seen, len(p.w.passports.past))
	on(&p.w.agents.seen, len(p.w.agents.past))
	on(&p.w.blocks.seen, len(p.w.blocks.past))
	on(&p.w.checkpoints.seen, len(p.w.checkpoints.past))
	on(&p.w.checkouts.seen, len(p.w.checkouts.past))
	on(&p.w.secrets.seen, len(p.w.secrets.past))
}

// regress restarts the operator, on a node whose caches begin with an older state.
func (p *program) regress() {
	p.w.restart()
	back := func(seen *int) { *seen = max(0, *seen-p.number("back", 0, 10)) }
	back(&p.w.passports.seen)
	back(&p.w.agents.seen)
	back(&p.w.blocks.seen)
	back(&p.w.checkpoints.seen)
	back(&p.w.checkouts.seen)
}

// finale plays on until every mission is decided and cleaned up.
func (p *program) finale() {
	for _, s := range p.w.secrets.live() {
		if s.Owner == "" {
			p.w.deletesSecret(s.Name)
		}
	}
	for rounds := 0; ; rounds++ {
		p.w.settle()
		next := p.w.next()
		if next.IsZero() {
			reviewed := false
			for _, checkout := range p.w.checkouts.live() {
				reviewed = reviewed || checkout.Spec.Review == nil
				p.w.reviews(checkout.Name, p.decision())
			}
			if !reviewed {
				break
			}
			continue
		}
		if rounds > 1000 {
			p.w.Fatal("immortal")
		}
		if p.w.now.Before(next) {
			p.w.now = next
		}
	}
	if left := len(p.w.passports.live()) + len(p.w.checkouts.live()) + len(p.w.checkpoints.live()) + len(p.w.secrets.live()); left > 0 {
		p.w.Fatalf("%d objects are left: %v", left, p.w)
	}
}
