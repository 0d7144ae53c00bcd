// Package flagvalue reads values of flags that several commands have.
package flagvalue

import "strings"

// Names reads names that are separated by commas, for flag.Func. Blanks around a name are none of it, and empty
// names are left out. A flag that is given again replaces what it said before.
func Names(into *[]string) func(string) error {
	return func(value string) error {
		*into = nil
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" {
				*into = append(*into, name)
			}
		}
		return nil
	}
}
