// Package epoch is the data directory of the audit log, as anyone can read it: one folder and one tree for each
// epoch, and the keys. Package writer fills it.
//
//	keys.json      every key the log has had: package keys
//	epoch-1/       a tree: package tlog; its origin is <name>/1
//	epoch-2/       the one that took its place when records of it were lost
//
// A State is what is kept elsewhere of a log, so that a loss of the directory, or a change, is seen.
package epoch
