package token_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/token"
)

const listURI = issuer + "/statuslists/1/0"

// TestDraftVector decodes the list of draft-ietf-oauth-status-list, section 4.1: bytes b9 a3.
func TestDraftVector(t *testing.T) {
	list, err := token.DecodeStatusList("eNrbuRgAAhcBXQ")
	if err != nil {
		t.Fatal(err)
	}
	var invalid []int64
	for i := range list.Len() {
		if list.Invalid(i) {
			invalid = append(invalid, i)
		}
	}
	if want := []int64{0, 3, 4, 5, 7, 8, 9, 13, 15}; !slices.Equal(invalid, want) || list.Len() != 16 {
		t.Errorf("got %v of %d, want %v of 16", invalid, list.Len(), want)
	}
}

func TestStatusListSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		indexes := rapid.SliceOfDistinct(rapid.Int64Range(0, token.StatusListSize-1), rapid.ID[int64]).Draw(t, "indexes")
		list := token.NewStatusList()
		for _, index := range indexes {
			list.Invalidate(index)
		}
		read, err := token.DecodeStatusList(list.Encode())
		if err != nil || !bytes.Equal(read, list) {
			t.Fatalf("read back another list: %v", err)
		}
		for _, index := range indexes {
			if !read.Invalid(index) {
				t.Fatalf("entry %d is lost", index)
			}
		}
		other := rapid.Int64Range(0, token.StatusListSize-1).Draw(t, "other")
		if read.Invalid(other) != slices.Contains(indexes, other) {
			t.Fatalf("entry %d is another's", other)
		}
	})
}

func TestEntriesOutsideAreInvalid(t *testing.T) {
	list := token.NewStatusList()
	list.Invalidate(-1)
	list.Invalidate(token.StatusListSize)
	if !bytes.Equal(list, token.NewStatusList()) {
		t.Error("the list was changed")
	}
	for _, index := range []int64{-1, token.StatusListSize, 1 << 62} {
		if !list.Invalid(index) {
			t.Errorf("entry %d is vouched for", index)
		}
	}
}

func TestMerge(t *testing.T) {
	list, other := token.NewStatusList(), token.StatusList{1}
	list.Invalidate(9)
	list.Merge(other)
	if !list.Invalid(0) || list.Invalid(1) || !list.Invalid(9) {
		t.Error("a merge keeps what either says")
	}
}

func deflated(t testing.TB, data []byte) []byte {
	t.Helper()
	var compressed bytes.Buffer
	writer := zlib.NewWriter(&compressed)
	if _, err := writer.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed.Bytes()
}

func TestDecodeRefuses(t *testing.T) {
	whole := token.NewStatusList()
	good := deflated(t, whole)
	for name, compressed := range map[string][]byte{
		"a bomb":        deflated(t, make([]byte, 64<<20)),
		"an entry more": deflated(t, append(slices.Clone(whole), 0)),
		"no entry":      deflated(t, nil),
		"what follows":  append(slices.Clone(good), 0),
		"half a list":   good[:len(good)/2],
		"no checksum":   good[:len(good)-4],
		"no ZLIB":       []byte("plain text"),
		"nothing":       nil,
	} {
		if list, err := token.DecodeStatusList(base64.RawURLEncoding.EncodeToString(compressed)); !errors.Is(err, token.ErrStatusList) {
			t.Errorf("%s: %d entries, %v", name, list.Len(), err)
		}
	}
	if _, err := token.DecodeStatusList("no base64!"); !errors.Is(err, token.ErrStatusList) {
		t.Errorf("no base64url: %v", err)
	}
	if _, err := token.DecodeStatusList(base64.RawURLEncoding.EncodeToString(good)); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func FuzzDecodeStatusList(f *testing.F) {
	f.Add("eNrbuRgAAhcBXQ")
	f.Add(token.NewStatusList().Encode())
	f.Add("")
	f.Fuzz(func(t *testing.T, lst string) {
		list, err := token.DecodeStatusList(lst)
		if (list == nil) == (err == nil) || list.Len() > token.StatusListSize {
			t.Fatalf("%d entries, %v", list.Len(), err)
		}
		if err != nil {
			return
		}
		again, err := token.DecodeStatusList(list.Encode())
		if err != nil || !bytes.Equal(again, list) {
			t.Fatalf("read back another list: %v", err)
		}
	})
}

func TestStatusListURI(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epoch, list := rapid.Int64Min(1).Draw(t, "epoch"), rapid.Int64Min(0).Draw(t, "list")
		base := rapid.SampledFrom([]string{issuer, issuer + "/", "http://host:1/path"}).Draw(t, "issuer")
		gotEpoch, gotList, err := token.ParseStatusListURI(base, token.StatusListURI(base, epoch, list))
		if err != nil || gotEpoch != epoch || gotList != list {
			t.Fatalf("%d/%d, %v", gotEpoch, gotList, err)
		}
	})
	for _, uri := range []string{
		"", issuer, issuer + "/statuslists/", issuer + "/statuslists/1", issuer + "/statuslists/0/0", issuer + "/statuslists/1/-1",
		issuer + "/statuslists/01/0", issuer + "/statuslists/+1/0", issuer + "/statuslists/1/0/", issuer + "/statuslists/1/0?x",
		"https://other.example.com/statuslists/1/0", issuer + ".evil.example/statuslists/1/0",
	} {
		if _, _, err := token.ParseStatusListURI(issuer, uri); !errors.Is(err, token.ErrStatusList) {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func signedList(t testing.TB, ring token.Ring, invalid ...int64) string {
	t.Helper()
	list := token.NewStatusList()
	for _, index := range invalid {
		list.Invalidate(index)
	}
	signed, err := token.SignStatusList(ring.Signing(), listURI, list, noon)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestSignedStatusList(t *testing.T) {
	ring := rfcRing(t)
	signed := signedList(t, ring, 7, 1<<20-1)
	if signed != signedList(t, ring, 7, 1<<20-1) {
		t.Error("signed twice, and not the same")
	}
	head, _, _ := strings.Cut(signed, ".")
	if got, _ := base64.RawURLEncoding.DecodeString(head); !strings.Contains(string(got), `"typ":"statuslist+jwt"`) {
		t.Errorf("header %s", got)
	}
	list, claims, err := token.VerifyStatusList(signed, ring, listURI, noon, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !list.Invalid(7) || !list.Invalid(1<<20-1) || list.Invalid(8) || list.Len() != token.StatusListSize {
		t.Error("the list says something else")
	}
	if claims.Subject != listURI || claims.IssuedAt != noon.Unix() || claims.TTL != 60 || claims.Expiry != noon.Unix()+300 {
		t.Errorf("claims %+v", claims)
	}
}

func TestVerifyStatusListRefuses(t *testing.T) {
	ring := rfcRing(t)
	good := signedList(t, ring)
	other, err := token.NewRing(seeded(9), noon)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signed string
		uri    string
		now    time.Time
		want   error
	}{
		"the good one":          {good, listURI, noon, nil},
		"a second before exp":   {good, listURI, noon.Add(5*time.Minute - time.Second), nil},
		"at its exp":            {good, listURI, noon.Add(5 * time.Minute), token.ErrExpired},
		"before it was signed":  {good, listURI, noon.Add(-time.Minute), token.ErrStatusList},
		"another list":          {good, issuer + "/statuslists/1/1", noon, token.ErrStatusList},
		"no list in particular": {good, "", noon, token.ErrStatusList},
		"another's key":         {signedList(t, other), listURI, noon, token.ErrUnknownKey},
		"a passport":            {sign(t, ring, supportBot(t)), listURI, noon, token.ErrType},
		"a wrong signature":     {good[:len(good)-8] + "AAAAAAAA", listURI, noon, token.ErrSignature},
		"nothing":               {"", listURI, noon, token.ErrMalformed},
		"too much":              {good + strings.Repeat("A", token.MaxStatusListTokenBytes), listURI, noon, token.ErrStatusList},
	} {
		list, claims, err := token.VerifyStatusList(c.signed, ring, c.uri, c.now, 0)
		if !errors.Is(err, c.want) || (list == nil) != (c.want != nil) || (claims == nil) != (c.want != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := token.Verify(good, ring, token.Expectation{Issuer: issuer, Audience: audience, Now: noon}); !errors.Is(err, token.ErrType) && !errors.Is(err, token.ErrTooLarge) {
		t.Errorf("a status list passes for a passport: %v", err)
	}
}

// TestWorstStatusList has room for a list that does not compress.
func TestWorstStatusList(t *testing.T) {
	ring, list := rfcRing(t), token.NewStatusList()
	if _, err := seeded(3).Read(list); err != nil {
		t.Fatal(err)
	}
	signed, err := token.SignStatusList(ring.Signing(), listURI, list, noon)
	if err != nil || len(signed) > token.MaxStatusListTokenBytes {
		t.Fatalf("%d bytes, %v", len(signed), err)
	}
	read, _, err := token.VerifyStatusList(signed, ring, listURI, noon, 0)
	if err != nil || !bytes.Equal(read, list) {
		t.Errorf("read back another list: %v", err)
	}
}

func FuzzVerifyStatusList(f *testing.F) {
	ring := rfcRing(f)
	good := signedList(f, ring, 3)
	f.Add(good)
	f.Add(sign(f, ring, supportBot(f)))
	f.Fuzz(func(t *testing.T, signed string) {
		list, _, err := token.VerifyStatusList(signed, ring, listURI, noon, 0)
		if (list == nil) == (err == nil) {
			t.Fatal("list and error, or neither")
		}
		if err == nil && signed != good {
			t.Fatal("forged")
		}
	})
}

func TestStatusClaim(t *testing.T) {
	ring := rfcRing(t)
	claims := supportBot(t)
	claims.Status = &token.Status{StatusList: token.StatusListEntry{Index: 0, URI: listURI}}
	raw, err := json.Marshal(claims)
	if err != nil || !strings.Contains(string(raw), `"status":{"status_list":{"idx":0,"uri":"`+listURI+`"}}`) {
		t.Errorf("%s, %v", raw, err)
	}
	read, err := token.VerifySignature(sign(t, ring, claims), ring)
	if err != nil || *read.Status != *claims.Status {
		t.Errorf("%+v, %v", read, err)
	}
	for _, entry := range []token.StatusListEntry{{Index: -1, URI: listURI}, {Index: 1 << 20, URI: listURI}, {Index: 1}} {
		claims.Status.StatusList = entry
		if _, err := token.Sign(ring.Signing(), claims); !errors.Is(err, token.ErrMalformed) {
			t.Errorf("%+v: %v", entry, err)
		}
	}
}

// lists is a table of signed lists.
type lists struct {
	signed map[string]string
	err    error
}

func (l *lists) List(_ context.Context, epoch, list int64) (string, error) {
	if l.err != nil {
		return "", l.err
	}
	if signed, ok := l.signed[fmt.Sprintf("%d/%d", epoch, list)]; ok {
		return signed, nil
	}
	return "", fmt.Errorf("list %d of epoch %d: %w", list, epoch, token.ErrNoStatusList)
}

func TestStatusListHandler(t *testing.T) {
	served := &lists{signed: map[string]string{"1/0": signedList(t, rfcRing(t), 5)}}
	mux := http.NewServeMux()
	mux.Handle(token.StatusListPattern, token.NewStatusListHandler(served))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	response, body := do(t, http.MethodGet, server.URL+"/statuslists/1/0")
	header := response.Header
	if response.StatusCode != http.StatusOK || body != served.signed["1/0"] ||
		header.Get("Content-Type") != "application/statuslist+jwt" || header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("%s %v %s", response.Status, header, body)
	}
	if again, body := do(t, http.MethodGet, server.URL+"/statuslists/1/0", "If-None-Match", header.Get("ETag")); again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("unchanged: %s", again.Status)
	}
	for _, path := range []string{"/statuslists/1/1", "/statuslists/2/0", "/statuslists/01/0", "/statuslists/0/0", "/statuslists/1/-1", "/statuslists/1/x", "/statuslists/1"} {
		if response, _ := do(t, http.MethodGet, server.URL+path); response.StatusCode != http.StatusNotFound || strings.Contains(response.Header.Get("Cache-Control"), "public") {
			t.Errorf("%s: %s %s", path, response.Status, response.Header.Get("Cache-Control"))
		}
	}
	if response, _ := do(t, http.MethodPost, server.URL+"/statuslists/1/0"); response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", response.Status)
	}
	served.err = errors.New("the API server at 10.0.0.1 does not answer")
	if response, body := do(t, http.MethodGet, server.URL+"/statuslists/1/0"); response.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "10.0.0.1") {
		t.Errorf("away: %s %s", response.Status, body)
	}
}

func BenchmarkSignStatusList(b *testing.B) {
	key, list := rfcRing(b).Signing(), token.NewStatusList()
	for i := range int64(10000) {
		list.Invalidate(i * 101)
	}
	b.ReportAllocs()
	for b.Loop() {
		signed, err := token.SignStatusList(key, listURI, list, noon)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(signed)), "list-bytes")
	}
}
