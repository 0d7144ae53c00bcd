// Package servingcert gives the operator's own services certificates where nobody else does.
//
// An authority, for ten years, is kept in a Secret of the operator's namespace; its certificate alone is
// published in a ConfigMap, for clients. A certificate that its owner can sign is made in memory (Serving).
// One for somebody who holds no authority, the gateway, is kept in a Secret that is mounted there (Gateway).
// All last 30 days, and are made anew after 20: nothing but the authority has to be kept, and clients need
// nothing new.
package servingcert
