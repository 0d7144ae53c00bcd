package service_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/index"
	"agentpassport.dev/operator/internal/audit/service"
	"agentpassport.dev/operator/internal/audit/wire"
)

// rights lets whoever names themselves in the header do what stands beside their name. Package access
// is tested on the API server; here the question is what the service asks it.
type rights map[string][]access.Right

func (r rights) Authenticate(request *http.Request) (user.Info, error) {
	name := request.Header.Get("Test-User")
	switch _, known := r[name]; {
	case name == "outage":
		return nil, access.ErrUnavailable
	case !known:
		return nil, fmt.Errorf("%w: who are you", access.ErrUnauthenticated)
	}
	return &user.DefaultInfo{Name: name}, nil
}

func (r rights) Authorize(_ context.Context, who user.Info, right access.Right) error {
	// A right in all of the cluster is one in each namespace, as with RBAC.
	if slices.Contains(r[who.GetName()], right) || slices.Contains(r[who.GetName()], service.Right(right.Verb, "")) {
		return nil
	}
	return fmt.Errorf("%w: no right to %s", access.ErrForbidden, right)
}

var everybody = rights{
	"manager":      {service.Right(access.Create, "")},
	"auditor":      {service.Right(access.List, ""), service.Right(access.Get, "")},
	"team-support": {service.Right(access.List, "support")},
	"nobody":       nil,
}

// world is a service and its log.
type world struct {
	*testing.T
	tree     *audittest.Tree
	folder   string
	url      string
	registry *prometheus.Registry
	failed   chan error
}

func start(t *testing.T) *world {
	w := &world{T: t, folder: t.TempDir(), registry: prometheus.NewRegistry(), failed: make(chan error, 1)}
	w.tree = audittest.Open(t, w.folder)
	x, err := index.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"), w.tree,
		index.Options{Origin: audittest.Origin, Epoch: 1, Clock: clock.RealClock{}, Log: testr.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := x.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(service.New(service.Options{
		Tree: w.tree, Index: x, Access: everybody, Clock: clock.RealClock{}, Log: testr.New(t), Appended: []func(){x.Appended},
		Failed: func(err error) { w.failed <- err },
		Metrics: service.NewMetrics(w.registry, func() float64 { return float64(w.tree.Head().Size) },
			func() float64 { return float64(w.tree.Head().Size - x.Size()) }),
	}))
	w.url = server.URL
	t.Cleanup(func() {
		server.Close()
		cancel()
		run.Wait()
		_ = x.Close()
	})
	return w
}

// ask sends a request and returns the answer with its body read.
func (w *world) ask(who, method, path, body string) (*http.Response, string) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	request.Header.Set("Test-User", who)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return response, string(raw)
}

// get is what an auditor gets, which must be there.
func (w *world) get(path string, into any) {
	w.Helper()
	response, body := w.ask("auditor", http.MethodGet, path, "")
	if response.StatusCode != http.StatusOK {
		w.Fatalf("%s: %d %s", path, response.StatusCode, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		w.Fatalf("%s: %v in %s", path, err, body)
	}
}

// refused is the error that a request is answered with.
func (w *world) refused(who, method, path, body string) (int, wire.Error) {
	w.Helper()
	response, text := w.ask(who, method, path, body)
	var failure wire.Failure
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&failure); err != nil || failure.Error.Code == "" || failure.Error.Message == "" {
		w.Errorf("%s %s as %s: %d, and no error in %q", method, path, who, response.StatusCode, text)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		w.Errorf("Content-Type %q", got)
	}
	return response.StatusCode, failure.Error
}

func encode(t testing.TB, records ...audit.Record) string {
	t.Helper()
	raw, err := json.Marshal(wire.Append{Records: records})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestAppendAnswersWithWhatIsInTheLog(t *testing.T) {
	w := start(t)
	records := audittest.Missions(0, 2)
	response, body := w.ask("manager", http.MethodPost, wire.RecordsPath, encode(t, records...))
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.StatusCode, body)
	}
	var got wire.Appended
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	for i, e := range got.Entries {
		if e.Epoch != 1 || e.Index != uint64(i) || e.Record.ID != records[i].ID || e.Record.Hash == "" {
			t.Errorf("%d: %+v", i, e)
		}
	}
	// A repeat that says something else is answered with the first.
	records[3].Facts.Summary = "another story"
	_, again := w.ask("manager", http.MethodPost, wire.RecordsPath, encode(t, records...))
	if diff := cmp.Diff(body, again); diff != "" {
		t.Error(diff)
	}
	if w.tree.Head().Size != 10 {
		t.Error(w.tree.Head().Size)
	}
	if err := testutil.GatherAndCompare(w.registry, strings.NewReader(`
# HELP agentpassport_auditlog_appended_records_total Records that were answered for, those that were there before among them.
# TYPE agentpassport_auditlog_appended_records_total counter
agentpassport_auditlog_appended_records_total 20
# HELP agentpassport_auditlog_size_records Records under the published checkpoint.
# TYPE agentpassport_auditlog_size_records gauge
agentpassport_auditlog_size_records 10
`), "agentpassport_auditlog_appended_records_total", "agentpassport_auditlog_size_records"); err != nil {
		t.Error(err)
	}
}

const secret = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJib3QifQ.c2lnbmF0dXJl"

func TestABadRecordIsNamedAndNotQuoted(t *testing.T) {
	w := start(t)
	good, changed := audittest.Record(0, 0), func(change func(*audit.Record)) string {
		record := audittest.Record(0, 1)
		change(&record)
		return encode(t, audittest.Record(0, 0), record)
	}
	raw := encode(t, good)
	for name, test := range map[string]struct {
		body string
		code wire.Code
		says string
	}{
		"unknown action":   {changed(func(r *audit.Record) { r.Action = secret }), wire.BadRecord, "record 2: not an audit record: its action"},
		"token in notes":   {changed(func(r *audit.Record) { r.Facts.Notes = secret }), wire.BadRecord, "record 2: not an audit record: facts.notes holds"},
		"foreign id":       {changed(func(r *audit.Record) { r.ID = audit.ID("x", "y") }), wire.BadRecord, "record 2: not an audit record: its id"},
		"unknown field":    {strings.Replace(raw, `"time"`, `"when":"`+secret+`","time"`, 1), wire.BadRecord, `record 1: unknown field "when"`},
		"field by case":    {strings.Replace(raw, `"time"`, `"Time"`, 1), wire.BadRecord, `record 1: unknown field "Time"`},
		"field twice":      {strings.Replace(raw, `"layer"`, `"step":"`+secret+`","layer"`, 1), wire.BadRecord, `record 1: duplicate field "step"`},
		"field of a token": {strings.Replace(raw, `"time"`, `"`+secret+`":1,"time"`, 1), wire.BadRecord, audit.Redacted},
		"mistyped":         {strings.Replace(raw, `"layer":"vault"`, `"layer":123456`, 1), wire.BadRecord, "record 1: field layer is of another type"},
		"no time":          {strings.Replace(raw, `2026-08-01T12:00:00Z`, secret, 1), wire.BadRecord, "record 1: it is no JSON of a record"},
		"null":             {`{"records":[null]}`, wire.BadRecord, "record 1"},
		"no records":       {`{"records":[]}`, wire.BadRequest, "no record"},
		"another body":     {`{"records":[],"more":1}`, wire.BadRequest, "nothing else"},
		"no JSON":          {secret, wire.BadRequest, "nothing else"},
		"two bodies":       {raw + raw, wire.BadRequest, "nothing else"},
		"too many":         {encode(t, slices.Repeat([]audit.Record{good}, wire.MaxRecords+1)...), wire.TooLarge, "513 records"},
		"too long":         {`{"records":["` + strings.Repeat("x", wire.MaxBody) + `"]}`, wire.TooLarge, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			status, failure := w.refused("manager", http.MethodPost, wire.RecordsPath, test.body)
			want := http.StatusBadRequest
			if test.code == wire.TooLarge {
				want = http.StatusRequestEntityTooLarge
			}
			if status != want || failure.Code != test.code || !strings.Contains(failure.Message, test.says) {
				t.Errorf("%d %+v", status, failure)
			}
			if strings.Contains(failure.Message, secret) || strings.Contains(failure.Message, "123456") {
				t.Errorf("%q quotes the value", failure.Message)
			}
		})
	}
	if w.tree.Head().Size != 0 {
		t.Error("something was written")
	}
}

func TestAClosedLogIsUnavailableAndTold(t *testing.T) {
	w := start(t)
	if err := w.tree.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		status, failure := w.refused("manager", http.MethodPost, wire.RecordsPath, encode(t, audittest.Record(0, 0)))
		if status != http.StatusServiceUnavailable || failure.Code != wire.LogUnavailable {
			t.Error(status, failure)
		}
	}
	if err := <-w.failed; err == nil {
		t.Error("nobody was told")
	}
}

// Each path asks for its right, and for no other.
func TestRights(t *testing.T) {
	w := start(t)
	entries := audittest.Fill(t, w.tree, 0, 60)
	one := encode(t, audittest.Record(0, 0))
	reads := []string{
		wire.RecordsPath + "/" + entries[0].Record.ID, "/v1/proof/inclusion?epoch=1&index=0", "/v1/proof/consistency?epoch=1&from=1",
		"/v1/verify", "/log/1/checkpoint", "/log/1/tile/0/000", "/log/1/tile/entries/000.p/7",
	}
	tests := []struct {
		method, path, body string
		may                []string
	}{
		{http.MethodPost, wire.RecordsPath, one, []string{"manager"}},
		{http.MethodGet, wire.RecordsPath, "", []string{"auditor"}},
		{http.MethodGet, wire.RecordsPath + "?namespace=support", "", []string{"auditor", "team-support"}},
		{http.MethodGet, wire.RecordsPath + "?namespace=release", "", []string{"auditor"}},
		{http.MethodGet, wire.RecordsPath + "?agent=support-bot", "", []string{"auditor"}},
	}
	for _, path := range reads {
		tests = append(tests, struct {
			method, path, body string
			may                []string
		}{http.MethodGet, path, "", []string{"auditor"}})
	}
	for _, test := range tests {
		for who := range everybody {
			response, body := w.ask(who, test.method, test.path, test.body)
			want := http.StatusForbidden
			if slices.Contains(test.may, who) {
				want = http.StatusOK
			}
			if response.StatusCode != want {
				t.Errorf("%s %s as %s: %d, want %d: %s", test.method, test.path, who, response.StatusCode, want, body)
			}
		}
		if status, failure := w.refused("stranger", test.method, test.path, test.body); status != http.StatusUnauthorized || failure.Code != wire.Unauthenticated {
			t.Error(test.path, status, failure)
		}
		if status, failure := w.refused("outage", test.method, test.path, test.body); status != http.StatusServiceUnavailable || failure.Code != wire.ReviewUnavailable {
			t.Error(test.path, status, failure)
		}
	}
}

// A team sees its namespace, whatever else it asks for.
func TestANamespaceIsAllThatATeamSees(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 60)
	for _, more := range []string{
		"", "&agent=release-bot", "&jti=" + audittest.JTI(3), "&format=csv", "&format=ndjson&limit=300",
		"&from=2026-08-01", "&outcome=success", "&action=passport.issue",
	} {
		response, body := w.ask("team-support", http.MethodGet, wire.RecordsPath+"?namespace=support"+more, "")
		if response.StatusCode != http.StatusOK || strings.Contains(body, "release") {
			t.Errorf("%s: %d %s", more, response.StatusCode, body)
		}
	}
}

type page struct {
	Rows []struct {
		audit.Record
		Epoch uint64 `json:"epoch"`
		Index uint64 `json:"index"`
	} `json:"rows"`
	Next string `json:"next"`
}

func TestRowsInEachFormat(t *testing.T) {
	w := start(t)
	entries := audittest.Fill(t, w.tree, 0, 110)
	filter := "?jti=" + audittest.JTI(7)
	var got page
	w.get(wire.RecordsPath+filter, &got)
	if len(got.Rows) != 5 || got.Next != "" {
		t.Fatalf("%+v", got)
	}
	for i, row := range got.Rows {
		want := entries[35+i]
		if diff := cmp.Diff(want, audit.Entry{Epoch: row.Epoch, Index: row.Index, Record: row.Record}); diff != "" {
			t.Error(diff)
		}
	}
	response, body := w.ask("auditor", http.MethodGet, wire.RecordsPath+"?format=ndjson", "")
	if got := response.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Error(got)
	}
	lines := bufio.NewScanner(strings.NewReader(body))
	n := 0
	for ; lines.Scan(); n++ {
		var row audit.Record
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil || row.ID != entries[n].Record.ID {
			t.Fatal(n, err)
		}
	}
	if n != len(entries) {
		t.Error(n)
	}
	response, body = w.ask("auditor", http.MethodGet, wire.RecordsPath+filter+"&format=csv", "")
	if got := response.Header.Get("Content-Disposition"); got != `attachment; filename="audit-records.csv"` {
		t.Error(got)
	}
	table, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(table) != 6 || table[0][0] != "epoch" || table[1][1] != "35" || table[1][2] != entries[35].Record.ID {
		t.Error(err, table)
	}
	var facts audit.Facts
	if err := json.Unmarshal([]byte(table[2][slices.Index(table[0], "facts")]), &facts); err != nil || facts.Actions != 1 {
		t.Error(err, facts)
	}
	empty := page{}
	w.get(wire.RecordsPath+"?jti=pp_none", &empty)
	if empty.Rows == nil || len(empty.Rows) != 0 {
		t.Errorf("%+v", empty)
	}
}

// The export is what a line of jq takes.
func TestAnExportThroughJQ(t *testing.T) {
	jq, err := exec.LookPath("jq")
	if err != nil {
		t.Skip("there is no jq here")
	}
	w := start(t)
	audittest.Fill(t, w.tree, 0, 20)
	_, body := w.ask("auditor", http.MethodGet, wire.RecordsPath, "")
	command := exec.CommandContext(t.Context(), jq, "-c", fmt.Sprintf(`.rows[] | select(.passport_jti == %q)`, audittest.JTI(7)))
	command.Stdin = strings.NewReader(body)
	out, err := command.Output()
	if err != nil || strings.Count(string(out), "\n") != 5 || strings.Count(string(out), audittest.JTI(7)) != 5 {
		t.Errorf("%v: %s", err, out)
	}
}

// The time bounds: from is in, to is not.
func TestTimeRange(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 1)
	for query, want := range map[string]int{
		"from=2026-08-01T12:00:02Z":                         3,
		"to=2026-08-01T12:00:02Z":                           2,
		"from=2026-08-01T12:00:01Z&to=2026-08-01T12:00:02Z": 1,
		"from=2026-08-01T14:00:02%2B02:00":                  3,
		"from=2026-08-01&to=2026-08-02":                     5,
		"from=2026-08-02":                                   0,
	} {
		var got page
		w.get(wire.RecordsPath+"?"+query, &got)
		if len(got.Rows) != want {
			t.Errorf("%s: %d rows", query, len(got.Rows))
		}
	}
}

// Page by page comes what comes at once, also while the log grows.
func TestPages(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 80)
	for _, filter := range []string{"", "&namespace=release", "&outcome=failure&agent=support-bot"} {
		var all page
		w.get(wire.RecordsPath+"?"+strings.TrimPrefix(filter, "&"), &all)
		var seen, lines int
		for next := ""; ; {
			var got page
			path := wire.RecordsPath + "?limit=7" + filter + next
			w.get(path, &got)
			for _, row := range got.Rows {
				if row.ID != all.Rows[seen].ID {
					t.Fatalf("row %d of %q", seen, filter)
				}
				seen++
			}
			response, body := w.ask("auditor", http.MethodGet, path+"&format=ndjson", "")
			lines += strings.Count(body, "\n")
			if trailer := response.Trailer.Get("Audit-Next-Cursor"); trailer != got.Next {
				t.Errorf("%q, not %q", trailer, got.Next)
			}
			if got.Next == "" {
				break
			}
			next = "&cursor=" + url.QueryEscape(got.Next)
			if status, failure := w.refused("auditor", http.MethodGet, wire.RecordsPath+"?jti=pp_other"+next, ""); status != http.StatusBadRequest {
				t.Error(status, failure)
			}
		}
		if seen != len(all.Rows) || lines != seen {
			t.Errorf("%q: %d rows and %d lines of %d", filter, seen, lines, len(all.Rows))
		}
	}
}

// A stream that breaks does not look like one that ends.
func TestABrokenStreamIsSeen(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 300)
	if err := os.Truncate(filepath.Join(w.folder, layout.EntriesPath(3, 0)), 100); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", "ndjson", "csv"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+wire.RecordsPath+"?format="+format, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Test-User", "auditor")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue // broken before the first byte was sent: seen as well
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil {
			t.Errorf("%s ended well after %d bytes", format, len(body))
		}
	}
}

func TestOneRecord(t *testing.T) {
	w := start(t)
	entries := audittest.Fill(t, w.tree, 0, 60)
	var got audit.Entry
	w.get(wire.RecordsPath+"/"+entries[277].Record.ID, &got)
	if diff := cmp.Diff(entries[277], got); diff != "" {
		t.Error(diff)
	}
	if status, failure := w.refused("auditor", http.MethodGet, wire.RecordsPath+"/"+audit.ID("none", ""), ""); status != http.StatusNotFound {
		t.Error(status, failure)
	}
}

// Proofs hold, by the arithmetic of another library, for sizes that were never published as well.
func TestProofs(t *testing.T) {
	w := start(t)
	entries := audittest.Fill(t, w.tree, 0, 130)
	head := w.tree.Head()
	for _, size := range []uint64{1, 2, 3, 255, 256, 257, 511, 600, head.Size} {
		var inclusion struct {
			Index, Size uint64
			Root        []byte
			LeafHash    []byte `json:"leaf_hash"`
			Hashes      [][]byte
			Checkpoint  string
		}
		for _, place := range []uint64{0, size / 2, size - 1} {
			w.get(fmt.Sprintf("/v1/proof/inclusion?epoch=1&index=%d&size=%d", place, size), &inclusion)
			raw, err := audit.Encode(entries[place].Record)
			if err != nil {
				t.Fatal(err)
			}
			leaf := rfc6962.DefaultHasher.HashLeaf(raw)
			if !bytes.Equal(leaf, inclusion.LeafHash) {
				t.Error("another leaf")
			}
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, place, size, leaf, inclusion.Hashes, inclusion.Root); err != nil {
				t.Error(place, size, err)
			}
		}
		var consistency struct {
			From, To   uint64
			FromRoot   []byte `json:"from_root"`
			ToRoot     []byte `json:"to_root"`
			Hashes     [][]byte
			Checkpoint string
		}
		w.get(fmt.Sprintf("/v1/proof/consistency?epoch=1&from=%d", size), &consistency)
		signed, _, _, err := log.ParseCheckpoint([]byte(consistency.Checkpoint), audittest.Origin, w.tree.Key())
		if err != nil || signed.Size != consistency.To || !bytes.Equal(signed.Hash, consistency.ToRoot) || !bytes.Equal(consistency.FromRoot, inclusion.Root) {
			t.Fatal(err, signed, consistency)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, size, consistency.To, consistency.Hashes, inclusion.Root, signed.Hash); err != nil {
			t.Error(size, err)
		}
	}
}

type verification struct {
	OK    bool
	Size  uint64
	Break *struct {
		Position *uint64
		ID, Why  string
	}
}

func TestVerify(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 120)
	var got verification
	w.get("/v1/verify", &got)
	if !got.OK || got.Size != 600 || got.Break != nil {
		t.Errorf("%+v", got)
	}
	path := filepath.Join(w.folder, layout.EntriesPath(1, 0))
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(raw, []byte("today"), []byte("worse"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	got = verification{}
	w.get("/v1/verify", &got)
	if got.OK || got.Break == nil || got.Break.Position == nil || *got.Break.Position != 256 || got.Break.Why == "" {
		t.Errorf("%+v", got)
	}
}

// A folder that was set back is whole, and still not the one that this process signed.
func TestVerifySeesThatTheFolderWasSetBack(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 20)
	path := filepath.Join(w.folder, layout.CheckpointPath)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	audittest.Fill(t, w.tree, 20, 40)
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	var got verification
	w.get("/v1/verify", &got)
	if got.OK || got.Break == nil || !strings.Contains(got.Break.Why, "set back") {
		t.Errorf("%+v", got)
	}
}

// Tessera's own client and checker read the log over HTTP.
func TestPublicToolsFollowTheLog(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 130)
	root, err := url.Parse(w.url + "/log/1/")
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := client.NewHTTPFetcher(root, &http.Client{Transport: as("auditor")})
	if err != nil {
		t.Fatal(err)
	}
	check := fsck.New(audittest.Origin, w.tree.Key(), fetcher, defaultLeaves, fsck.Opts{N: 1})
	if err := check.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// as adds who asks.
type as string

func (a as) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Test-User", string(a))
	return http.DefaultTransport.RoundTrip(request)
}

func TestTiles(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 130) // 650 entries: two full tiles, one of 138, and one of 2 above
	for path, want := range map[string]struct {
		length int
		cached bool
	}{
		"checkpoint":             {0, false},
		"tile/0/000":             {256 * 32, true},
		"tile/0/001.p/17":        {17 * 32, true},
		"tile/0/002.p/138":       {138 * 32, true},
		"tile/0/002.p/5":         {5 * 32, true},
		"tile/1/000.p/2":         {2 * 32, true},
		"tile/entries/000":       {0, true},
		"tile/entries/002.p/138": {0, true},
	} {
		response, body := w.ask("auditor", http.MethodGet, "/log/1/"+path, "")
		if response.StatusCode != http.StatusOK || (want.length > 0 && len(body) != want.length) {
			t.Errorf("%s: %d, %d bytes", path, response.StatusCode, len(body))
		}
		if got := strings.Contains(response.Header.Get("Cache-Control"), "immutable"); got != want.cached {
			t.Errorf("%s: %s", path, response.Header.Get("Cache-Control"))
		}
	}
	full, partial := w.bundle("000"), w.bundle("000.p/9")
	if len(full) != 256 || len(partial) != 9 || !cmp.Equal(full[:9], partial) {
		t.Error(len(full), len(partial))
	}
	for _, path := range []string{
		"tile/0/002", "tile/0/002.p/139", "tile/1/000", "tile/1/000.p/3", "tile/2/000.p/1", "tile/entries/002", "tile/entries/003.p/1",
		"tile/0/2", "tile/0/0002", "tile/00/002", "tile/0/x000/001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
		"tile/8/000", "tile/entries/", "tile", "", "index.db", ".state/treeState", "tile/0/000.p/1/", "tile/0/000%2Ep/1x",
	} {
		if status, failure := w.refused("auditor", http.MethodGet, "/log/1/"+path, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d %+v", path, status, failure)
		}
	}
	for _, path := range []string{"/log/2/checkpoint", "/log/01/checkpoint", "/log/x/checkpoint"} {
		if status, failure := w.refused("auditor", http.MethodGet, path, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d %+v", path, status, failure)
		}
	}
}

func (w *world) bundle(path string) [][]byte {
	w.Helper()
	_, body := w.ask("auditor", http.MethodGet, "/log/1/tile/entries/"+path, "")
	return entriesOf(w.T, []byte(body))
}

func TestWhatCannotBeAsked(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 4)
	for path, want := range map[string]struct {
		status int
		says   string
	}{
		"/v1/records?colour=red":                      {400, "unknown query parameter; there are from, to, jti"},
		"/v1/records?jti=a&jti=b":                     {400, "jti is given 2 times"},
		"/v1/records?namespace=":                      {400, "namespace is empty"},
		"/v1/records?namespace=Not%20One":             {400, "namespace"},
		"/v1/records?action=passport.isue":            {400, "no such action"},
		"/v1/records?outcome=fine":                    {400, "want success, failure, pending or blocked"},
		"/v1/records?from=yesterday":                  {400, "want a time such as"},
		"/v1/records?from=2026-08-01T12:00:00+02:00":  {400, "+ is written %2B"},
		"/v1/records?from=2026-08-02&to=2026-08-01":   {400, "from is not before to"},
		"/v1/records?limit=0":                         {400, "1 to 10000"},
		"/v1/records?limit=-1":                        {400, "1 to 10000"},
		"/v1/records?limit=007":                       {400, "1 to 10000"},
		"/v1/records?format=xml":                      {400, "json, ndjson or csv"},
		"/v1/records?cursor=MQ":                       {400, "cursor"},
		"/v1/records?jti=%zz":                         {400, "percent-encode"},
		"/v1/records?jti=" + strings.Repeat("x", 513): {400, "512 bytes"},
		"/v1/records/ar_1":                            {400, "no record id"},
		"/v1/records/" + audit.ID("x", "") + "?a=b":   {400, "no query parameters"},
		"/v1/verify?deep=1":                           {400, "no query parameters"},
		"/log/1/checkpoint?x=1":                       {400, "no query parameters"},
		"/v1/proof/inclusion?epoch=1":                 {400, "index: want a whole number from 0 to 19"},
		"/v1/proof/inclusion?epoch=1&index=20":        {400, "from 0 to 19"},
		"/v1/proof/inclusion?epoch=1&index=0&size=21": {400, "from 1 to 20"},
		"/v1/proof/inclusion?index=0":                 {400, "epoch"},
		"/v1/proof/inclusion?epoch=2&index=0":         {404, "epoch 2 is not open"},
		"/v1/proof/consistency?epoch=1&from=0":        {400, "from 1 to 20"},
		"/v1/proof/consistency?epoch=1&from=5&to=4":   {400, "from 1 to 4"},
		"/nothing": {404, "nothing at this path"},
		"/":        {404, "nothing at this path"},
	} {
		if status, failure := w.refused("auditor", http.MethodGet, path, ""); status != want.status || !strings.Contains(failure.Message, want.says) {
			t.Errorf("%s: %d %s", path, status, failure.Message)
		}
	}
	for method, path := range map[string]string{
		http.MethodDelete: wire.RecordsPath, http.MethodPut: wire.RecordsPath + "/x", http.MethodPatch: "/v1/verify", http.MethodPost: "/log/1/checkpoint",
	} {
		if status, failure := w.refused("auditor", method, path, ""); status != http.StatusMethodNotAllowed || !strings.Contains(failure.Message, http.MethodGet) {
			t.Errorf("%s %s: %d %s", method, path, status, failure.Message)
		}
	}
}

// What is appended while others read and verify does not wait for them, and they see a whole log.
func TestReadersAndWritersAtOnce(t *testing.T) {
	w := start(t)
	audittest.Fill(t, w.tree, 0, 60)
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		defer close(done)
		for m := 60; m < 100; m++ {
			response, body := w.ask("manager", http.MethodPost, wire.RecordsPath, encode(t, audittest.Missions(m, m+1)...))
			if response.StatusCode != http.StatusOK {
				t.Error(response.StatusCode, body)
				return
			}
			var got page
			w.get(wire.RecordsPath+"?jti="+audittest.JTI(m), &got)
			if len(got.Rows) != 5 {
				t.Errorf("mission %d: %d rows after they were acknowledged", m, len(got.Rows))
			}
		}
	})
	all.Go(func() {
		for !closed(done) {
			var got verification
			w.get("/v1/verify", &got)
			if !got.OK {
				t.Errorf("%+v", got)
			}
		}
	})
	all.Go(func() {
		for !closed(done) {
			var got page
			w.get(wire.RecordsPath, &got)
			if len(got.Rows) < 300 || len(got.Rows)%5 != 0 {
				t.Errorf("%d rows", len(got.Rows))
			}
		}
	})
	all.Wait()
}

func closed(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
