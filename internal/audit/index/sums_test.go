package index_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/index"
	"agentpassport.dev/operator/internal/audit/wire"
)

func callsOf(t testing.TB, x *index.Index, namespace, jti string) wire.Calls {
	t.Helper()
	calls, err := x.Calls(context.Background(), namespace, jti)
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

// counted counts by hand.
func counted(records []audit.Record, namespace, jti string) wire.Calls {
	want := wire.Calls{JTI: jti, Services: map[string]wire.ServiceCalls{}, Seen: []string{}}
	for _, r := range records {
		if r.PassportJTI != jti || r.Namespace != namespace {
			continue
		}
		switch r.Action {
		case audit.PassportSeen:
			want.Seen = append(want.Seen, r.Facts.Gateway)
		case audit.CredentialProxy:
			service := want.Services[r.Facts.Call.Service]
			if r.Outcome == audit.Success {
				service.Sent++
			} else {
				if service.Refused == nil {
					service.Refused = map[string]int64{}
				}
				service.Refused[r.ErrorCode]++
			}
			want.Services[r.Facts.Call.Service] = service
		default: // it tells of no call
		}
	}
	return want
}

// The sums are those of the log, however often the index was stopped between, and a repeat of a record that
// the log knows adds nothing.
func TestCallsAreSummed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tree := audittest.Open(t, t.TempDir())
		path := filepath.Join(t.TempDir(), "index.db")
		var all []audit.Record
		for range rapid.IntRange(1, 3).Draw(rt, "runs") {
			x, stop := running(t, path, tree)
			batch := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) audit.Record {
				mission, n := rapid.IntRange(2, 4).Draw(rt, "mission"), len(all)*1000+rapid.IntRange(0, 1<<20).Draw(rt, "n")
				return audittest.Call(mission, n, rapid.SampledFrom([]string{"gateway-0", "gateway-1"}).Draw(rt, "gateway"),
					rapid.SampledFrom([]string{"slack", "github", ""}).Draw(rt, "service"),
					rapid.SampledFrom([]string{"", "", "constraint_violation", "foreign_target"}).Draw(rt, "code"))
			}), 1, 60).Draw(rt, "batch")
			batch = append(batch, audittest.Record(2, len(all)+1))
			for _, record := range batch {
				before := tree.Head().Size
				for range 2 {
					if _, err := tree.Append(t.Context(), record); err != nil {
						rt.Fatal(err)
					}
				}
				if tree.Head().Size > before {
					all = append(all, record)
				}
			}
			for mission := range 6 {
				for _, namespace := range []string{"support", "release"} {
					got, err := x.Calls(t.Context(), namespace, audittest.JTI(mission))
					if err != nil {
						rt.Fatal(err)
					}
					if diff := cmp.Diff(counted(all, namespace, audittest.JTI(mission)), got); diff != "" {
						rt.Fatalf("mission %d in %s: %s", mission, namespace, diff)
					}
				}
			}
			stop()
		}
	})
}

func TestSeenNamesEachGatewayOnce(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	x, _ := running(t, filepath.Join(t.TempDir(), "index.db"), tree)
	for _, gateway := range []string{"gateway-1", "gateway-0", "gateway-1"} {
		if _, err := tree.Append(t.Context(), audittest.Seen(0, gateway)); err != nil {
			t.Fatal(err)
		}
	}
	got := callsOf(t, x, "support", audittest.JTI(0)).Seen
	if diff := cmp.Diff([]string{"gateway-0", "gateway-1"}, got); diff != "" {
		t.Error(diff)
	}
	if got := callsOf(t, x, "support", audittest.JTI(0)[:20]); len(got.Seen) != 0 {
		t.Error("the beginning of an identity is none", got)
	}
}

// Whoever is refused at ever new services hides nothing that was sent, and the answer stays small.
func TestManyRefusedServicesAreSummedTogether(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	x, _ := running(t, filepath.Join(t.TempDir(), "index.db"), tree)
	records := []audit.Record{audittest.Call(0, 0, "gateway-0", "zendesk", "")}
	for n := 1; n <= wire.MaxServices+500; n++ {
		records = append(records, audittest.Call(0, n, "gateway-0", fmt.Sprintf("a%d", n), "credential_outside_scope"))
	}
	for len(records) > 0 {
		part := min(len(records), 500)
		if _, err := tree.Append(t.Context(), records[:part]...); err != nil {
			t.Fatal(err)
		}
		records = records[part:]
	}
	calls := callsOf(t, x, "support", audittest.JTI(0))
	var refused int64
	for _, service := range calls.Services {
		refused += service.Refused["credential_outside_scope"]
	}
	if calls.Services["zendesk"].Sent != 1 || refused != wire.MaxServices+500 || len(calls.Services) != wire.MaxServices+1 ||
		calls.Services[""].Refused["credential_outside_scope"] != 501 {
		t.Error(len(calls.Services), refused, calls.Services[""], calls.Services["zendesk"])
	}
}

// An index of the version before, which has no sums, is built anew.
func TestAnIndexWithoutSumsIsBuiltAnew(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "index.db")
	if _, err := tree.Append(t.Context(), audittest.Call(0, 1, "gateway-0", "slack", "")); err != nil {
		t.Fatal(err)
	}
	x, stop := running(t, path, tree)
	wait(t, x, 1)
	stop()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		about := tx.Bucket([]byte("about"))
		old := append([]byte(nil), about.Get([]byte("state"))...)
		const now, before = `"version":2`, `"version":1`
		if string(old[1:1+len(now)]) != now {
			t.Fatalf("%s", old)
		}
		copy(old[1:], before)
		return errors.Join(tx.DeleteBucket([]byte("calls")), about.Put([]byte("state"), old))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	x, _ = running(t, path, tree)
	if got := callsOf(t, x, "support", audittest.JTI(0)); got.Services["slack"].Sent != 1 {
		t.Error(got)
	}
}

func TestCallsWaitForTheIndex(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	audittest.Fill(t, tree, 0, 1)
	x, err := index.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"), tree, options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = x.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Calls(ctx, "support", audittest.JTI(0)); !errors.Is(err, index.ErrBehind) {
		t.Error("nobody fills it, and yet it answers", err)
	}
}
