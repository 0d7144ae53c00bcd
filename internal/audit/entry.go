package audit

// Entry is a record as it stands in the log, and its place there.
type Entry struct {
	// Epoch is the tree that holds it. It is 1, and one more for each tree that was begun anew after
	// the one before it was lost.
	Epoch uint64 `json:"epoch"`
	// Index of the leaf, from 0.
	Index uint64 `json:"index"`
	// Record with its links and its hash.
	Record Record `json:"record"`
}
