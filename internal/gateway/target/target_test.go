package target_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/gateway/target"
)

func parse(t testing.TB, raw string) target.Target {
	t.Helper()
	parsed, err := target.Parse(raw)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return parsed
}

// refused fails where err is not an *Error of that reason with something to say.
func refused(t testing.TB, what string, err error, want target.Reason) {
	t.Helper()
	var refusal *target.Error
	if !errors.As(err, &refusal) || refusal.Reason != want || refusal.Message == "" {
		t.Errorf("%q: %v, want %s", what, err, want)
	}
}

func TestParseGivesTheCanonicalForm(t *testing.T) {
	for raw, want := range map[string]string{
		"https://api.example.com":                            "https://api.example.com/",
		"HTTPS://API.Example.COM.:443/%7e%61%2d":             "https://api.example.com/~a-",
		"http://api.example.com:80?":                         "http://api.example.com/?",
		"http://api.example.com:443/":                        "http://api.example.com:443/",
		"https://api.example.com:8443/a%2bb?x=%2b&&y=[z]":    "https://api.example.com:8443/a%2Bb?x=%2b&&y=[z]",
		"https://192.0.2.1./":                                "https://192.0.2.1/",
		"https://[2001:DB8:0:0::1]:443/":                     "https://[2001:db8::1]/",
		"https://[::FFFF:192.0.2.1]:8443/":                   "https://192.0.2.1:8443/",
		"https://xn--bcher-kva.example/":                     "https://xn--bcher-kva.example/",
		"https://1password.example/a:b@c!$&'()*+,=%3B%C3%A9": "https://1password.example/a:b@c!$&'()*+,=%3B%C3%A9",
		"https://a.0xg/":                                     "https://a.0xg/",
	} {
		if got := parse(t, raw).String(); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for raw, want := range map[string]target.Reason{
		"https://h/" + strings.Repeat("a", target.MaxLength): target.TooLong,
		"":                          target.BadScheme,
		"h/a":                       target.BadScheme,
		"ftp://h/":                  target.BadScheme,
		"https:\\\\h/":              target.BadScheme,
		"https://":                  target.BadHost,
		"https:///a":                target.BadHost,
		"https://u@h/":              target.UserInfo,
		"https://h\\@g/":            target.UserInfo,
		"https://h\\g/":             target.BadHost,
		"https://h%61/":             target.BadHost,
		"https://h_g/":              target.BadHost,
		"https://-h/":               target.BadHost,
		"https://h-/":               target.BadHost,
		"https://h../":              target.BadHost,
		"https://.":                 target.BadHost,
		"https://h\u212a/":          target.BadHost,
		"https://\xff/":             target.BadHost,
		"https://bücher.example/":   target.BadHost,
		"https://2130706433/":       target.BadHost,
		"https://0x7f.1/":           target.BadHost,
		"https://127.1/":            target.BadHost,
		"https://0177.0.0.1/":       target.BadHost,
		"https://a.0x/":             target.BadHost,
		"https://a.1/":              target.BadHost,
		"https://[fe80::1%25eth0]/": target.BadHost,
		"https://[fe80::1%eth0]/":   target.BadHost,
		"https://[192.0.2.1]/":      target.BadHost,
		"https://[v1.a]/":           target.BadHost,
		"https://[::1]a/":           target.BadHost,
		"https://[::1/":             target.BadHost,
		"https://::1/":              target.BadHost,
		"https://" + strings.Repeat("a", 64) + "/":    target.BadHost,
		"https://" + strings.Repeat("a.", 127) + "a/": target.BadHost,
		"https://h:/":         target.BadPort,
		"https://h:0/":        target.BadPort,
		"https://h:65536/":    target.BadPort,
		"https://h:0443/":     target.BadPort,
		"https://h:443a/":     target.BadPort,
		"https://[::1]:x/":    target.BadPort,
		"https://h#a":         target.Fragment,
		"https://h/a#b":       target.Fragment,
		"https://h/?a#b":      target.Fragment,
		"https://h/a b":       target.BadCharacter,
		"https://h/a\\b":      target.BadCharacter,
		"https://h/\u00e9":    target.BadCharacter,
		"https://h/?a b":      target.BadCharacter,
		"https://h/?%00":      target.BadCharacter,
		"https://h/%":         target.BadEscape,
		"https://h/%4":        target.BadEscape,
		"https://h/%u002e":    target.BadEscape,
		"https://h/?%4g":      target.BadEscape,
		"https://h/%2F":       target.EncodedSeparator,
		"https://h/%5c":       target.EncodedSeparator,
		"https://h/%00":       target.EncodedSeparator,
		"https://h/%0D%0A":    target.EncodedSeparator,
		"https://h/%C2%85":    target.EncodedSeparator,
		"https://h/%252e":     target.DoubleEncoding,
		"https://h/%25%32%65": target.DoubleEncoding,
		"https://h/%25%3265":  target.DoubleEncoding,
		"https://h/%C0%AE":    target.BadUTF8,
		"https://h/%E9":       target.BadUTF8,
		"https://h/.":         target.DotSegment,
		"https://h/a/../b":    target.DotSegment,
		"https://h/a/%2E%2e":  target.DotSegment,
		"https://h//":         target.EmptySegment,
		"https://h/a//b":      target.EmptySegment,
		"https://h/a;b":       target.PathParameter,
	} {
		_, err := target.Parse(raw)
		refused(t, raw, err, want)
	}
}

func TestBelow(t *testing.T) {
	for _, test := range []struct{ base, path, want string }{
		{"https://h", "", "/"},
		{"https://h", "/", "/"},
		{"https://h", "/a", "/a"},
		{"https://h/v1", "", "/v1"},
		{"https://h/v1", "/", "/v1/"},
		{"https://h/v1", "/a", "/v1/a"},
		{"https://h/v1/", "/a", "/v1/a"},
		{"https://h/v1/", "/%61/", "/v1/a/"},
	} {
		got, err := target.Below(parse(t, test.base), test.path, "", false)
		if err != nil || got.Path != test.want || got.Host.Name != "h" {
			t.Errorf("%q below %q: %+v, %v, want %q", test.path, test.base, got, err, test.want)
		}
	}
	base := parse(t, "https://h/v1")
	for path, want := range map[string]target.Reason{
		"//g/":      target.EmptySegment,
		"/../a":     target.DotSegment,
		"/%2e%2e/a": target.DotSegment,
		"https://g": target.NoLeadingSlash,
		"*":         target.NoLeadingSlash,
		"/" + strings.Repeat("a", target.MaxLength-8): target.TooLong,
	} {
		_, err := target.Below(base, path, "", false)
		refused(t, path, err, want)
	}
	_, err := target.Below(base, "/", "a#b", true)
	refused(t, "a#b", err, target.Fragment)
	if got, err := target.Below(base, "/a", "", true); err != nil || got.RequestURI() != "/v1/a?" {
		t.Errorf("an empty query: %q, %v", got.RequestURI(), err)
	}
	if got, err := target.Below(base, "/a", "b", false); err != nil || got.RequestURI() != "/v1/a?b" {
		t.Errorf("a query: %q, %v", got.RequestURI(), err)
	}
}

func TestFromPartsTakesTheCanonicalFormOnly(t *testing.T) {
	for _, test := range []struct{ scheme, authority, path, want string }{
		{"https", "api.example.com", "/a?b=%2b", "https://api.example.com/a?b=%2b"},
		{"https", "API.example.com:443", "/", "https://api.example.com/"},
		{"http", "[2001:db8::1]:8080", "/", "http://[2001:db8::1]:8080/"},
	} {
		got, err := target.FromParts(test.scheme, test.authority, test.path)
		if err != nil || got.String() != test.want {
			t.Errorf("%v: %v, %v", test, got, err)
		}
	}
	for _, test := range []struct {
		scheme, authority, path string
		want                    target.Reason
	}{
		{"https", "h", "/%61", target.NotCanonical},
		{"https", "h", "/%c3%a9", target.NotCanonical},
		{"https", "h.", "/", target.NotCanonical},
		{"https", "[::ffff:192.0.2.1]", "/", target.NotCanonical},
		{"https", "[2001:db8:0::1]", "/", target.NotCanonical},
		{"https", "h", "", target.NoLeadingSlash},
		{"https", "h", "*", target.NoLeadingSlash},
		{"https", "h", "https://g/", target.NoLeadingSlash},
		{"HTTPS", "h", "/", target.BadScheme},
		{"", "h", "/", target.BadScheme},
		{"https", "h", "/a#b", target.Fragment},
		{"https", "h", strings.Repeat("/a", target.MaxLength), target.TooLong},
	} {
		_, err := target.FromParts(test.scheme, test.authority, test.path)
		refused(t, test.authority+test.path, err, test.want)
	}
}

func TestAReferenceIsReadByItsForm(t *testing.T) {
	base := parse(t, "https://h/v1")
	for want, reference := range map[string]target.Reference{
		"https://g/a":     target.Full("https://g/a"),
		"https://h/v1/a?": target.Relative("/a", "", true),
		"http://i/a?b":    target.Parts("http", "i", "/a?b"),
	} {
		if got, err := reference.Resolve(base); err != nil || got.String() != want {
			t.Errorf("%v, %v, want %s", got, err, want)
		}
	}
	if _, err := (target.Reference{}).Resolve(base); err == nil {
		t.Error("the zero reference leads somewhere")
	}
}

func TestPathnameIsOneForAllThatServersReadAlike(t *testing.T) {
	for raw, want := range map[string]string{
		"/":             "/",
		"/a/":           "/a",
		"/a%40b":        "/a@b",
		"/a%3ab%2C":     "/a:b,",
		"/a%20b%3Bc%3F": "/a%20b%3Bc%3F",
	} {
		if got, err := target.Pathname(raw); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", raw, got, err, want)
		}
		if got := parse(t, "https://h"+raw).Pathname(); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
	if _, err := target.Pathname("a"); err == nil {
		t.Error("a path without a slash is one")
	}
}

func TestRedactedIsBoundedAndHasNoQuery(t *testing.T) {
	if got := parse(t, "https://h/a?token=s3cret").Redacted(); got != "https://h/a" {
		t.Error(got)
	}
	if got := parse(t, "https://h/"+strings.Repeat("a", 4096)).Redacted(); len(got) != 512 || !strings.HasSuffix(got, "...") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestEncodeQueryIsReadAlikeByAll(t *testing.T) {
	query := target.EncodeQuery(url.Values{"b": {"x y+z"}, "a": {"ü&="}})
	if want := "a=%C3%BC%26%3D&b=x%20y%2Bz"; query != want {
		t.Errorf("%q, want %q", query, want)
	}
	parse(t, "https://h/?"+query)
}

// checkForm fails where the canonical form is not one, or where net/url and net/http read something else
// in it.
func checkForm(t interface{ Fatalf(string, ...any) }, parsed target.Target) {
	text := parsed.String()
	again, err := target.Parse(text)
	if err != nil || again != parsed {
		t.Fatalf("%q comes back as %+v, %v, not %+v", text, again, err, parsed)
	}
	if _, err = target.FromParts(parsed.Scheme, parsed.Host.Authority(parsed.Scheme), parsed.RequestURI()); err != nil {
		t.Fatalf("%q is not canonical to a proxy: %v", text, err)
	}
	u := parsed.URL()
	if u.String() != text || u.RequestURI() != parsed.RequestURI() {
		t.Fatalf("net/url writes %q and %q, not %q", u.String(), u.RequestURI(), text)
	}
	read, err := url.Parse(text)
	if err != nil || read.EscapedPath() != parsed.Path || read.RawQuery != parsed.Query || read.Hostname() != parsed.Host.Name ||
		read.User != nil || read.Fragment != "" || read.Opaque != "" {
		t.Fatalf("net/url reads %+v in %q (%v)", read, text, err)
	}
	request, err := http.NewRequest(http.MethodGet, text, http.NoBody)
	if err != nil || request.Host != parsed.Host.Authority(parsed.Scheme) {
		t.Fatalf("net/http reads %q in %q (%v)", request.Host, text, err)
	}
	if clean := u.JoinPath(); strings.TrimSuffix(clean.EscapedPath(), "/") != strings.TrimSuffix(parsed.Path, "/") {
		t.Fatalf("%q is cleaned to %q", text, clean)
	}
	pathname, err := target.Pathname(parsed.Pathname())
	if err != nil || pathname != parsed.Pathname() {
		t.Fatalf("the pathname %q becomes %q, %v", parsed.Pathname(), pathname, err)
	}
}

// pieces of URLs, of which most are tricks.
var pieces = rapid.SampledFrom([]string{
	"a", "B", "1", ".", "..", "/", "//", "%2e", "%2F", "%5c", "%25", "%61", "%7e", "%C3%A9", "%c3", "%00", "%", "2e", ";", "?", "#", "&", "=", "+",
	"@", ":", "\\", " ", "[", "]", "é", "\u212a", "%3B", "%40", "-", "_", "~", "!",
})

func TestWhatIsReadIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		authority := rapid.SampledFrom([]string{
			"h", "API.example.com.", "h:443", "h:80", "192.0.2.1", "[::1]:8", "[::ffff:192.0.2.1]", "127.1", "h@g",
		}).Draw(t, "authority")
		rest := strings.Join(rapid.SliceOfN(pieces, 0, 8).Draw(t, "rest"), "")
		parsed, err := target.Parse(rapid.SampledFrom([]string{"http", "HTTPS"}).Draw(t, "scheme") + "://" + authority + rest)
		if err == nil {
			checkForm(t, parsed)
		}
	})
}

func TestBelowStaysBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, err := target.Parse("https://h" + rapid.SampledFrom([]string{"", "/", "/v1", "/v1/", "/a/b"}).Draw(t, "base"))
		if err != nil {
			t.Fatal(err)
		}
		raw := "/" + strings.Join(rapid.SliceOfN(pieces, 0, 8).Draw(t, "path"), "")
		path, query, has := strings.Cut(raw, "?")
		below, err := target.Below(base, path, query, has)
		if err != nil {
			return
		}
		checkForm(t, below)
		if below.Host != base.Host || !strings.HasPrefix(below.Path, strings.TrimSuffix(base.Path, "/")+"/") {
			t.Fatalf("%q below %q is %q", raw, base, below)
		}
	})
}

// FuzzParse looks for URLs whose canonical form is none, or is read otherwise by net/url.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"https://api.example.com:443/a/%7e?b=c", "http://[::ffff:192.0.2.1]:80/%C3%A9;x", "https://h/%252e%25", "https://u@h\\g/#", "http://0x7f.1/",
		"https://h./?%zz", "https://h//..//", "http://h:65535/a:b@c", "//h/", "https://xn--a/", "https://h/%C2%85",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if parsed, err := target.Parse(raw); err == nil {
			checkForm(t, parsed)
		}
	})
}

// FuzzFromParts looks for what is passed on as it stands and is not what was read.
func FuzzFromParts(f *testing.F) {
	f.Add("https", "api.example.com", "/a?b")
	f.Add("http", "H:80", "/%41")
	f.Add("http", "[::1]", "//")
	f.Fuzz(func(t *testing.T, scheme, authority, path string) {
		parsed, err := target.FromParts(scheme, authority, path)
		if err != nil {
			return
		}
		checkForm(t, parsed)
		if parsed.RequestURI() != path {
			t.Fatalf("%q is read as %q", path, parsed.RequestURI())
		}
	})
}

// FuzzParseHost looks for hosts that do not come back from their own form.
func FuzzParseHost(f *testing.F) {
	f.Add("api.example.com:443", "https")
	f.Add("[2001:db8::1]", "http")
	f.Add("0x7f.1", "http")
	f.Fuzz(func(t *testing.T, authority, scheme string) {
		host, err := target.ParseHost(authority, scheme)
		if err != nil {
			return
		}
		for _, form := range []string{host.String(), host.Authority(scheme)} {
			if again, err := target.ParseHost(form, scheme); err != nil || again != host {
				t.Fatalf("%q: %+v comes back from %q as %+v, %v", authority, host, form, again, err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := target.Parse("https://api.example.com/repos/acme/site/issues?state=open&per_page=100"); err != nil {
			b.Fatal(err)
		}
	}
}
