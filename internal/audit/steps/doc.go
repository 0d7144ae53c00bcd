// Package steps reads from the operator's objects, as they are stored, which audit records their steps
// leave.
//
// What is stored decides: a record follows from its object alone, or from the objects beside it, so that
// after a crash, or while the log was away, the same records are found again, and the log knows a repeat
// by its id. Texts of people and agents are redacted.
//
// The package is pure: it reads no clock and no cluster.
package steps
