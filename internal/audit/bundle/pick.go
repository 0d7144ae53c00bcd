package bundle

import (
	"slices"
	"time"

	"agentpassport.dev/operator/internal/audit"
)

// pick finds out which records of a log go into a bundle.
type pick struct {
	agent    Agent
	from, to time.Time
	epochs   map[uint64]*picked
}

// picked are the places of one epoch's records.
type picked struct {
	missions map[string]*mission
	// chains are the agent's issues, and what was done to the agent itself.
	issues, agent chain
}

// mission is the places of a passport's records, and whether one of them is asked for.
type mission struct {
	places []uint64
	asked  bool
}

// chain is places from its beginning to the first one that is after the time that is asked for.
type chain struct {
	places []uint64
	past   map[string]bool
}

func newPick(agent Agent, from, to time.Time) *pick {
	return &pick{agent: agent, from: from, to: to, epochs: map[uint64]*picked{}}
}

func (p *pick) epoch(number uint64) *picked {
	if p.epochs[number] == nil {
		p.epochs[number] = &picked{
			missions: map[string]*mission{},
			issues:   chain{past: map[string]bool{}}, agent: chain{past: map[string]bool{}},
		}
	}
	return p.epochs[number]
}

// visit looks at the next record of an epoch.
func (p *pick) visit(entry audit.Entry) error {
	in := p.epoch(entry.Epoch)
	record := entry.Record
	ours := record.Agent != nil && record.Agent.Name == p.agent.Name && record.Namespace == p.agent.Namespace
	if record.PassportJTI != "" {
		there := in.missions[record.PassportJTI]
		if there == nil && ours {
			there = &mission{}
			in.missions[record.PassportJTI] = there
		}
		if there != nil {
			there.places = append(there.places, entry.Index)
			there.asked = there.asked || p.within(record.Time)
		}
	}
	switch {
	case !ours:
	case record.Action == audit.PassportIssue:
		in.issues.add(entry, p.to)
	case record.PassportJTI == "":
		in.agent.add(entry, p.to)
	}
	return nil
}

func (p *pick) within(at time.Time) bool { return !at.Before(p.from) && at.Before(p.to) }

// add takes in a record of an agent's chain, unless the one before it was past the time already. Agents of
// one name have one chain for each UID.
func (c *chain) add(entry audit.Entry, to time.Time) {
	uid := entry.Record.Agent.UID
	if c.past[uid] {
		return
	}
	c.places = append(c.places, entry.Index)
	c.past[uid] = !entry.Record.Time.Before(to)
}

// places are all places of an epoch that go into the bundle, in order.
func (p *pick) places(number uint64) []uint64 {
	in := p.epoch(number)
	all := slices.Concat(in.issues.places, in.agent.places)
	if number > 1 {
		all = append(all, 0) // what was lost before it
	}
	for _, mission := range in.missions {
		if mission.asked {
			all = append(all, mission.places...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
