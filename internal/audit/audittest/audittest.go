// Package audittest is audit logs and records for tests.
package audittest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/tlog/posix"
)

// Origin is the name of the logs.
const Origin = "agentpassport.dev/audit/test"

// Tree is a log in a folder.
type Tree struct {
	*tlog.Log
	client.FileFetcher
	key note.Verifier
}

// Epoch is the first one.
func (t *Tree) Epoch() uint64 { return 1 }

// Key verifies the log's checkpoints.
func (t *Tree) Key() note.Verifier { return t.key }

// Heads opens the log's checkpoints.
func (t *Tree) Heads() tlog.Keys { return tlog.OneKey(t.key) }

// Append is that of tlog.Log, with the epoch.
func (t *Tree) Append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error) {
	entries, err := t.Log.Append(ctx, records...)
	for i := range entries {
		entries[i].Epoch = t.Epoch()
	}
	return entries, err
}

// Keys are a private key and the public one, as text.
func Keys(t testing.TB, origin string) (private, public string) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

// Open opens the log in a folder, under a key of its own; the test's end closes it.
func Open(t testing.TB, folder string) *Tree {
	t.Helper()
	private, public := Keys(t, Origin)
	return OpenWith(t, folder, private, public)
}

// OpenWith is Open under a key.
func OpenWith(t testing.TB, folder, private, public string) *Tree {
	t.Helper()
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	storage, err := posix.Open(folder, signer)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := tlog.Open(context.Background(), storage, signer, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return &Tree{Log: opened, FileFetcher: client.FileFetcher{Root: folder}, key: key}
}

// Record is step n of mission m: the issue, then checkpoints, each a second later. Every fourth mission
// is of another agent in another namespace, and every tenth step has failed.
func Record(m, n int) audit.Record {
	agent, namespace := "support-bot", "support"
	if m%4 == 3 {
		agent, namespace = "release-bot", "release"
	}
	action, step := audit.PassportIssue, string(audit.PassportIssue)
	if n > 0 {
		action = audit.PassportCheckpoint
		step = fmt.Sprintf("%s/%d", action, n)
	}
	outcome := audit.Success
	if (m+n)%10 == 9 {
		outcome = audit.Failure
	}
	uid := fmt.Sprintf("mission-%d", m)
	return audit.Record{
		ID:          audit.ID(uid, step),
		Time:        time.Date(2026, 8, 1, 12, 0, m+n, 0, time.UTC),
		Layer:       audit.Vault,
		Action:      action,
		Step:        step,
		Outcome:     outcome,
		Namespace:   namespace,
		Object:      audit.Object{Kind: "Passport", Name: uid, UID: uid},
		Agent:       &audit.Agent{Name: agent, UID: agent + "-uid", Generation: 3},
		PassportJTI: JTI(m),
		Actor:       audit.Actor{Username: "system:serviceaccount:" + namespace + ":" + agent},
		Facts:       &audit.Facts{Summary: "=Answer today's tickets", Actions: int64(n), Services: []string{"slack", "github"}},
	}
}

// JTI is the passport of mission m.
func JTI(m int) string {
	return "pp_" + audit.ID(fmt.Sprint("jti-", m), "")[3:]
}

// Call is call n of mission m through a gateway, to a service; the code is empty for one that was sent.
func Call(m, n int, gateway, service, code string) audit.Record {
	record := Record(m, 0)
	record.Layer, record.Action = audit.Proxy, audit.CredentialProxy
	record.Step = fmt.Sprintf("%s/%s/boot-%d", record.Action, gateway, n)
	record.ID = audit.ID(record.Object.UID, record.Step)
	record.Outcome, record.ErrorCode = audit.Success, code
	if code != "" {
		record.Outcome = audit.Blocked
	}
	record.Facts = &audit.Facts{Call: &audit.Call{
		Gateway: gateway, Front: "proxy", Service: service, Method: "POST", Target: "https://" + service + ".example.com/v1/things",
	}}
	return record
}

// Seen says that all calls of mission m through a gateway are in the log.
func Seen(m int, gateway string) audit.Record {
	record := Record(m, 0)
	record.Layer, record.Action, record.Outcome = audit.Proxy, audit.PassportSeen, audit.Success
	record.Step = string(record.Action) + "/" + gateway
	record.ID = audit.ID(record.Object.UID, record.Step)
	record.Facts = &audit.Facts{Gateway: gateway}
	return record
}

// Missions are records of missions from one up to and without another, five each.
func Missions(from, to int) []audit.Record {
	var records []audit.Record
	for m := from; m < to; m++ {
		for n := range 5 {
			records = append(records, Record(m, n))
		}
	}
	return records
}

// Appender takes records.
type Appender interface {
	Append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error)
}

// Fill appends missions.
func Fill(t testing.TB, to Appender, from, until int) []audit.Entry {
	t.Helper()
	var entries []audit.Entry
	for m := from; m < until; m += 100 {
		for part := range slices.Chunk(Missions(m, min(m+100, until)), 500) {
			written, err := to.Append(context.Background(), part...)
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, written...)
		}
	}
	return entries
}
