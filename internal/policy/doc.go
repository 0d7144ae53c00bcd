// Package policy asks the rules of PolicyPacks: what they warn of, and what they block, when a package is installed
// into an agent and when a passport is issued. It is pure: no I/O, no clock.
package policy
