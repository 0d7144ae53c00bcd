package bundle

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// Report is what a bundle proves, and what it does not.
type Report struct {
	Log   string    `json:"log"`
	Key   string    `json:"key"`
	Keys  int       `json:"keys"`
	Agent Agent     `json:"agent"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	// Trees are the epochs, in order.
	Trees []*Tree `json:"epochs"`
	// Proves and ProvesNot are sentences for people.
	Proves    []string `json:"proves"`
	ProvesNot []string `json:"proves_not"`
}

// Tree is one epoch.
type Tree struct {
	Epoch uint64 `json:"epoch"`
	// Size and Root are the head that all is proven against.
	Size uint64 `json:"size"`
	Root string `json:"root"`
	// Witnessed is the size of the head with cosignatures, Witnesses who of the policy has signed it.
	Witnessed uint64   `json:"witnessed,omitempty"`
	Witnesses []string `json:"witnesses,omitempty"`
	Records   int      `json:"records"`
	// Missions are those with a step in the time that was asked for, in the order of their first record.
	Missions []*Mission `json:"missions"`
	// Earlier is how many missions were issued before that time, and are here with that one record alone.
	Earlier int `json:"earlier"`
	// Chains are the issues of each agent of this name.
	Chains []*Chain `json:"agents"`
	// Lost says what the first record of the epoch says of the one before it; nil for the first epoch.
	Lost *Lost `json:"lost,omitempty"`

	missions map[string]*Mission
}

// Mission is one passport.
type Mission struct {
	JTI string `json:"jti"`
	// Issued is when; zero where it was never.
	Issued  time.Time `json:"issued,omitzero"`
	Records int       `json:"records"`
	// Last is what the last record of it in the bundle says was done.
	Last audit.Action `json:"last"`
	// Ended says that one of its records ends it.
	Ended bool `json:"ended"`

	asked bool
}

// Chain is the issues of one AgentPassport, without gap from its first.
type Chain struct {
	UID    string `json:"uid"`
	Issues int    `json:"issues"`
	// LastIndex and LastTime are of the last one in the bundle.
	LastIndex uint64    `json:"last_index"`
	LastTime  time.Time `json:"last_time"`
	// Beyond says that the last one is after the time that was asked for, so that the chain covers all of it.
	Beyond bool `json:"beyond"`
}

// Lost is a tree that was lost before this one was begun.
type Lost struct {
	Records int64     `json:"records"`
	Kept    int64     `json:"kept"`
	Actor   string    `json:"actor"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
}

func newReport(b *Bundle, ring *keys.Ring, key keys.Public) *Report {
	return &Report{
		Log: ring.Name(), Key: key.String(), Keys: len(ring.Statements()), Agent: b.Agent, From: b.From, To: b.To,
	}
}

func newTree(number uint64, head tlog.Head) *Tree {
	return &Tree{Epoch: number, Size: head.Size, Root: hex.EncodeToString(head.Root), missions: map[string]*Mission{}}
}

// take notes a record that holds.
func (t *Tree) take(b *Bundle, index uint64, record audit.Record) {
	t.Records++
	if record.Action == audit.EpochBegin {
		t.Lost = &Lost{
			Records: record.Facts.Size, Kept: record.Facts.Kept, Actor: record.Actor.Username,
			Reason: record.Facts.Reason, Time: record.Time,
		}
	}
	if record.Action == audit.PassportIssue {
		t.issue(b, index, record)
	}
	if record.PassportJTI == "" {
		return
	}
	m := t.missions[record.PassportJTI]
	if m == nil {
		m = &Mission{JTI: record.PassportJTI}
		t.missions[m.JTI] = m
		t.Missions = append(t.Missions, m)
	}
	m.Records++
	m.Last = record.Action
	m.Ended = m.Ended || ends(record.Action)
	m.asked = m.asked || !record.Time.Before(b.From) && record.Time.Before(b.To)
	if record.Action == audit.PassportIssue {
		m.Issued = record.Time
	}
}

func (t *Tree) issue(b *Bundle, index uint64, record audit.Record) {
	i := slices.IndexFunc(t.Chains, func(c *Chain) bool { return c.UID == record.Agent.UID })
	if i < 0 {
		i = len(t.Chains)
		t.Chains = append(t.Chains, &Chain{UID: record.Agent.UID})
	}
	c := t.Chains[i]
	c.Issues++
	c.LastIndex, c.LastTime = index, record.Time
	c.Beyond = c.Beyond || !record.Time.Before(b.To)
}

// ends reports whether a mission is over with a step.
func ends(action audit.Action) bool {
	switch action {
	case audit.PassportCheckout, audit.PassportExpire, audit.PassportRevoke, audit.PassportRevokeCascade, audit.PassportReject:
		return true
	default:
		return false
	}
}

// add takes in an epoch; of the missions of which the issue alone is there, as a link, it counts none.
func (r *Report) add(t *Tree) {
	t.Missions = slices.DeleteFunc(t.Missions, func(m *Mission) bool {
		if !m.asked && m.Records == 1 && m.Issued.Before(r.From) {
			t.Earlier++
		}
		return !m.asked
	})
	r.Trees = append(r.Trees, t)
}

// conclude says what all this means.
func (r *Report) conclude() {
	slices.SortFunc(r.Trees, func(a, b *Tree) int { return cmp.Compare(a.Epoch, b.Epoch) })
	r.Proves = append(r.Proves, "Each record in the bundle is in the log, unchanged, under a head that the log has signed.",
		"Between the first and the last record that the bundle has of a mission, none is left out.")
	for _, t := range r.Trees {
		r.concludeTree(t)
	}
	r.ProvesNot = append(r.ProvesNot,
		"that a mission has no record after its last one here, such as a review: a chain does not show where it ends",
		"that there was no other AgentPassport of this name, with another UID, and no passport that was asked for and rejected",
		"what the agent did, beyond what it and the operator reported")
}

func (r *Report) concludeTree(t *Tree) {
	if t.Lost != nil {
		r.ProvesNot = append(r.ProvesNot, fmt.Sprintf(
			"what the lost records of epoch %d said: it had %d, %d were kept, as %s stated in the log on %s (%s)",
			t.Epoch-1, t.Lost.Records, t.Lost.Kept, t.Lost.Actor, t.Lost.Time.Format(time.RFC3339), t.Lost.Reason))
	}
	if len(t.Chains) == 0 {
		r.ProvesNot = append(r.ProvesNot, fmt.Sprintf(
			"that epoch %d has no mission of this agent: the bundle has none, and an absence cannot be proven by a part of a log", t.Epoch))
	}
	for _, c := range t.Chains {
		r.Proves = append(r.Proves, fmt.Sprintf(
			"Epoch %d, agent UID %s: no mission is left out from its first to the one issued at %s, which is record %d (%d missions).",
			t.Epoch, c.UID, c.LastTime.Format(time.RFC3339), c.LastIndex, c.Issues))
		if !c.Beyond {
			r.ProvesNot = append(r.ProvesNot, fmt.Sprintf(
				"that no mission was issued in epoch %d to agent UID %s after that of %s: none later than the time asked for is there to link back to it",
				t.Epoch, c.UID, c.LastTime.Format(time.RFC3339)))
		}
	}
	if t.Earlier > 0 {
		r.ProvesNot = append(r.ProvesNot, fmt.Sprintf(
			"that the %d missions of epoch %d which were issued before the time asked for, and are here with their issue alone, had no step in it",
			t.Earlier, t.Epoch))
	}
	for _, m := range t.Missions {
		if !m.Ended {
			r.ProvesNot = append(r.ProvesNot, fmt.Sprintf(
				"how mission %s ended: its last record here is %s", m.JTI, m.Last))
		}
	}
}
