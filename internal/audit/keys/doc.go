// Package keys is the keys of the audit log: Ed25519 keys of signed notes (https://c2sp.org/signed-note),
// and the chain in which each vouches for the next.
//
// A key has the log's name for its own, and signs the heads of epoch N under the name "<name>/N", so that
// heads of two epochs never pass for one another. A Ring is every key that the log has had, in order, each
// with a statement that the key itself and the one before it have signed, and that holds the hash of the
// statement before it. Whoever knows one key of a ring for the log's can therefore trust all of them, the
// earlier ones too, and a log that was rebuilt with another key is found.
//
// The package is pure: it reads no clock and no cluster.
package keys
