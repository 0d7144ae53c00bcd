package capability

import (
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// class is a kind of action that people want to approve.
type class struct {
	// name of the class, and of its code: approve:production.
	name string
	// fields in which a package's declaration of the class needs a gate.
	fields []v1alpha1.CapabilityField
	// acts are the words by which a declaration is of the class.
	acts map[string]bool
	// names are the words by which an approval or a gate names the class, acts included, stemmed.
	names map[string]bool
	// gates are the whole statements that gate on all of the class, stemmed.
	gates map[string]bool
	// codes of a package that are of the class.
	codes []string
}

// classes are the classes of action, in the order in which they are reported. docs/compatibility.md has the same table.
var classes = []*class{
	{
		name:   "production",
		fields: []v1alpha1.CapabilityField{v1alpha1.FieldWrites},
		acts:   words("production", "prod", "production-system", "production-systems", "deploy", "deploys", "deploying"),
		names:  words("production", "prod", "deploy", "deploying", "deployment", "release"),
		gates: words("production deploy", "production deployment", "production write", "production change", "deploy to production", "deployment to production",
			"write to production", "change to production", "deploy", "deployment", "production access", "production"),
		codes: []string{"write:production", "write:prod"},
	},
	{
		name:   "destructive",
		fields: []v1alpha1.CapabilityField{v1alpha1.FieldWrites},
		acts: words("destructive", "delete", "deletes", "deleting", "deletion", "deletions", "overwrite", "overwrites", "overwriting", "wipes", "erases", "purges",
			"force-push", "force-pushes"),
		names: words("destructive", "delete", "deleting", "deletion", "overwrite", "overwriting", "rm", "wipe", "erase", "purge", "force-push", "force-pushe"),
		gates: words("destructive operation", "destructive action", "destructive change"),
		codes: []string{"write:destructive", "write:delete"},
	},
	{
		name:   "purchase",
		fields: []v1alpha1.CapabilityField{v1alpha1.FieldSpends},
		acts:   words("purchase", "purchases", "purchasing", "payment", "payments", "buys", "pays"),
		names:  words("purchase", "purchasing", "payment", "buy", "buying", "pay", "paying", "spend", "spending", "money"),
		gates:  words("purchase", "payment", "purchase and payment", "spending", "spending money", "spend"),
		codes:  []string{"spend:purchase", "spend:money"},
	},
	{
		name:   "send",
		fields: []v1alpha1.CapabilityField{v1alpha1.FieldExposes, v1alpha1.FieldWrites},
		acts:   words("send", "sends", "sending", "publish", "publishes", "publishing"),
		names: words("send", "sending", "publish", "publishe", "publishing", "email", "emailing", "external-send", "message", "messaging", "upload", "uploading",
			"post", "posting", "request"),
		gates: words("external send", "send", "external message", "sending data outside", "external network request", "network request"),
		codes: []string{"expose:send", "write:send"},
	},
	{
		name:   "credentials",
		fields: []v1alpha1.CapabilityField{v1alpha1.FieldReads, v1alpha1.FieldAccesses},
		acts: words("credential", "credentials", "password", "passwords", "secrets", "api-key", "api-keys",
			"api key", "api keys", "access token", "access tokens", "private key", "private keys"),
		names: words("credential", "password", "secret", "authenticated", "login", "api-key", "api key", "access token", "private key"),
		gates: words("credential use", "credential", "use of credential", "use of secret", "secret"),
		codes: []string{"read:credentials", "access:credentials", "read:secrets", "access:secrets"},
	},
}

// everyAction are the gates on all that an agent does.
var everyAction = words("any action", "every action", "each action", "all actions", "everything", "anything", "any tool call", "every tool call", "each tool call", "all tool calls")

// overlapWords are what else gates are called by, and the classes of which they may hold a part; * for all.
var overlapWords = map[string]string{
	"shell": "production destructive send", "terminal": "production destructive send", "bash": "production destructive send",
	"command": "production destructive send", "script": "production destructive send",
	"connector": "*", "action": "*", "tool": "*", "tool-call": "*", "mcp": "*", "plugin": "*", "extension": "*", "call": "*", "operation": "*",
	"network": "send", "write": "destructive", "edit": "destructive", "diff": "destructive", "change": "destructive", "file": "destructive",
	"download": "", "artifact": "",
}

// fillers stand before what an approval is for.
var fillers = words(
	"human", "explicit", "manual", "user", "operator", "person's", "approval", "approvals", "confirmation", "consent", "required", "requires", "needed", "is", "are",
	"before", "for", "to", "of", "on", "each", "any", "every", "all", "a", "an", "the", "ask", "asks", "prior",
)

// dropFillers takes the fillers from the beginning.
func dropFillers(said []string) []string {
	for len(said) > 0 && fillers[said[0]] {
		said = said[1:]
	}
	return said
}

// actedOn says whether a declaration's words are of the class.
func (c *class) actedOn(said []string) bool {
	return anyIn(c.acts, said)
}

// named says whether words name the class.
func (c *class) named(said []string) bool {
	stems := make([]string, 0, len(said))
	for _, word := range said {
		stems = append(stems, stem(word))
	}
	return anyIn(c.names, stems)
}

// anyIn says whether a word, or two words side by side, are in a set.
func anyIn(set map[string]bool, said []string) bool {
	for i, word := range said {
		if set[word] || (i > 0 && set[said[i-1]+" "+word]) {
			return true
		}
	}
	return false
}

// classesNamed gives the classes that words name.
func classesNamed(said []string) []*class {
	var found []*class
	for _, class := range classes {
		if class.named(said) {
			found = append(found, class)
		}
	}
	return found
}

// stem takes the plural from a word.
func stem(word string) string {
	if len(word) > 3 && !strings.HasSuffix(word, "ss") {
		return strings.TrimSuffix(word, "s")
	}
	return word
}

func stemmed(said []string) string {
	stems := make([]string, 0, len(said))
	for _, word := range said {
		stems = append(stems, stem(word))
	}
	return strings.Join(stems, " ")
}
