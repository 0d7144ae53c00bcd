package target

// MaxLength of a target, in bytes: 8 KiB.
const MaxLength = 8 << 10

// Parse reads a full URL.
func Parse(raw string) (Target, error) {
	return Target{}, refuse(BadHost, "not read yet")
}

// Below reads a path and a query as they stood in a request line, below the path of a base URL.
func Below(base Target, rawRequestPath, rawQuery string, hasQuery bool) (Target, error) {
	return Target{}, refuse(BadHost, "not read yet")
}

// FromParts reads scheme, authority and path with query as a proxy has them that sends them on as they
// stand. What is not in canonical form is refused, since it cannot be rewritten.
func FromParts(scheme, authority, rawPath string) (Target, error) {
	return Target{}, refuse(BadHost, "not read yet")
}
