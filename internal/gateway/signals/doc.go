// Package signals is what a gateway makes of the calls that it judges: it scores them against the intent,
// counts them, and tells the manager what deserves a second look. How bad that is, the manager decides.
//
// The scoring is pure; nothing but the Reporter reads a clock, and nothing but its File does I/O.
package signals
