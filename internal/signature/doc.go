// Package signature makes and checks a vendor's signature over its document (Agent Passport v0.1, section 6).
//
// A signature is a JWS in compact form with its payload left out (RFC 7515, appendix F): HEADER..SIGNATURE. The
// payload is the document's canonical JSON (RFC 8785), so that neither white space nor the order of its members
// counts. The header has three members and no other: alg EdDSA, kid (the key's JWK thumbprint, RFC 7638), and typ
// agentpassport-document+jws. The key is never taken from the header: it has to stand in a VendorKey of the vendor
// that the document names.
//
// The rules of Verify, in their order: the signature can be read; a VendorKey of the vendor holds the key; the
// signature fits the document; the key is revoked nowhere for this vendor (one revocation wins over every other
// mention of the key); it is valid now in one VendorKey at least; and an Agent Passport document that names a key
// names this one.
//
// The package is pure: it reads no clock and no cluster. No error holds a private key.
package signature
