// Package spool keeps audit records on disk until they are in the audit log. A gateway puts a credential into
// a call only once the record of that call is safe, and the log may be away, or slow.
//
// A spool is a directory of segments, numbered in their order. Records that wait at the same moment go to disk
// in one write and share one fsync. A drainer sends them to the log, in their order, and deletes a segment
// once all of it is there. Where it has got to is not written down: after a restart what is left of the first
// segment is sent again, which the ids of the records make harmless.
package spool
