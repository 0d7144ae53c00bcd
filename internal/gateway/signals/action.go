package signals

import (
	"net/http"
	"regexp"
	"strings"
)

// effect is what a method does to what it is called on.
type effect int

const (
	reads effect = iota
	writes
	destroys
)

func effectOf(method string) effect {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, "QUERY":
		return reads
	case http.MethodDelete:
		return destroys
	default:
		return writes
	}
}

const (
	// actionSegments is how many segments of a path tell actions apart.
	actionSegments = 2
	// maxSegment is the longest segment that is a word.
	maxSegment = 32
)

var (
	numbers = regexp.MustCompile(`^\d+$`)
	hexadec = regexp.MustCompile(`^[0-9a-fA-F]{8,}$`)
	uuids   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	version = regexp.MustCompile(`^(api|v\d+(\.\d+)*)$`)
)

// Action is what a call does, as far as actions are told apart: the method and the first two segments of
// the path, without leading "api" and version segments, and with ids as "*".
func Action(method, path string) string {
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || len(kept) == 0 && version.MatchString(segment) {
			continue
		}
		kept = append(kept, word(segment))
		if len(kept) == actionSegments {
			break
		}
	}
	return method + " " + strings.Join(kept, "/")
}

// word is a segment of a path, or "*" where it names one thing of many.
func word(segment string) string {
	hasDigit := strings.ContainsAny(segment, "0123456789")
	switch {
	case len(segment) > maxSegment, numbers.MatchString(segment), uuids.MatchString(segment), hasDigit && hexadec.MatchString(segment):
		return "*"
	default:
		return segment
	}
}
