package state

import "agentpassport.dev/operator/api/v1alpha1"

// Take takes in a Passport, as the watch does.
func (v *View) Take(passport *v1alpha1.Passport) { v.setPassport(nil, passport) }

// ForgetTokens has every token be one that was never seen.
func (v *View) ForgetTokens() { v.tokens.Purge() }
