// Package proof checks an audit log offline, from a copy of its data directory and a public key alone: every
// epoch, entry, link, tile and head, and heads that were kept elsewhere. See docs/audit-proof.md for what
// that proves and what it does not.
package proof
