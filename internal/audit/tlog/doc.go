// Package tlog keeps audit records in a Merkle log that anyone can check: a Tessera log, in the
// tlog-tiles format (https://c2sp.org/tlog-tiles), with signed checkpoints.
//
// A Log has one writer. It takes records from any number of callers, gives them their links in the
// order of arrival, and keeps one batch in flight. It answers when a record is in the tree, on disk,
// under a published checkpoint. A record whose id is known is answered with the first one of that id,
// also after a restart. Once an add has failed nobody knows what is on disk, so the log refuses
// everything until it is opened again: Open reads the whole tree, checks it, and goes on from there.
//
// VerifyFolder checks a copy of a log's folder offline, with the public key alone, on any system. Where a log is
// written to is a Storage: package posix has the folder.
package tlog
