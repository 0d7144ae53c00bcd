package decision

import (
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/target"
)

// The bounds of constraints: those of the API.
const (
	maxConstraints = 64
	maxPattern     = 256
)

// Constraints are the constraints on a service, ready to be asked. All must hold. They are never changed
// once made.
type Constraints struct {
	// plain look at the request line and the header, body at the body.
	plain, body []constraint
	// bodyPaths are those of body, in its order.
	bodyPaths [][]string
}

// constraint is one of them.
type constraint struct {
	// path and op as they were written, for people.
	path string
	op   v1alpha1.ConstraintOp
	// read gives what stands at the path; nil where the constraint never holds.
	read func(*Request) reading
	// values to compare with, and the pattern of op matches.
	values  []string
	pattern *regexp.Regexp
}

// reading is what stands at the path of a constraint.
type reading struct {
	// value, and another that some readers read in its place.
	value, other string
	// twofold says that there is another.
	twofold bool
	// problem says why there is no value that all readers agree on; empty where there is one.
	problem string
}

// Why a path gives nothing to compare.
const (
	missing   = "it is not there"
	repeated  = "it is there more than once"
	ambiguous = "it can be read in more than one way"
)

// Compile reads constraints, once a passport. One that cannot be read compiles to one that never holds: an
// unknown path or op, a pattern that is not RE2 or longer than 256 characters, a value that is none for
// its path, no value, and all beyond the 64th.
func Compile(constraints []v1alpha1.Constraint) Constraints {
	var compiled Constraints
	for i := range constraints {
		c := constraint{path: constraints[i].Path, op: constraints[i].Op}
		body, isBody := strings.CutPrefix(c.path, "body.")
		ok := i < maxConstraints && c.compare(&constraints[i])
		switch {
		case ok && isBody && !slices.Contains(strings.Split(body, "."), ""):
			compiled.body = append(compiled.body, c)
			compiled.bodyPaths = append(compiled.bodyPaths, strings.Split(body, "."))
		case ok:
			c.read = reader(c.path)
			compiled.plain = append(compiled.plain, c)
		default:
			compiled.plain = append(compiled.plain, c)
		}
	}
	return compiled
}

// compare reads what is compared with; false where it is not what the op takes.
func (c *constraint) compare(from *v1alpha1.Constraint) bool {
	isList := c.op == v1alpha1.ConstraintIn || c.op == v1alpha1.ConstraintNotIn
	switch {
	case isList && (from.Value != nil || len(from.Values) == 0), !isList && (from.Value == nil || from.Values != nil):
		return false
	case isList:
		c.values = slices.Clone(from.Values)
	default:
		c.values = []string{*from.Value}
	}
	switch c.op {
	case v1alpha1.ConstraintEq, v1alpha1.ConstraintNotEq, v1alpha1.ConstraintIn, v1alpha1.ConstraintNotIn:
		return normalise(c.path, c.values)
	case v1alpha1.ConstraintMatches:
		c.pattern = anchored(*from.Value)
		return c.pattern != nil
	case v1alpha1.ConstraintStartsWith:
		return true
	default:
		return false
	}
}

// anchored compiles a pattern that matches whole values only; nil where it is none. It has to be a pattern
// by itself first: "a)|(b" becomes one between brackets.
func anchored(pattern string) *regexp.Regexp {
	if utf8.RuneCountInString(pattern) > maxPattern {
		return nil
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return nil
	}
	compiled, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil
	}
	return compiled
}

// normalise brings values into the form of what stands at a path, so that not_eq "/admin/" does not let
// "/admin" through; false where one cannot stand there.
func normalise(path string, values []string) bool {
	for i, value := range values {
		if strings.HasPrefix(path, "headers.") {
			values[i] = textproto.TrimString(value)
		}
		switch path {
		case "method":
			values[i] = strings.ToUpper(value)
		case "url.pathname":
			pathname, err := target.Pathname(value)
			if err != nil {
				return false
			}
			values[i] = pathname
		case "url.host":
			// The scheme is not known here: a host with a port that belongs to one is not compared.
			host, err := target.ParseHost(value, "https")
			if err != nil || strings.HasSuffix(value, ":443") || host.Port == 80 {
				return false
			}
			values[i] = host.Authority("https")
		case "url.origin":
			origin, err := target.Parse(value)
			if err != nil || origin.Path != "/" || origin.HasQuery {
				return false
			}
			values[i] = origin.Origin()
		}
	}
	return true
}

// judgeConstraints is step 5. The body is read last, and once.
func judgeConstraints(c *Constraints, r *Request) (Code, string) {
	for i := range c.plain {
		if c.plain[i].read == nil {
			return refused(&c.plain[i], "it cannot be read, and so never holds: correct it in the grant or in the Passport")
		}
		if problem := c.plain[i].holds(c.plain[i].read(r)); problem != "" {
			return refused(&c.plain[i], problem)
		}
	}
	if len(c.body) == 0 {
		return Allowed, ""
	}
	readings, problem := readBody(r, c.bodyPaths)
	for i := range c.body {
		if problem == "" {
			problem = c.body[i].holds(readings[i])
		}
		if problem != "" {
			return refused(&c.body[i], problem)
		}
	}
	return Allowed, ""
}

func refused(c *constraint, problem string) (Code, string) {
	return CodeConstraint, "the constraint on " + c.path + " (" + string(c.op) + ") does not hold: " + problem
}

// holds says why the constraint does not; empty where it does, by whatever way the value is read.
func (c *constraint) holds(r reading) string {
	switch {
	case r.problem != "":
		return r.problem
	case !c.takes(r.value), r.twofold && !c.takes(r.other):
		return "the value is not one that it takes"
	default:
		return ""
	}
}

func (c *constraint) takes(value string) bool {
	switch c.op {
	case v1alpha1.ConstraintEq, v1alpha1.ConstraintIn:
		return slices.Contains(c.values, value)
	case v1alpha1.ConstraintNotEq, v1alpha1.ConstraintNotIn:
		return !slices.Contains(c.values, value)
	case v1alpha1.ConstraintMatches:
		return c.pattern.MatchString(value)
	case v1alpha1.ConstraintStartsWith:
		return strings.HasPrefix(value, c.values[0])
	default:
		return false
	}
}
