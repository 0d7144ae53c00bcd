package decision

import "agentpassport.dev/operator/api/v1alpha1"

// Constraints of one service, compiled. All must hold.
type Constraints struct{}

// Compile reads constraints, once a passport. One that cannot be read compiles to one that never holds.
func Compile(constraints []v1alpha1.Constraint) Constraints {
	return Constraints{}
}
