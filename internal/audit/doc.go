// Package audit is the record that every step of a mission leaves, and the links that hold the
// records together.
//
// A Record has one form in bytes, canonical JSON (RFC 8785), and its hash covers every field of it.
// Each record holds the hash of the record before it in its chain: that of its passport, or else of
// its agent, or else of the system. Each passport.issue also holds the hash of its agent's issue
// before it, so that a mission cannot be left out. A Trail assigns these links when records are
// written, and checks them when they are read.
//
// Links show what was changed, dropped or swapped between two records. They cannot show that the last
// records of a chain were cut off, nor that all was written anew: that takes the signed tree of
// package tlog, and a head of it that is kept elsewhere.
//
// The package is pure: it reads no clock and no cluster.
package audit
