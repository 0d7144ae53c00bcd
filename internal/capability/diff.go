package capability

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/gowebpki/jcs"
)

// ChangeKind is what became of a statement or a member between two versions of a document.
type ChangeKind string

// The kinds of change.
const (
	// Gained: a list of capabilities or approvals has the statement now.
	Gained ChangeKind = "Gained"
	// Lost: a list of capabilities or approvals no longer has the statement.
	Lost ChangeKind = "Lost"
	// Added: the member is there now.
	Added ChangeKind = "Added"
	// Removed: the member is no longer there.
	Removed ChangeKind = "Removed"
	// Changed: the member has another value.
	Changed ChangeKind = "Changed"
)

// Change is one difference between two versions of a document.
type Change struct {
	// Path of the member, such as capabilities.can_read or agent.version.
	Path string
	// Kind of the change.
	Kind ChangeKind
	// Before is the statement that was lost, or the member's value as canonical JSON; empty for what came.
	Before string
	// After is the statement that was gained, or the member's value as canonical JSON; empty for what went.
	After string
}

// Diff says what changed from one version of a document to the next: what each list of statements lost and gained,
// then every other member. The order of statements means nothing, and is no change. The changes come in the order of
// the schema, members that it does not know last, by name; statements in the order of their document.
func Diff(before, after Document) []Change {
	old, updated := members(before), members(after)
	schema := agentSchema
	if before.Agent == nil {
		schema = packageSchema
	}
	lists, others := diffObject("", old, updated, schema)
	return slices.Concat(lists, others)
}

func members(document Document) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(document.Raw()))
	decoder.UseNumber()
	var root map[string]any
	if decoder.Decode(&root) != nil {
		return nil
	}
	return root
}

// diffObject gives the changes of an object's lists of statements, and of its other members.
func diffObject(path string, before, after map[string]any, schema []member) (lists, others []Change) {
	both := make(map[string]any, len(before)+len(after))
	for name := range before {
		both[name] = nil
	}
	for name := range after {
		both[name] = nil
	}
	for _, name := range inOrder(both, schema) {
		was, had := before[name]
		is, has := after[name]
		known, _ := find(schema, name)
		at := memberPath(path, name)
		if known != nil && known.statements {
			lists = append(lists, diffStatements(at, was, is)...)
			continue
		}
		below := []member(nil)
		if known != nil {
			below = known.members
		}
		wasObject, first := was.(map[string]any)
		isObject, second := is.(map[string]any)
		if first && second {
			moreLists, more := diffObject(at, wasObject, isObject, below)
			lists, others = append(lists, moreLists...), append(others, more...)
			continue
		}
		if change := diffMember(at, was, is, had, has); change != nil {
			others = append(others, *change)
		}
	}
	return lists, others
}

func diffMember(path string, was, is any, had, has bool) *Change {
	before, after := canonical(was), canonical(is)
	switch {
	case !had:
		return &Change{Path: path, Kind: Added, After: after}
	case !has:
		return &Change{Path: path, Kind: Removed, Before: before}
	case before != after:
		return &Change{Path: path, Kind: Changed, Before: before, After: after}
	default:
		return nil
	}
}

// diffStatements compares two lists as bags: lost first, then gained.
func diffStatements(path string, was, is any) []Change {
	before, after := texts(was), texts(is)
	lost, gained := without(before, after), without(after, before)
	changes := make([]Change, 0, len(lost)+len(gained))
	for _, text := range lost {
		changes = append(changes, Change{Path: path, Kind: Lost, Before: text})
	}
	for _, text := range gained {
		changes = append(changes, Change{Path: path, Kind: Gained, After: text})
	}
	return changes
}

func texts(list any) []string {
	items, _ := list.([]any)
	found := make([]string, 0, len(items))
	for _, item := range items {
		if text, is := item.(string); is {
			found = append(found, text)
		}
	}
	return found
}

// without gives what one bag has more than another, in its order.
func without(all, taken []string) []string {
	left := make(map[string]int, len(taken))
	for _, text := range taken {
		left[text]++
	}
	var more []string
	for _, text := range all {
		if left[text] > 0 {
			left[text]--
			continue
		}
		more = append(more, text)
	}
	return more
}

// canonical gives a value as canonical JSON (RFC 8785).
func canonical(value any) string {
	written, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	transformed, err := jcs.Transform(written)
	if err != nil { // a number beyond RFC 8785: as it stands
		return string(written)
	}
	return string(transformed)
}
