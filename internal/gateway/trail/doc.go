// Package trail writes what a gateway sees into the audit log, by way of its spool: a record for each call, the
// mark that all calls of a passport that is over are recorded, and forged tokens in sum.
package trail
