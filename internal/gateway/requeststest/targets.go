package requeststest

import (
	"strings"

	"agentpassport.dev/operator/internal/gateway/decision"
)

// What becomes of a path at every front, or at those that rewrite it: ext_authz refuses what is not
// canonical.
const (
	goes       = decision.Allowed
	badTarget  = decision.CodeBadTarget
	foreign    = decision.CodeForeignTarget
	badRequest = decision.CodeBadRequest
)

func paths() []Request {
	var calls []Request
	for _, p := range []struct {
		name, path string
		code       decision.Code
		sent       string
		malformed  bool
	}{
		{name: "root", path: "/", code: goes, sent: "/"},
		{name: "path", path: "/a/b", code: goes, sent: "/a/b"},
		{name: "trailing slash", path: "/a/b/", code: goes, sent: "/a/b/"},
		{name: "mixed case", path: "/A/b", code: goes, sent: "/A/b"},
		{name: "sub-delimiters", path: "/a!$&'()*+,=:@b", code: goes, sent: "/a!$&'()*+,=:@b"},
		{name: "encoded space", path: "/a%20b", code: goes, sent: "/a%20b"},
		{name: "encoded UTF-8", path: "/caf%C3%A9", code: goes, sent: "/caf%C3%A9"},
		{name: "encoded at sign", path: "/user%40example.com", code: goes, sent: "/user%40example.com"},
		{name: "encoded question mark", path: "/a%3Fb", code: goes, sent: "/a%3Fb"},
		{name: "encoded number sign", path: "/a%23b", code: goes, sent: "/a%23b"},
		{name: "encoded percent sign", path: "/100%25", code: goes, sent: "/100%25"},
		{name: "encoded semicolon", path: "/a%3Bb", code: goes, sent: "/a%3Bb"},
		{name: "three dots", path: "/.../a", code: goes, sent: "/.../a"},
		{name: "dots in a name", path: "/a..b/.c", code: goes, sent: "/a..b/.c"},
		{name: "encoded letter", path: "/%61dmin", code: goes, sent: "/admin"},
		{name: "encoded letters in small hexadecimal", path: "/%7euser%2ejson", code: goes, sent: "/~user.json"},
		{name: "small hexadecimal", path: "/caf%c3%a9", code: goes, sent: "/caf%C3%A9"},
		{name: "double slash first", path: "//a", code: badTarget},
		{name: "double slash", path: "/a//b", code: badTarget},
		{name: "double slash last", path: "/a//", code: badTarget},
		{name: "dot", path: "/./a", code: badTarget},
		{name: "dot last", path: "/a/.", code: badTarget},
		{name: "dots", path: "/a/../b", code: badTarget},
		{name: "dots first", path: "/../a", code: badTarget},
		{name: "dots last", path: "/a/..", code: badTarget},
		{name: "encoded dots", path: "/a/%2e%2e/b", code: badTarget},
		{name: "encoded dots in capitals", path: "/a/%2E%2E/b", code: badTarget},
		{name: "half encoded dots", path: "/a/.%2e/b", code: badTarget},
		{name: "encoded dot", path: "/%2e/a", code: badTarget},
		{name: "doubly encoded dots", path: "/a/%252e%252e/b", code: badTarget},
		{name: "doubly encoded slash", path: "/a%252fb", code: badTarget},
		{name: "doubly encoded backslash", path: "/a%255cb", code: badTarget},
		{name: "percent sign made of escapes", path: "/a/%25%32%65%25%32%65/b", code: badTarget},
		{name: "encoded slash", path: "/a%2fb", code: badTarget},
		{name: "encoded slash in capitals", path: "/a%2Fb", code: badTarget},
		{name: "dots and encoded slash", path: "/a/..%2fb", code: badTarget},
		{name: "encoded backslash", path: "/a%5cb", code: badTarget},
		{name: "dots and encoded backslash", path: `/a/..%5cb`, code: badTarget},
		{name: "backslash", path: `/a\b`, code: badTarget},
		{name: "dots and backslash", path: `/a/..\b`, code: badTarget},
		{name: "NUL", path: "/a%00b", code: badTarget},
		{name: "NUL and suffix", path: "/admin%00.json", code: badTarget},
		{name: "encoded line feed", path: "/a%0ab", code: badTarget},
		{name: "encoded line break and header", path: "/a%0d%0aX-Admin:%201", code: badTarget},
		{name: "encoded tab", path: "/a%09b", code: badTarget},
		{name: "encoded DEL", path: "/a%7fb", code: badTarget},
		{name: "encoded C1 control", path: "/a%C2%85b", code: badTarget},
		{name: "overlong dot", path: "/a/%c0%ae%c0%ae/b", code: badTarget},
		{name: "overlong slash", path: "/a%c0%afb", code: badTarget},
		{name: "encoded Latin 1", path: "/caf%E9", code: badTarget},
		{name: "path parameter", path: "/a;x=1/b", code: badTarget},
		{name: "dots and path parameter", path: "/a/..;/b", code: badTarget},
		{name: "session parameter", path: "/a;jsessionid=1", code: badTarget},
		{name: "escape of IIS", path: "/a/%u002e%u002e/b", code: badTarget, malformed: true},
		{name: "escape without digits", path: "/a%zz", code: badTarget, malformed: true},
		{name: "escape cut off", path: "/a%2", code: badTarget, malformed: true},
		{name: "percent sign alone", path: "/a%", code: badTarget, malformed: true},
		{name: "fragment", path: "/a#b", code: badTarget, malformed: true},
		{name: "space", path: "/a b", code: badTarget, malformed: true},
		{name: "tab", path: "/a\tb", code: badTarget, malformed: true},
		{name: "line feed", path: "/a\nb", code: badTarget, malformed: true},
		{name: "line break and header", path: "/a\r\nX-Admin: 1", code: badTarget, malformed: true},
		{name: "raw NUL", path: "/a\x00b", code: badTarget, malformed: true},
		{name: "raw UTF-8", path: "/café", code: badTarget, malformed: true},
		{name: "quotation mark", path: `/a"b`, code: badTarget, malformed: true},
		{name: "angle brackets", path: "/<a>", code: badTarget, malformed: true},
		{name: "pipe", path: "/a|b", code: badTarget, malformed: true},
		{name: "too long", path: "/" + strings.Repeat("a", 8<<10), code: badTarget},
	} {
		for _, call := range everywhere("path, "+p.name, "api", p.path, p.code, p.sent) {
			call.Malformed = p.malformed
			if call.Front == ExtAuthz && p.path != p.sent {
				call.WantCode, call.WantHost, call.WantSent = badTarget, "", ""
			}
			calls = append(calls, call)
		}
	}
	return append(calls, belowBase()...)
}

// belowBase are calls to a service whose base URL has the path /v1.
func belowBase() []Request {
	calls := []Request{
		at(ReverseProxy, "base, nothing", "base", "", goes, "/v1"),
		at(ReverseProxy, "base, slash", "base", "/", goes, "/v1/"),
		at(ReverseProxy, "base, path", "base", "/a?b=c", goes, "/v1/a?b=c"),
		at(ReverseProxy, "base, query alone", "base", "?b=c", goes, "/v1?b=c"),
		at(ReverseProxy, "base, out of it", "base", "/../admin", badTarget, ""),
		at(ReverseProxy, "base, out of it encoded", "base", "/%2e%2e/admin", badTarget, ""),
		at(ReverseProxy, "base, absolute form", "base", "/http://evil.example.test/", badTarget, ""),
		at(ReverseProxy, "base, network path", "base", "//evil.example.test/", badTarget, ""),
	}
	for _, front := range []Front{Proxy, ExtAuthz} {
		calls = append(calls,
			at(front, "base, itself", "base", "/v1", goes, "/v1"),
			at(front, "base, below", "base", "/v1/a", goes, "/v1/a"),
			at(front, "base, beside", "base", "/v2/a", foreign, ""),
			at(front, "base, longer name", "base", "/v1beta/a", foreign, ""),
			at(front, "base, other case", "base", "/V1/a", foreign, ""),
			at(front, "base, root", "base", "/", foreign, ""))
	}
	return calls
}

func queries() []Request {
	var calls []Request
	for _, q := range []struct {
		name, query string
		code        decision.Code
		malformed   bool
	}{
		{name: "empty", query: "?", code: goes},
		{name: "plain", query: "?a=1&b=2", code: goes},
		{name: "repeated key", query: "?a=1&a=2", code: goes},
		{name: "small hexadecimal stays", query: "?a=%c3%a9%7e", code: goes},
		{name: "plus sign stays", query: "?a=b+c", code: goes},
		{name: "URL in it", query: "?u=http://h/../%2e%2e%2f//x", code: goes},
		{name: "second question mark", query: "?a=b?c", code: goes},
		{name: "brackets", query: "?filter[a]=b", code: goes},
		{name: "encoded line feed", query: "?text=a%0Ab", code: goes},
		{name: "NUL", query: "?a=%00", code: badTarget},
		{name: "bad escape", query: "?a=%zz", code: badTarget},
		{name: "fragment", query: "?a=b#c", code: badTarget, malformed: true},
		{name: "space", query: "?a=b c", code: badTarget, malformed: true},
		{name: "line break and header", query: "?a\r\nX-Admin: 1", code: badTarget, malformed: true},
		{name: "raw UTF-8", query: "?a=é", code: badTarget, malformed: true},
		{name: "backslash", query: `?a=\`, code: badTarget},
	} {
		for _, call := range everywhere("query, "+q.name, "api", "/a"+q.query, q.code, "/a"+q.query) {
			call.Malformed = q.malformed
			calls = append(calls, call)
		}
	}
	return calls
}

func hosts() []Request {
	return append(fullURLs(), authorities()...)
}

// fullURLs are those that an agent gives to POST /v1/proxy for the service api, but where said.
func fullURLs() []Request {
	var calls []Request
	for _, u := range []struct {
		name, service, url string
		code               decision.Code
		host               string
	}{
		{name: "no path", url: "http://api.example.test", code: goes, host: "api.example.test"},
		{name: "capitals", url: "HTTP://API.Example.TEST/", code: goes, host: "api.example.test"},
		{name: "own port", url: "http://api.example.test:80/", code: goes, host: "api.example.test"},
		{name: "trailing dot", url: "http://api.example.test./", code: goes, host: "api.example.test"},
		{name: "further host", url: "http://files.example.test/", code: goes, host: "files.example.test"},
		{name: "further host and port", url: "http://files.example.test:8080/", code: goes, host: "files.example.test:8080"},
		{name: "further host beside a base path", service: "base", url: "http://extra.example.test/", code: goes, host: "extra.example.test"},
		{name: "IPv6", service: "public-v6", url: "http://[2606:4700:4700::1111]/", code: goes, host: "[2606:4700:4700::1111]"},
		{name: "IPv6 in full", service: "public-v6", url: "http://[2606:4700:4700:0:0:0:0:1111]/", code: goes, host: "[2606:4700:4700::1111]"},
		{name: "loopback allowed", service: "loopback-allowed", url: "http://127.0.0.1/", code: goes, host: "127.0.0.1"},
		{name: "mapped IPv4 is IPv4", service: "loopback-allowed", url: "http://[::ffff:127.0.0.1]/", code: goes, host: "127.0.0.1"},

		{name: "other host", url: "http://evil.example.test/", code: foreign},
		{name: "host below", url: "http://a.api.example.test/", code: foreign},
		{name: "host above", url: "http://example.test/", code: foreign},
		{name: "host as prefix", url: "http://api.example.test.evil.example/", code: foreign},
		{name: "host as suffix", url: "http://evilapi.example.test/", code: foreign},
		{name: "other port", url: "http://api.example.test:8080/", code: foreign},
		{name: "https for http", url: "https://api.example.test/", code: foreign},
		{name: "http for https", service: "secure", url: "http://secure.example.test/", code: foreign},
		{name: "http at the port of https", service: "secure", url: "http://secure.example.test:443/", code: foreign},
		{name: "host of another service", url: "http://base.example.test/v1", code: foreign},
		{name: "xn--", url: "http://xn--pi-7ia.example.test/", code: foreign},
		{name: "IPv4 for a name", url: "http://127.0.0.1/", code: foreign},
		{name: "loopback", service: "loopback", url: "http://127.0.0.1/", code: decision.CodeAddressRefused},
		{name: "loopback mapped", service: "loopback", url: "http://[::ffff:7f00:1]/", code: decision.CodeAddressRefused},
		{name: "private", service: "private", url: "http://10.1.2.3/", code: decision.CodeAddressRefused},
		{name: "private mapped", service: "mapped-v6", url: "http://[::ffff:10.0.0.1]/", code: decision.CodeAddressRefused},
		{name: "metadata, all ranges allowed", service: "metadata", url: "http://169.254.169.254/latest/meta-data/", code: decision.CodeAddressRefused},
		{name: "metadata mapped", service: "metadata", url: "http://[::ffff:a9fe:a9fe]/", code: decision.CodeAddressRefused},

		{name: "user", url: "http://user@api.example.test/", code: badTarget},
		{name: "user and password", url: "http://user:pass@api.example.test/", code: badTarget},
		{name: "host as user", url: "http://api.example.test@evil.example.test/", code: badTarget},
		{name: "host and port as user", url: "http://api.example.test:80@evil.example.test/", code: badTarget},
		{name: "backslash before user", url: `http://api.example.test\@evil.example.test/`, code: badTarget},
		{name: "backslash for slash", url: `http://api.example.test\.evil.example.test/`, code: badTarget},
		{name: "backslashes for slashes", url: `http:\\api.example.test/`, code: badTarget},
		{name: "fragment before user", url: "http://api.example.test#@evil.example.test/", code: badTarget},
		{name: "encoded letter", url: "http://%61pi.example.test/", code: badTarget},
		{name: "encoded dot", url: "http://api%2eexample.test/", code: badTarget},
		{name: "encoded slash", url: "http://api.example.test%2f.evil.example/", code: badTarget},
		{name: "two trailing dots", url: "http://api.example.test../", code: badTarget},
		{name: "empty label", url: "http://api..example.test/", code: badTarget},
		{name: "leading dot", url: "http://.api.example.test/", code: badTarget},
		{name: "underscore", url: "http://a_pi.example.test/", code: badTarget},
		{name: "IDN", url: "http://äpi.example.test/", code: badTarget},
		{name: "full-width letters", url: "http://ａｐｉ.example.test/", code: badTarget},
		{name: "Kelvin sign", url: "http://api.example.test\u212a/", code: badTarget},
		{name: "ideographic dot", url: "http://api。example.test/", code: badTarget},
		{name: "soft hyphen", url: "http://a\u00adpi.example.test/", code: badTarget},
		{name: "no host", url: "http:///a", code: badTarget},
		{name: "port alone", url: "http://:80/a", code: badTarget},
		{name: "empty port", url: "http://api.example.test:/", code: badTarget},
		{name: "port 0", url: "http://api.example.test:0/", code: badTarget},
		{name: "port 65616", url: "http://api.example.test:65616/", code: badTarget},
		{name: "port with a zero before", url: "http://api.example.test:080/", code: badTarget},
		{name: "port with a sign", url: "http://api.example.test:+80/", code: badTarget},
		{name: "two ports", url: "http://api.example.test:80:81/", code: badTarget},
		{name: "port and more", url: "http://api.example.test:80evil/", code: badTarget},
		{name: "decimal IPv4", service: "loopback-allowed", url: "http://2130706433/", code: badTarget},
		{name: "octal IPv4", service: "loopback-allowed", url: "http://0177.0.0.1/", code: badTarget},
		{name: "hexadecimal IPv4", service: "loopback-allowed", url: "http://0x7f.0.0.1/", code: badTarget},
		{name: "one hexadecimal number", service: "loopback-allowed", url: "http://0x7f000001/", code: badTarget},
		{name: "short IPv4", service: "loopback-allowed", url: "http://127.1/", code: badTarget},
		{name: "IPv4 with a zero before", service: "loopback-allowed", url: "http://127.0.0.01/", code: badTarget},
		{name: "IPv4 of five parts", service: "loopback-allowed", url: "http://127.0.0.0.1/", code: badTarget},
		{name: "IPv4 over 255", service: "loopback-allowed", url: "http://127.0.0.256/", code: badTarget},
		{name: "IPv4 in brackets", service: "loopback-allowed", url: "http://[127.0.0.1]/", code: badTarget},
		{name: "IPv6 without brackets", service: "public-v6", url: "http://2606:4700:4700::1111/", code: badTarget},
		{name: "IPv6 with a zone", service: "public-v6", url: "http://[2606:4700:4700::1111%25eth0]/", code: badTarget},
		{name: "IPv6 with a raw zone", service: "public-v6", url: "http://[2606:4700:4700::1111%eth0]/", code: badTarget},
		{name: "IPv6 and more", service: "public-v6", url: "http://[2606:4700:4700::1111]evil/", code: badTarget},
		{name: "IPv6 not closed", service: "public-v6", url: "http://[2606:4700:4700::1111/", code: badTarget},
		{name: "no scheme", url: "api.example.test/a", code: badTarget},
		{name: "network path", url: "//api.example.test/a", code: badTarget},
		{name: "path alone", url: "/a", code: badTarget},
		{name: "nothing", url: "", code: badTarget},
		{name: "one slash", url: "http:/api.example.test/a", code: badTarget},
		{name: "three slashes", url: "http:///api.example.test/a", code: badTarget},
		{name: "file", url: "file:///etc/passwd", code: badTarget},
		{name: "ftp", url: "ftp://api.example.test/a", code: badTarget},
		{name: "space before", url: " http://api.example.test/", code: badTarget},
		{name: "line feed behind", url: "http://api.example.test/\n", code: badTarget},
		{name: "tab in the scheme", url: "ht\ttp://api.example.test/", code: badTarget},
		{name: "tab in the host", url: "http://api.exam\tple.test/", code: badTarget},
		{name: "NUL in the host", url: "http://api.example.test\x00.evil.example/", code: badTarget},
	} {
		service := u.service
		if service == "" {
			service = "api"
		}
		call := at(Proxy, "URL, "+u.name, service, "", u.code, "/")
		call.Target = u.url
		call.WantHost = u.host
		calls = append(calls, call)
	}
	return calls
}

// authorities are those that Envoy gives.
func authorities() []Request {
	var calls []Request
	for _, a := range []struct {
		name, scheme, authority, path string
		code                          decision.Code
	}{
		{name: "as it is", code: goes, authority: "api.example.test"},
		{name: "capitals", code: goes, authority: "API.example.test"},
		{name: "own port", code: goes, authority: "api.example.test:80"},
		{name: "further host", code: goes, authority: "files.example.test:8080"},
		{name: "trailing dot", code: badTarget, authority: "api.example.test."},
		{name: "user", code: badTarget, authority: "api.example.test@evil.example.test"},
		{name: "two hosts", code: badTarget, authority: "api.example.test, evil.example.test"},
		{name: "path in it", code: badTarget, authority: "api.example.test/a"},
		{name: "nothing", code: badTarget, authority: ""},
		{name: "other host", code: foreign, authority: "evil.example.test"},
		{name: "other port", code: foreign, authority: "api.example.test:8443"},
		{name: "https", scheme: "https", code: foreign, authority: "api.example.test"},
		{name: "other scheme", scheme: "ws", code: badTarget, authority: "api.example.test"},
		{name: "absolute form", path: "http://evil.example.test/", code: badTarget, authority: "api.example.test"},
		{name: "asterisk form", path: "*", code: badTarget, authority: "api.example.test"},
	} {
		call := at(ExtAuthz, "authority, "+a.name, "api", "/", a.code, "/")
		call.Authority = a.authority
		if a.scheme != "" {
			call.Scheme = a.scheme
		}
		if a.path != "" {
			call.Target = a.path
		}
		if a.code == goes {
			call.WantHost = a.authority
		}
		calls = append(calls, call)
	}
	return calls
}
