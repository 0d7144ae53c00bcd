package capability

import (
	"slices"
	"strings"
)

// root is where a path begins.
type root int

const (
	// rootWorking: the working directory, as in ./report.json and src/**.
	rootWorking root = iota
	// rootHome: the home directory, as in ~/.cache.
	rootHome
	// rootAbsolute: the root of the filesystem.
	rootAbsolute
	// rootAbove: above the working directory, as in ../other.
	rootAbove
	// rootAccount: wherever the user's account can write.
	rootAccount
)

// place is a path or a glob. `*` stands for what is in one segment, `**` for any number of segments, `?` for one
// character. A path whose last segment has no wildcard is a file, or a directory with all that is below.
type place struct {
	root     root
	segments []string
}

// Limits of a path: longer ones are free text.
const (
	maxSegments = 64
	maxPath     = 512
)

// leadWords may stand before a path: "Files under /srv/data".
var leadWords = words("files", "file", "directory", "directories", "folder", "folders", "in", "under", "below", "matching", "the", "and", "at", "path", "paths")

// homes are the directories in which home directories lie.
var homes = words("home", "Users", "root", "users")

// placeOf reads a statement that is one path, with or without words such as "files under" before it, quotes and a
// remark in brackets; nil where it is something else.
func placeOf(text string) *place {
	text = strings.TrimSpace(text)
	if strings.HasSuffix(text, ")") {
		if start := strings.Index(text, " ("); start > 0 && strings.Count(text, "(") == 1 {
			text = text[:start]
		}
	}
	fields := strings.Fields(text)
	for len(fields) > 1 && leadWords[strings.ToLower(fields[0])] {
		fields = fields[1:]
	}
	if len(fields) != 1 {
		return nil
	}
	return parsePath(strings.Trim(fields[0], "\"'`"))
}

// parsePath reads a path; nil where the word is none, or one that cannot be followed by its text alone.
func parsePath(path string) *place {
	if len(path) > maxPath || strings.ContainsAny(path, "\\<>|;,$%[]{}()\"'`") || strings.Contains(path, "://") {
		return nil
	}
	made := &place{}
	rest := path
	switch {
	case path == "." || path == ".." || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../"):
	case path == "~" || strings.HasPrefix(path, "~/"):
		made.root, rest = rootHome, strings.TrimPrefix(path, "~")
	case strings.HasPrefix(path, "/"):
		made.root = rootAbsolute
	case !relative(path):
		return nil
	}
	below := strings.HasSuffix(rest, "/") || rest == ""
	for segment := range strings.SplitSeq(rest, "/") {
		switch segment {
		case "", ".":
		case "..":
			if !made.up() {
				return nil
			}
		default:
			made.segments = append(made.segments, segment)
		}
	}
	if len(made.segments) > maxSegments {
		return nil
	}
	if (below || len(made.segments) == 0) && made.last() != "**" {
		made.segments = append(made.segments, "**")
	}
	return made
}

// up follows a `..`; false where that needs more than the text: behind a wildcard, or above the home directory.
func (p *place) up() bool {
	switch {
	case len(p.segments) > 0:
		if wild(p.last()) {
			return false
		}
		p.segments = p.segments[:len(p.segments)-1]
		return true
	case p.root == rootWorking || p.root == rootAbove:
		p.root = rootAbove
		return true
	default:
		return p.root == rootAbsolute // the root is its own parent
	}
}

func (p *place) last() string {
	if len(p.segments) == 0 {
		return ""
	}
	return p.segments[len(p.segments)-1]
}

// relative says whether a word without ./ is a path all the same: .env, src/, src/main.go, src/**, *.json. A first
// segment with a dot in it may be a host, and words with a slash between them may be just that: Slack/Teams.
func relative(path string) bool {
	if strings.HasPrefix(path, ".") {
		return true
	}
	first, _, nested := strings.Cut(path, "/")
	if strings.ContainsRune(first, '*') {
		return nested || strings.HasPrefix(first, "*.") || first == "**"
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	return nested && first != "" && !strings.ContainsAny(first, ".:@~") && (last == "" || strings.ContainsAny(last, ".*"))
}

func wild(segment string) bool {
	return strings.ContainsAny(segment, "*?")
}

// covers says whether every file that the other names is one of p's.
func (p *place) covers(other *place) bool {
	switch {
	case p.root == rootAbsolute && slices.Equal(p.segments, []string{"**"}):
		return true
	case p.root == rootAccount:
		return other.root == rootWorking || other.root == rootHome || other.root == rootAccount
	case p.root != other.root || p.root == rootAbove:
		return false
	default:
		return segmentsCover(p.segments, other.segments)
	}
}

// segmentsCover matches a glob with a path that may be a glob itself, going back to the last ** where it fails.
func segmentsCover(wide, narrow []string) bool {
	closed := len(wide) > 0 && !wild(wide[len(wide)-1])
	i, j, star, mark := 0, 0, -1, 0
	for j < len(narrow) {
		switch {
		case i < len(wide) && wide[i] == "**":
			star, mark = i, j
			i++
		case i < len(wide) && narrow[j] != "**" && segmentMatches(wide[i], narrow[j]):
			i++
			j++
		case i == len(wide) && closed:
			return true // what is below a directory
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(wide) && wide[i] == "**" {
		i++
	}
	return i == len(wide)
}

// segmentMatches matches one segment. One with wildcards is matched by itself and by `*`.
func segmentMatches(glob, name string) bool {
	if glob == name || glob == "*" {
		return true
	}
	if wild(name) {
		return false
	}
	i, j, star, mark := 0, 0, -1, 0
	for j < len(name) {
		switch {
		case i < len(glob) && glob[i] == '*':
			star, mark = i, j
			i++
		case i < len(glob) && (glob[i] == '?' || glob[i] == name[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(glob) && glob[i] == '*' {
		i++
	}
	return i == len(glob)
}

// outside says whether the other is surely not within p, given that p does not cover it. A path of the root or of the
// home directory is not in the working directory: it is needed wherever the agent is started.
func (p *place) outside(other *place) bool {
	switch {
	case p.root == rootAccount || other.root == rootAccount || p.root == rootAbove:
		return false
	case p.root == other.root:
		return apart(p.segments, other.segments)
	case p.root == rootWorking:
		return true
	case p.root == rootHome && other.root == rootAbsolute:
		return len(other.segments) > 0 && !homes[other.segments[0]] && !wild(other.segments[0])
	default:
		return false
	}
}

// apart says whether a path without wildcards was not covered, or whether one with wildcards leaves a glob before the
// first of them.
func apart(wide, narrow []string) bool {
	if !slices.ContainsFunc(narrow, wild) {
		return true
	}
	for i := range min(len(wide), len(narrow)) {
		switch {
		case wide[i] == "**" || narrow[i] == "**":
			return false
		case wild(wide[i]) || wild(narrow[i]):
		case wide[i] != narrow[i]:
			return true
		}
	}
	return false
}
