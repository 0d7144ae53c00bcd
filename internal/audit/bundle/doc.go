// Package bundle packs what one agent did in some time into one file that verifies alone: the records of its
// missions, a proof for each that it is in the log, the signed head that this is proven against, and the keys
// of that time. Verify says what that proves, and what a part of a log cannot prove.
package bundle
