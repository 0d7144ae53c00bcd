package capability

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	// Line in the file, from 1; 0 where it concerns the whole.
	Line int
	// Path of the member, such as capabilities.can_read[3]; empty for the whole.
	Path string
	// Message says what is wrong and what to do.
	Message string
}

func (p Problem) String() string {
	var said strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&said, "line %d: ", p.Line)
	}
	if p.Path != "" {
		said.WriteString(p.Path + ": ")
	}
	said.WriteString(p.Message)
	return said.String()
}

// maxShown bounds how many problems an error shows.
const maxShown = 50

// Problems is all that is wrong with a file, in its order.
type Problems []Problem

// Error gives a line for each problem, the first 50.
func (p Problems) Error() string {
	var lines []string
	for i, problem := range p {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(p)-maxShown))
			break
		}
		lines = append(lines, problem.String())
	}
	return strings.Join(lines, "\n")
}
