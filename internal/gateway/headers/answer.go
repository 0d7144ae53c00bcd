package headers

import (
	"net/http"

	"agentpassport.dev/operator/internal/gateway/credential"
)

// hops are headers of an answer that belong to the service's connection.
var hops = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// private headers of an answer stay here: a cookie that a service gives for the injected credential is a
// credential itself, and would outlive the passport. Alt-Svc would lead a client past the gateway.
var private = []string{"Set-Cookie", "Set-Cookie2", "Alt-Svc"}

// Private are the headers of an answer that no agent sees.
func Private() []string { return append([]string(nil), private...) }

// DropHops takes off an answer what belongs to the service's connection.
func DropHops(answer http.Header) {
	for name := range connectionNames(answer["Connection"]) {
		delete(answer, name)
	}
	dropAll(answer, hops)
}

// Clean takes off an answer what is not for the agent: cookies, the offer of another way to the service,
// and the credential itself wherever it stands in a value.
func Clean(answer http.Header, injected *credential.Value) {
	dropAll(answer, private)
	if injected == nil {
		return
	}
	for _, values := range answer {
		for i, value := range values {
			if text := []byte(value); injected.ReflectedIn(text) {
				values[i] = string(injected.Scrub(text))
			}
		}
	}
}

func dropAll(header http.Header, names []string) {
	for _, name := range names {
		delete(header, name)
	}
}
