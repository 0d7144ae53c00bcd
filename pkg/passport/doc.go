// Package passport is for those who meet the passports of the Agent Passport Operator from outside.
//
// A service that is called by agents makes a Verifier, which tells from a token alone who calls, and
// what for. It fetches the keys and the status lists of the issuer itself, and keeps them for as long
// as the issuer says.
//
// An agent makes a Client, which leads one mission over the HTTP API of a gateway: issue, checkpoint,
// calls, checkout.
//
// The package needs no Kubernetes. No error of it holds a token or a bearer.
package passport
