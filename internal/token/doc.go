// Package token makes and checks the signed token that an agent carries on a mission.
//
// A token is a JSON Web Token (RFC 7519) in compact serialisation, signed with Ed25519 (RFC 8037)
// and typed passport+jwt (RFC 8725, 3.11), so that nothing else signed by the same issuer can pass
// for one. Claims says what is in it. The same claims and key always make the same bytes: every
// replica of the operator answers with the same token, and a crash repeats a step without
// doubling it.
//
// The keys live in a Ring: one that signs, one that is published and signs next, and those that
// signed before, kept until the last token they signed is dead. Advance moves a ring through time,
// RequestRotation and RotateEmergency move it on request. A ring is stored whole in one Secret
// (MarshalRing, ParseRing) and published as a JWKS (RFC 7517) and an OpenID configuration by
// NewHandler, so that any JWT library can verify a token with nothing else in hand.
//
// A StatusList tells offline verifiers which passports are over before their exp (IETF Token Status
// List): SignStatusList signs one, with the same keys and another type, and VerifyStatusList reads it.
//
// The package is pure: it reads no clock, no cluster and no random source of its own. Callers pass
// the time and the source. No error, and no printed Ring or Key, holds a token or a private key.
package token
