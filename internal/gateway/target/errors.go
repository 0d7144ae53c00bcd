package target

// Reason is the machine's word for why a target or an address is refused.
type Reason string

// The reasons.
const (
	// TooLong: over MaxLength bytes.
	TooLong Reason = "too_long"
	// BadCharacter: a character that must not stand there unencoded, such as a space, a control
	// character, a backslash or anything outside ASCII.
	BadCharacter Reason = "bad_character"
	// BadEscape: a percent sign without two hexadecimal digits behind it.
	BadEscape Reason = "bad_escape"
	// EncodedSeparator: an encoded slash, backslash or control character in a path.
	EncodedSeparator Reason = "encoded_separator"
	// DoubleEncoding: an encoded percent sign before two hexadecimal digits in a path.
	DoubleEncoding Reason = "double_encoding"
	// BadUTF8: a path whose decoded bytes are no UTF-8.
	BadUTF8 Reason = "bad_utf8"
	// DotSegment: a segment of one or two dots, raw or encoded.
	DotSegment Reason = "dot_segment"
	// EmptySegment: two slashes in a row.
	EmptySegment Reason = "empty_segment"
	// PathParameter: a semicolon in a path.
	PathParameter Reason = "path_parameter"
	// NoLeadingSlash: a path that does not begin with a slash.
	NoLeadingSlash Reason = "no_leading_slash"
	// Fragment: a `#` and what follows it.
	Fragment Reason = "fragment"
	// UserInfo: a user or a password before the host.
	UserInfo Reason = "userinfo"
	// BadScheme: neither http nor https.
	BadScheme Reason = "bad_scheme"
	// BadHost: no DNS name and no IP address in its usual form.
	BadHost Reason = "bad_host"
	// BadPort: no number from 1 to 65535.
	BadPort Reason = "bad_port"
	// NotCanonical: readable, but not in the canonical form where it cannot be rewritten.
	NotCanonical Reason = "not_canonical"

	// MetadataAddress: an address at which a cloud hands out credentials. It is never allowed.
	MetadataAddress Reason = "metadata_address"
	// LoopbackAddress is one of RangeLoopback.
	LoopbackAddress Reason = "loopback_address"
	// PrivateAddress is one of RangePrivate.
	PrivateAddress Reason = "private_address"
	// LinkLocalAddress is one of RangeLinkLocal.
	LinkLocalAddress Reason = "link_local_address"
	// SharedAddress is one of RangeShared.
	SharedAddress Reason = "shared_address"
	// SpecialAddress: unspecified, multicast, documentation, benchmark, transition or reserved.
	SpecialAddress Reason = "special_address"
)

// Error says why a target or an address is refused.
type Error struct {
	// Reason for machines.
	Reason Reason
	// Message for people. It quotes nothing of a path or a query.
	Message string
}

func (e *Error) Error() string { return e.Message }

func refuse(reason Reason, message string) error {
	return &Error{Reason: reason, Message: message}
}
