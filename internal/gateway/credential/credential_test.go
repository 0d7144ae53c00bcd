package credential_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/credential"
)

const secret = "s3cr3t-Value+/="

func spec(kind v1alpha1.CredentialType, name string) *v1alpha1.ServiceCredential {
	return &v1alpha1.ServiceCredential{SecretName: "slack", Key: "token", UsernameKey: "username", Type: kind, Name: name}
}

func read(t testing.TB, kind v1alpha1.CredentialType, name string) *credential.Value {
	t.Helper()
	value, err := credential.Read("support", spec(kind, name), map[string][]byte{"token": []byte(secret), "username": []byte("bot")})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestReadRefuses(t *testing.T) {
	const hidden = "do-not-print-me"
	for name, test := range map[string]struct {
		kind  v1alpha1.CredentialType
		data  map[string]string
		names string
	}{
		"no key":               {v1alpha1.CredentialBearer, map[string]string{"other": hidden}, "key token of Secret support/slack is not there"},
		"empty":                {v1alpha1.CredentialBearer, map[string]string{"token": ""}, "key token of Secret support/slack is empty"},
		"a line break alone":   {v1alpha1.CredentialBearer, map[string]string{"token": "\n"}, "is empty"},
		"two line breaks":      {v1alpha1.CredentialBearer, map[string]string{"token": hidden + "\n\n"}, "line break"},
		"CR inside":            {v1alpha1.CredentialHeader, map[string]string{"token": hidden + "\rX: y"}, "line break"},
		"LF inside":            {v1alpha1.CredentialHeader, map[string]string{"token": hidden + "\nX: y"}, "line break"},
		"NUL":                  {v1alpha1.CredentialQuery, map[string]string{"token": hidden + "\x00"}, "control"},
		"DEL":                  {v1alpha1.CredentialBearer, map[string]string{"token": hidden + "\x7f"}, "control"},
		"too long":             {v1alpha1.CredentialBearer, map[string]string{"token": strings.Repeat(hidden, 2000)}, "longer than 16384"},
		"no user name":         {v1alpha1.CredentialBasic, map[string]string{"token": hidden}, "key username of Secret support/slack is not there"},
		"a colon in user name": {v1alpha1.CredentialBasic, map[string]string{"token": hidden, "username": hidden + ":x"}, "colon"},
		"an unknown type":      {"Cookie", map[string]string{"token": hidden}, "Cookie"},
	} {
		t.Run(name, func(t *testing.T) {
			data := map[string][]byte{}
			for key, value := range test.data {
				data[key] = []byte(value)
			}
			value, err := credential.Read("support", spec(test.kind, "x"), data)
			if !errors.Is(err, credential.ErrUnusable) || value != nil {
				t.Fatalf("%v, %v", value, err)
			}
			if !strings.Contains(err.Error(), test.names) || strings.Contains(err.Error(), hidden) {
				t.Errorf("%q", err)
			}
		})
	}
}

func TestApply(t *testing.T) {
	escaped := url.QueryEscape(secret)
	for name, test := range map[string]struct {
		kind          v1alpha1.CredentialType
		name          string
		header        http.Header
		query         string
		wantName      string
		want          string
		wantQuery     string
		wantUntouched string
	}{
		"bearer": {kind: v1alpha1.CredentialBearer, header: http.Header{"Authorization": {"Bearer mine", "Basic mine"}, "authorization": {"x"}},
			query: "a=1", wantName: "Authorization", want: "Bearer " + secret, wantQuery: "a=1"},
		"basic": {kind: v1alpha1.CredentialBasic, header: http.Header{"AUTHORIZATION": {"x"}},
			wantName: "Authorization", want: "Basic Ym90OnMzY3IzdC1WYWx1ZSsvPQ=="},
		"header": {kind: v1alpha1.CredentialHeader, name: "x-api-key", header: http.Header{"X-Api-Key": {"a", "b"}, "X_api_KEY": {"c"}, "X-Api": {"stays"}},
			wantName: "X-Api-Key", want: secret, wantUntouched: "X-Api"},
		"query":                      {kind: v1alpha1.CredentialQuery, name: "key", query: "a=1&&b", wantQuery: "a=1&&b&key=" + escaped},
		"an empty query":             {kind: v1alpha1.CredentialQuery, name: "key", wantQuery: "key=" + escaped},
		"the parameter, twice":       {kind: v1alpha1.CredentialQuery, name: "key", query: "key=x&a=1&key", wantQuery: "a=1&key=" + escaped},
		"the parameter, escaped":     {kind: v1alpha1.CredentialQuery, name: "key", query: "%6b%65y=x&a=1&k%45y=x", wantQuery: "a=1&key=" + escaped},
		"the parameter in capitals":  {kind: v1alpha1.CredentialQuery, name: "key", query: "KEY=x&a=1", wantQuery: "a=1&key=" + escaped},
		"the parameter, indexed":     {kind: v1alpha1.CredentialQuery, name: "key", query: "key[]=x&key%5b0%5d=x&a=1", wantQuery: "a=1&key=" + escaped},
		"behind a semicolon":         {kind: v1alpha1.CredentialQuery, name: "key", query: "a=1;key=x;b=2", wantQuery: "a=1;b=2&key=" + escaped},
		"escaped twice is another":   {kind: v1alpha1.CredentialQuery, name: "key", query: "%256bey=x", wantQuery: "%256bey=x&key=" + escaped},
		"with an escape that is bad": {kind: v1alpha1.CredentialQuery, name: "key", query: "key%=x&%zz=1&%6bey=x", wantQuery: "key%=x&%zz=1&key=" + escaped},
		"a name that is escaped":     {kind: v1alpha1.CredentialQuery, name: "a b", query: "a+b=x&a%20b=x", wantQuery: "a+b=" + escaped},
	} {
		t.Run(name, func(t *testing.T) {
			header := test.header
			if header == nil {
				header = http.Header{}
			}
			if query := read(t, test.kind, test.name).Apply(header, test.query); query != test.wantQuery {
				t.Errorf("query %q, want %q", query, test.wantQuery)
			}
			if test.wantName != "" && (len(header[test.wantName]) != 1 || header[test.wantName][0] != test.want) {
				t.Errorf("header %v", header)
			}
			wantHeaders := 0
			for _, one := range []string{test.wantName, test.wantUntouched} {
				if one != "" {
					wantHeaders++
				}
			}
			if len(header) != wantHeaders {
				t.Errorf("header %v", header)
			}
		})
	}
}

func TestOneLineBreakAtTheEndIsCutOff(t *testing.T) {
	for _, raw := range []string{"abc\n", "abc\r\n", "abc"} {
		value, err := credential.Read("support", spec(v1alpha1.CredentialHeader, "X-Key"), map[string][]byte{"token": []byte(raw)})
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		value.Apply(header, "")
		if header.Get("X-Key") != "abc" {
			t.Errorf("%q gives %q", raw, header.Get("X-Key"))
		}
	}
}

func TestNothingPrintsIt(t *testing.T) {
	for _, kind := range []v1alpha1.CredentialType{v1alpha1.CredentialBearer, v1alpha1.CredentialBasic, v1alpha1.CredentialHeader, v1alpha1.CredentialQuery} {
		value := read(t, kind, "X-Key")
		nested := struct{ hidden, Shown any }{*value, value}
		deep := struct{ hidden *credential.Value }{value}
		flat := struct{ hidden credential.Value }{*value}
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
			for _, object := range []any{value, *value, nested, deep, flat, []any{value}, map[string]any{"a": *value}} {
				fmt.Fprintf(&out, verb+"\n", object)
			}
		}
		if err := json.NewEncoder(&out).Encode(map[string]any{"a": value, "b": *value, "c": nested}); err != nil {
			t.Fatal(err)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "a", value, "b", *value, "c", nested)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "a", value, "b", *value, "c", nested)
		log := funcr.New(func(prefix, args string) { out.WriteString(prefix + args) }, funcr.Options{})
		log.Info("x", "a", value, "b", *value, "c", nested)
		for _, form := range []string{secret, url.QueryEscape(secret), "Ym90OnMzY3IzdC1WYWx1ZSsvPQ", fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)} {
			if strings.Contains(out.String(), form) {
				t.Errorf("%s: %q is in %s", kind, form, out.String())
			}
		}
		if !strings.Contains(out.String(), "[credential]") {
			t.Error("it does not even say that it is one")
		}
	}
}

func TestReflectedIn(t *testing.T) {
	for kind, sent := range map[v1alpha1.CredentialType]string{
		v1alpha1.CredentialBearer: "Authorization: Bearer " + secret,
		v1alpha1.CredentialBasic:  "Basic Ym90OnMzY3IzdC1WYWx1ZSsvPQ==",
		v1alpha1.CredentialQuery:  "?key=" + url.QueryEscape(secret),
		v1alpha1.CredentialHeader: secret,
	} {
		value := read(t, kind, "X-Key")
		if !value.ReflectedIn([]byte("you sent " + sent + " to us")) {
			t.Errorf("%s: not found", kind)
		}
		if value.ReflectedIn([]byte("you sent nothing")) {
			t.Errorf("%s: found where it is not", kind)
		}
		cut := len(sent) - 1
		first, second := []byte(sent[:cut]), []byte(sent[cut:])
		overlap := first[max(0, len(first)-value.Overlap()):]
		if !value.ReflectedIn(append(overlap, second...)) {
			t.Errorf("%s: not found across pieces", kind)
		}
	}
	short, err := credential.Read("support", spec(v1alpha1.CredentialBearer, ""), map[string][]byte{"token": []byte("a")})
	if err != nil || short.ReflectedIn([]byte("a")) {
		t.Error("a credential of one letter is found in every text", err)
	}
}

// Whatever the caller gave, the parameter is there once and is ours, and what else there was is as it was.
func TestTheQueryHasTheCredentialOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		query := rapid.StringMatching(`([key=&;%6bKEY\[\]+a]|%6b|%65|%79){0,40}`).Draw(t, "query")
		value, err := credential.Read("support", spec(v1alpha1.CredentialQuery, "key"), map[string][]byte{"token": []byte(secret)})
		if err != nil {
			t.Fatal(err)
		}
		checkQuery(t, query, value.Apply(http.Header{}, query))
	})
}

func FuzzApplyQuery(f *testing.F) {
	for _, query := range []string{"", "key=x", "a=1&k%65y=2;key=3", "%", "key[]=1", "=&&;"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		value := read(t, v1alpha1.CredentialQuery, "key")
		checkQuery(t, query, value.Apply(http.Header{}, query))
	})
}

func checkQuery(t interface{ Errorf(string, ...any) }, query, applied string) {
	own := "key=" + url.QueryEscape(secret)
	rest, found := strings.CutSuffix(applied, own)
	if !found {
		t.Errorf("%q has no credential at its end", applied)
	}
	rest = strings.TrimSuffix(rest, "&")
	for piece := range strings.FieldsFuncSeq(rest, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(piece, "=")
		if plain, err := url.QueryUnescape(name); err == nil && strings.EqualFold(plain, "key") {
			t.Errorf("%q of %q is still there", piece, query)
		}
		if !strings.Contains(query, piece) {
			t.Errorf("%q was not in %q", piece, query)
		}
	}
}
