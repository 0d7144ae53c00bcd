// Package epoch is the data directory of the audit log: one folder and one tree for each epoch, and the
// keys.
//
//	keys.json      every key the log has had: package keys
//	epoch-1/       a tree: package tlog; its origin is <name>/1
//	epoch-2/       the one that took its place when records of it were lost
//
// A Log appends to the newest epoch and reads all. It refuses to open where the newest head that is known
// elsewhere covers more than the folder holds: then a person has to say so in the log itself, with Begin.
package epoch
