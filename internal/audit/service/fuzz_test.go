package service

import (
	"net/url"
	"strings"
	"testing"

	"github.com/transparency-dev/tessera/api/layout"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/audit"
)

// Whatever a query is: it is refused, or it asks for what it says, once.
func FuzzParseRowsQuery(f *testing.F) {
	for _, seed := range []string{
		"", "jti=pp_8f3a", "from=2026-08-01&to=2026-08-02T00:00:00Z&limit=7", "namespace=a&format=csv", "jti=a;b=c", "%zz", "jti=%00",
		"cursor=1.2.0011223344556677", "action=passport.issue&outcome=success", "limit=18446744073709551616", "from=0001-01-01",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseRowsQuery(raw)
		if err != nil {
			if q != (rowsQuery{}) {
				t.Errorf("%+v with %v", q, err)
			}
			return
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		for name, given := range map[string]string{
			"jti": q.JTI, "agent": q.Agent, "namespace": q.Namespace, "action": string(q.Action), "outcome": string(q.Outcome),
		} {
			if len(values[name]) > 1 || values.Get(name) != given {
				t.Errorf("%s is %q, and was given as %q", name, given, values[name])
			}
		}
		if q.limit > maxLimit || (q.From.IsZero() != (values.Get("from") == "")) || (q.To.IsZero() != (values.Get("to") == "")) {
			t.Errorf("%+v of %q", q, raw)
		}
	})
}

// A path that is taken is written in the one way, and stays below the log.
func FuzzParseResourcePath(f *testing.F) {
	for _, seed := range []string{
		"checkpoint", "tile/0/000", "tile/1/x001/x234/067.p/8", "tile/entries/000.p/255", "tile/../checkpoint", "tile/0/.p/1", "tile/0/x/.p/1",
		"tile/entries/x18446744073709551615/000", "tile/63/000", "tile/entries/-01", "tile/0/+00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path, ok := parseResourcePath(text)
		if !ok {
			return
		}
		written := layout.CheckpointPath
		switch {
		case path.bundle:
			written = layout.EntriesPath(path.index, path.width)
		case !path.checkpoint:
			written = layout.TilePath(path.level, path.index, path.width)
		}
		if written != text || strings.Contains(text, "..") || path.level > maxLevel {
			t.Errorf("%q is taken for %+v", text, path)
		}
		if !path.checkpoint && path.within(0) {
			t.Errorf("an empty tree has %q", text)
		}
	})
}

// What a tree of a size has, and what it has not, by the layout's own arithmetic.
func TestWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		level := rapid.Uint64Range(0, 2).Draw(t, "level")
		size := rapid.Uint64Range(0, 1<<20).Draw(t, "size")
		index := rapid.Uint64Range(0, 1<<12).Draw(t, "index")
		width := rapid.Uint64Range(1, 256).Draw(t, "width")
		path := resourcePath{level: level, index: index, width: uint8(width % 256)}
		// The last hash of the tile is of entries up to this one.
		last := (index*256 + width) << (8 * level)
		if path.within(size) != (last <= size) {
			t.Fatalf("%+v in a tree of %d", path, size)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"1.7.0011223344556677", "", "..", "0.0.0011223344556677", "1.7.001122334455667G", "1.07.0011223344556677"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseCursor(text)
		if err == nil && parsed.String() != text {
			t.Errorf("%q is read as %q", text, parsed)
		}
		if err != nil && parsed != (cursor{}) {
			t.Errorf("%+v with %v", parsed, err)
		}
	})
}

// A body that is taken holds records that are written again as they were read, and an error quotes
// nothing that looks like a token.
func FuzzParseRecords(f *testing.F) {
	for _, seed := range []string{`{"records":[{"id":"ar_1","time":"2026-08-01T12:00:00Z"}]}`, `{"records":[null]}`, `{"records":{}}`, `[]`, `{"records":[{}],"records":[]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		records, err := parseRecords(body)
		switch {
		case err != nil && records != nil:
			t.Errorf("%d records with %v", len(records), err)
		case err == nil && len(records) == 0:
			t.Error("no records, and no error")
		case err != nil && audit.Redact(err.Error()) != err.Error():
			t.Errorf("%q", err)
		}
	})
}

// No cell begins as a formula does, and none is changed that does not.
func TestDefused(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "plain": "plain", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\t=1": "'\t=1", "\r=1": "'\r=1",
		"\n=1": "'\n=1", "＝1": "'＝1", "'=1": "'=1", `{"a":1}`: `{"a":1}`,
	} {
		if got := defused(cell); got != want {
			t.Errorf("%q becomes %q", cell, got)
		}
	}
}
