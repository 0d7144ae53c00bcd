// Package mirror keeps the newest signed head of the audit log, and its keys, in a ConfigMap: out of reach
// of whoever has the log's volume alone. A log that is set back or lost no longer reaches that head and is
// not opened.
//
// All of it is public and signed; the ConfigMap needs no secrecy, but who may change it should be few.
package mirror
